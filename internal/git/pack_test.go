package git

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gitferry/internal/ferry"
	"gitferry/internal/gittest"
)

// gitDir is where a work tree keeps its repository.
func gitDir(r *gittest.Repo) string { return filepath.Join(r.Dir, ".git") }

// What Init makes is a repository to git, also where an earlier try was cut
// short, and an older one keeps what it has. Refs are found wherever git puts
// them.
func TestInit(t *testing.T) {
	r := newRunner(t)
	dir := filepath.Join(t.TempDir(), "made", "mirror.git")
	for _, before := range []string{"", "config", "HEAD"} {
		if before != "" {
			if err := os.Remove(filepath.Join(dir, before)); err != nil {
				t.Fatal(err)
			}
		}
		if err := Init(dir); err != nil {
			t.Fatal(err)
		}
		out, err := r.Output(t.Context(), Command{Dir: dir, Args: []string{"rev-parse", "--is-bare-repository"}})
		if err != nil || string(out) != "true\n" {
			t.Fatalf("without %q: %s, %v", before, out, err)
		}
	}
	if refs, err := r.Refs(t.Context(), dir); err != nil || refs != nil {
		t.Errorf("refs of an empty repository: %v, %v", refs, err)
	}
	work := gittest.New(t)
	id := work.Commit("base", "a", "b")
	work.Run("push", "-q", dir, "HEAD:refs/heads/deep/er", "HEAD:refs/heads/main")
	for _, pack := range []bool{false, true} {
		if pack {
			if err := r.Run(t.Context(), Command{Dir: dir, Args: []string{"pack-refs", "--all"}}); err != nil {
				t.Fatal(err)
			}
		}
		if err := Init(dir); err != nil {
			t.Fatal(err)
		}
		refs, err := r.Refs(t.Context(), dir)
		if err != nil || len(refs) != 2 || refs[0].Name != "refs/heads/deep/er" || refs[0].OID != id {
			t.Errorf("packed %t: %v, %v", pack, refs, err)
		}
		if n, err := r.CountCommits(t.Context(), dir); err != nil || n != 1 {
			t.Errorf("packed %t: %d commits, %v", pack, n, err)
		}
	}
	if _, err := r.Refs(t.Context(), filepath.Join(dir, "nothing")); err == nil {
		t.Error("refs of no repository were listed")
	}
}

