package e2e

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestPush is the main job over both doors and every way to sign in upstream:
// a push with a smart commit, its feedback, and each effect at Jira once.
func TestPush(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ auth, edition string }{
		{"sigv4", "cloud"}, {"basic", "datacenter"}, {"ssh", "cloud"},
	} {
		t.Run(c.auth+" "+c.edition, func(t *testing.T) { testPush(t, c.auth, c.edition) })
	}
}

func testPush(t *testing.T, auth, edition string) {
	w := newWorld(t, options{gitAuth: auth, edition: edition})
	for i, url := range []string{w.url("us-east-1/demo"), w.sshURL("us-east-1/demo")} {
		key := []string{"DEMO-1", "DEMO-2"}[i]
		work := filepath.Join(t.TempDir(), "work")
		w.git("alice", w.dir, "clone", url, work)
		must(t, os.WriteFile(filepath.Join(work, "file"), []byte(url), 0o600))
		w.git("alice", work, "add", "file")
		w.git("alice", work, "commit", "-m", key+" #comment hello #time 1h #in-progress")
		out := w.git("alice", work, "push", "origin", "HEAD:main")
		for _, want := range []string{
			"remote: gitferry: 1 commit for " + key,
			"remote: gitferry: " + key + `: comment "hello", will run as service account`,
			"remote: gitferry: " + key + ": log 1h, will run as service account",
			"remote: gitferry: " + key + ": transition in-progress, will run as service account",
		} {
			if !strings.Contains(out, want) {
				t.Errorf("push to %s said\n%s\nwant %q in it", url, out, want)
			}
		}
		w.waitIdle()
		w.wantEffects(key, map[string]int{
			"comment " + key + " ": 1, "worklog " + key + " .* 3600s": 1, "transition " + key + " To Do -> In Progress": 1})
		if edition == "cloud" {
			w.wantEffects(key, map[string]int{"devinfo commit .* " + w.oid(work, "HEAD"): 1, "devinfo branch .* main": i + 1})
		} else {
			w.wantEffects(key, map[string]int{"remotelink " + key + " .*" + w.oid(work, "HEAD"): 1})
		}
	}
	w.wantEffects("native", map[string]int{"native": 0})
	w.consistent()
}

// wantEffects counts the effects in Jira's ledger that match each pattern.
func (w *world) wantEffects(what string, want map[string]int) {
	w.t.Helper()
	for pattern, n := range want {
		if got := w.effects(pattern); got != n {
			w.t.Errorf("%s: %d effects %q at Jira, want %d", what, got, pattern, n)
		}
	}
}

// effects counts the effects in Jira's ledger that match a pattern.
func (w *world) effects(pattern string) int {
	re := regexp.MustCompile(pattern)
	n := 0
	for _, e := range w.jira.Book().Entries(0) {
		for effect := range strings.SplitSeq(e.Effect, "; ") {
			if re.MatchString(effect) {
				n++
			}
		}
	}
	return n
}

// oid resolves a revision in a work tree.
func (w *world) oid(work, rev string) string {
	w.t.Helper()
	return strings.TrimSpace(w.git("alice", work, "rev-parse", rev))
}
