package proxy

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gitferry/internal/ferry"
	"gitferry/internal/pktline"
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

// An empty repository and one with a branch are cloned through either door in
// every version of the protocol.
func TestCloneVersions(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	work := w.work()
	for _, state := range []string{"empty", "full"} {
		for name, url := range w.urls() {
			for version := range 3 {
				r := w.work()
				r.Run("-c", fmt.Sprintf("protocol.version=%d", version), "fetch", url, "+refs/*:refs/copy/*")
				if n := len(r.Refs()); n != len(work.Refs()) {
					t.Errorf("%s, %s, version %d: %d refs came, want %d", state, name, version, n, len(work.Refs()))
				}
			}
		}
		work.Commit("one", "file", "1")
		work.Run("push", w.url, "HEAD:refs/heads/main")
	}
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

// Notes travel like branches where the policy allows them, and a name that
// differs from another by case alone is warned of.
func TestNotesAndSimilarNames(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(w *world) { w.rules.AllowNotes = true })
	work := w.work()
	work.Commit("one", "a", "1")
	work.Run("push", "-q", w.url, "HEAD:refs/heads/topic")
	work.Run("notes", "add", "-m", "looked at")
	work.Run("push", "-q", w.sshURL(), "refs/notes/commits")
	work.Run("update-ref", "-d", "refs/notes/commits")
	work.Run("fetch", "-q", w.url, "refs/notes/*:refs/notes/*")
	if got := work.Output("notes", "show"); strings.TrimSpace(got) != "looked at" {
		t.Errorf("git notes show = %q after a fetch", got)
	}
	out, err := work.Cmd(t.Context(), "push", w.url, "HEAD:refs/heads/Topic").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "differs from that of topic only by case") {
		t.Errorf("the push of Topic beside topic: %v\n%s", err, out)
	}
	if n := len(w.upstreamRefs()); n != 3 {
		t.Errorf("upstream has %d refs, want 3", n)
	}
	w.settled()
}

// More refs than one push may have are refused in words, through both doors;
// one less is not too many.
func TestTooManyRefs(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(w *world) { w.Limits.Commands = 20 })
	work := w.work()
	oid := work.Commit("base", "file", "1")
	refs := func(n int) {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, "%s refs/heads/b/%04d\n", oid, i)
		}
		w.must(os.WriteFile(filepath.Join(work.Dir, ".git", "packed-refs"), []byte(b.String()), 0o600))
	}
	refs(21)
	out := work.Fails("push", w.sshURL(), "refs/heads/b/*")
	if !strings.Contains(out, "more than 20 refs in one push") {
		t.Errorf("ssh: the push of 21 refs said\n%s", out)
	}
	var body bytes.Buffer
	lines := pktline.NewWriter(&body)
	caps := "\x00report-status side-band-64k"
	for i := range 21 {
		w.must(lines.Printf("%s %s refs/heads/b/%04d%s", ferry.OID{}, oid, i, caps))
		caps = ""
	}
	w.must(lines.Flush())
	body.WriteString(pack(work, oid.String()))
	if status, out := w.post(&body, nil); status != 200 || !strings.Contains(out, "more than 20 refs in one push") {
		t.Errorf("http: the push of 21 refs was answered %d %q", status, out)
	}
	if n := len(w.upstreamRefs()); n != 0 {
		t.Fatalf("upstream has %d refs", n)
	}
	refs(20)
	work.Run("push", "-q", w.sshURL(), "refs/heads/b/*")
	if n := len(w.upstreamRefs()); n != 20 {
		t.Fatalf("upstream has %d refs, want 20", n)
	}
	w.settled()
}
