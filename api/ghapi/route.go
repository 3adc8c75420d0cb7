package ghapi

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"gitferry/internal/ferry"
)

// A route is one line of the table in routes.go.
type route struct {
	method string
	path   string // with :owner and :name it is about a repository
	// action is what the subject must be allowed; "" is open to everybody.
	action ferry.Action
	// hook routes also take a token of the scope jira:dvcs, and that in the
	// query too (design decision D14): the connector sends it there.
	hook   bool
	face   face
	handle func(*Server, *call) (any, error)
}

// A face is in whose form a route answers errors.
type face int

const (
	ofGitHub face = iota
	ofPlugin
	ofOAuth // plain text
)

func (r *route) ofRepository() bool { return strings.Contains(r.path, ":owner/:name") }

// A call is one request on a route.
type call struct {
	echo    echo.Context
	ctx     context.Context
	route   *route
	subject ferry.Subject
	repo    ferry.Repository // of routes about one
	format  string           // asked for by Accept: "", diff, patch, sha, raw, html, object, text-match
	request string           // request id
	docs    string           // address that error answers name
	now     time.Time
	// connector: it is Jira's DVCS connector that asks, which runs smart
	// commits of its own and reads no patches.
	connector bool

	users map[string]*ferry.User
}

// may asks ferry.Check.
func (c *call) may(action ferry.Action, path string) bool {
	return ferry.Check(c.subject, action, path, c.now) == nil
}

// sees reports whether the subject may read a repository by the route. The
// scope jira:dvcs is for GitHub's shape only, not for the reference product's.
func (c *call) sees(r ferry.Repository) bool {
	if c.route.face == ofPlugin {
		return c.may(ferry.ActionRead, r.Path())
	}
	return c.may(ferry.ActionGitHubRead, r.Path())
}

// param returns a part of the path, unescaped once.
func (c *call) param(name string) string {
	v := c.echo.Param(name)
	if c.echo.Request().URL.RawPath != "" {
		if u, err := url.PathUnescape(v); err == nil {
			return u
		}
	}
	return v
}

// wildcard returns what * stands for, unescaped once.
func (c *call) wildcard() string { return c.param("*") }

func (c *call) query(name string) string { return c.echo.QueryParam(name) }

// serve makes the handler of a route: it signs in, finds the repository, asks
// ferry.Check, and only then calls the route's own.
func (s *Server) serve(r *route) echo.HandlerFunc {
	return func(e echo.Context) error {
		c := &call{echo: e, ctx: e.Request().Context(), route: r, request: rand.Text(), docs: s.PublicURL + v3, now: s.Now()}
		c.format = format(e.Request().Header.Values("Accept"))
		c.connector = isConnector(e.Request().UserAgent())
		s.headers(c)
		err := s.admit(c)
		var v any
		if err == nil {
			v, err = r.handle(s, c)
		}
		if err != nil {
			return s.fail(c, err)
		}
		return c.answer(v)
	}
}

// isConnector tells Jira's DVCS connector by its name.
func isConnector(agent string) bool {
	return strings.HasPrefix(strings.ToLower(agent), "jira dvcs connector")
}

// admit decides whether the call may go on.
func (s *Server) admit(c *call) error {
	for name := range c.echo.QueryParams() {
		if (name == "access_token" || name == "token") && !(name == "access_token" && c.route.hook) {
			return problem(http.StatusBadRequest, "Tokens travel in the Authorization header only.")
		}
	}
	if v := c.echo.Request().Header.Get("X-GitHub-Api-Version"); v != "" && v != "2022-11-28" && v != "2026-03-10" {
		return problem(http.StatusBadRequest, "This API version is not supported; send 2022-11-28 or leave the header out.")
	}
	if err := s.signIn(c); err != nil {
		return err
	}
	r := c.route
	if r.action == "" {
		return nil
	}
	if c.subject.User.ID == 0 {
		return errAnonymous
	}
	path := ""
	if r.ofRepository() {
		if err := s.findRepository(c); err != nil {
			return err
		}
		path = c.repo.Path()
	}
	if c.may(r.action, path) || r.hook && c.onlyJira() && c.may(ferry.ActionJiraHook, path) {
		return nil
	}
	return ferry.ErrDenied
}

// onlyJira reports whether the subject is a token of the scope jira:dvcs.
func (c *call) onlyJira() bool { return slices.Contains(c.subject.Scopes, ferry.ScopeJiraDVCS) }

// findRepository loads the repository of the path. One that may not be read
// is not there, for whoever asks.
func (s *Server) findRepository(c *call) error {
	owner, name := c.param("owner"), c.param("name")
	repo, err := s.Store.RepositoryByPath(c.ctx, owner, name)
	if err != nil {
		return err
	}
	if !c.sees(repo) {
		return ferry.ErrNotFound
	}
	c.repo = repo
	return nil
}

// signIn finds out who asks. No credentials are nobody; wrong ones fail.
func (s *Server) signIn(c *call) error {
	r := c.echo.Request()
	token, fromQuery := "", false
	scheme, value, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	switch strings.ToLower(scheme) {
	case "token", "bearer":
		token = strings.TrimSpace(value)
	case "basic":
		user, password, _ := r.BasicAuth()
		if token = password; password == "" || password == "x-oauth-basic" {
			token = user
		}
	case "":
		if token = c.query("access_token"); token == "" {
			return nil
		}
		fromQuery = true
	default:
		return errCredentials
	}
	if r.TLS == nil && !s.TrustClearText(r.RemoteAddr) {
		return problem(http.StatusForbidden, "Credentials are not accepted over clear text; use https.")
	}
	subject, err := s.Store.SubjectByToken(c.ctx, token, r.RemoteAddr)
	if errors.Is(err, ferry.ErrDenied) || errors.Is(err, ferry.ErrNotFound) {
		return errCredentials
	}
	if err != nil {
		return err
	}
	c.subject = subject
	if fromQuery && !c.onlyJira() {
		c.subject = ferry.Subject{}
		return problem(http.StatusBadRequest, "Only a token of the scope jira:dvcs may stand in the query.")
	}
	c.header().Set("X-OAuth-Scopes", scopes(subject))
	return nil
}

// scopes says in GitHub's words what a token may do; gh asks for repo and
// read:org.
func scopes(s ferry.Subject) string {
	words := "repo, read:org"
	if slices.Contains(s.Scopes, ferry.ScopeJiraDVCS) || slices.Contains(s.Scopes, ferry.ScopeAPIAdmin) {
		words += ", admin:repo_hook"
	}
	return words
}

func (c *call) header() http.Header { return c.echo.Response().Header() }

// headers sets what every answer carries.
func (s *Server) headers(c *call) {
	h := c.header()
	h.Set("X-GitHub-Request-Id", c.request)
	h.Set("Cache-Control", "private, no-cache")
	h.Set("Vary", "Accept, Authorization")
	h.Set("X-Content-Type-Options", "nosniff")
	if c.route.face == ofGitHub {
		h.Set("X-GitHub-Media-Type", "github.v3; format=json")
		h.Set("X-GitHub-Enterprise-Version", "3.19.0")
		h.Set("X-GitHub-Api-Version-Selected", "2022-11-28")
	}
}
