package proxy

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gitferry/internal/ferry"
	"gitferry/internal/policy"
	"gitferry/internal/store"
)

// ask sends one request to the HTTP door; auth is "user:password" or "".
func (w *world) ask(method, path, auth string, header map[string]string, body io.Reader) (*http.Response, string) {
	w.t.Helper()
	req, err := http.NewRequest(method, w.front+path, body)
	w.must(err)
	if user, password, ok := strings.Cut(auth, ":"); ok {
		req.SetBasicAuth(user, password)
	}
	for k, v := range header {
		req.Header.Set(k, v)
	}
	resp, err := http.DefaultClient.Do(req)
	w.must(err)
	defer resp.Body.Close()
	out, err := io.ReadAll(resp.Body)
	w.must(err)
	return resp, string(out)
}

// Only canonical paths of the three smart requests belong to this door.
func TestGitPaths(t *testing.T) {
	for path, want := range map[string]bool{
		"/a/b/info/refs": true, "/a/b.git/git-upload-pack": true, "/v1/repos/b/git-receive-pack": true, "/b/info/refs": true,
		"/a/b/HEAD": false, "/a/b/objects/info/packs": false, "/a/b/config": false, "/a/b/packed-refs": false, "/a/b/info/alternates": false,
		"/a//b/info/refs": false, "/a/./b/info/refs": false, "/a/../b/info/refs": false, "/a%2fb/info/refs": false, "/a/%2e%2e/b/info/refs": false,
		"/a\\b/info/refs": false, "/a%00/info/refs": false, "/info/refs": false, "//info/refs": false, "/a/b/info/refs/": false, "/a/b/info/refs%20": false,
	} {
		if got := IsGitPath(path); got != want {
			t.Errorf("IsGitPath(%q) = %t, want %t", path, got, want)
		}
	}
}

// Every request signs in and is authorized on its own, and whoever may not
// learns nothing about what exists (security reference, HTTP-1, 2, 6, 8).
func TestHTTPStatuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	reader, err := w.Store.AddUser(t.Context(), ferry.User{Name: "bob", Email: "bob@example.invalid"})
	w.must(err)
	_, err = w.Store.AddGrant(t.Context(), ferry.Grant{User: reader.ID, Glob: "**", Level: ferry.LevelRead})
	w.must(err)
	secret, _, err := w.Store.NewToken(t.Context(), store.Token{User: reader.ID, Name: "r", Scopes: []ferry.Scope{ferry.ScopeRepoRead}})
	w.must(err)
	alice, bob := "alice:"+w.token, "bob:"+secret.Reveal()
	secret, _, err = w.Store.NewToken(t.Context(), store.Token{User: w.user.ID, Name: "api", Scopes: []ferry.Scope{ferry.ScopeAPIRead, ferry.ScopeAPIAdmin}})
	w.must(err)
	apiOnly := "alice:" + secret.Reveal()
	secret, _, err = w.Store.NewToken(t.Context(), store.Token{User: w.user.ID, Name: "jira", Scopes: []ferry.Scope{ferry.ScopeJiraDVCS}})
	w.must(err)
	jira := "alice:" + secret.Reveal()
	upload := map[string]string{"Content-Type": "application/x-git-upload-pack-request"}
	receive := map[string]string{"Content-Type": "application/x-git-receive-pack-request"}
	for _, c := range []struct {
		method, path, auth string
		header             map[string]string
		want               int
	}{
		{"GET", "/us-east-1/demo/info/refs?service=git-upload-pack", "", nil, 401},
		{"GET", "/us-east-1/none/info/refs?service=git-upload-pack", "", nil, 401},
		{"GET", "/us-east-1/demo/info/refs?service=git-upload-pack", "alice:gf_wrong", nil, 401},
		{"GET", "/us-east-1/demo/info/refs?service=git-upload-pack", alice, nil, 200},
		{"HEAD", "/us-east-1/demo/info/refs?service=git-upload-pack", alice, nil, 200},
		{"GET", "/us-east-1/none/info/refs?service=git-upload-pack", alice, nil, 404},
		{"GET", "/us-east-1/demo/info/refs?service=git-receive-pack", bob, nil, 403},
		{"GET", "/us-east-1/demo/info/refs?service=git-receive-pack", apiOnly, nil, 403},
		{"GET", "/us-east-1/demo/info/refs?service=git-upload-pack", apiOnly, nil, 403},
		{"POST", "/us-east-1/demo/git-upload-pack", apiOnly, upload, 403},
		{"GET", "/us-east-1/demo/info/refs?service=git-upload-pack", jira, nil, 403},
		{"POST", "/us-east-1/demo/git-upload-pack", jira, upload, 403},
		{"POST", "/us-east-1/demo/git-receive-pack", jira, receive, 403},
		{"GET", "/us-east-1/none/info/refs?service=git-upload-pack", jira, nil, 404},
		{"GET", "/us-east-1/demo/info/refs?service=git-upload-archive", alice, nil, 403},
		{"GET", "/us-east-1/demo/info/refs", alice, nil, 403},
		{"GET", "/us-east-1/demo/config", alice, nil, 404},
		{"GET", "/us-east-1/demo/HEAD", alice, nil, 404},
		{"PUT", "/us-east-1/demo/info/refs?service=git-upload-pack", alice, nil, 405},
		{"GET", "/us-east-1/demo/git-upload-pack", alice, nil, 405},
		{"HEAD", "/us-east-1/demo/git-receive-pack", alice, nil, 405},
		{"POST", "/us-east-1/demo/git-upload-pack", "", upload, 401},
		{"POST", "/us-east-1/demo/git-receive-pack", "", receive, 401},
		{"POST", "/us-east-1/demo/git-receive-pack", bob, receive, 403},
		{"POST", "/us-east-1/demo/git-receive-pack?service=git-upload-pack", bob, receive, 403},
		{"POST", "/us-east-1/demo/git-receive-pack", alice, upload, 415},
		{"POST", "/us-east-1/demo/git-upload-pack", alice, nil, 415},
		{"POST", "/us-east-1/demo/git-receive-pack", alice, map[string]string{"Content-Type": receive["Content-Type"], "Content-Encoding": "br"}, 415},
		{"POST", "/us-east-1/demo/git-receive-pack", alice, map[string]string{"Content-Type": receive["Content-Type"], "Content-Encoding": "gzip"}, 400},
	} {
		resp, body := w.ask(c.method, c.path, c.auth, c.header, strings.NewReader("0000"))
		if resp.StatusCode != c.want {
			t.Errorf("%s %s as %.6q: %d %q, want %d", c.method, c.path, c.auth, resp.StatusCode, body, c.want)
		}
		if got := len(resp.Header.Values("WWW-Authenticate")) == 1; got != (c.want == 401) {
			t.Errorf("%s %s: WWW-Authenticate is %q with %d", c.method, c.path, resp.Header.Values("WWW-Authenticate"), resp.StatusCode)
		}
		if c.want == 405 && resp.Header.Get("Allow") == "" {
			t.Errorf("%s %s: no Allow with 405", c.method, c.path)
		}
	}
	_, one := w.ask("GET", "/us-east-1/demo/info/refs?service=git-upload-pack", "x:y", nil, nil)
	if _, two := w.ask("GET", "/no/such/info/refs?service=git-upload-pack", "alice:y", nil, nil); one != two {
		t.Errorf("answers to strangers differ: %q and %q", one, two)
	}
}

