package ghapi

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"gitferry/internal/ferry"
	"gitferry/internal/filelist"
	"gitferry/internal/ghshape"
	"gitferry/internal/git"
	"gitferry/internal/gittest"
	"gitferry/internal/index"
	"gitferry/internal/issues"
	"gitferry/internal/outbox"
	"gitferry/internal/pulls"
	"gitferry/internal/smartcommit"
	"gitferry/internal/store"
	"gitferry/internal/webhook"
	"gitferry/mirror"
)

var update = flag.Bool("update", false, "rewrite golden files")

// world is a server on a real store, real git and a real socket.
type world struct {
	t      testing.TB
	store  *store.Store
	git    *git.Runner
	mirror *mirror.Dir
	index  *index.Index
	lists  *filelist.Lists
	hooks  *webhook.Sender
	server *Server
	url    string
	client *http.Client // whose answers are checked against the contract
	tokens map[string]string
	runs   *runs // of git
	ahead  time.Duration
	owner  ferry.Integration
}

var allScopes = []ferry.Scope{ferry.ScopeRepoRead, ferry.ScopeRepoWrite, ferry.ScopeAPIRead, ferry.ScopeAPIAdmin}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{t: t, tokens: make(map[string]string), runs: &runs{}}
	log := slog.New(slog.DiscardHandler)
	dir := t.TempDir()
	var err error
	w.store, err = store.Open(t.Context(), filepath.Join(dir, "gitferry.db"), store.Options{MasterKey: make([]byte, 32), Log: log,
		Now: func() time.Time { return time.Now().Add(w.ahead) }})
	w.must(err)
	t.Cleanup(func() { w.store.Close() })
	w.git, err = git.New(t.Context(), dir)
	w.must(err)
	w.git.Log = slog.New(w.runs)
	w.mirror = &mirror.Dir{Root: dir, Git: w.git, Log: log}
	projects := map[string]bool{"DEMO": true, "STORM": true}
	w.index = &index.Index{Store: w.store, Git: w.git, Mirror: w.mirror, Log: log, Settings: func(context.Context) (index.Settings, error) {
		return index.Settings{Parse: smartcommit.Options{Projects: projects}}, nil
	}}
	w.lists = &filelist.Lists{Store: w.store, Git: w.git, Mirror: w.mirror, Log: log}
	e := echo.New()
	ts := httptest.NewServer(e)
	t.Cleanup(ts.Close)
	w.url = ts.URL
	plain := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	w.hooks = &webhook.Sender{Store: w.store, Client: func(bool) *http.Client { return plain }, Git: w.git, Mirror: w.mirror, Lists: w.lists,
		Shape: ghshape.Shape{Public: w.url}, PrivateNetwork: true, Log: log, Tick: 20 * time.Millisecond}
	w.server = New(Config{Store: w.store, Mirror: w.mirror, Git: w.git, Lists: w.lists, Webhooks: w.hooks, Pulls: &pulls.Host{Store: w.store, Log: log}, PublicURL: w.url,
		Issues:         &issues.Lookup{Store: w.store, Sites: &outbox.Sites{Store: w.store}, Deadline: time.Second, Log: log},
		TrustClearText: func(string) bool { return true }, Log: log})
	w.server.Routes(e)
	w.client = &http.Client{Transport: &checked{t: t, contract: contract(t)}, CheckRedirect: plain.CheckRedirect}
	w.owner, err = w.store.AddIntegration(t.Context(), ferry.Integration{Slug: "us-east-1", Kind: ferry.KindCodeCommit, Region: "us-east-1"}, ferry.Credentials{})
	w.must(err)
	return w
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// runs counts what git is started for.
type runs struct {
	mu sync.Mutex
	n  int // guarded by mu
}

func (r *runs) Enabled(context.Context, slog.Level) bool { return true }
func (r *runs) Handle(context.Context, slog.Record) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.n++
	return nil
}
func (r *runs) WithAttrs([]slog.Attr) slog.Handler { return r }
func (r *runs) WithGroup(string) slog.Handler      { return r }

func (r *runs) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.n
}

// connect makes a repository whose mirror is a copy of the one at from, and
// indexes it.
func (w *world) connect(name, from string) ferry.Repository {
	w.t.Helper()
	r, err := w.store.AddRepository(w.t.Context(), ferry.Repository{IntegrationID: w.owner.ID, Name: name, Region: "us-east-1", HostID: name,
		CloneURL: "https://git-codecommit.us-east-1.amazonaws.com/v1/repos/" + name, DefaultBranch: "main"})
	w.must(err)
	path := w.mirror.Path(r.ID)
	w.must(os.MkdirAll(filepath.Dir(path), 0o700))
	cmd := exec.Command("git", "clone", "--quiet", "--mirror", from, path)
	cmd.Env = gittest.Env()
	if out, err := cmd.CombinedOutput(); err != nil {
		w.t.Fatalf("%v\n%s", err, out)
	}
	w.must(os.WriteFile(filepath.Join(path, "gitferry-copied"), nil, 0o600))
	w.must(w.index.Repository(w.t.Context(), r))
	r, err = w.store.Repository(w.t.Context(), r.ID)
	w.must(err)
	return r
}

