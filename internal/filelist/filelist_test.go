package filelist

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gitferry/internal/ferry"
	"gitferry/internal/git"
	"gitferry/internal/gittest"
	"gitferry/internal/store"
	"gitferry/mirror"
)

func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// Lists come from git once and from the books from then on. A mirror that is
// not there yet is no failure.
func TestLists(t *testing.T) {
	dir, ctx := t.TempDir(), t.Context()
	log := slog.New(slog.DiscardHandler)
	s := must(store.Open(ctx, filepath.Join(dir, "gitferry.db"), store.Options{MasterKey: make([]byte, 32), Log: log}))(t)
	defer s.Close()
	g := must(git.New(ctx, dir))(t)
	l := &Lists{Store: s, Git: g, Mirror: &mirror.Dir{Root: dir, Git: g, Log: log}, Log: log}
	i := must(s.AddIntegration(ctx, ferry.Integration{Slug: "a", Kind: ferry.KindCodeCommit, Region: "us-east-1"}, ferry.Credentials{}))(t)
	repo := must(s.AddRepository(ctx, ferry.Repository{IntegrationID: i.ID, Name: "demo", HostID: "x"}))(t)

	work := gittest.New(t)
	oids := []ferry.OID{work.Commit("one", "a", "1\n2\n"), work.Commit("two", "a", "1\n3\n", "b", "x\n"), work.Commit("three")}
	gone := ferry.OID{0xff} // as a commit that was purged
	var rows []store.Commit
	for _, o := range append(oids, gone) {
		rows = append(rows, store.Commit{OID: o})
	}
	must(s.AddCommits(ctx, repo.ID, rows, nil))(t)

	last := must(l.Fill(ctx, 0))(t)
	if todo := must(s.UnfiledCommits(ctx, 0, 0))(t); len(todo) != 4 {
		t.Fatalf("without a mirror %d commits are left, want 4", len(todo))
	}
	path := l.Mirror.Path(repo.ID)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.Symlink(filepath.Join(work.Dir, ".git"), path)); err != nil {
		t.Fatal(err)
	}
	if again := must(l.Fill(ctx, last))(t); again != last {
		t.Errorf("Fill after %d went on to %d", last, again)
	}

	// Asked for before the walk came by.
	want := store.CommitFiles{OID: oids[1], Tree: work.OID("HEAD~1^{tree}"), Count: 2, Added: 2, Removed: 1, Files: []store.CommitFile{
		{Path: "a", Status: "M", Blob: work.OID("HEAD:a"), Added: 1, Removed: 1}, {Path: "b", Status: "A", Blob: work.OID("HEAD:b"), Added: 1}}}
	if d := cmp.Diff(want, must(l.Of(ctx, repo.ID, oids[1]))(t)); d != "" {
		t.Errorf("files from git (-want +got):\n%s", d)
	}
	if d := cmp.Diff(want, must(s.FilesOfCommit(ctx, repo.ID, oids[1]))(t)); d != "" {
		t.Errorf("files were not kept (-want +got):\n%s", d)
	}
	if _, err := l.Of(ctx, repo.ID, gone); !errors.Is(err, ferry.ErrNotFound) {
		t.Errorf("files of a commit that is gone: %v", err)
	}
	all := must(l.All(ctx, repo.ID, append(oids, gone)))(t)
	if len(all) != 3 || all[oids[2]].Count != 0 || all[oids[0]].Added != 2 {
		t.Errorf("All: %v", all)
	}

	must(l.Fill(ctx, 0))(t)
	if todo := must(s.UnfiledCommits(ctx, 0, 0))(t); len(todo) != 1 || todo[0].OID != gone {
		t.Errorf("left after the walk: %v", todo)
	}
	if err := os.Remove(path); err != nil { // the books hold all that is asked for
		t.Fatal(err)
	}
	for _, o := range oids {
		must(l.Of(ctx, repo.ID, o))(t)
	}
}
