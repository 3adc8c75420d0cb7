package proxy

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gitferry/internal/ferry"
	"gitferry/internal/git"
	"gitferry/internal/gittest"
	"gitferry/internal/pktline"
	"gitferry/internal/store"
)

// gitIs reports whether the tests' git is of that version or newer.
func gitIs(t *testing.T, major, minor int) bool {
	t.Helper()
	var a, b int
	if _, err := fmt.Sscanf(gittest.New(t).Output("version"), "git version %d.%d", &a, &b); err != nil {
		t.Fatal(err)
	}
	return a > major || a == major && b >= minor
}

// bundled makes a world whose repository has some history and a bundle of it,
// and one commit that came after.
func bundled(t *testing.T) (w *world, work *gittest.Repo, name string) {
	t.Helper()
	w = newWorld(t, func(w *world) { w.Mirror.BundleBytes = 1 })
	work = w.work()
	for i := range 5 {
		work.Commit(fmt.Sprint("DEMO-1 ", i), "f", fmt.Sprint(i))
	}
	work.Run("tag", "-a", "-m", "v", "v1")
	work.Run("push", "--quiet", w.url, "HEAD:main", "v1")
	w.settled()
	w.must(w.Mirror.Upkeep(t.Context(), w.repo))
	name, err := w.Mirror.Bundle(t.Context(), w.repo)
	w.must(err)
	if name == "" {
		t.Fatal("upkeep made no bundle")
	}
	work.Commit("DEMO-1 later", "f", "later")
	work.Run("push", "--quiet", w.url, "HEAD:main")
	w.settled()
	return w, work, name
}

// TestBundleClone: the real git clones through a bundle, by itself where it
// knows how, else told by hand, and fetches only the rest.
func TestBundleClone(t *testing.T) {
	t.Parallel()
	w, work, name := bundled(t)
	clone := func(args ...string) (packets string) {
		t.Helper()
		dir := filepath.Join(t.TempDir(), "clone")
		trace := filepath.Join(t.TempDir(), "trace")
		c := gittest.At(t, dir)
		c.Vars = append(work.Vars, "GIT_TRACE_PACKET="+trace, "GIT_TRACE_CURL=1", "GIT_TRACE_CURL_NO_DATA=1", "GIT_TRACE="+trace)
		c.Run(append(args, dir)...)
		if got, want := c.OID("HEAD"), work.OID("HEAD"); got != want {
			t.Errorf("git %v: cloned %s, want %s", args, got, want)
		}
		c.Run("fsck", "--strict")
		text, err := os.ReadFile(trace)
		w.must(err)
		return string(text)
	}
	had := "have " + work.OID("HEAD~1").String()
	by := clone("clone", "--quiet", "--bundle-uri="+w.url+"/bundles/"+name, w.url)
	if !strings.Contains(by, had) {
		t.Error("a clone with --bundle-uri does not say that it has what the bundle holds")
	}
	plain := clone("-c", "transfer.bundleURI=false", "clone", "--quiet", w.url)
	if strings.Contains(plain, "command=bundle-uri") || strings.Contains(plain, had) {
		t.Error("a clone that does not want bundles got one")
	}
	if !gitIs(t, 2, 40) {
		t.Skip("git older than 2.40 asks for no bundles by itself")
	}
	for _, url := range []string{w.url, w.url + ".git"} {
		own := clone("-c", "transfer.bundleURI=true", "clone", "--quiet", url)
		if !strings.Contains(own, "command=bundle-uri") || !strings.Contains(own, had) {
			t.Errorf("a clone of %s through the bundle:\n%.3000s", url, own)
		}
	}
}

// TestBundleURI: capability and command are git's own to the byte, where git
// knows them, and only HTTP has them.
func TestBundleURI(t *testing.T) {
	t.Parallel()
	w, _, name := bundled(t)
	v2 := map[string]string{"Content-Type": "application/x-git-upload-pack-request", "Git-Protocol": "version=2"}
	_, advertisement := w.ask("GET", "/us-east-1/demo/info/refs?service=git-upload-pack", "x:"+w.token, v2, nil)
	_, answer := w.ask("POST", "/us-east-1/demo/git-upload-pack", "x:"+w.token, v2, strings.NewReader(command2("bundle-uri")))
	id := strings.TrimSuffix(name, ".bundle")
	if gitIs(t, 2, 40) {
		config := [][2]string{{"uploadpack.advertiseBundleURIs", "true"}, {"bundle.version", "1"}, {"bundle.mode", "all"}, {"bundle." + id + ".uri", "bundles/" + name}}
		ask := func(in string, args ...string) []byte {
			dir := w.Mirror.Path(w.repo.ID)
			out, err := w.Git.Output(t.Context(), git.Command{Dir: dir, Args: append([]string{"upload-pack", "--strict", "--stateless-rpc"}, append(args, dir)...),
				Protocol: "version=2", Config: config, Stdin: strings.NewReader(in)})
			w.must(err)
			return out
		}
		same(t, "the advertisement", []byte(advertisement), ask("", "--advertise-refs"))
		same(t, "bundle-uri", []byte(answer), ask(command2("bundle-uri")))
	}
	caps, err := w.learnCapabilities(t.Context())
	w.must(err)
	if want := strings.TrimSuffix(string(caps.v2), "0000") + "000fbundle-uri\n0000"; advertisement != want {
		t.Errorf("advertisement %q, want %q", advertisement, want)
	}
	var want bytes.Buffer
	out := pktline.NewWriter(&want)
	for _, line := range []string{"bundle.version=1", "bundle.mode=all", "bundle." + id + ".uri=bundles/" + name} {
		w.must(out.Printf("%s", line))
	}
	w.must(out.Flush())
	same(t, "bundle-uri", []byte(answer), want.Bytes())
	session, err := w.door.dial(t, w.door.alice).NewSession()
	w.must(err)
	w.must(session.Setenv("GIT_PROTOCOL", "version=2"))
	session.Stdin = strings.NewReader("0000")
	if stdout, _, _ := sessionOutput(t, session, "git-upload-pack 'us-east-1/demo'"); stdout != string(caps.v2) {
		t.Errorf("over SSH, whose address is good for no file: %q", stdout)
	}
	w.must(w.Mirror.Purge(t.Context(), w.repo))
	if _, advertisement := w.ask("GET", "/us-east-1/demo/info/refs?service=git-upload-pack", "x:"+w.token, v2, nil); advertisement != string(caps.v2) {
		t.Errorf("without a bundle: %q", advertisement)
	}
	if _, answer := w.ask("POST", "/us-east-1/demo/git-upload-pack", "x:"+w.token, v2, strings.NewReader(command2("bundle-uri"))); answer != "0000" {
		t.Errorf("bundle-uri without a bundle: %q", answer)
	}
}

