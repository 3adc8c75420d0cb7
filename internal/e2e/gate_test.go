package e2e

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// upstreamURL is the upstream of us-east-1/demo with its own credentials.
func (w *world) upstreamURL() string {
	c := w.codecommit.Credentials()
	return strings.Replace(w.awsURL, "://", "://"+c.GitUsername+":"+c.GitPassword+"@", 1) + "/us-east-1/v1/repos/demo"
}

// upstreamRef asks the stand-in CodeCommit for a ref; "" if it has none.
func (w *world) upstreamRef(work, name string) string {
	w.t.Helper()
	oid, _, _ := strings.Cut(w.git("alice", work, "ls-remote", w.upstreamURL(), name), "\t")
	return oid
}

// waitEffects waits until Jira's ledger holds the wanted numbers of effects,
// and fails if it holds more.
func (w *world) waitEffects(want map[string]int) {
	w.t.Helper()
	for end := time.Now().Add(4 * time.Minute); ; time.Sleep(100 * time.Millisecond) {
		missing := ""
		for pattern, n := range want {
			switch got := w.effects(pattern); {
			case got > n:
				w.t.Fatalf("%d effects %q at Jira, want %d", got, pattern, n)
			case got < n:
				missing = fmt.Sprintf("%d effects %q, want %d", got, pattern, n)
			}
		}
		if missing == "" {
			return
		}
		if time.Now().After(end) {
			w.t.Fatal(missing)
		}
	}
}

// pushBody makes the body of a push of a new commit to refs/heads/main.
func pushBody(t *testing.T, w *world, work string) (body []byte, oid string) {
	t.Helper()
	oid = w.oid(work, "HEAD")
	line := fmt.Sprintf("%040d %s refs/heads/main\x00report-status side-band-64k", 0, oid)
	pack := exec.Command("git", "pack-objects", "--revs", "--stdout", "-q")
	pack.Dir, pack.Env, pack.Stdin = work, w.env("alice"), strings.NewReader(oid+"\n")
	out, err := pack.Output()
	must(t, err)
	return append(fmt.Appendf(nil, "%04x%s0000", len(line)+4, line), out...), oid
}

// post sends a push as a chunked request.
func (w *world) post(body io.Reader) (string, error) {
	req, err := http.NewRequest("POST", w.url("us-east-1/demo")+"/git-receive-pack", body)
	if err != nil {
		return "", err
	}
	req.SetBasicAuth("alice", w.people["alice"].token)
	req.Header.Set("Content-Type", "application/x-git-receive-pack-request")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	out, err := io.ReadAll(resp.Body)
	return string(out), err
}

// TestBytesBehindPack: holding back the last 20 bytes of the stream would let
// this push through; finding the end by parsing refuses it.
func TestBytesBehindPack(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	work := filepath.Join(t.TempDir(), "work")
	w.git("alice", w.dir, "clone", w.url("us-east-1/demo"), work)
	for _, size := range []int{10, 3 << 20} { // stored first, and streamed
		must(t, os.WriteFile(filepath.Join(work, "file"), random(size), 0o600))
		w.git("alice", work, "add", "file")
		w.git("alice", work, "commit", "-m", "DEMO-1 a file")
		body, _ := pushBody(t, w, work)
		for _, junk := range []int{1, 20, 40} {
			out, err := w.post(bytes.NewReader(append(bytes.Clone(body), random(junk)...)))
			if err != nil || !strings.Contains(out, "ng refs/heads/main") {
				t.Errorf("%d bytes behind the pack: %q, %v; want the ref refused", junk, out, err)
			}
			if tip := w.upstreamRef(work, "refs/heads/main"); tip != "" {
				t.Fatalf("%d bytes behind the pack: upstream has %s", junk, tip)
			}
		}
	}
	body, oid := pushBody(t, w, work)
	if out, err := w.post(bytes.NewReader(body)); err != nil || !strings.Contains(out, "ok refs/heads/main") {
		t.Errorf("the same push without junk: %q, %v", out, err)
	}
	if tip := w.upstreamRef(work, "refs/heads/main"); tip != oid {
		t.Errorf("upstream has %s, want %s", tip, oid)
	}
}

// TestClientGone: a client that goes away in the middle of a push changes
// nothing, leaves nothing behind, and the next push works.
func TestClientGone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	work := filepath.Join(t.TempDir(), "work")
	w.git("alice", w.dir, "clone", w.url("us-east-1/demo"), work)
	must(t, os.WriteFile(filepath.Join(work, "file"), random(4<<20), 0o600))
	w.git("alice", work, "add", "file")
	w.git("alice", work, "commit", "-m", "DEMO-1 a file")
	body, _ := pushBody(t, w, work)
	for _, n := range []int{50, 200, 5000, 1 << 20, 3 << 20, len(body) - 21, len(body) - 20, len(body) - 1} {
		conn, err := net.Dial("tcp", w.http)
		must(t, err)
		req, _ := http.NewRequest("POST", w.url("us-east-1/demo")+"/git-receive-pack", nil)
		req.SetBasicAuth("alice", w.people["alice"].token)
		fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\nAuthorization: %s\r\nContent-Type: application/x-git-receive-pack-request\r\nContent-Length: %d\r\n\r\n",
			req.URL.Path, req.Header.Get("Authorization"), len(body))
		_, err = conn.Write(body[:n])
		must(t, err)
		time.Sleep(50 * time.Millisecond)
		conn.Close()
	}
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		left, _ := filepath.Glob(w.path("data/repos/*/*.git/incoming/*"))
		if len(left) == 0 {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("quarantines left behind: %v", left)
		}
	}
	if tip := w.upstreamRef(work, "refs/heads/main"); tip != "" {
		t.Fatalf("upstream has %s of a push that was cut", tip)
	}
	w.git("alice", work, "push", "origin", "HEAD:main")
	w.waitIdle()
	w.consistent()
}

// random returns bytes that do not compress, the same every time.
func random(n int) []byte {
	b := make([]byte, n)
	x := uint64(88172645463325252)
	for i := range b {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		b[i] = byte(x)
	}
	return b
}

// TestManyRefs: one push makes as many refs as CodeCommit takes, 4,000, and
// the next fetch shows them all; one more is refused with a text that says so.
func TestManyRefs(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	work := filepath.Join(t.TempDir(), "work")
	w.git("alice", w.dir, "clone", "-q", w.url("us-east-1/demo"), work)
	w.git("alice", work, "commit", "-q", "--allow-empty", "-m", "base")
	w.git("alice", work, "push", "-q", "origin", "HEAD:main")
	tip := w.oid(work, "HEAD")
	var refs strings.Builder
	for n := range 4001 {
		fmt.Fprintf(&refs, "create refs/heads/b/%d %s\n", n, tip)
	}
	update := exec.Command("git", "update-ref", "--stdin")
	update.Dir, update.Env, update.Stdin = work, w.env("alice"), strings.NewReader(refs.String())
	must(t, update.Run())
	out, err := w.try("alice", work, "push", "-q", "origin", "refs/heads/b/*")
	if err == nil || !strings.Contains(out, "4000") {
		t.Errorf("a push of 4,001 refs: %v\n%s", err, out)
	}
	w.git("alice", work, "update-ref", "-d", "refs/heads/b/4000")
	w.git("alice", work, "push", "-q", "origin", "refs/heads/b/*")
	if n := strings.Count(w.git("alice", work, "ls-remote", "origin"), "refs/heads/b/"); n != 4000 {
		t.Errorf("the next look shows %d refs, want 4,000", n)
	}
	w.waitIdle()
	w.consistent()
}
