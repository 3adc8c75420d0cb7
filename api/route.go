package api

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"gitferry/internal/ferry"
	"gitferry/internal/store"
)

// A route is one line of the table of /api/v1. The types of request and
// answer are those of the handler, so that the OpenAPI document made of the
// table cannot say anything else.
type route struct {
	method  string
	path    string // below /api/v1; {owner}/{name} stands for a repository
	id      string // operation id
	summary string
	// action is what the subject must be allowed; "" is open to everybody. It
	// depends on nothing but the route (security.md, R-2).
	action  ferry.Action
	query   []param
	in, out reflect.Type // nil: no body
	status  int          // of a success
	quiet   bool         // changes nothing although it is no GET: not audited
	handle  func(*Server, *call) (any, error)
	stream  func(*Server, *call) error // instead of handle
}

// A param is a query parameter.
type param struct{ name, doc string }

// nothing is the answer type of routes that answer 204.
type nothing struct{}

// get makes a route that reads.
func get[Out any](path, id, summary string, action ferry.Action, h func(*Server, *call) (Out, error), query ...param) route {
	return route{method: http.MethodGet, path: path, id: id, summary: summary, action: action, query: query, status: http.StatusOK,
		out:    reflect.TypeFor[Out](),
		handle: func(s *Server, c *call) (any, error) { return h(s, c) }}
}

// do makes a route that changes something and takes no body.
func do[Out any](method, path, id, summary string, action ferry.Action, status int, h func(*Server, *call) (Out, error), query ...param) route {
	r := get(path, id, summary, action, h, query...)
	r.method, r.status = method, status
	if r.out == reflect.TypeFor[nothing]() {
		r.out, r.status = nil, http.StatusNoContent
	}
	return r
}

// send makes a route that takes a body.
func send[In, Out any](method, path, id, summary string, action ferry.Action, status int, h func(*Server, *call, In) (Out, error)) route {
	r := do(method, path, id, summary, action, status, func(s *Server, c *call) (Out, error) {
		var in In
		if err := decode(c.echo, &in); err != nil {
			var none Out
			return none, err
		}
		c.body = in
		return h(s, c, in)
	})
	r.in = reflect.TypeFor[In]()
	return r
}

// A call is one request on a route, with what the table says is needed.
type call struct {
	echo    echo.Context
	ctx     context.Context
	route   *route
	subject ferry.Subject
	repo    ferry.Repository // of routes below /repositories/{owner}/{name}
	request string           // request id
	body    any              // what came, for the audit; secrets in it do not print
}

func (c *call) param(name string) string { return c.echo.Param(name) }

// number reads a path parameter that is the number of a row.
func (c *call) number(name string) (int64, error) {
	n, err := strconv.ParseInt(c.param(name), 10, 64)
	if err != nil || n <= 0 {
		return 0, fmt.Errorf("%s: %w", name, ferry.ErrNotFound)
	}
	return n, nil
}

// value returns a query parameter, which the route must have declared.
func (c *call) value(name string) string {
	if !slices.ContainsFunc(c.route.query, func(p param) bool { return p.name == name }) {
		panic("route " + c.route.id + " does not declare the parameter " + name) // a slip of whoever wrote the table
	}
	return c.echo.QueryParam(name)
}

// may reports whether the subject may do action on the repository at path.
func (c *call) may(action ferry.Action, path string) bool {
	return ferry.Check(c.subject, action, path, time.Now()) == nil
}

const requestKey = "request id"

// serve makes the handler of a route: it signs in, finds the repository that
// the path names, asks ferry.Check, and only then calls the route's own.
func (s *Server) serve(r *route) echo.HandlerFunc {
	return func(e echo.Context) error {
		c := &call{echo: e, ctx: e.Request().Context(), route: r, request: rand.Text()}
		e.Set(requestKey, c.request)
		e.Response().Header().Set("X-Request-Id", c.request)
		e.Response().Header().Set("Cache-Control", "no-store")
		if err := s.admit(c); err != nil {
			return err
		}
		if r.stream != nil {
			return r.stream(s, c)
		}
		answer, err := r.handle(s, c)
		if r.method != http.MethodGet && !r.quiet {
			err = errors.Join(err, s.audit(c, err))
		}
		if err != nil {
			return err
		}
		return c.answer(answer)
	}
}

