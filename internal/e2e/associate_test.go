package e2e

import (
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// An association by hand reaches Jira once, stays there through a reindex and
// a restart, and goes when it is taken away.
func TestAssociateByHand(t *testing.T) {
	for _, edition := range []string{"cloud", "datacenter"} {
		t.Run(edition, func(t *testing.T) {
			w := newWorld(t, options{edition: edition})
			work := filepath.Join(t.TempDir(), "work")
			w.git("alice", w.dir, "clone", "-q", w.url("us-east-1/demo"), work)
			w.git("alice", work, "commit", "-q", "--allow-empty", "-m", "no key at all")
			w.git("alice", work, "push", "-q", "origin", "HEAD:main")
			oid := w.oid(work, "HEAD")
			w.waitIdle()
			// at counts what tells Jira of the commit, and what takes it and the
			// branch whose tip it is back.
			at := func() [2]int {
				if edition == "cloud" {
					return [2]int{w.effects("devinfo commit .*" + oid + " [0-9]+$"), w.effects("devinfo repository .* 1 entities deleted")}
				}
				return [2]int{w.effects("^remotelink DEMO-9 .*commit:" + oid + "$"), w.effects("^remotelink DEMO-9 .*(deleted|removed)")}
			}
			const path = "/repositories/us-east-1/demo/associations"
			change := func(list string) {
				t.Helper()
				in := map[string]any{"kind": "commit", "id": oid, list: []string{"DEMO-9"}}
				if code := w.ask("POST", path, in, nil); code != 200 {
					t.Fatalf("%s DEMO-9: %d", list, code)
				}
				w.waitIdle()
			}
			if got := at(); got != [2]int{} {
				t.Fatalf("before: %v", got)
			}
			change("add")
			before := at()
			if before[0] < 1 || before[1] != 0 {
				t.Errorf("after adding: %v, want it told", before)
			}
			change("add")
			if got := at(); got != before {
				t.Errorf("added again: %v, want %v", got, before)
			}
			w.gitferry("repo", "reindex", "us-east-1/demo")
			w.stop()
			w.start()
			w.waitIdle()
			var commits struct{ Items []struct{ OID string } }
			if code := w.ask("GET", "/issues/DEMO-9/commits", nil, &commits); code != 200 || len(commits.Items) != 1 || commits.Items[0].OID != oid {
				t.Errorf("after a reindex: %d %+v", code, commits)
			}
			if got := at(); got[1] != 0 {
				t.Errorf("after a reindex: %v taken back", got[1])
			}
			if code := w.ask("POST", "/deliveries/history", map[string]any{"days": 1}, nil); code != 202 {
				t.Errorf("sending the history: %d", code)
			}
			w.waitIdle()
			if got := w.effects("(devinfo commit .*" + oid + " [0-9]+$|^remotelink DEMO-9 .*commit:" + oid + " updated)"); got <= before[0] && edition == "cloud" || got == 0 {
				t.Errorf("after sending the history the commit was told of %d times, %d before", got, before[0])
			}
			change("remove")
			if got := at(); got[1] != 2 {
				t.Errorf("after taking it away: %v, want commit and branch taken back once", got)
			}
			w.consistent()
		})
	}
}

// A repository that is read-only here refuses pushes and serves reads.
func TestReadOnlyRepository(t *testing.T) {
	w := newWorld(t, options{})
	work := filepath.Join(t.TempDir(), "work")
	w.git("alice", w.dir, "clone", "-q", w.url("us-east-1/demo"), work)
	w.git("alice", work, "commit", "-q", "--allow-empty", "-m", "one")
	if code := w.ask("PATCH", "/repositories/us-east-1/demo", map[string]any{"read_only": true}, nil); code != 200 {
		t.Fatalf("read-only: %d", code)
	}
	for _, url := range []string{w.url("us-east-1/demo"), w.sshURL("us-east-1/demo")} {
		if out, err := w.try("alice", work, "push", "-q", url, "HEAD:main"); err == nil || !strings.Contains(out, "takes no pushes here") {
			t.Errorf("push to %s: %v\n%s", url, err, out)
		}
		w.git("alice", work, "ls-remote", url)
	}
	if code := w.ask("PATCH", "/repositories/us-east-1/demo", map[string]any{"read_only": false}, nil); code != 200 {
		t.Fatalf("writable: %d", code)
	}
	w.git("alice", work, "push", "-q", w.url("us-east-1/demo"), "HEAD:main")
}

// Commands for an issue of a project that the repository does not belong to
// are foretold not to run, and do not.
func TestCommandsOfOtherProjects(t *testing.T) {
	w := newWorld(t, options{})
	work := filepath.Join(t.TempDir(), "work")
	w.git("alice", w.dir, "clone", "-q", w.url("us-east-1/demo"), work)
	if code := w.ask("PATCH", "/repositories/us-east-1/demo", map[string]any{"projects": []string{"demo"}}, nil); code != 200 {
		t.Fatalf("restricting: %d", code)
	}
	w.git("alice", work, "commit", "-q", "--allow-empty", "-m", "OPS-3 #comment not here\n\nDEMO-3 #comment here")
	out, err := w.try("alice", work, "push", "origin", "HEAD:main")
	if err != nil || !strings.Contains(out, "OPS-3: comment \"not here\", will fail") {
		t.Errorf("push: %v\n%s", err, out)
	}
	w.waitIdle()
	if here, there := w.effects("^comment DEMO-3"), w.effects("OPS-3"); here != 1 || there != 0 {
		t.Errorf("%d comments on DEMO-3, %d effects on OPS-3, want 1 and 0", here, there)
	}
	w.consistent()
}

// A repository with an association by hand can be disconnected: what Jira has
// of it is withdrawn first.
func TestDisconnectWhatIsLinkedByHand(t *testing.T) {
	w := newWorld(t, options{})
	work := filepath.Join(t.TempDir(), "work")
	w.git("alice", w.dir, "clone", "-q", w.url("us-east-1/demo"), work)
	w.git("alice", work, "commit", "-q", "--allow-empty", "-m", "no key")
	w.git("alice", work, "push", "-q", "origin", "HEAD:main")
	oid := w.oid(work, "HEAD")
	w.waitIdle()
	in := map[string]any{"kind": "commit", "id": oid, "add": []string{"DEMO-9"}}
	if code := w.ask("POST", "/repositories/us-east-1/demo/associations", in, nil); code != 200 {
		t.Fatalf("adding DEMO-9: %d", code)
	}
	w.waitIdle()
	within(t, 20*time.Second, "the repository is disconnected", func() bool {
		var removal struct{ Removed bool }
		return w.ask("DELETE", "/repositories/us-east-1/demo", nil, &removal) == 200 && removal.Removed
	})
	if n := w.effects("devinfo repository .* 1 entities deleted"); n != 2 {
		t.Errorf("%d entities were withdrawn, want the commit and the branch", n)
	}
}
