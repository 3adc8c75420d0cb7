// Package web is the server-rendered pages: what people see of repositories,
// commits and issues, and what administrators set.
//
// The idea: every page is one struct built by one function and rendered by
// one template; every change is a form that is posted and answered by a
// redirect to a page that says what happened. Pages are complete without
// script; the one script only improves them. Nothing is inline, so that the
// content security policy can forbid everything but our own two files.
//
// Who asks is decided once, in request.go: a session cookie makes a
// ferry.Subject, and each route says which ferry.Check it needs. Text from
// commits, branches, Jira and AWS is hostile until html/template escaped it;
// visible.go then shows what a reader could not see.
//
// api mounts it. It knows no SQL and starts no git but through internal/git,
// and every view is bounded in bytes, rows and time.
package web

import (
	"context"
	"html/template"
	"log/slog"
	"net/http"
	"strings"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/labstack/echo/v4"

	"gitferry/internal/discovery"
	"gitferry/internal/ferry"
	"gitferry/internal/git"
	"gitferry/internal/index"
	"gitferry/internal/issues"
	"gitferry/internal/outbox"
	"gitferry/internal/policy"
	"gitferry/internal/pulls"
	"gitferry/internal/smartcommit"
	"gitferry/internal/store"
	"gitferry/internal/upstream"
	"gitferry/internal/webhook"
	"gitferry/mirror"
)

// Config holds what the pages work with. All fields but the last three are
// needed.
type Config struct {
	Store     *store.Store
	Mirror    *mirror.Dir
	Git       *git.Runner
	Index     *index.Index
	Outbox    *outbox.Outbox
	Discovery *discovery.Discovery
	Issues    *issues.Lookup
	Pulls     *pulls.Host
	Dialer    *upstream.Dialer
	Webhooks  *webhook.Sender
	PublicURL string // how people reach this server, without a slash at the end
	SSHHost   string // how developers reach the SSH door, "" if it is off
	Version   string
	// TrustClearText says whether a peer's clear-text requests may carry
	// credentials.
	TrustClearText func(remoteAddr string) bool
	Connections    Connections
	// AddSSHKey registers a public key as it stands in authorized_keys.
	AddSSHKey func(ctx context.Context, user ferry.UserID, name, line string) (store.SSHKey, error)
	// Policy returns the push rules that hold now, SetPolicy replaces them.
	Policy    func(context.Context) (policy.Rules, error)
	SetPolicy func(context.Context, policy.Rules) error
	// ParseOptions says how messages are read now.
	ParseOptions func(context.Context) (smartcommit.Options, error)
	Log          *slog.Logger

	// DataDir is where the one-time set-up token is written; empty: it is
	// only logged.
	DataDir string
	// OIDC is the provider at which people may log in; a zero one is none.
	OIDC OIDC
	// Components serves the page that shows every component, for development.
	Components bool
	Now        func() time.Time // nil: time.Now
}

// Connections connects and disconnects upstreams.
type Connections interface {
	// Add stores an integration and connects what names, or the integration
	// itself, say.
	Add(ctx context.Context, i ferry.Integration, secrets ferry.Credentials, names []string) (ferry.Integration, discovery.Found, error)
	// Connect connects repositories of an account by name.
	Connect(ctx context.Context, id ferry.IntegrationID, names []string) (discovery.Found, error)
	// Disconnect and DisconnectAll remove a repository or an integration once
	// Jira took all withdrawals, of which they return how many still wait;
	// call again while there are any. With force they do not withdraw.
	Disconnect(ctx context.Context, r ferry.Repository, force bool) (waiting int, err error)
	DisconnectAll(ctx context.Context, i ferry.Integration, force bool) (waiting int, err error)
}

// A Server renders pages.
type Server struct {
	Config
	pages   map[string]*template.Template
	static  map[string]asset
	assets  map[string]string // plain name to address
	origin  *http.CrossOriginProtection
	tries   *tries
	sso     *sso
	hashing chan struct{} // places for password hashing, which takes memory
	setup   setup
	stats   *lru.Cache[objectKey, []fileStat]
	counts  *lru.Cache[pairKey, aheadBehind]
	held    *lru.Cache[holderKey, holders]
}

// New makes the pages' server. Nothing runs yet.
func New(c Config) *Server {
	if c.Now == nil {
		c.Now = time.Now
	}
	s := &Server{Config: c, origin: http.NewCrossOriginProtection(), tries: newTries(), sso: newSSO(c.OIDC, c.Dialer), hashing: make(chan struct{}, 2)}
	s.loadAssets()
	s.pages = parseTemplates(s.assets)
	// New fails for a size of zero only.
	s.stats, _ = lru.New[objectKey, []fileStat](2000)
	s.held, _ = lru.New[holderKey, holders](1000)
	s.counts, _ = lru.New[pairKey, aheadBehind](5000)
	return s
}

// Routes mounts all pages.
func (s *Server) Routes(e *echo.Echo) {
	for _, r := range routes {
		if r.path == "/_components" && !s.Components {
			continue
		}
		e.Add(r.method, r.path, s.handle(r))
	}
	e.GET("/static/:name", s.serveStatic)
	e.RouteNotFound("/*", func(c echo.Context) error {
		if machine(c.Request().URL.Path) {
			return echo.ErrNotFound
		}
		return s.handle(route{need: anyone, do: func(*Server, *request) error { return ferry.ErrNotFound }})(c)
	})
}

// machine reports whether a path belongs to programs, which want no page.
func machine(path string) bool {
	for _, p := range []string{"/api/", "/rest/", "/hooks/", "/v1/", "/static/", "/login/oauth/"} {
		if strings.HasPrefix(path, p) {
			return true
		}
	}
	return false
}
