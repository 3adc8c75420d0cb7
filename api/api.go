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
	"net/http"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"

	"gitferry/api/ghapi"
	"gitferry/api/web"
	"gitferry/internal/ferry"
	"gitferry/internal/triggers"
)

// Config holds what a Server works with. All fields are needed.
type Config struct {
	web.Config // what the pages work with; most of it serves the API too
	Triggers   *triggers.Triggers
	// PullRequestHint is told that pull requests of a repository changed; it
	// must not block. Nil: a look at the repository stands in.
	PullRequestHint func(context.Context, ferry.RepositoryID)
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
	s.pages = web.New(c.Config)
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
