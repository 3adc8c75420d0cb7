package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestCrash kills the server at each failpoint of a push and of the delivery
// that follows, starts it again and compares the end with an undisturbed run:
// the push is at the upstream exactly if nobody was told otherwise, everything
// agrees, and each command ran once.
func TestCrash(t *testing.T) {
	t.Parallel()
	for _, point := range []string{
		"push.after_pack", "push.after_released", "push.after_report", "push.after_resolved",
		"push.after_applied", "push.after_indexed", "outbox.sending", "outbox.answered",
	} {
		for _, action := range []string{"crash", "error"} {
			t.Run(point+" "+action, func(t *testing.T) {
				t.Parallel() // most of the time is waiting
				testCrash(t, point, action, "")
			})
		}
	}
	// The same with packs that are indexed after their release.
	for _, point := range []string{"push.after_released", "push.after_resolved", "push.unindexed", "push.after_applied"} {
		for _, action := range []string{"crash", "error"} {
			t.Run("index after "+point+" "+action, func(t *testing.T) {
				t.Parallel()
				testCrash(t, point, action, "gate:\n  index: after\n")
			})
		}
	}
}

func testCrash(t *testing.T, point, action, config string) {
	w := newWorld(t, options{config: config})
	work := filepath.Join(t.TempDir(), "work")
	w.git("alice", w.dir, "clone", w.url("us-east-1/demo"), work)
	w.git("alice", work, "commit", "--allow-empty", "-m", "base")
	w.git("alice", work, "push", "origin", "HEAD:main")
	w.git("alice", work, "push", "origin", "HEAD:refs/heads/gone")
	w.waitIdle()

	// A push of three commits to two branches, with a deletion, meets the failpoint.
	w.stop()
	w.options.failpoints = point + "=" + action
	w.start()
	must(t, os.WriteFile(filepath.Join(work, "file"), []byte(point), 0o600))
	w.git("alice", work, "add", "file")
	w.git("alice", work, "commit", "-m", "DEMO-1 #comment one #time 1h")
	w.git("alice", work, "commit", "--allow-empty", "-m", "DEMO-1 #in-progress")
	w.git("alice", work, "commit", "--allow-empty", "-m", "DEMO-2 #comment two")
	out, err := w.try("alice", work, "push", "origin", "HEAD:main", "HEAD:refs/heads/DEMO-3-branch", ":gone")
	if action == "crash" {
		w.waitExit()
	} else {
		w.stop()
	}
	w.options.failpoints = ""
	w.start()
	if err == nil { // told ok: the upstream must have it
		if tip := w.upstreamRef(work, "refs/heads/main"); tip != w.oid(work, "HEAD") {
			t.Errorf("the push was reported done, and upstream has %s\n%s", tip, out)
		}
	}
	w.waitIdle()
	w.git("alice", work, "fetch", "--prune", "origin")
	if _, err := w.try("alice", work, "push", "origin", "HEAD:main", "HEAD:refs/heads/DEMO-3-branch"); err != nil {
		t.Errorf("the push does not work when it is repeated: %v", err)
	}
	if refs := w.git("alice", work, "ls-remote", "origin", "refs/heads/gone"); refs != "" {
		w.git("alice", work, "push", "origin", ":gone")
	}
	w.waitIdle()
	w.waitEffects(map[string]int{"comment DEMO-1 ": 1, "worklog DEMO-1 ": 1, "transition DEMO-1 ": 1, "comment DEMO-2 ": 1})
	w.consistent()
	if left, _ := filepath.Glob(w.path("data/repos/*/*.git/incoming/*")); len(left) > 0 {
		t.Errorf("quarantines left behind: %s", strings.Join(left, " "))
	}
}