// follow makes the mirror and the index follow the repository at from.
func (w *world) follow(r ferry.Repository, from string) {
	w.t.Helper()
	cmd := exec.Command("git", "--git-dir", w.mirror.Path(r.ID), "fetch", "--quiet", "--prune", from, "+refs/*:refs/*")
	cmd.Env = gittest.Env()
	if out, err := cmd.CombinedOutput(); err != nil {
		w.t.Fatalf("%v\n%s", err, out)
	}
	fresh := &mirror.Dir{Root: w.mirror.Root, Git: w.git, Log: w.mirror.Log}
	w.index.Mirror, w.server.Mirror = fresh, fresh
	w.must(w.index.Repository(w.t.Context(), r))
}

func (w *world) user(name string, level ferry.Level, admin bool) ferry.User {
	w.t.Helper()
	u, err := w.store.AddUser(w.t.Context(), ferry.User{Name: name, Email: name + "@example.com", Admin: admin})
	w.must(err)
	if level != ferry.LevelNone {
		_, err := w.store.AddGrant(w.t.Context(), ferry.Grant{User: u.ID, Glob: "us-east-1/*", Level: level})
		w.must(err)
	}
	return u
}

func (w *world) token(u ferry.User, scopes []ferry.Scope, globs ...string) string {
	w.t.Helper()
	text, _, err := w.store.NewToken(w.t.Context(), store.Token{User: u.ID, Name: "test", Scopes: scopes, Globs: globs})
	w.must(err)
	return text.Reveal()
}

// answer is what came back.
type answer struct {
	code   int
	header http.Header
	body   []byte
}

func (a answer) json(t testing.TB, into any) {
	t.Helper()
	if err := json.Unmarshal(a.body, into); err != nil {
		t.Fatalf("%v in %s", err, a.body)
	}
}

// ask sends a request with a token, "" being nobody's.
func (w *world) ask(token, method, path, body string, headers ...string) answer {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), method, w.url+path, strings.NewReader(body))
	w.must(err)
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	if token != "" {
		req.Header.Set("Authorization", "token "+token)
	}
	resp, err := w.client.Do(req)
	w.must(err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	w.must(err)
	return answer{resp.StatusCode, resp.Header, text}
}

// want is ask for an answer with a status, decoded into into unless nil.
func (w *world) want(code int, token, method, path, body string, into any) answer {
	w.t.Helper()
	a := w.ask(token, method, path, body)
	if a.code != code {
		w.t.Fatalf("%s %s: %d, want %d\n%s", method, path, a.code, code, a.body)
	}
	if into != nil {
		a.json(w.t, into)
	}
	return a
}

// demo makes a repository with what histories have: branches with slashes,
// a merge, renames, a binary file, tags of both kinds, odd names.
func (w *world) demo() (ferry.Repository, *gittest.Repo) {
	w.t.Helper()
	repo := gittest.New(w.t)
	repo.Commit("DEMO-1 first", "README.md", "# Demo\n", "src/a.go", "package a\n\nfunc A() {}\n", "bin.dat", "\x00\x01\x02", "a file's \"name\".txt", "x\n")
	var steps strings.Builder
	for i := range 250 {
		text := strings.Repeat("line\n", i+1)
		fmt.Fprintf(&steps, "commit refs/heads/main\ncommitter A <alice@example.com> %d +0100\ndata 11\nDEMO-2 step\n", gittest.Start.Unix()+int64(i)*60)
		if i == 0 {
			steps.WriteString("from refs/heads/main^0\n")
		}
		fmt.Fprintf(&steps, "M 644 inline src/counter.txt\ndata %d\n%s\n", len(text), text)
	}
	repo.Input(steps.String(), "fast-import", "--quiet")
	repo.Run("reset", "--quiet", "--hard")
	repo.Run("branch", "release/1.0")
	repo.Run("tag", "v0.1")
	repo.Run("checkout", "--quiet", "-b", "feature/DEMO-3-x")
	repo.Commit("DEMO-3 feature #comment done", "src/feature.go", "package a\n")
	repo.Run("mv", "src/a.go", "src/b.go")
	repo.Commit("rename", "docs/guide.md", "guide\n")
	repo.Run("checkout", "--quiet", "main")
	repo.Commit("DEMO-4 on main", "main.txt", "main\n")
	repo.Run("merge", "--quiet", "--no-edit", "feature/DEMO-3-x")
	repo.Run("tag", "--annotate", "--message=one", "v1.0")
	repo.Run("checkout", "--quiet", "-b", "diverged", "HEAD~1")
	repo.Commit("DEMO-5 aside", "aside+plus.txt", "aside\n")
	repo.Run("checkout", "--quiet", "main")
	return w.connect("demo", repo.Dir), repo
}

func indent(b []byte) string {
	var out bytes.Buffer
	if json.Indent(&out, b, "", " ") != nil {
		return string(b)
	}
	return out.String()
}
