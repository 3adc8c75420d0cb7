package api

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"gitferry/api/web"
	"gitferry/internal/discovery"
	"gitferry/internal/ferry"
	"gitferry/internal/git"
	"gitferry/internal/index"
	"gitferry/internal/issues"
	"gitferry/internal/outbox"
	"gitferry/internal/policy"
	"gitferry/internal/smartcommit"
	"gitferry/internal/store"
	"gitferry/internal/triggers"
	"gitferry/internal/upstream"
	"gitferry/mirror"
)

var update = flag.Bool("update", false, "rewrite golden files")

// world is a server on a real store and a real socket, with one repository
// us-east-1/demo and people of every kind.
type world struct {
	t      *testing.T
	store  *store.Store
	server *Server
	url    string
	repo   ferry.Repository
	other  ferry.Repository // us-west-2/hidden
	tokens map[string]string
	ahead  atomic.Int64 // what the store's clock is ahead, in nanoseconds
}

var allScopes = []ferry.Scope{ferry.ScopeRepoRead, ferry.ScopeRepoWrite, ferry.ScopeAPIRead, ferry.ScopeAPIAdmin}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, tokens: make(map[string]string)}
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	dir := t.TempDir()
	var err error
	w.store, err = store.Open(t.Context(), filepath.Join(dir, "gitferry.db"), store.Options{MasterKey: make([]byte, 32), Log: log,
		Now: func() time.Time { return time.Now().Add(time.Duration(w.ahead.Load())) }})
	w.must(err)
	t.Cleanup(func() { w.store.Close() })
	w.people()
	w.upstreams()
	g, err := git.New(t.Context(), dir)
	w.must(err)
	dialer := upstream.NewDialer(log, "test")
	d := &discovery.Discovery{Store: w.store, Dialer: dialer, Log: log}
	m := &mirror.Dir{Root: dir, Git: g, Dialer: dialer, Target: d.Target, Log: log}
	sites := &outbox.Sites{Store: w.store}
	options := func(context.Context) (smartcommit.Options, error) { return smartcommit.Options{}, nil }
	w.server = New(Config{Registry: prometheus.NewRegistry(),
		Triggers: &triggers.Triggers{Store: w.store, Client: d.Client, PublicURL: "http://ferry.example", Log: log}, Config: web.Config{Store: w.store, Mirror: m, Git: g, Dialer: dialer, Discovery: d, Index: &index.Index{Store: w.store},
			Outbox: &outbox.Outbox{Store: w.store, Sites: sites}, Issues: &issues.Lookup{Store: w.store, Sites: sites},
			PublicURL: "http://ferry.example", Version: "test", TrustClearText: func(string) bool { return true }, ParseOptions: options,
			Policy: func(ctx context.Context) (policy.Rules, error) {
				r := policy.DefaultRules()
				if err := w.store.Setting(ctx, "policy", &r); err != nil {
					return policy.DefaultRules(), nil
				}
				return r, nil
			},
			SetPolicy: func(ctx context.Context, r policy.Rules) error { return w.store.SetSetting(ctx, "policy", r) },
			AddSSHKey: func(ctx context.Context, user ferry.UserID, name, line string) (store.SSHKey, error) {
				return w.store.AddSSHKey(ctx, store.SSHKey{User: user, Name: name, Type: "ssh-ed25519", Fingerprint: "SHA256:" + name, Public: line})
			},
			Log: log}})
	ts := httptest.NewServer(w.server)
	t.Cleanup(ts.Close)
	w.url = ts.URL
	return w
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) upstreams() {
	for _, region := range []string{"us-east-1", "us-west-2"} {
		i, err := w.store.AddIntegration(w.t.Context(), ferry.Integration{Slug: region, Name: region, Kind: ferry.KindCodeCommit, Region: region,
			GitAuth: ferry.GitAuthSigV4, AccessKeyID: "AKIAEXAMPLEEXAMPLE12"}, ferry.Credentials{SecretAccessKey: ferry.NewSecret("sealed-secret")})
		w.must(err)
		name := map[string]string{"us-east-1": "demo", "us-west-2": "hidden"}[region]
		r, err := w.store.AddRepository(w.t.Context(), ferry.Repository{IntegrationID: i.ID, Name: name, Region: region, HostID: name, CloneURL: "https://upstream.example/" + name})
		w.must(err)
		if w.repo.ID == 0 {
			w.repo = r
		} else {
			w.other = r
		}
	}
}

