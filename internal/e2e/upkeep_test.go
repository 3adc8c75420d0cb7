package e2e

import (
	"path/filepath"
	"testing"
)

// TestUpkeep: the packs of many pushes are put together by themselves, and
// what makes reads fast is there.
func TestUpkeep(t *testing.T) {
	w := newWorld(t, options{})
	work := filepath.Join(t.TempDir(), "work")
	w.git("alice", w.dir, "clone", w.url("us-east-1/demo"), work)
	for range 15 {
		w.git("alice", work, "commit", "--allow-empty", "-m", "DEMO-1 more")
		w.git("alice", work, "push", "origin", "HEAD:main")
	}
	w.waitIdle()
	found := func(pattern string) int {
		names, err := filepath.Glob(w.path("data/repos/*/*.git/objects/" + pattern))
		must(t, err)
		return len(names)
	}
	if n := found("pack/*.pack"); n == 0 || n > 8 {
		t.Errorf("%d packs after 15 pushes", n)
	}
	if found("info/commit-graph")+found("info/commit-graphs/*") == 0 || found("pack/multi-pack-index") == 0 || found("pack/*.bitmap") == 0 {
		t.Error("no commit-graph, no multi-pack-index or no bitmap")
	}
	clone := filepath.Join(t.TempDir(), "clone")
	w.git("bob", w.dir, "clone", w.url("us-east-1/demo"), clone)
	if got, want := w.oid(clone, "HEAD"), w.oid(work, "HEAD"); got != want {
		t.Errorf("clone has %s, want %s", got, want)
	}
	w.consistent()
}
