package proxy

import (
	"crypto/sha1"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"gitferry/internal/ferry"
	"gitferry/internal/gittest"
)

const caps = "report-status side-band-64k"

// Pushes that no git sends: each is refused, and upstream is unchanged.
func TestHostilePushes(t *testing.T) {
	t.Parallel()
	for _, after := range []bool{false, true} {
		t.Run(fmt.Sprintf("index after %t", after), func(t *testing.T) {
			t.Parallel()
			testHostilePushes(t, after)
		})
	}
}

func testHostilePushes(t *testing.T, after bool) {
	w := newWorld(t, func(w *world) { w.Limits.IndexAfter = after })
	work := w.work()
	base := work.Commit("base", "file", strings.Repeat("base\n", 100))
	work.Run("push", w.url, "HEAD:refs/heads/main", "HEAD:refs/heads/other")
	one := work.Commit("one", "file", strings.Repeat("base\n", 100)+"one")
	zero := ferry.OID{}.String()
	whole := pack(work, one.String(), "^"+base.String())
	work.Run("checkout", "--detach", base.String())
	hidden := work.Commit("hidden", "secret", "hidden")
	both := pack(work, one.String(), hidden.String(), "^"+base.String())
	update := func(caps string) string { return command(base.String(), one.String(), "refs/heads/main", caps) }
	shallow := "0035shallow " + strings.Repeat("1", 40)
	cert := "push-cert\x00report-status"
	for _, c := range []struct{ name, body, want string }{
		{"a commit that no ref reaches", update(caps) + both, "which no pushed ref reaches"},
		{"atomic, which was not offered", update(caps+" atomic") + whole, "not offered"},
		{"a capability of nobody", update(caps+" x-run=rm") + whole, "not offered"},
		{"another object format", update(caps+" object-format=sha256") + whole, "not supported"},
		{"a SHA-256 command", "00a6" + strings.Repeat("1", 64) + " " + strings.Repeat("2", 64) + " refs/heads/main\x000000", "gitferry: "},
		{"a push certificate", "001d" + cert + "0000", "signed pushes"},
		{"a shallow boundary that nobody has", shallow + update(caps) + whole, "shallow"},
		{"a forged old value", command(hidden.String(), one.String(), "refs/heads/main", caps) + whole, "fetch first"},
		{"creation of what is there", command(zero, one.String(), "refs/heads/main", caps) + whole, "fetch first"},
		{"deletion of what is not there", command(zero, zero, "refs/heads/none", caps), "no such ref"},
		{"the same ref twice", strings.TrimSuffix(update(caps), "0000") + strings.TrimSuffix(update(caps), "0000") + "0000" + whole, "gitferry: "},
		{"a new tip that is not in the pack", command(base.String(), strings.Repeat("3", 40), "refs/heads/main", caps) + whole, "lacks objects"},
		{"a pack that is cut", update(caps) + whole[:len(whole)-30], ""},
		{"a pack with another trailer", update(caps) + whole[:len(whole)-20] + strings.Repeat("x", 20), "trailer"},
		{"bytes behind the pack", update(caps) + whole + "x", "after the end"},
		{"no pack at all", update(caps), ""},
		{"a pack of nothing", update(caps) + emptyPack(), "lacks objects"},
		{"a delim packet in the commands", "0001" + update(caps) + whole, "gitferry: "},
		{"a tree in a branch's place", command(zero, work.Output("rev-parse", one.String()+"^{tree}"), "refs/heads/tree", caps) + whole, ""},
	} {
		for _, below := range []int64{1 << 20, 0} {
			w.Limits.StoreBelow = below
			status, out := w.post(strings.NewReader(c.body), nil)
			if !strings.Contains(out, c.want) || strings.Contains(out, "ok refs/") {
				t.Errorf("%s, stored below %d: %d %q, want %q", c.name, below, status, out, c.want)
			}
			refs := w.upstreamRefs()
			if len(refs) != 2 || refs["refs/heads/main"] != base.String() || refs["refs/heads/other"] != base.String() {
				t.Fatalf("%s: upstream has %v", c.name, refs)
			}
		}
	}
	w.settled()
	for _, oid := range []ferry.OID{hidden, one} { // nothing of all this can be read
		r := gittest.New(t)
		if out := r.Fails("-c", "protocol.version=2", "fetch", w.url, oid.String()); !strings.Contains(out, "not our ref") && !strings.Contains(out, "remote error") {
			t.Errorf("fetching %s: %s", oid.Short(), out)
		}
	}
	if status, out := w.post(strings.NewReader(update(caps)+whole), nil); !strings.Contains(out, "ok refs/heads/main") {
		t.Errorf("the push without tricks: %d %q", status, out)
	}
}

