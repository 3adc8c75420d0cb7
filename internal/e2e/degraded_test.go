package e2e

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestDegraded: an object behind our back that git refuses degrades its
// repository; what was there is served, the state is told everywhere, and an
// administrator may let the object pass (security reference, UP-9).
func TestDegraded(t *testing.T) {
	w := newWorld(t, options{})
	work := filepath.Join(t.TempDir(), "work")
	w.git("alice", w.dir, "clone", w.url("us-east-1/demo"), work)
	w.git("alice", work, "commit", "--allow-empty", "-m", "DEMO-1 good")
	w.git("alice", work, "push", "origin", "HEAD:main")
	w.waitIdle()
	good := w.oid(work, "HEAD")

	hash := exec.Command("git", "hash-object", "-t", "commit", "-w", "--stdin", "--literally")
	hash.Dir, hash.Env = work, w.env("alice")
	hash.Stdin = strings.NewReader(w.git("alice", work, "cat-file", "commit", "HEAD") + "a \x00 in it\n")
	out, err := hash.Output()
	must(t, err)
	bad := strings.TrimSpace(string(out))
	w.git("alice", work, "push", w.upstreamURL(), "+"+bad+":refs/heads/main")

	clone := filepath.Join(t.TempDir(), "clone")
	said := w.git("bob", w.dir, "-c", "protocol.version=2", "clone", w.url("us-east-1/demo"), clone)
	if got := w.oid(clone, "HEAD"); got != good || !strings.Contains(said, "gitferry: git refuses an object of the upstream: nulInCommit in "+bad) {
		t.Errorf("a clone has %s, want %s, and git said %q", got, good, said)
	}
	degraded := func() string {
		t.Helper()
		var list []struct{ Degraded string }
		must(t, json.Unmarshal([]byte(w.gitferry("repo", "list", "--json")), &list))
		return list[0].Degraded
	}
	if got := degraded(); got != "nulInCommit in "+bad {
		t.Errorf("repo list: degraded is %q", got)
	}
	for _, deep := range []string{"--deep=false", "--deep"} {
		cmd := exec.Command(binary, "doctor", deep, "--json", "--config", w.path("gitferry.yaml"))
		report, err := cmd.Output()
		if err == nil || !strings.Contains(string(report), "degraded: git refuses an object of the upstream: nulInCommit") {
			t.Errorf("doctor %s: %v\n%s", deep, err, report)
		}
	}

	w.gitferry("repo", "set", "us-east-1/demo", "--fsck-ignore", "nulInCommit")
	w.gitferry("repo", "sync", "us-east-1/demo")
	w.waitIdle()
	if got := degraded(); got != "" {
		t.Errorf("repo list: degraded is %q after the object was let pass", got)
	}
	w.git("bob", clone, "fetch", "origin")
	if got := w.oid(clone, "origin/main"); got != bad {
		t.Errorf("a fetch has %s, want %s", got, bad)
	}
	w.consistent()
	if out, err := exec.Command(binary, "repo", "set", "us-east-1/demo", "--fsck-ignore", "gitmodulesUrl", "--config", w.path("gitferry.yaml")).CombinedOutput(); err == nil {
		t.Errorf("a check for attacks can be switched off: %s", out)
	}
}
