package web

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"gitferry/internal/discovery"
	"gitferry/internal/ferry"
	"gitferry/internal/filelist"
	"gitferry/internal/git"
	"gitferry/internal/gittest"
	"gitferry/internal/index"
	"gitferry/internal/issues"
	"gitferry/internal/outbox"
	"gitferry/internal/policy"
	"gitferry/internal/pulls"
	"gitferry/internal/sandbox/codecommit"
	"gitferry/internal/sandbox/jira"
	"gitferry/internal/smartcommit"
	"gitferry/internal/store"
	"gitferry/internal/upstream"
	"gitferry/internal/webhook"
	"gitferry/mirror"
)

// world is the pages on a real store, a real mirror and the stand-ins.
type world struct {
	t      testing.TB
	log    *slog.Logger
	store  *store.Store
	server *Server
	url    string
	dir    string
	aws    *codecommit.Server
	awsURL string
	jira   *jira.Server
	index  *index.Index
	mirror *mirror.Dir
	hooks  *webhook.Sender
	repo   ferry.Repository // us-east-1/demo
	oidc   OIDC

	// instead, if not nil, may answer a request in place of the Jira stand-in.
	instead func(http.ResponseWriter, *http.Request) bool
}

const testPassword = "orbit-cactus-lantern"

// newWorld starts the pages with nobody and nothing in the books.
func newWorld(t testing.TB) *world {
	t.Helper()
	return newWorldWith(t, OIDC{})
}

// newWorldWith is newWorld with an identity provider.
func newWorldWith(t testing.TB, provider OIDC) *world {
	t.Helper()
	w := &world{t: t, oidc: provider, log: slog.New(slog.NewTextHandler(t.Output(), nil)), dir: t.TempDir()}
	var err error
	w.store, err = store.Open(t.Context(), filepath.Join(w.dir, "gitferry.db"), store.Options{MasterKey: make([]byte, 32), Log: w.log})
	w.must(err)
	t.Cleanup(func() { w.store.Close() })
	g, err := git.New(t.Context(), w.dir)
	w.must(err)
	dialer := upstream.NewDialer(w.log, "test")
	t.Cleanup(func() { dialer.Close() })
	d := &discovery.Discovery{Store: w.store, Dialer: dialer, Log: w.log}
	w.mirror = &mirror.Dir{Root: w.dir, Git: g, Dialer: dialer, Target: d.Target, Log: w.log}
	sites := &outbox.Sites{Store: w.store}
	options := func(ctx context.Context) (smartcommit.Options, error) {
		return smartcommit.Options{Projects: map[string]bool{"DEMO": true, "OPS": true, "STORM": true}}, nil
	}
	out := &outbox.Outbox{Store: w.store, Sites: sites}
	w.index = &index.Index{Store: w.store, Git: g, Mirror: w.mirror, Log: w.log, Boot: "test", Queued: func() {}, UnknownProject: func() {},
		Settings: func(ctx context.Context) (index.Settings, error) {
			o, err := options(ctx)
			return index.Settings{RunCommands: true, MaxAge: 14 * 24 * time.Hour, Parse: o}, err
		}}
	lookup := &issues.Lookup{Store: w.store, Sites: sites, Deadline: time.Second, Log: w.log}
	host := &pulls.Host{Store: w.store, Git: g, Mirror: w.mirror, Client: d.Client, HTTP: dialer.HTTPClient, Parse: options, Issue: lookup.Issue,
		Index: w.index.Repository, Queued: func() {}, Log: w.log}
	w.hooks = &webhook.Sender{Store: w.store, Client: dialer.HTTPClient, Git: g, Mirror: w.mirror, Lists: &filelist.Lists{Store: w.store, Git: g, Mirror: w.mirror, Log: w.log},
		Log: w.log, Tick: 20 * time.Millisecond}
	e := echo.New()
	ts := httptest.NewServer(e)
	t.Cleanup(ts.Close)
	w.url = ts.URL
	w.server = New(Config{Store: w.store, Mirror: w.mirror, Git: g, Index: w.index, Outbox: out, Discovery: d, Dialer: dialer,
		Issues: lookup, Pulls: host, Webhooks: w.hooks, PublicURL: w.url, SSHHost: "127.0.0.1:7022",
		Version: "test", TrustClearText: func(string) bool { return true }, Connections: connections{d, w.store}, ParseOptions: options,
		Policy: func(ctx context.Context) (policy.Rules, error) {
			r := policy.DefaultRules()
			if err := w.store.Setting(ctx, "policy", &r); err != nil {
				return policy.DefaultRules(), nil
			}
			return r, nil
		},
		SetPolicy: func(ctx context.Context, r policy.Rules) error { return w.store.SetSetting(ctx, "policy", r) },
		AddSSHKey: func(ctx context.Context, user ferry.UserID, name, line string) (store.SSHKey, error) {
			kind, _, ok := strings.Cut(line, " ")
			if !ok {
				return store.SSHKey{}, &ferry.Message{Kind: ferry.ErrInvalid, Text: "that is no public key"}
			}
			return w.store.AddSSHKey(ctx, store.SSHKey{User: user, Name: name, Type: kind, Fingerprint: "SHA256:" + name, Public: line})
		},
		DataDir: w.dir, Components: true, OIDC: w.oidc, Log: w.log})
	w.server.Routes(e)
	e.GET("/_fail", w.server.handle(route{need: signedIn, do: func(*Server, *request) error { return errFails }}))
	return w
}

