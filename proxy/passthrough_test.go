package proxy

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gitferry/internal/ferry"
	"gitferry/internal/git"
	"gitferry/internal/gittest"
	"gitferry/internal/policy"
	standin "gitferry/internal/sandbox/codecommit"
	"gitferry/internal/store"
	"gitferry/internal/upstream"
	"gitferry/mirror"
)

// passWorld is a door with a stand-in of the IAM users gitferry, alice and bob
// behind it. Repository own/demo is in pass-through mode, plain/demo is not.
type passWorld struct {
	t      *testing.T
	aws    *standin.Server
	awsURL string
	url    string // of the door
	server *Server
	token  string // of carol, who has an account here and may do everything
	clock  atomic.Int64
}

func newPassWorld(t *testing.T) *passWorld {
	t.Helper()
	ctx, log := t.Context(), slog.New(slog.DiscardHandler)
	w := &passWorld{t: t}
	g, err := git.New(ctx, t.TempDir())
	ok(t, err)
	w.aws, err = standin.New(standin.Config{Dir: t.TempDir(), Users: []string{"gitferry", "alice", "bob"}, Git: g, Log: log})
	ok(t, err)
	up := httptest.NewServer(w.aws.Handler())
	t.Cleanup(up.Close)
	w.awsURL = up.URL
	st, err := store.Open(ctx, t.TempDir()+"/books.db", store.Options{MasterKey: make([]byte, 32), Log: log})
	ok(t, err)
	t.Cleanup(func() { st.Close() })
	c := w.aws.Credentials()
	for slug, region := range map[string]string{"own": "us-east-1", "plain": "us-west-2"} {
		ok(t, w.aws.CreateRepository(ctx, region, "demo", ""))
		i, err := st.AddIntegration(ctx, ferry.Integration{Slug: slug, Kind: ferry.KindCodeCommit, Region: region, GitAuth: ferry.GitAuthBasic,
			GitUsername: c.GitUsername, GitEndpoint: up.URL, PrivateNetwork: true, PassThrough: slug == "own"},
			ferry.Credentials{GitPassword: ferry.NewSecret(c.GitPassword)})
		ok(t, err)
		_, err = st.AddRepository(ctx, ferry.Repository{IntegrationID: i.ID, Owner: slug, Name: "demo", Region: region,
			CloneURL: up.URL + "/" + region + "/v1/repos/demo", State: ferry.RepositoryEnabled})
		ok(t, err)
	}
	carol, err := st.AddUser(ctx, ferry.User{Name: "carol"})
	ok(t, err)
	_, err = st.AddGrant(ctx, ferry.Grant{User: carol.ID, Glob: "**", Level: ferry.LevelAdmin})
	ok(t, err)
	secret, _, err := st.NewToken(ctx, store.Token{User: carol.ID, Name: "t", Scopes: []ferry.Scope{ferry.ScopeRepoRead, ferry.ScopeRepoWrite}})
	ok(t, err)
	w.token = secret.Reveal()

	dialer := upstream.NewDialer(log, "test")
	t.Cleanup(dialer.Close)
	target := func(ctx context.Context, r ferry.Repository) (upstream.Target, error) {
		return upstream.Target{URL: r.CloneURL, Auth: ferry.GitAuthBasic, GitUsername: c.GitUsername, PrivateNetwork: true,
			Credentials: ferry.Credentials{GitPassword: ferry.NewSecret(c.GitPassword)}}, nil
	}
	m := &mirror.Dir{Root: t.TempDir(), Git: g, Dialer: dialer, Log: log, Target: target}
	limits := NewLimits()
	limits.Freshness = 0
	w.server = &Server{Mirror: m, Git: g, Dialer: dialer, Target: target, Store: st, Scratch: t.TempDir(), Limits: limits, Log: log,
		Judge:          func(context.Context, policy.Push) policy.Verdict { return policy.Verdict{} },
		Index:          func(context.Context, ferry.Repository, []git.Commit) error { return nil },
		TrustClearText: IsLoopback, Now: func() time.Time { return time.Now().Add(time.Duration(w.clock.Load())) }}
	door := httptest.NewServer(w.server)
	t.Cleanup(door.Close)
	w.url = door.URL
	return w
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// of returns the git credentials of an IAM user.
func (w *passWorld) of(user string) *url.Userinfo {
	c, _ := w.aws.CredentialsOf(user)
	return url.UserPassword(c.GitUsername, c.GitPassword)
}

// at is a repository's address at the door with credentials in it.
func (w *passWorld) at(who *url.Userinfo, path string) string {
	u, err := url.Parse(w.url + "/" + path)
	ok(w.t, err)
	u.User = who
	return u.String()
}

// ask requests info/refs and returns status and text.
func (w *passWorld) ask(who *url.Userinfo, path, service string) (int, string) {
	w.t.Helper()
	req, err := http.NewRequest("GET", w.at(who, path)+"/info/refs?service="+service, nil)
	ok(w.t, err)
	resp, err := http.DefaultClient.Do(req)
	ok(w.t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	ok(w.t, err)
	return resp.StatusCode, string(body)
}

func (w *passWorld) control(path, body string) {
	w.t.Helper()
	req, err := http.NewRequest("PUT", w.awsURL+"/_sandbox/"+path, strings.NewReader(body))
	ok(w.t, err)
	resp, err := http.DefaultClient.Do(req)
	ok(w.t, err)
	resp.Body.Close()
	if resp.StatusCode >= 300 {
		w.t.Fatalf("PUT %s: %s", path, resp.Status)
	}
}

// upstreamAsked counts the git requests that the stand-in has seen and
// empties its ledger.
func (w *passWorld) upstreamAsked() int {
	w.t.Helper()
	resp, err := http.Get(w.awsURL + "/_sandbox/ledger")
	ok(w.t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	ok(w.t, err)
	req, _ := http.NewRequest("DELETE", w.awsURL+"/_sandbox/ledger", nil)
	del, err := http.DefaultClient.Do(req)
	ok(w.t, err)
	del.Body.Close()
	return strings.Count(string(body), "/v1/repos/demo")
}

// Clone, push and fetch with a developer's own credentials: upstream sees the
// developer, and the books hold the IAM user's name and no more.
func TestPassThrough(t *testing.T) {
	w := newPassWorld(t)
	work := gittest.New(t)
	work.Commit("begin", "a", "1")
	work.Run("remote", "add", "origin", w.at(w.of("alice"), "own/demo"))
	work.Run("push", "--quiet", "origin", "main")
	clone := gittest.Clone(t, w.at(w.of("bob"), "v1/repos/demo"))
	if clone.OID("HEAD") != work.OID("HEAD") {
		t.Error("the clone is not what was pushed")
	}
	repo, err := w.server.Store.RepositoryByPath(t.Context(), "own", "demo")
	ok(t, err)
	pushes, err := w.server.Store.Pushes(t.Context(), repo.ID, 10)
	ok(t, err)
	c, _ := w.aws.CredentialsOf("alice")
	if len(pushes) != 1 || pushes[0].Credential != "codecommit "+c.GitUsername || pushes[0].User != 0 {
		t.Errorf("pushes = %+v", pushes)
	}
	if text := fmt.Sprintf("%+v", pushes); strings.Contains(text, c.GitPassword) {
		t.Error("the books hold the password")
	}
	// The push was made at upstream in alice's name: taking her right away
	// stops it, whatever the integration may do.
	w.control("deny", `["codecommit:GitPush"]`)
	w.clock.Add(int64(2 * passKept))
	work.Commit("more", "a", "2")
	if out := work.Fails("push", "origin", "main"); !strings.Contains(out, "not accepted here") {
		t.Errorf("a push without the right said %q", out)
	}
	w.clock.Add(int64(2 * passKept))
	if status, _ := w.ask(w.of("alice"), "own/demo", "git-upload-pack"); status != http.StatusOK {
		t.Errorf("reading answers %d, want 200", status)
	}
	if status, text := w.ask(w.of("alice"), "own/demo", "git-receive-pack"); status != http.StatusForbidden || !strings.Contains(text, "codecommit:GitPush") {
		t.Errorf("a push of somebody who may read = %d %q", status, text)
	}
}

// Passwords that belong elsewhere are refused with advice and never passed on.
func TestPassThroughMixedUp(t *testing.T) {
	w := newPassWorld(t)
	c, _ := w.aws.CredentialsOf("alice")
	w.upstreamAsked()
	for about, q := range map[string]struct {
		who    *url.Userinfo
		path   string
		status int
		text   string
		asked  bool
	}{
		"a token of ours":                    {url.UserPassword("carol", w.token), "own/demo", 403, "takes your own CodeCommit git credentials", false},
		"a token under an IAM name":          {url.UserPassword(c.GitUsername, w.token), "own/demo", 403, "takes your own CodeCommit git credentials", false},
		"IAM credentials, not in the mode":   {w.of("alice"), "plain/demo", 401, "gitferry user name with a token", false},
		"IAM credentials, no such path":      {w.of("alice"), "own/other", 401, "gitferry user name with a token", false},
		"a wrong password":                   {url.UserPassword(c.GitUsername, "wrong"), "own/demo", 401, "either CodeCommit refuses them", true},
		"something else":                     {url.UserPassword("alice", "secret"), "own/demo", 401, "sign in with your gitferry user name", false},
		"nothing":                            {nil, "own/demo", 401, "sign in with your gitferry user name", false},
		"a token where tokens are taken":     {url.UserPassword("carol", w.token), "plain/demo", 200, "", true},
		"a name of several, one in the mode": {w.of("alice"), "v1/repos/demo", 200, "", true},
	} {
		status, text := w.ask(q.who, q.path, "git-upload-pack")
		if status != q.status || !strings.Contains(text, q.text) {
			t.Errorf("%s: %d %q, want %d and %q", about, status, text, q.status, q.text)
		}
		if asked := w.upstreamAsked() > 0; asked != q.asked {
			t.Errorf("%s: upstream asked: %v, want %v", about, asked, q.asked)
		}
	}
}

// A yes holds for a minute and for its credential, repository and service
// only; a no is asked again; and nothing is read while upstream is away.
func TestPassThroughMemory(t *testing.T) {
	w := newPassWorld(t)
	alice := w.of("alice")
	asks := func(about string, want int, service string) {
		t.Helper()
		w.server.Limits.Freshness = time.Hour // the mirror's own looks are not counted
		w.upstreamAsked()
		if status, text := w.ask(alice, "own/demo", service); status != want {
			t.Errorf("%s: %d %q, want %d", about, status, text, want)
		}
	}
	asks("first", 200, "git-upload-pack")
	asks("again", 200, "git-upload-pack")
	if n := w.upstreamAsked(); n != 0 {
		t.Errorf("upstream was asked %d times within a minute", n)
	}
	w.control("deny", `["codecommit:GitPull"]`)
	asks("right taken away, within the minute", 200, "git-upload-pack")
	w.clock.Add(int64(passKept + time.Second))
	asks("after the minute", 401, "git-upload-pack")
	w.control("deny", `[]`)
	asks("given back", 200, "git-upload-pack")

	w.server.Limits.Freshness = 0
	w.control("faults", `[{"path":"/us-east-1/**","drop":"before"}]`)
	if status, text := w.ask(alice, "own/demo", "git-upload-pack"); status != http.StatusServiceUnavailable {
		t.Errorf("upstream away, right known: %d %q, want 503", status, text)
	}
	w.clock.Add(int64(2 * passKept))
	if status, text := w.ask(alice, "own/demo", "git-upload-pack"); status != http.StatusServiceUnavailable {
		t.Errorf("upstream away: %d %q, want 503", status, text)
	}
}

// With a grace, who could read a while ago reads on while upstream is away, and
// nobody else: pushes, other people and those whom upstream refused since do
// not, and the grace ends.
func TestPassThroughOffline(t *testing.T) {
	w := newPassWorld(t)
	w.server.Limits.PassOffline = time.Hour
	work := gittest.New(t)
	work.Commit("begin", "a", "1")
	work.Run("push", "--quiet", w.at(w.of("alice"), "own/demo"), "main")
	for _, who := range []string{"alice", "bob"} {
		gittest.Clone(t, w.at(w.of(who), "own/demo"))
	}
	w.control("deny", `["codecommit:GitPull"]`)
	w.clock.Add(int64(2 * passKept))
	if status, _ := w.ask(w.of("bob"), "own/demo", "git-upload-pack"); status != 401 {
		t.Errorf("bob lost the right: %d, want 401", status)
	}
	w.control("deny", `[]`)
	w.control("faults", `[{"path":"/us-east-1/**","drop":"before"}]`)
	w.clock.Add(int64(30 * time.Minute))
	if clone := gittest.Clone(t, w.at(w.of("alice"), "own/demo")); clone.OID("HEAD") != work.OID("HEAD") {
		t.Error("the clone made offline is not what was pushed")
	}
	for about, q := range map[string]struct {
		who     *url.Userinfo
		service string
	}{
		"a push":             {w.of("alice"), "git-receive-pack"},
		"somebody refused":   {w.of("bob"), "git-upload-pack"},
		"somebody not asked": {w.of("gitferry"), "git-upload-pack"},
		"the wrong password": {url.UserPassword(w.of("alice").Username(), "wrong"), "git-upload-pack"},
	} {
		if status, text := w.ask(q.who, "own/demo", q.service); status != http.StatusServiceUnavailable {
			t.Errorf("%s while upstream is away: %d %q, want 503", about, status, text)
		}
	}
	w.clock.Add(int64(30 * time.Minute))
	if status, text := w.ask(w.of("alice"), "own/demo", "git-upload-pack"); status != http.StatusServiceUnavailable {
		t.Errorf("after the grace: %d %q, want 503", status, text)
	}
}

// Guessing ends after five tries in a minute, without asking upstream.
func TestPassThroughGuessing(t *testing.T) {
	w := newPassWorld(t)
	c, _ := w.aws.CredentialsOf("alice")
	for i := range 5 {
		if status, _ := w.ask(url.UserPassword(c.GitUsername, fmt.Sprint("guess", i)), "own/demo", "git-upload-pack"); status != 401 {
			t.Errorf("guess %d: %d, want 401", i, status)
		}
	}
	w.upstreamAsked()
	if status, _ := w.ask(w.of("alice"), "own/demo", "git-upload-pack"); status != 429 {
		t.Errorf("the sixth, though right: %d, want 429", status)
	}
	if status, _ := w.ask(w.of("bob"), "own/demo", "git-upload-pack"); status != 429 {
		t.Errorf("another name from the same address: %d, want 429", status)
	}
	if n := w.upstreamAsked(); n != 0 {
		t.Errorf("upstream was asked %d times", n)
	}
	w.clock.Add(int64(time.Minute + time.Second))
	if status, _ := w.ask(w.of("alice"), "own/demo", "git-upload-pack"); status != 200 {
		t.Errorf("a minute later: %d, want 200", status)
	}
}