// A push arrives in every form of body that HTTP knows, and a body that
// inflates without end is cut off.
func TestHTTPBodies(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	work := w.work()
	zero := ferry.OID{}.String()
	prior := zero
	head := func(file string) (string, string) {
		oid := work.Commit(file, "file", file).String()
		revisions := []string{oid}
		if prior != zero {
			revisions = append(revisions, "^"+prior)
		}
		return command(prior, oid, "refs/heads/main", "report-status side-band-64k") + pack(work, revisions...), oid
	}
	for _, c := range []struct {
		name   string
		change func(*http.Request, string)
	}{
		{"with a length", func(*http.Request, string) {}},
		{"chunked", func(r *http.Request, body string) {
			r.Body, r.ContentLength = io.NopCloser(iotest{strings.NewReader(body)}), -1
		}},
		{"gzip", func(r *http.Request, body string) {
			var b bytes.Buffer
			z := gzip.NewWriter(&b)
			_, _ = io.WriteString(z, body)
			z.Close()
			r.Body, r.ContentLength = io.NopCloser(&b), int64(b.Len())
			r.Header.Set("Content-Encoding", "gzip")
		}},
		{"expecting to go on", func(r *http.Request, _ string) { r.Header.Set("Expect", "100-continue") }},
	} {
		body, oid := head(c.name)
		status, out := w.post(strings.NewReader(body), func(r *http.Request) { c.change(r, body) })
		if status != 200 || !strings.Contains(out, "ok refs/heads/main") || w.upstreamRefs()["refs/heads/main"] != oid {
			t.Errorf("%s: %d %q", c.name, status, out)
		}
		prior = oid
	}
	body, oid := head("HTTP/1.0")
	conn, err := net.Dial("tcp", strings.TrimPrefix(w.front, "http://"))
	w.must(err)
	defer conn.Close()
	fmt.Fprintf(conn, "POST /us-east-1/demo/git-receive-pack HTTP/1.0\r\nAuthorization: Basic %s\r\nContent-Type: application/x-git-receive-pack-request\r\nContent-Length: %d\r\n\r\n%s",
		base64.StdEncoding.EncodeToString([]byte("alice:"+w.token)), len(body), body)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	w.must(err)
	out, err := io.ReadAll(resp.Body)
	if w.must(err); !strings.Contains(string(out), "ok refs/heads/main") {
		t.Errorf("HTTP/1.0: %d %q", resp.StatusCode, out)
	}
	prior = oid

	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	_, next := head("bomb")
	_, _ = io.WriteString(z, command(prior, next, "refs/heads/main", "report-status side-band-64k")+"PACK\x00\x00\x00\x02\x00\x00\x00\x01\xbf\xff\xff\xff\x0f")
	for range 64 {
		_, _ = z.Write(make([]byte, 1<<20))
	}
	z.Close()
	for _, path := range []string{"git-receive-pack", "git-upload-pack"} {
		start := time.Now()
		resp, out := w.ask("POST", "/us-east-1/demo/"+path, "alice:"+w.token, map[string]string{
			"Content-Type": "application/x-" + path + "-request", "Content-Encoding": "gzip"}, bytes.NewReader(bomb.Bytes()))
		if strings.Contains(out, "ok refs") || time.Since(start) > 10*time.Second {
			t.Errorf("%s of a bomb: %d %q in %s", path, resp.StatusCode, out, time.Since(start))
		}
	}
	if got := w.upstreamRefs()["refs/heads/main"]; got != prior {
		t.Errorf("upstream moved to %s", got)
	}
	w.settled()
}