// people are users by what they may do on us-east-1/demo, with one token each.
func (w *world) people() {
	root := w.user("root", ferry.LevelAdmin, true)
	w.tokens["admin"] = w.token(root, allScopes, nil, 0)
	w.tokens["read scope"] = w.token(root, []ferry.Scope{ferry.ScopeRepoRead, ferry.ScopeAPIRead}, nil, 0)
	for _, scope := range allScopes {
		w.tokens[string(scope)] = w.token(root, []ferry.Scope{scope}, nil, 0)
	}
	w.tokens["wrong repo"] = w.token(root, allScopes, []string{"us-west-2/*"}, 0)
	w.tokens["dvcs scope"] = w.token(root, []ferry.Scope{ferry.ScopeJiraDVCS}, nil, 0)
	w.ahead.Store(int64(-48 * time.Hour))
	w.tokens["expired"] = w.token(root, allScopes, nil, 24*time.Hour)
	w.ahead.Store(0)
	w.tokens["no grant"] = w.token(w.user("nora", ferry.LevelNone, false), allScopes, nil, 0)
	w.tokens["read"] = w.token(w.user("rita", ferry.LevelRead, false), allScopes, nil, 0)
	w.tokens["write"] = w.token(w.user("will", ferry.LevelWrite, false), allScopes, nil, 0)
	w.tokens["repo admin"] = w.token(w.user("adam", ferry.LevelAdmin, false), allScopes, nil, 0)
	gone := w.user("gone", ferry.LevelAdmin, true)
	w.tokens["disabled"] = w.token(gone, allScopes, nil, 0)
	u, err := w.store.User(w.t.Context(), gone)
	w.must(err)
	u.Disabled = true
	w.must(w.store.UpdateUser(w.t.Context(), u))
}

func (w *world) user(name string, level ferry.Level, admin bool) ferry.UserID {
	u, err := w.store.AddUser(w.t.Context(), ferry.User{Name: name, Admin: admin})
	w.must(err)
	if level != ferry.LevelNone {
		_, err := w.store.AddGrant(w.t.Context(), ferry.Grant{User: u.ID, Glob: "us-east-1/*", Level: level})
		w.must(err)
	}
	return u.ID
}

func (w *world) token(user ferry.UserID, scopes []ferry.Scope, globs []string, lives time.Duration) string {
	t := store.Token{User: user, Name: "test", Scopes: scopes, Globs: globs}
	if lives > 0 {
		t.ExpiresAt = time.Now().Add(time.Duration(w.ahead.Load()) + lives)
	}
	text, _, err := w.store.NewToken(w.t.Context(), t)
	w.must(err)
	return text.Reveal()
}

// ask sends a request as one of the people, "" being nobody, and returns
// status, header and body.
func (w *world) ask(who, method, path string, body any, headers ...string) (int, http.Header, []byte) {
	w.t.Helper()
	return w.request(who, method, "/api/v1"+path, body, headers...)
}

// request is ask for any path.
func (w *world) request(who, method, path string, body any, headers ...string) (int, http.Header, []byte) {
	w.t.Helper()
	var r io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		r = strings.NewReader(b)
	default:
		text, err := json.Marshal(b)
		w.must(err)
		r = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(w.t.Context(), method, w.url+path, r)
	w.must(err)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	if token := w.tokens[who]; token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(req)
	w.must(err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	w.must(err)
	return resp.StatusCode, resp.Header, text
}

// want is ask for an answer with a status, decoded into into unless nil.
func (w *world) want(status int, who, method, path string, body, into any) {
	w.t.Helper()
	got, _, text := w.ask(who, method, path, body)
	if got != status {
		w.t.Fatalf("%s %s as %s: %d, want %d\n%s", method, path, who, got, status, text)
	}
	if into != nil {
		if err := json.Unmarshal(text, into); err != nil {
			w.t.Fatalf("%s %s: %v\n%s", method, path, err, text)
		}
	}
}