// connections connects with what discovery has.
type connections struct {
	d  *discovery.Discovery
	st *store.Store
}

func (c connections) Add(ctx context.Context, i ferry.Integration, secrets ferry.Credentials, names []string) (ferry.Integration, discovery.Found, error) {
	i, err := c.st.AddIntegration(ctx, i, secrets)
	if err != nil {
		return i, discovery.Found{}, err
	}
	f, err := c.Connect(ctx, i.ID, names)
	return i, f, err
}

func (c connections) Connect(ctx context.Context, id ferry.IntegrationID, names []string) (discovery.Found, error) {
	want := make(map[string]bool)
	for _, n := range names {
		want[n] = true
	}
	return c.d.Look(ctx, id, func(name string) bool { return want[name] })
}

func (c connections) Disconnect(ctx context.Context, r ferry.Repository, force bool) (int, error) {
	return 0, c.st.RemoveRepository(ctx, r.ID)
}

func (c connections) DisconnectAll(ctx context.Context, i ferry.Integration, force bool) (int, error) {
	return 0, c.st.RemoveIntegration(ctx, i.ID)
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// standIns starts a CodeCommit with us-east-1/demo and a Jira, and connects
// both.
func (w *world) standIns() {
	w.t.Helper()
	sub := filepath.Join(w.dir, "standin")
	g, err := git.New(w.t.Context(), w.t.TempDir())
	w.must(err)
	mux := http.NewServeMux()
	ts := httptest.NewServer(mux)
	w.t.Cleanup(ts.Close)
	w.awsURL = ts.URL
	w.aws, err = codecommit.New(codecommit.Config{Dir: sub, Git: g, Log: w.log, URL: ts.URL})
	w.must(err)
	mux.Handle("/", w.aws.Handler())
	w.must(w.aws.CreateRepository(w.t.Context(), "us-east-1", "demo", ""))
	w.must(w.aws.CreateRepository(w.t.Context(), "us-east-1", "empty", ""))

	w.jira = jira.New(jira.Config{Log: w.log})
	js := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if w.instead == nil || !w.instead(rw, r) {
			w.jira.Handler().ServeHTTP(rw, r)
		}
	}))
	w.t.Cleanup(js.Close)
	c := w.jira.Credentials()
	w.must(w.store.SetJiraSite(w.t.Context(), store.JiraSite{Kind: "cloud", URL: js.URL, Email: c.Email, ClientID: c.ClientID, DevinfoURL: js.URL,
		TokenURL: js.URL + "/oauth/token", APIToken: ferry.NewSecret(c.APIToken), ClientSecret: ferry.NewSecret(c.ClientSecret), Processor: "gitferry"}))
}

