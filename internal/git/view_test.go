package git_test

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gitferry/internal/ferry"
	"gitferry/internal/git"
	"gitferry/internal/gittest"
)

func runner(t *testing.T) *git.Runner {
	t.Helper()
	r, err := git.New(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// Trees and files are read by path, whatever characters it has.
func TestTreeAndBlob(t *testing.T) {
	r, repo := runner(t), gittest.New(t)
	odd := "a dir/*?[x]\n.txt"
	tip := repo.Commit("first", "b.txt", "bee\n", odd, "odd\n", "a dir/sub/c", "see\n")
	dir := filepath.Join(repo.Dir, ".git")

	entries, more, err := r.Tree(t.Context(), dir, tip, "", 10)
	if err != nil || more {
		t.Fatalf("Tree of the root: more %v, error %v", more, err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Kind+" "+e.Name)
	}
	if diff := cmp.Diff([]string{"tree a dir", "blob b.txt"}, names); diff != "" {
		t.Errorf("root differs (-want +got):\n%s", diff)
	}
	if entries, more, err := r.Tree(t.Context(), dir, tip, "a dir", 1); err != nil || !more || len(entries) != 1 {
		t.Errorf("Tree with a bound of 1: %d entries, more %v, error %v", len(entries), more, err)
	}
	b, err := r.Blob(t.Context(), dir, tip, odd, 100)
	if err != nil || string(b.Data) != "odd\n" || b.Truncated {
		t.Errorf("Blob(%q) = %q, truncated %v, error %v", odd, b.Data, b.Truncated, err)
	}
	b, err = r.Blob(t.Context(), dir, tip, "b.txt", 2)
	if err != nil || string(b.Data) != "be" || !b.Truncated || b.Size != 4 {
		t.Errorf("Blob of two bytes = %q of %d, truncated %v, error %v", b.Data, b.Size, b.Truncated, err)
	}
	for _, path := range []string{"nothing", "a dir", "b.txt/x"} {
		if _, err := r.Blob(t.Context(), dir, tip, path, 10); !errors.Is(err, ferry.ErrNotFound) {
			t.Errorf("Blob(%q): error %v, want ErrNotFound", path, err)
		}
	}
	for _, path := range []string{"nothing", "b.txt"} {
		if _, _, err := r.Tree(t.Context(), dir, tip, path, 10); !errors.Is(err, ferry.ErrNotFound) {
			t.Errorf("Tree(%q): error %v, want ErrNotFound", path, err)
		}
	}
	for _, path := range []string{"/etc/passwd", "../x", "a//b", "./a", "x\x00", strings.Repeat("x", git.MaxPath+1)} {
		if _, err := r.Blob(t.Context(), dir, tip, path, 10); !errors.Is(err, ferry.ErrInvalid) {
			t.Errorf("Blob(%.20q): error %v, want ErrInvalid", path, err)
		}
	}
}

// A megabyte of output is cut without waiting for the rest.
func TestBlobIsBounded(t *testing.T) {
	r, repo := runner(t), gittest.New(t)
	tip := repo.Commit("big", "big", strings.Repeat("0123456789abcdef", 1<<18))
	b, err := r.Blob(t.Context(), filepath.Join(repo.Dir, ".git"), tip, "big", 1000)
	if err != nil || len(b.Data) != 1000 || b.Size != 4<<20 {
		t.Errorf("Blob: %d bytes of %d, error %v; want 1000 of %d", len(b.Data), b.Size, err, 4<<20)
	}
}

func TestPatch(t *testing.T) {
	r, repo := runner(t), gittest.New(t)
	first := repo.Commit("first", "a.txt", "1\n2\n3\n", ":(glob)**", "x\n")
	second := repo.Commit("second", "a.txt", "1\n2b\n3\n", ":(glob)**", "y\n")
	dir := filepath.Join(repo.Dir, ".git")
	patch, cut, err := r.Patch(t.Context(), dir, git.Diff{From: first, To: second, Path: "a.txt"}, 1<<20)
	if err != nil || cut || !strings.Contains(string(patch), "-2\n+2b\n") || strings.Contains(string(patch), "glob") {
		t.Errorf("Patch of a.txt: cut %v, error %v:\n%s", cut, err, patch)
	}
	patch, _, err = r.Patch(t.Context(), dir, git.Diff{From: first, To: second, Path: ":(glob)**"}, 1<<20)
	if err != nil || strings.Contains(string(patch), "2b") || !strings.Contains(string(patch), "+y") {
		t.Errorf("Patch of a path that looks like a pattern: error %v:\n%s", err, patch)
	}
	if patch, cut, err := r.Patch(t.Context(), dir, git.Diff{To: second}, 50); err != nil || !cut || len(patch) != 50 {
		t.Errorf("Patch of 50 bytes: %d bytes, cut %v, error %v", len(patch), cut, err)
	}
	files, err := r.DiffFiles(t.Context(), dir, git.Diff{To: first})
	if err != nil || len(files) != 2 || files[1].Path != "a.txt" || files[1].Added != 3 || files[1].Status != 'A' {
		t.Errorf("DiffFiles against nothing = %+v, error %v", files, err)
	}
}

func TestCompare(t *testing.T) {
	r, repo := runner(t), gittest.New(t)
	base := repo.Commit("base", "a", "1")
	repo.Run("branch", "side")
	main := repo.Commit("main", "a", "2")
	repo.Run("checkout", "-q", "side")
	repo.Commit("side one", "b", "1")
	side := repo.Commit("side two", "b", "2")
	repo.Run("tag", "-a", "-m", "a release", "v1", side.String())
	dir := filepath.Join(repo.Dir, ".git")

	if got, err := r.MergeBase(t.Context(), dir, main, side); err != nil || got != base {
		t.Errorf("MergeBase = %s, error %v, want %s", got, err, base)
	}
	if ahead, behind, err := r.AheadBehind(t.Context(), dir, main, side); err != nil || ahead != 2 || behind != 1 {
		t.Errorf("AheadBehind = %d, %d, error %v, want 2, 1", ahead, behind, err)
	}
	list, err := r.History(t.Context(), dir, git.History{Tips: []ferry.OID{side}, Not: []ferry.OID{main}, Max: 10})
	if err != nil || len(list) != 2 || list[0].OID != side || list[0].Message != "side two" {
		t.Errorf("Log = %+v, error %v", list, err)
	}
	if list, err := r.History(t.Context(), dir, git.History{Tips: []ferry.OID{side}, Path: "a", Max: 10}); err != nil || len(list) != 1 || list[0].OID != base {
		t.Errorf("Log of a path = %+v, error %v", list, err)
	}
	if got, err := r.Abbreviated(t.Context(), dir, side.Short()); err != nil || len(got) != 1 || got[0] != side {
		t.Errorf("Abbreviated(%s) = %v, error %v", side.Short(), got, err)
	}
	if _, err := r.Abbreviated(t.Context(), dir, "--help"); !errors.Is(err, ferry.ErrInvalid) {
		t.Errorf("Abbreviated(--help): error %v, want ErrInvalid", err)
	}
	refs, more, err := r.RefsContaining(t.Context(), dir, []ferry.OID{side}, 5)
	if diff := cmp.Diff([]ferry.RefName{"refs/heads/side", "refs/tags/v1"}, refs); diff != "" || more || err != nil {
		t.Errorf("RefsContaining: more %v, error %v, differs (-want +got):\n%s", more, err, diff)
	}
	tags, _, err := r.Tags(t.Context(), dir, []ferry.OID{side}, 5)
	if err != nil || len(tags) != 1 || tags[0].Commit != side || tags[0].Subject != "a release" || tags[0].Who == "" || tags[0].At == 0 {
		t.Errorf("Tags = %+v, error %v", tags, err)
	}
	if _, err := r.CommitByOID(t.Context(), dir, ferry.OID{1}); !errors.Is(err, ferry.ErrNotFound) {
		t.Errorf("CommitByOID of nothing: error %v, want ErrNotFound", err)
	}
}
