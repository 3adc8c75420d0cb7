package proxy

import (
	"maps"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"gitferry/internal/ferry"
)

// show asks for the refs as a pushing client does first.
func (w *world) show() {
	w.t.Helper()
	req, err := http.NewRequest(http.MethodGet, w.front+"/us-east-1/demo/info/refs?service=git-receive-pack", nil)
	w.must(err)
	req.SetBasicAuth("alice", w.token)
	resp, err := http.DefaultClient.Do(req)
	w.must(err)
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		w.t.Fatal(resp.Status)
	}
}

// Between the two requests of a push over HTTP upstream moves: the second
// request decides, and upstream gets nothing of the push.
func TestMovedSinceShown(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	work := w.work()
	base := work.Commit("base", "file", strings.Repeat("base\n", 100))
	work.Run("push", w.url, "HEAD:refs/heads/main")
	one := work.Commit("one", "file", strings.Repeat("base\n", 100)+"one")
	whole := pack(work, one.String(), "^"+base.String())
	work.Commit("other", "file", "other")
	var looks, pushes atomic.Int32
	count := func(_ http.ResponseWriter, r *http.Request) bool {
		switch {
		case isPush(r):
			pushes.Add(1)
		case strings.HasSuffix(r.URL.Path, "/info/refs") && r.URL.Query().Get("service") == "git-receive-pack":
			looks.Add(1)
		}
		return false
	}
	zero := ferry.OID{}
	for _, below := range []int64{1 << 20, 0} {
		w.Limits.StoreBelow = below
		for _, c := range []struct {
			name, body string
			meanwhile  func()
		}{
			{"moved", command(base.String(), one.String(), "refs/heads/main", caps) + whole, func() {
				work.Run("push", "--force", w.upstreamURL(), "HEAD:refs/heads/main")
			}},
			{"made", command(zero.String(), one.String(), "refs/heads/new", caps) + whole, func() {
				work.Run("push", w.upstreamURL(), "HEAD:refs/heads/new")
			}},
			{"deleted", command(base.String(), one.String(), "refs/heads/old", caps) + whole, func() {
				work.Run("push", w.upstreamURL(), ":refs/heads/old")
			}},
			{"moved, to be deleted", command(base.String(), zero.String(), "refs/heads/main", caps), func() {
				work.Run("push", "--force", w.upstreamURL(), "HEAD:refs/heads/main")
			}},
			{"never there", command(strings.Repeat("1", 40), one.String(), "refs/heads/main", caps) + whole, func() {}},
		} {
			work.Run("push", "--force", w.upstreamURL(), base.String()+":refs/heads/main", base.String()+":refs/heads/old", ":refs/heads/new")
			work.Run("ls-remote", w.url) // the mirror follows
			w.show()
			c.meanwhile()
			want := w.upstreamRefs()
			looks.Store(0)
			pushes.Store(0)
			w.intercept(count)
			_, out := w.post(strings.NewReader(c.body), nil)
			w.intercept(nil)
			if !strings.Contains(out, "fetch first") || strings.Contains(out, "ok refs/") {
				t.Errorf("%s, stored below %d: the push said %q", c.name, below, out)
			}
			if looks.Load() != 1 || pushes.Load() != 0 {
				t.Errorf("%s, stored below %d: %d looks, %d pushes at upstream, want 1 and 0", c.name, below, looks.Load(), pushes.Load())
			}
			if got := w.upstreamRefs(); !maps.Equal(got, want) {
				t.Errorf("%s, stored below %d: upstream has %v, want %v", c.name, below, got, want)
			}
		}
	}
	w.settled()
}

// What upstream has accepted since the client was shown the refs is not new:
// the push is not judged by it.
func TestAcceptedSinceShown(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	work := w.work()
	base := work.Commit("DEMO-1 base", "file", "1")
	work.Run("push", w.url, "HEAD:refs/heads/main")
	w.mu.Lock()
	w.rules.RequireKey = true
	w.mu.Unlock()
	work.Commit("no key", "file", "2")
	tip := work.Commit("DEMO-1 on top", "file", "3")
	body := command(base.String(), tip.String(), "refs/heads/main", caps) + pack(work, tip.String(), "^"+base.String())
	w.show()
	if _, out := w.post(strings.NewReader(body), nil); !strings.Contains(out, "ng refs/heads/main") {
		t.Fatalf("a commit that breaks the rules said %q", out)
	}
	for _, below := range []int64{1 << 20, 0} {
		w.Limits.StoreBelow = below
		work.Run("push", "--force", w.upstreamURL(), base.String()+":refs/heads/main", ":refs/heads/side")
		work.Run("ls-remote", w.url)
		w.show()
		work.Run("push", w.upstreamURL(), "HEAD~1:refs/heads/side")
		if _, out := w.post(strings.NewReader(body), nil); !strings.Contains(out, "ok refs/heads/main") {
			t.Errorf("stored below %d: the push said %q", below, out)
		}
		w.settled()
	}
}
