package proxy

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gitferry/internal/failpoint"
	"gitferry/internal/ferry"
	"gitferry/internal/gittest"
	"gitferry/internal/store"
)

// newAfterWorld is a world in which packs are indexed after their release.
func newAfterWorld(t *testing.T) *world {
	return newWorld(t, func(w *world) { w.Limits.IndexAfter = true })
}

// Small and large pushes through both doors, pushes with deltas, and a fetch
// right behind each: it has the push although its pack is indexed late.
func TestIndexAfter(t *testing.T) {
	t.Parallel()
	w := newAfterWorld(t)
	w.must(failpoint.Arm("push.unindexed=sleep:300")) // met in this mode only
	t.Cleanup(func() { w.must(failpoint.Arm("none=error")) })
	w.Limits.Freshness = time.Hour // what is known here has to do
	work := w.work()
	text := strings.Repeat("a line that stays\n", 300)
	work.Commit("base", "file", text, "dir/other", text+"x")
	for name, url := range w.urls() {
		for _, large := range []bool{false, true} {
			if large {
				noise(t, work, 3<<20)
			}
			oid := work.Commit(name, "file", text+name, "dir/other", text+name+name)
			work.Run("push", url, "HEAD:refs/heads/main", "HEAD:refs/heads/"+name)
			for door, from := range w.urls() {
				if got := work.Output("ls-remote", from, "refs/heads/main"); !strings.HasPrefix(got, oid.String()) {
					t.Errorf("%s, large %t: after the push %s shows %q, want %s", name, large, door, got, oid)
				}
			}
			clone := gittest.Clone(t, w.url)
			clone.Run("fsck", "--strict")
			if got := clone.OID("origin/main"); got != oid {
				t.Errorf("%s, large %t: a clone has %s, want %s", name, large, got, oid)
			}
		}
	}
	w.settled()
	if strings.Contains(w.log.String(), "before its release") {
		t.Error("a pack was indexed before its release")
	}
}

// A pack that only git's own look finds wrong, taken by an upstream that does
// not look: nothing of it can be read here, the operator is told, and once the
// upstream is sound again so is the mirror.
func TestUnsoundAfterRelease(t *testing.T) {
	t.Parallel()
	w := newAfterWorld(t)
	work := w.work()
	base := work.Commit("base", "file", "1")
	work.Run("push", w.url, "HEAD:refs/heads/main")
	blob := strings.TrimSpace(work.Input("secret", "hash-object", "-w", "--stdin"))
	tree := strings.TrimSpace(work.Input("100644 blob "+blob+"\t.git\n", "mktree"))
	bad, err := ferry.ParseOID(work.Output("commit-tree", "-p", base.String(), "-m", "bad", tree))
	w.must(err)
	body := command(base.String(), bad.String(), "refs/heads/main", caps) + pack(work, bad.String(), "^"+base.String())
	if _, out := w.post(strings.NewReader(body), nil); !strings.Contains(out, "ok refs/heads/main") {
		t.Fatalf("the upstream did not take the pack: %q", out)
	}
	if got := w.upstreamRefs()["refs/heads/main"]; got != bad.String() {
		t.Fatalf("upstream has %s", got)
	}
	w.settled()
	w.eventually("the mirror tells that it is not in step", func() (bool, string) {
		view, err := w.Mirror.View(t.Context(), w.repo)
		w.must(err)
		return view.Failure != nil, "no failure"
	})
	reader := gittest.New(t)
	for _, oid := range []string{bad.String(), tree, blob} {
		if out := reader.Fails("-c", "protocol.version=2", "fetch", w.url, oid); !strings.Contains(out, "not our ref") && !strings.Contains(out, "remote error") {
			t.Errorf("fetching %s: %s", oid, out)
		}
	}
	if got := reader.Output("ls-remote", w.url, "refs/heads/main"); !strings.HasPrefix(got, base.String()) {
		t.Errorf("readers see %q, want %s", got, base)
	}
	if rows, err := w.Store.AuditEvents(t.Context(), store.AuditFilter{Action: "push.unsound"}); err != nil || len(rows) != 1 || !strings.Contains(rows[0].Reason, "hasDotgit") {
		t.Errorf("audit: %v, %v", rows, err)
	}
	if !strings.Contains(w.log.String(), "a pack that is not sound here") {
		t.Error("the log does not tell of the pack")
	}
	work.Run("push", "--force", w.upstreamURL(), base.String()+":refs/heads/main")
	good := work.Commit("good", "file", "2")
	work.Run("push", w.url, "HEAD:refs/heads/main")
	if got := reader.Output("ls-remote", w.url, "refs/heads/main"); !strings.HasPrefix(got, good.String()) {
		t.Errorf("after a sound push readers see %q, want %s", got, good)
	}
	w.settled()
}

// A stored pack that is spoilt here after its release is taken from the
// upstream instead.
func TestSpoiltAfterRelease(t *testing.T) {
	t.Parallel()
	w := newAfterWorld(t)
	work := w.work()
	work.Commit("base", "file", "1")
	work.Run("push", w.url, "HEAD:refs/heads/main")
	w.settled()
	w.intercept(func(_ http.ResponseWriter, r *http.Request) bool {
		if isPush(r) {
			files, _ := filepath.Glob(filepath.Join(w.Mirror.Path(w.repo.ID), "incoming", "*", storedFile))
			if len(files) != 1 {
				t.Errorf("stored packs during the release: %v", files)
			}
			for _, f := range files {
				w.must(os.Truncate(f, 40))
			}
		}
		return false
	})
	oid := work.Commit("two", "file", "2")
	work.Run("push", w.url, "HEAD:refs/heads/main")
	w.intercept(nil)
	if got := work.Output("ls-remote", w.url, "refs/heads/main"); !strings.HasPrefix(got, oid.String()) {
		t.Errorf("readers see %q, want %s", got, oid)
	}
	clone := gittest.Clone(t, w.url)
	if got := clone.OID("origin/main"); got != oid {
		t.Errorf("a clone has %s, want %s", got, oid)
	}
	w.settled()
}
