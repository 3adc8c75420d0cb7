// Package api is the HTTP server for everything but git: the API for
// administration and people's tools, and the end points of operations.
//
// Handlers decode, call one thing and encode; they return errors and never
// write them. One table turns the kinds of package ferry into statuses, one
// function decides who asks (signIn) and one what they may do (ferry.Check).
// All routes stand in routes.go, as a table from which the router, the checks
// of access and the OpenAPI document are made, so that none can be forgotten.
//
// cmd makes one Server and mounts it beside the git doors.
package api

import (
	"context"
	"log/slog"
	"net/http"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"

	"gitferry/api/ghapi"
	"gitferry/api/web"
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
	"gitferry/internal/triggers"
	"gitferry/internal/upstream"
	"gitferry/mirror"
)

// Config holds what a Server works with. All fields are needed.
type Config struct {
	Store     *store.Store
	Mirror    *mirror.Dir
	Git       *git.Runner
	Index     *index.Index
	Outbox    *outbox.Outbox
	Discovery *discovery.Discovery
	Triggers  *triggers.Triggers
	// PullRequestHint is told that pull requests of a repository changed; it
	// must not block. Nil: a look at the repository stands in.
	PullRequestHint func(context.Context, ferry.RepositoryID)
	Issues          *issues.Lookup
	Pulls           *pulls.Host
	Dialer          *upstream.Dialer
	PublicURL       string // how people reach this server, without a slash at the end
	SSHHost         string // how developers reach the SSH door, "" if it is off
	Version         string
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
	// Check looks whether all that gitferry stands on works.
	Check func(context.Context) CheckReport
	// Backup writes a backup where the server keeps them.
	Backup   func(context.Context) (BackupMade, error)
	Versions Versions // what runs here
	// GitHub answers in GitHub's shape; nil: it is not mounted.
	GitHub *ghapi.Server
	// Registry holds what GET /metrics shows.
	Registry *prometheus.Registry
	// Stopping is closed when the server stops: streams of events end then.
	Stopping <-chan struct{}
	Log      *slog.Logger
	// DataDir is where the one-time set-up token is written; empty: it is
	// only logged.
	DataDir string
	// OIDC is the provider at which people may log in; a zero one is none.
	OIDC web.OIDC
	// Sandbox serves the page that shows every component, for development.
	Sandbox bool
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

// A Server answers HTTP requests.
type Server struct {
	Config
	echo     *echo.Echo
	pages    *web.Server
	document map[string]any // the OpenAPI description
	streams  chan struct{}  // a place for each open stream of events
}

// New makes a server.
func New(c Config) *Server {
	s := &Server{Config: c, echo: echo.New(), document: describe(v1), streams: make(chan struct{}, eventsAtOnce)}
	s.echo.HideBanner, s.echo.HidePort = true, true
	s.echo.IPExtractor = echo.ExtractIPDirect()
	s.echo.HTTPErrorHandler = s.fail
	c.Registry.MustRegister(newBooks(c.Store, c.Version))
	s.echo.Use(measured(c.Registry))
	s.routes()
	pages := web.Config{Store: c.Store, Mirror: c.Mirror, Git: c.Git, Index: c.Index, Outbox: c.Outbox, Discovery: c.Discovery,
		Issues: c.Issues, Pulls: c.Pulls, Dialer: c.Dialer, PublicURL: c.PublicURL, SSHHost: c.SSHHost, Version: c.Version, TrustClearText: c.TrustClearText,
		Connections: c.Connections, AddSSHKey: c.AddSSHKey, Policy: c.Policy, SetPolicy: c.SetPolicy, ParseOptions: c.ParseOptions, Log: c.Log,
		DataDir: c.DataDir, OIDC: c.OIDC, Components: c.Sandbox}
	if c.GitHub != nil {
		pages.Webhooks = c.GitHub.Webhooks
	}
	s.pages = web.New(pages)
	s.pages.Routes(s.echo)
	if c.GitHub != nil {
		c.GitHub.Routes(s.echo)
	}
	return s
}

// FirstRun makes the one-time set-up token if the server has no user yet, and
// logs where it is. Call it at start, after the users of the configuration
// were added.
func (s *Server) FirstRun(ctx context.Context) error { return s.pages.FirstRun(ctx) }

// ServeHTTP answers a request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.echo.ServeHTTP(w, r) }