// cloneURL is the address of a repository of the stand-in, with credentials.
func (w *world) cloneURL(name string) string {
	c := w.aws.Credentials()
	u, err := url.Parse(w.awsURL)
	w.must(err)
	u.User = url.UserPassword(c.GitUsername, c.GitPassword)
	u.Path = "/us-east-1/v1/repos/" + name
	return u.String()
}

// connect adds the stand-in as the integration us-east-1, copies and indexes.
func (w *world) connect() {
	w.t.Helper()
	c := w.aws.Credentials()
	i, err := w.store.AddIntegration(w.t.Context(), ferry.Integration{Slug: "us-east-1", Name: "CodeCommit us-east-1", Kind: ferry.KindCodeCommit, Region: "us-east-1",
		GitAuth: ferry.GitAuthBasic, AccessKeyID: c.AccessKeyID, GitUsername: c.GitUsername, APIEndpoint: w.awsURL, SNSEndpoint: w.awsURL,
		GitEndpoint: w.awsURL + "/us-east-1", PrivateNetwork: true, ConnectAll: true},
		ferry.Credentials{SecretAccessKey: ferry.NewSecret(c.SecretAccessKey), GitPassword: ferry.NewSecret(c.GitPassword)})
	w.must(err)
	_, err = w.server.Discovery.Look(w.t.Context(), i.ID, nil)
	w.must(err)
	w.sync()
	w.repo, err = w.store.RepositoryByPath(w.t.Context(), "us-east-1", "demo")
	w.must(err)
}

// sync copies, refreshes and indexes all repositories, and ends their jobs.
func (w *world) sync() {
	w.t.Helper()
	repos, err := w.store.Repositories(w.t.Context(), store.RepositoryFilter{})
	w.must(err)
	for _, r := range repos {
		w.must(w.mirror.Copy(w.t.Context(), r, nil))
		_, err := w.mirror.Refresh(w.t.Context(), r, 0)
		w.must(err)
		w.must(w.index.Repository(w.t.Context(), r))
	}
	for {
		j, ok, err := w.store.ClaimJob(w.t.Context(), "test")
		w.must(err)
		if !ok {
			return
		}
		w.must(w.store.FinishJob(w.t.Context(), j.ID, store.JobEnd{}))
	}
}

// summary is what the Jira stand-in has as the summary of an issue.
func (w *world) summary(key ferry.IssueKey) string {
	w.t.Helper()
	s, _, err := w.server.Issues.Issue(w.t.Context(), key)
	w.must(err)
	return s
}

// history pushes a repository with what pages must cope with.
func (w *world) history() *gittest.Repo {
	w.t.Helper()
	r := gittest.New(w.t)
	w.t.Helper()
	r.Commit("DEMO-1 start\n\nThe first lines.\nSee https://example.com/a?b=c#d and OPS-2.", "README.md", readmeText, "main.go", goText(1), "docs/guide.txt", "one\ntwo\n", "tab.txt", "a\tb\n")
	r.Commit("no key here", "main.go", goText(2), "image.png", pngText)
	r.Run("mv", "docs/guide.txt", "docs/manual.txt")
	r.Commit("DEMO-2: rename the guide", "docs/manual.txt", "one\ntwo\nthree\n", "image.png", pngText+"more")
	r.Run("checkout", "-q", "-b", "DEMO-1-letterbox")
	r.Commit("DEMO-1 #comment letters fit now", "main.go", goText(3))
	r.Commit("more of it", "letter.txt", "dear\n")
	r.Run("checkout", "-q", "main")
	r.Commit("OPS-2 on main", "ops.sh", "#!/bin/sh\necho ops\n")
	r.Run("update-index", "--chmod=+x", "ops.sh")
	r.Run("commit", "-q", "-m", "make it run")
	r.Run("checkout", "-q", "-b", "side")
	r.Commit("DEMO-3 side work", "side.txt", "side\n")
	r.Run("checkout", "-q", "main")
	r.Commit("main goes on", "docs/manual.txt", "one\n2\nthree\n")
	r.Run("merge", "-q", "--no-ff", "-m", "Merge side for DEMO-3", "side")
	r.Run("tag", "-a", "-m", "First release with DEMO-1", "v1.0")
	r.Run("tag", "light")
	r.Run("push", "-q", w.cloneURL("demo"), "main") // the first branch becomes the default one
	r.Run("push", "-q", w.cloneURL("demo"), "--all")
	r.Run("push", "-q", w.cloneURL("demo"), "--tags")
	return r
}

