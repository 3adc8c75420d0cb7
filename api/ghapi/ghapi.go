// Package ghapi answers as GitHub's REST API, version 3, would, so that tools
// made for GitHub read CodeCommit's repositories: Jira Data Center's DVCS
// connector, gh, Octokit, go-github. With it come the small OAuth provider
// that the connector signs in by, and the read paths of the reference product
// (gitplugin.go).
//
// The idea: what the books know is answered from the books. The connector
// asks for every commit of a history one by one; none of these answers starts
// git. Where git is needed, for patches, trees and comparisons, a request
// starts as few of them as it can, with a bound on what they may say.
//
// Routes stand in one table in routes.go. Each says what ferry.Check is asked,
// and a repository that may not be read is answered exactly like one that is
// not there. api mounts the package. It writes nothing but webhooks, OAuth
// clients and codes, and the tokens that codes are exchanged for; branches and
// pull requests are made by internal/pulls.
package ghapi

import (
	"log/slog"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"gitferry/internal/ferry"
	"gitferry/internal/filelist"
	"gitferry/internal/ghshape"
	"gitferry/internal/git"
	"gitferry/internal/issues"
	"gitferry/internal/pulls"
	"gitferry/internal/store"
	"gitferry/internal/webhook"
	"gitferry/mirror"
)

// Config holds what a Server works with. All fields but Now are needed.
type Config struct {
	Store     *store.Store
	Mirror    *mirror.Dir
	Git       *git.Runner
	Lists     *filelist.Lists
	Webhooks  *webhook.Sender
	Pulls     *pulls.Host
	Issues    *issues.Lookup
	PublicURL string // how people reach this server, without a slash at the end
	SSHHost   string // how developers reach the SSH door, "" if it is off
	Version   string
	// TrustClearText says whether a peer's clear-text requests may carry
	// credentials.
	TrustClearText func(remoteAddr string) bool
	Log            *slog.Logger
	Now            func() time.Time // nil: time.Now
}

// A Server answers requests in GitHub's shape.
type Server struct {
	Config
	shape  ghshape.Shape
	origin *http.CrossOriginProtection
}

// New makes a server.
func New(c Config) *Server {
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Server{Config: c, shape: ghshape.Shape{Public: c.PublicURL, SSHHost: c.SSHHost}, origin: http.NewCrossOriginProtection()}
}

// Routes mounts all routes.
func (s *Server) Routes(e *echo.Echo) {
	for i := range routes {
		r := &routes[i]
		e.Add(r.method, r.path, s.serve(r))
	}
	for path, face := range map[string]face{v3 + "/*": ofGitHub, "/api/graphql": ofGitHub, "/rest/gitplugin/*": ofPlugin, "/login/oauth/*": ofOAuth} {
		e.RouteNotFound(path, s.serve(&route{face: face, handle: func(*Server, *call) (any, error) { return nil, ferry.ErrNotFound }}))
	}
}

// dir is the mirror of the call's repository.
func (s *Server) dir(c *call) string { return s.Mirror.Path(c.repo.ID) }