// errNoRepository is the answer for a repository that is not there, and for
// one that may not be read.
var errNoRepository = &ferry.Message{Kind: ferry.ErrNotFound, Text: "there is no such repository, or you may not see it"}

// admit decides whether the call may go on.
func (s *Server) admit(c *call) error {
	for name := range c.echo.QueryParams() {
		if name == "access_token" || name == "token" {
			return echo.NewHTTPError(http.StatusBadRequest, "tokens travel in the Authorization header only")
		}
		if !slices.ContainsFunc(c.route.query, func(p param) bool { return p.name == name }) {
			return echo.NewHTTPError(http.StatusBadRequest, fmt.Sprintf("there is no parameter %.40q here", name))
		}
	}
	if c.route.action == "" {
		return nil
	}
	var err error
	if c.subject, err = s.signIn(c.echo.Request()); err != nil {
		return err
	}
	path := ""
	if strings.HasPrefix(c.route.path, repositoryPath) {
		c.repo, err = s.Store.RepositoryByPath(c.ctx, c.param("owner"), c.param("name"))
		if err != nil && !errors.Is(err, ferry.ErrNotFound) {
			return err
		}
		// What may not be read is not there, for whoever asks.
		if path = c.repo.Path(); err != nil || !c.may(ferry.ActionRead, path) && !c.may(ferry.ActionAdmin, "") {
			return errNoRepository
		}
	}
	if c.route.action == ferry.ActionAdmin {
		path = ""
	}
	if !c.may(c.route.action, path) {
		err := &ferry.Message{Kind: ferry.ErrDenied, Text: "this needs more rights, or a token with more scopes"}
		if c.route.method != http.MethodGet {
			return errors.Join(err, s.audit(c, err))
		}
		return err
	}
	return nil
}

// maxDetail is how much of a request the audit keeps, in bytes.
const maxDetail = 4 << 10

// audit writes what was asked for and what became of it.
func (s *Server) audit(c *call, failure error) error {
	e := store.AuditEvent{ActorID: c.subject.User.ID, Actor: c.subject.User.Name, Credential: c.subject.Credential,
		Address: c.echo.Request().RemoteAddr, Request: c.request, Action: "api." + c.route.id, Object: strings.Join(c.echo.ParamValues(), "/"), Result: "ok"}
	if c.body != nil {
		if text, err := json.Marshal(c.body); err == nil {
			e.Detail = string(text[:min(len(text), maxDetail)])
		}
	}
	if failure != nil {
		e.Result, e.Reason = "failed", failure.Error()
		if errors.Is(failure, ferry.ErrDenied) {
			e.Result = "refused"
		}
	}
	return s.Store.Audit(context.WithoutCancel(c.ctx), e)
}

// answer writes a result, with an ETag for what can be asked again.
func (c *call) answer(v any) error {
	w := c.echo.Response()
	if c.route.out == nil {
		return c.echo.NoContent(c.route.status)
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return err
	}
	if c.route.method == http.MethodGet {
		sum := sha256.Sum256(b.Bytes())
		tag := fmt.Sprintf("%q", fmt.Sprintf("%x", sum[:12]))
		w.Header().Set("ETag", tag)
		w.Header().Set("Cache-Control", "private, no-cache")
		w.Header().Set("Vary", "Authorization")
		if slices.Contains(strings.Split(strings.ReplaceAll(c.echo.Request().Header.Get("If-None-Match"), " ", ""), ","), tag) {
			return c.echo.NoContent(http.StatusNotModified)
		}
	}
	return c.echo.Blob(c.route.status, "application/json", b.Bytes())
}