func emptyPack() string {
	head := "PACK\x00\x00\x00\x02\x00\x00\x00\x00"
	sum := sha1.Sum([]byte(head))
	return head + string(sum[:])
}

// What git can push, pushed: tags on commits, trees and blobs, names that
// differ in case only, a shallow clone's commit, several refs with a deletion.
func TestPushShapes(t *testing.T) {
	t.Parallel()
	for _, after := range []bool{false, true} {
		t.Run(fmt.Sprintf("index after %t", after), func(t *testing.T) {
			t.Parallel()
			testPushShapes(t, after)
		})
	}
}

func testPushShapes(t *testing.T, after bool) {
	w := newWorld(t, func(w *world) { w.Limits.IndexAfter = after })
	work := w.work()
	work.Commit("one", "file", "1", "dir/file", "2")
	work.Commit("two", "file", "2")
	work.Run("tag", "-a", "-m", "annotated", "v1")
	work.Run("tag", "light")
	work.Run("tag", "-a", "-m", "a tag of a tag", "v2", "v1")
	work.Run("tag", "tree", "HEAD^{tree}")
	work.Run("tag", "blob", "HEAD:file")
	for name, url := range w.urls() {
		work.Run("push", url, "HEAD:refs/heads/main", "HEAD:refs/heads/case/"+name, "HEAD:refs/heads/CASE/"+name, "--tags")
		if name == "http" {
			work.Run("push", url, ":refs/tags/v1", ":refs/tags/v2", ":refs/tags/tree", ":refs/tags/blob")
		}
	}
	want := work.Output("ls-remote", w.upstreamURL())
	if got := work.Output("ls-remote", w.url); got != want {
		t.Errorf("ls-remote through us:\n%s\nof the upstream:\n%s", got, want)
	}
	clone := gittest.Clone(t, w.url, "--depth=1")
	clone.Commit("three", "file", "3")
	clone.Run("push", "origin", "HEAD:refs/heads/main", ":refs/heads/case/ssh")
	if got := w.upstreamRefs(); got["refs/heads/main"] != clone.OID("HEAD").String() || got["refs/heads/case/ssh"] != "" {
		t.Errorf("after the push of a shallow clone upstream has %v", got)
	}
	work.Run("fetch", w.sshURL(), "main")
	if work.OID("FETCH_HEAD") != clone.OID("HEAD") {
		t.Error("the shallow clone's commit does not come back")
	}
	w.settled()
}

// atomic is offered where the upstream offers it, and means what it says.
func TestAtomic(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	work := w.work()
	work.Commit("one", "file", "1")
	if out := work.Fails("push", "--atomic", w.url, "HEAD:refs/heads/main"); !strings.Contains(out, "atomic") {
		t.Errorf("an atomic push where it is not offered said\n%s", out)
	}
	resp, err := http.Post(w.upURL+"/_sandbox/capabilities", "application/json", strings.NewReader(`{"mode":"git"}`))
	w.must(err)
	resp.Body.Close()
	if resp.StatusCode >= 300 {
		t.Fatal(resp.Status)
	}
	work.Run("push", "--atomic", w.url, "HEAD:refs/heads/main", "HEAD:refs/heads/two")
	work.Commit("two", "file", "2")
	work.Run("push", "--atomic", w.sshURL(), "HEAD:refs/heads/main", "HEAD:refs/heads/two")
	if refs := w.upstreamRefs(); refs["refs/heads/main"] != refs["refs/heads/two"] || refs["refs/heads/two"] != work.OID("HEAD").String() {
		t.Errorf("upstream has %v", refs)
	}
	w.settled()
}