// TestBundleFile: a bundle is a file with ranges for whoever may fetch, and
// nothing else in its directory is.
func TestBundleFile(t *testing.T) {
	t.Parallel()
	w, work, name := bundled(t)
	path := "/us-east-1/demo.git/bundles/" + name
	whole, err := os.ReadFile(filepath.Join(w.Mirror.Path(w.repo.ID), "bundles", name))
	w.must(err)
	file := filepath.Join(t.TempDir(), "b")
	w.must(os.WriteFile(file, whole, 0o600))
	work.Run("bundle", "verify", "--quiet", file)
	if heads := work.Output("bundle", "list-heads", file); !strings.Contains(heads, work.OID("HEAD~1").String()+" refs/heads/main") || !strings.Contains(heads, " refs/tags/v1") {
		t.Errorf("the bundle holds %q", heads)
	}
	alice := "alice:" + w.token
	stranger, err := w.Store.AddUser(t.Context(), ferry.User{Name: "eve", Email: "eve@example.invalid"})
	w.must(err)
	secret, _, err := w.Store.NewToken(t.Context(), store.Token{User: stranger.ID, Name: "t", Scopes: []ferry.Scope{ferry.ScopeRepoRead}})
	w.must(err)
	for _, c := range []struct {
		method, path, auth, ranges string
		status                     int
		body                       []byte
	}{
		{"GET", path, alice, "", 200, whole},
		{"HEAD", path, alice, "", 200, nil},
		{"GET", path, alice, "bytes=10-19", 206, whole[10:20]},
		{"GET", path, alice, fmt.Sprintf("bytes=%d-", len(whole)-5), 206, whole[len(whole)-5:]},
		{"GET", path, alice, fmt.Sprintf("bytes=%d-", len(whole)), 416, nil},
		{"POST", path, alice, "", 405, nil},
		{"GET", path, "", "", 401, nil},
		{"GET", path, "alice:gf_wrong", "", 401, nil},
		{"GET", path, "eve:" + secret.Reveal(), "", 404, nil},
		{"GET", "/us-east-1/demo/bundles/1.bundle", alice, "", 404, nil},
		{"GET", "/us-east-1/demo/bundles/x.bundle", alice, "", 404, nil},
		{"GET", "/us-east-1/demo/bundles/", alice, "", 404, nil},
		{"GET", "/us-east-1/demo/bundles/../config", alice, "", 404, nil},
	} {
		header := map[string]string{}
		if c.ranges != "" {
			header["Range"] = c.ranges
		}
		resp, body := w.ask(c.method, c.path, c.auth, header, nil)
		if resp.StatusCode != c.status || c.body != nil && body != string(c.body) {
			t.Errorf("%s %s %s as %.6q: %d, %d bytes; want %d, %d bytes", c.method, c.path, c.ranges, c.auth, resp.StatusCode, len(body), c.status, len(c.body))
		}
		if c.status == http.StatusOK && !strings.Contains(resp.Header.Get("Cache-Control"), "private") {
			t.Errorf("Cache-Control is %q", resp.Header.Get("Cache-Control"))
		}
	}
}

// TestBundleUpkeep: a bundle is made anew once a day, the last two stay, and a
// purge takes all of them with it.
func TestBundleUpkeep(t *testing.T) {
	t.Parallel()
	w, _, name := bundled(t)
	ahead := time.Duration(0)
	w.Mirror.Now = func() time.Time { return time.Now().Add(ahead) }
	upkeep := func() (newest string, all int) {
		t.Helper()
		w.must(w.Mirror.Upkeep(t.Context(), w.repo))
		newest, err := w.Mirror.Bundle(t.Context(), w.repo)
		w.must(err)
		files, err := os.ReadDir(filepath.Join(w.Mirror.Path(w.repo.ID), "bundles"))
		w.must(err)
		return newest, len(files)
	}
	ahead = 23 * time.Hour
	if newest, n := upkeep(); newest != name || n != 1 {
		t.Errorf("within a day: %s of %d, want %s alone", newest, n, name)
	}
	for i := range 3 {
		ahead += 25 * time.Hour
		last := name
		if newest, n := upkeep(); newest == last || n != min(2, i+2) {
			t.Errorf("after %d days: %s of %d", i+1, newest, n)
		}
	}
	w.must(w.Mirror.Purge(t.Context(), w.repo))
	if newest, err := w.Mirror.Bundle(t.Context(), w.repo); newest != "" || err != nil {
		t.Errorf("after a purge: %q, %v", newest, err)
	}
	if _, err := os.Stat(filepath.Join(w.Mirror.Path(w.repo.ID), "bundles")); err == nil {
		t.Error("a purge leaves bundles behind")
	}
}
