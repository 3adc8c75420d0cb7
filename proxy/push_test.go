package proxy

import (
	"strings"
	"testing"

	"gitferry/internal/policy"
)

// A push through either door lands upstream and can be fetched back.
func TestPushBothDoors(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	work := w.work()
	for name, url := range w.urls() {
		oid := work.Commit("DEMO-1 through "+name, "file", name)
		work.Run("push", url, "HEAD:refs/heads/main")
		if got := w.upstreamRefs()["refs/heads/main"]; got != oid.String() {
			t.Errorf("%s: upstream has %s, want %s", name, got, oid)
		}
		if got := work.Output("ls-remote", url, "refs/heads/main"); !strings.HasPrefix(got, oid.String()) {
			t.Errorf("%s: ls-remote says %q, want %s", name, got, oid)
		}
	}
	w.settled()
}

// A branch that is rewritten is refused even if another branch of the same
// push grows out of the old tip.
func TestRewriteBesideAChild(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(w *world) { w.rules = policy.Rules{ProtectDefaultBranch: true} })
	work := w.work()
	work.Commit("one", "a", "1")
	tip := work.Commit("two", "a", "2")
	work.Run("push", w.url, "HEAD:refs/heads/main")
	w.repo.DefaultBranch = "main"
	w.must(w.Store.UpdateRepository(t.Context(), w.repo))
	work.Commit("three", "a", "3")
	work.Run("branch", "child")
	work.Run("reset", "--hard", "HEAD~2")
	work.Commit("other", "a", "4")
	out := work.Fails("push", "--force", w.url, "HEAD:refs/heads/main", "child")
	if got := w.upstreamRefs()["refs/heads/main"]; got != tip.String() {
		t.Fatalf("main was rewritten to %s; the push said\n%s", got, out)
	}
	w.settled()
}