const pngText = "\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00"

const readmeText = `# Demo

Some *text* with a [link](docs/guide.txt), an ![image](image.png) and ![far](https://far.example/x.png).

<script>alert(1)</script>

| a | b |
|---|---|
| 1 | 2 |

` + "```go\nfunc main() {}\n```\n"

func goText(n int) string {
	var b strings.Builder
	b.WriteString("package main\n\nimport \"fmt\"\n\n// main prints.\nfunc main() {\n")
	for i := range 60 {
		v := i
		if i == 5 || i == 50 {
			v = i * n
		}
		fmt.Fprintf(&b, "\tfmt.Println(\"line\", %d)\n", v)
	}
	b.WriteString("}\n")
	return b.String()
}

// user adds a user with a password and, unless none, a grant on everything.
func (w *world) user(name string, level ferry.Level, admin bool) ferry.User {
	w.t.Helper()
	u, err := w.store.AddUser(w.t.Context(), ferry.User{Name: name, Display: strings.ToUpper(name[:1]) + name[1:] + " Tester", Email: name + "@example.com", Admin: admin})
	w.must(err)
	w.must(w.store.SetPassword(w.t.Context(), u.ID, testHash))
	if level != ferry.LevelNone {
		_, err := w.store.AddGrant(w.t.Context(), ferry.Grant{User: u.ID, Glob: "**", Level: level})
		w.must(err)
	}
	return u
}

// testHash is of testPassword, made once.
var testHash = HashPassword(testPassword)

// A browser keeps cookies and follows no redirect.
type browser struct {
	w *world
	c *http.Client
}

func (w *world) browser() *browser {
	jar, err := cookiejar.New(nil)
	w.must(err)
	return &browser{w, &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// as returns a browser that is signed in, without the cost of a password.
func (w *world) as(name string) *browser {
	w.t.Helper()
	b := w.browser()
	u, err := w.store.UserByName(w.t.Context(), name)
	w.must(err)
	cookie, err := w.store.NewSession(w.t.Context(), u.ID, "127.0.0.1", "test")
	w.must(err)
	at, err := url.Parse(w.url)
	w.must(err)
	b.c.Jar.SetCookies(at, []*http.Cookie{{Name: "gf", Value: cookie.Reveal(), Path: "/"}})
	return b
}

// get asks for a page and returns status, body and header.
func (b *browser) get(path string) (int, string, http.Header) {
	b.w.t.Helper()
	return b.do(http.MethodGet, path, nil, nil)
}

// post sends a form as a page of ours would.
func (b *browser) post(path string, fields ...string) (int, string, http.Header) {
	b.w.t.Helper()
	v := url.Values{}
	for i := 0; i < len(fields); i += 2 {
		v.Add(fields[i], fields[i+1])
	}
	return b.do(http.MethodPost, path, strings.NewReader(v.Encode()), http.Header{"Content-Type": {"application/x-www-form-urlencoded"}, "Sec-Fetch-Site": {"same-origin"}})
}

func (b *browser) do(method, path string, body io.Reader, header http.Header) (int, string, http.Header) {
	b.w.t.Helper()
	req, err := http.NewRequestWithContext(b.w.t.Context(), method, b.w.url+path, body)
	b.w.must(err)
	for k, v := range header {
		req.Header[k] = v
	}
	resp, err := b.c.Do(req)
	b.w.must(err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	b.w.must(err)
	return resp.StatusCode, string(text), resp.Header
}

// page is get for a page that must answer 200; what it shows is checked.
func (b *browser) page(path string, wants ...string) string {
	b.w.t.Helper()
	status, body, _ := b.get(path)
	if status != http.StatusOK {
		b.w.t.Errorf("GET %s: %d, want 200\n%.600s", path, status, body)
		return body
	}
	checkHTML(b.w.t, path, body)
	for _, want := range wants {
		if !strings.Contains(body, want) {
			b.w.t.Errorf("GET %s does not show %q", path, want)
		}
	}
	return body
}