// noise is a file that makes a pack large.
func noise(t *testing.T, r *gittest.Repo, bytes int) {
	t.Helper()
	b := make([]byte, bytes)
	x := uint64(88172645463325252)
	for i := range b {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		b[i] = byte(x)
	}
	if err := os.WriteFile(filepath.Join(r.Dir, "noise"), b, 0o600); err != nil {
		t.Fatal(err)
	}
	r.Run("add", "noise")
}

// An upstream that breaks off, answers early or is slow in the middle of a
// streamed push: the pack is sent anew where that helps, and the upstream's
// own word is shown where it does not.
func TestUpstreamInMidStream(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		once bool
		do   func(http.ResponseWriter, *http.Request)
		want string // in what git says; "" if the push lands
	}{
		{"breaks off once", true, func(rw http.ResponseWriter, r *http.Request) { _, _ = r.Body.Read(make([]byte, 100)); cut(rw) }, ""},
		{"answers 503 once", true, func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(503) }, ""},
		{"breaks off always", false, func(rw http.ResponseWriter, r *http.Request) { _, _ = r.Body.Read(make([]byte, 100)); cut(rw) }, "push again"},
		{"denies always", false, func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(403) }, "upstream: "},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, nil)
			var done atomic.Bool
			w.intercept(func(rw http.ResponseWriter, r *http.Request) bool {
				if !isPush(r) || c.once && done.Swap(true) {
					return false
				}
				c.do(rw, r)
				return true
			})
			work := w.work()
			noise(t, work, 6<<20)
			oid := work.Commit("large")
			for name, url := range w.urls() {
				if c.want == "" {
					work.Run("push", url, "HEAD:refs/heads/"+name)
					if got := w.upstreamRefs()["refs/heads/"+name]; got != oid.String() {
						t.Errorf("%s: upstream has %q", name, got)
					}
					continue
				}
				out := work.Fails("push", url, "HEAD:refs/heads/"+name)
				if !strings.Contains(out, c.want) {
					t.Errorf("%s: the push said\n%s\nwant %q", name, out, c.want)
				}
				if refs := w.upstreamRefs(); len(refs) != 0 {
					t.Errorf("%s: upstream has %v", name, refs)
				}
			}
			w.settled()
		})
	}
}

// A client that goes away while the upstream does not read takes its push
// along: no slot, lock or quarantine is left.
func TestClientGoneWhileUpstreamIsSlow(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	reading, stuck := make(chan struct{}, 10), make(chan struct{})
	defer close(stuck)
	w.intercept(func(_ http.ResponseWriter, r *http.Request) bool {
		if isPush(r) {
			reading <- struct{}{}
			select {
			case <-stuck:
			case <-r.Context().Done():
			}
		}
		return isPush(r)
	})
	work := w.work()
	noise(t, work, 40<<20)
	work.Commit("large")
	// Over HTTP nobody can see the client go while its body waits to be read;
	// there the stall window of the upstream ends the push.
	cmd := work.Cmd(t.Context(), "push", w.sshURL(), "HEAD:refs/heads/main")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	w.must(cmd.Start())
	select {
	case <-reading:
	case <-time.After(20 * time.Second):
		t.Fatal("nothing reached the upstream")
	}
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	_ = cmd.Wait()
	w.settled()
	w.eventually("slots are free", func() (bool, string) {
		w.gates.mu.Lock()
		defer w.gates.mu.Unlock()
		return len(w.gates.slots) == 0, fmt.Sprintf("%d slots are still taken", len(w.gates.slots))
	})
}