// iotest reads in small pieces, so that a body is chunked.
type iotest struct{ r io.Reader }

func (i iotest) Read(p []byte) (int, error) { return i.r.Read(p[:min(len(p), 100)]) }

// A client that drips is cut off, and the deadline of one answer does not cut
// the next one of its connection.
func TestHTTPPace(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(w *world) { w.Limits.stall = 300 * time.Millisecond })
	conn, err := net.Dial("tcp", strings.TrimPrefix(w.front, "http://"))
	w.must(err)
	defer conn.Close()
	fmt.Fprintf(conn, "POST /us-east-1/demo/git-receive-pack HTTP/1.1\r\nHost: x\r\nAuthorization: Basic %s\r\nContent-Type: application/x-git-receive-pack-request\r\nContent-Length: 100000\r\n\r\n",
		base64.StdEncoding.EncodeToString([]byte("alice:"+w.token)))
	start := time.Now()
	go func() {
		for time.Since(start) < 8*time.Second {
			if _, err := conn.Write([]byte{'0'}); err != nil {
				return
			}
			time.Sleep(50 * time.Millisecond)
		}
	}()
	_, _ = io.Copy(io.Discard, conn)
	if took := time.Since(start); took > 6*time.Second {
		t.Errorf("a client that drips was served for %s", took)
	}

	// A transport of its own: servers of other tests close the idle
	// connections of the default one when they end.
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	lsRefs := "0014command=ls-refs\n0001" + "0009peel\n" + "0000"
	var reused atomic.Bool
	for range 3 {
		ctx := httptrace.WithClientTrace(context.Background(), &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) { reused.Store(i.Reused) }})
		req, err := http.NewRequestWithContext(ctx, "POST", w.front+"/us-east-1/demo/git-upload-pack", strings.NewReader(lsRefs))
		w.must(err)
		req.SetBasicAuth("alice", w.token)
		req.Header.Set("Content-Type", "application/x-git-upload-pack-request")
		req.Header.Set("Git-Protocol", "version=2")
		resp, err := client.Do(req)
		if err != nil {
			t.Fatalf("a second request on a connection: %v", err)
		}
		out, err := io.ReadAll(resp.Body)
		if resp.Body.Close(); err != nil || resp.StatusCode != 200 {
			t.Fatalf("a second request on a connection: %d %q %v", resp.StatusCode, out, err)
		}
		time.Sleep(500 * time.Millisecond)
	}
	if !reused.Load() {
		t.Error("the connection was not used again, so nothing was shown")
	}
}

// A panic in a push ends that push only: it is logged, nothing is released,
// and locks and quarantines are free again.
func TestPanicInPush(t *testing.T) {
	t.Parallel()
	var panics atomic.Bool
	w := newWorld(t, func(w *world) {
		judge := w.Judge
		w.Judge = func(ctx context.Context, p policy.Push) policy.Verdict {
			if panics.Load() {
				panic("judge fell over")
			}
			return judge(ctx, p)
		}
	})
	work := w.work()
	for name, url := range w.urls() {
		panics.Store(true)
		oid := work.Commit(name, "file", name)
		work.Fails("push", url, "HEAD:refs/heads/main")
		if got := w.upstreamRefs()["refs/heads/main"]; got == oid.String() {
			t.Fatalf("%s: upstream has the push", name)
		}
		if log := w.log.String() + w.door.log.String(); !strings.Contains(log, "judge fell over") {
			t.Errorf("%s: the panic is not in the log", name)
		}
		panics.Store(false)
		work.Run("push", url, "HEAD:refs/heads/main")
	}
	w.settled()
}

// A disk that is almost full refuses pushes in words and goes on serving reads.
func TestDiskFloor(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(w *world) { w.Limits.FreeDisk = 1 << 62 })
	work := w.work()
	work.Commit("one", "file", "1")
	for name, url := range w.urls() {
		if out := work.Fails("push", url, "HEAD:refs/heads/main"); !strings.Contains(out, "almost full") {
			t.Errorf("%s: the push said\n%s", name, out)
		}
		work.Run("ls-remote", url)
	}
}