// A pack waits in quarantine: readable there, not in the repository, until it
// is moved; a thin one is completed.
func TestQuarantine(t *testing.T) {
	r := newRunner(t)
	work := gittest.New(t)
	base := work.Commit("base", "a", strings.Repeat("line\n", 200))
	dir := filepath.Join(t.TempDir(), "mirror.git")
	if err := Init(dir); err != nil {
		t.Fatal(err)
	}
	index := func(name string, revisions ...string) (objects, pack string) {
		t.Helper()
		objects = filepath.Join(dir, "incoming", name, "objects")
		in := work.Input(strings.Join(revisions, "\n")+"\n", "pack-objects", "--revs", "--stdout", "-q", "--thin")
		pack, err := r.IndexPack(t.Context(), dir, objects, strings.NewReader(in), 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		return objects, pack
	}
	objects, _ := index("one", base.String())
	if err := MovePacks(dir, objects); err != nil {
		t.Fatal(err)
	}
	next := work.Commit("next", "a", strings.Repeat("line\n", 200)+"more")
	side := work.Commit("side", "b", "side")
	objects, pack := index("two", side.String(), "^"+base.String())
	in, err := PackObjects(objects, pack)
	if err != nil || len(in) < 5 {
		t.Errorf("PackObjects = %v, %v", in, err)
	}
	oids := []ferry.OID{base, next, side}
	kinds, err := r.Kinds(t.Context(), dir, "", oids)
	if want := map[ferry.OID]string{base: "commit"}; err != nil || !cmp.Equal(kinds, want) {
		t.Errorf("Kinds before the move = %v, %v, want %v", kinds, err, want)
	}
	if kinds, err = r.Kinds(t.Context(), dir, objects, oids); err != nil || len(kinds) != 3 {
		t.Errorf("Kinds in quarantine = %v, %v", kinds, err)
	}
	if err := r.Repack(t.Context(), dir, objects, []ferry.OID{next}); err != nil {
		t.Fatal(err)
	}
	kinds, err = r.Kinds(t.Context(), dir, "", oids)
	if want := map[ferry.OID]string{base: "commit", next: "commit"}; err != nil || !cmp.Equal(kinds, want) {
		t.Errorf("Kinds after keeping one tip = %v, %v, want %v", kinds, err, want)
	}
	ok, err := r.IsAncestor(t.Context(), dir, objects, base, side)
	if err != nil || !ok {
		t.Errorf("IsAncestor(base, side) = %t, %v", ok, err)
	}
	if ok, err = r.IsAncestor(t.Context(), dir, objects, side, base); err != nil || ok {
		t.Errorf("IsAncestor(side, base) = %t, %v", ok, err)
	}
	if err := MovePacks(dir, objects); err != nil {
		t.Fatal(err)
	}
	if err := MovePacks(dir, objects); err != nil { // again: nothing is left to move
		t.Fatal(err)
	}
	var messages []string
	err = r.Commits(t.Context(), dir, Walk{Tips: []ferry.OID{side}, Not: []ferry.OID{base}, Strict: true}, func(c Commit) error {
		messages = append(messages, c.Message)
		return nil
	})
	if want := []string{"next", "side"}; err != nil || !cmp.Equal(messages, want) {
		t.Errorf("Commits = %q, %v, want %q", messages, err, want)
	}
}

// Packs that git refuses are ferry.ErrInvalid and leave nothing readable.
func TestIndexPackRefuses(t *testing.T) {
	r := newRunner(t)
	work := gittest.New(t)
	one := work.Commit("one", "a", "1")
	dir := filepath.Join(t.TempDir(), "mirror.git")
	if err := Init(dir); err != nil {
		t.Fatal(err)
	}
	whole := work.Input(one.String()+"\n", "pack-objects", "--revs", "--stdout", "-q")
	bad := work.Input("100644 blob "+work.Input("x", "hash-object", "-w", "--stdin")+"\t.git\n", "mktree")
	for name, c := range map[string]struct {
		in  io.Reader
		max int64
	}{
		"cut":              {strings.NewReader(whole[:len(whole)-5]), 1 << 20},
		"bytes behind":     {strings.NewReader(whole + "x"), 1 << 20},
		"flipped":          {strings.NewReader(whole[:30] + "\xff" + whole[31:]), 1 << 20},
		"too large":        {strings.NewReader(whole), 20},
		"a missing blob":   {strings.NewReader(work.Input(one.String()+"\n"+one.String()+"^{tree}\n", "pack-objects", "--stdout", "-q")), 1 << 20},
		"a .git in a tree": {strings.NewReader(work.Input(bad+"\n", "pack-objects", "--stdout", "-q")), 1 << 20},
	} {
		objects := filepath.Join(dir, "incoming", "x", "objects")
		if pack, err := r.IndexPack(t.Context(), dir, objects, c.in, c.max); !errors.Is(err, ferry.ErrInvalid) {
			t.Errorf("%s: IndexPack = %q, %v, want ferry.ErrInvalid", name, pack, err)
		}
		os.RemoveAll(objects)
	}
}

// Refs are listed with what tags peel to, and move only from their old values.
func TestRefs(t *testing.T) {
	r := newRunner(t)
	work := gittest.New(t)
	one := work.Commit("one", "a", "1")
	work.Run("tag", "-a", "-m", "v", "v1")
	work.Run("tag", "blob", "HEAD:a")
	got, err := r.Refs(t.Context(), gitDir(work))
	want := []Ref{{Name: "refs/heads/main", OID: one}, {Name: "refs/tags/blob", OID: work.OID("HEAD:a")}, {Name: "refs/tags/v1", OID: work.OID("v1"), Peeled: one}}
	if err != nil || !cmp.Equal(got, want) {
		t.Errorf("Refs = %v, %v, want %v", got, err, want)
	}
	// a/b takes the place of a in one call; a stale old value moves nothing.
	if err := r.UpdateRefs(t.Context(), gitDir(work), []ferry.RefUpdate{{Name: "refs/heads/a", New: one}}); err != nil {
		t.Fatal(err)
	}
	err = r.UpdateRefs(t.Context(), gitDir(work), []ferry.RefUpdate{{Name: "refs/heads/a/b", New: one}, {Name: "refs/heads/a", Old: one}})
	if err != nil || work.OID("refs/heads/a/b") != one {
		t.Errorf("UpdateRefs of a and a/b = %v", err)
	}
	if err := r.UpdateRefs(t.Context(), gitDir(work), []ferry.RefUpdate{{Name: "refs/heads/main", Old: work.OID("v1"), New: work.OID("HEAD:a")}}); err == nil {
		t.Error("UpdateRefs with a stale old value succeeded")
	}
}
