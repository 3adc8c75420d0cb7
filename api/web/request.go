package web

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"gitferry/internal/ferry"
	"gitferry/internal/store"
)

// A need is what a route asks of whoever calls it.
type need int

const (
	anyone        need = iota // no sign-in
	signedIn                  // any user
	administrator             // ferry.ActionAdmin
	readRepo                  // ferry.ActionRead on the repository of the path
	pushRepo                  // ferry.ActionPush on it
)

// maxForm bounds the body of a form, in bytes.
const maxForm = 1 << 20

// A request is one request with whoever sent it.
type request struct {
	echo.Context
	subject ferry.Subject // zero: not signed in
	session store.Session
	cookie  string // the session's text; empty: not signed in
	theme   string
	repo    ferry.Repository // of routes that need one
	now     time.Time
	id      string // shown on error pages and in the log
}

func (r *request) ctx() context.Context { return r.Request().Context() }

// can asks ferry.Check; path is empty for actions that name no repository.
func (r *request) can(action ferry.Action, path string) bool {
	return ferry.Check(r.subject, action, path, r.now) == nil
}

func (r *request) signedIn() bool { return r.subject.User.ID != 0 }

func (r *request) admin() bool { return r.can(ferry.ActionAdmin, "") }

// form returns a field of the form or the query without blanks around it.
func (r *request) form(name string) string { return strings.TrimSpace(r.FormValue(name)) }

// ticked reports whether a tick box is ticked.
func (r *request) ticked(name string) bool { return r.FormValue(name) != "" }

// handle makes a route an echo handler: headers, sign-in, checks, error page.
func (s *Server) handle(rt route) echo.HandlerFunc {
	return func(c echo.Context) error {
		r := &request{Context: c, now: s.Now(), id: rand.Text()[:16]}
		s.headers(c)
		req := c.Request()
		req.Body = http.MaxBytesReader(c.Response(), req.Body, maxForm)
		if err := s.admit(r, rt); err != nil {
			return s.fail(r, err)
		}
		if c.Response().Committed { // sent to the log-in page
			return nil
		}
		if err := rt.do(s, r); err != nil {
			return s.fail(r, err)
		}
		return nil
	}
}

// headers sets what every answer carries (security.md, UI-3).
func (s *Server) headers(c echo.Context) {
	h := c.Response().Header()
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "+
		"connect-src 'self'; form-action 'self'; base-uri 'none'; object-src 'none'; frame-ancestors 'none'; "+
		"require-trusted-types-for 'script'; trusted-types gf")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
	if s.secure(c.Request()) {
		h.Set("Strict-Transport-Security", "max-age=31536000")
	}
}

// secure reports whether the browser speaks TLS, to us or to a proxy.
func (s *Server) secure(r *http.Request) bool {
	return r.TLS != nil || strings.HasPrefix(s.PublicURL, "https://")
}

// cookieName has the prefix that browsers keep from being set by others; it
// needs TLS.
func (s *Server) cookieName(r *http.Request) string {
	if s.secure(r) {
		return "__Host-gf"
	}
	return "gf"
}

// admit finds out who asks and whether the route may be used.
func (s *Server) admit(r *request, rt route) error {
	if err := s.readSession(r); err != nil {
		return err
	}
	if m := r.Request().Method; m != http.MethodGet && m != http.MethodHead {
		if err := s.checkForm(r); err != nil {
			return err
		}
	}
	if rt.need == anyone {
		return nil
	}
	if !r.signedIn() {
		return s.toLogin(r)
	}
	switch rt.need {
	case administrator:
		if !r.admin() {
			return ferry.ErrDenied
		}
	case readRepo, pushRepo:
		return s.admitRepository(r, rt.need)
	}
	return nil
}

// admitRepository loads the repository of the path. One that may not be read
// is answered like one that is not there.
func (s *Server) admitRepository(r *request, n need) error {
	repo, err := s.Store.RepositoryByPath(r.ctx(), param(r, "owner"), param(r, "name"))
	if err != nil {
		return err
	}
	if !r.can(ferry.ActionRead, repo.Path()) {
		return ferry.ErrNotFound
	}
	if g, err := s.pageSettings(r); err != nil {
		return err
	} else if g.HideBrowser && !r.admin() {
		return ferry.ErrNotFound
	}
	if n == pushRepo && !r.can(ferry.ActionPush, repo.Path()) {
		return ferry.ErrDenied
	}
	r.repo = repo
	return nil
}

// param returns a part of the path, unescaped once.
func param(r *request, name string) string {
	v := r.Param(name)
	if u, err := url.PathUnescape(v); err == nil && r.Request().URL.RawPath != "" {
		return u
	}
	return v
}

// readSession signs the request in by its cookie, if it has a good one.
func (s *Server) readSession(r *request) error {
	c, err := r.Cookie(s.cookieName(r.Request()))
	if err != nil || c.Value == "" {
		return nil
	}
	if r.Request().TLS == nil && !s.TrustClearText(r.Request().RemoteAddr) {
		return nil
	}
	subject, session, err := s.Store.SubjectBySession(r.ctx(), c.Value, r.RealIP())
	if errors.Is(err, ferry.ErrDenied) {
		return nil
	}
	if err != nil {
		return err
	}
	r.subject, r.session, r.cookie = subject, session, c.Value
	if err := s.Store.Preference(r.ctx(), subject.User.ID, PreferenceTheme, &r.theme); err != nil && !errors.Is(err, ferry.ErrNotFound) {
		return err
	}
	return nil
}

// toLogin sends a request to the log-in page, which leads back.
func (s *Server) toLogin(r *request) error {
	next := "/"
	if r.Request().Method == http.MethodGet {
		next = r.Request().URL.RequestURI()
	}
	return r.Redirect(http.StatusSeeOther, "/login?next="+url.QueryEscape(next))
}

// audit writes down a change.
func (s *Server) audit(r *request, action, object string, detail string) {
	err := s.Store.Audit(r.ctx(), store.AuditEvent{ActorID: r.subject.User.ID, Actor: r.subject.User.Name, Credential: r.subject.Credential,
		Address: r.RealIP(), Request: r.id, Action: action, Object: object, Result: "ok", Detail: detail})
	if err != nil {
		s.Log.Error("writing the audit", "action", action, "object", object, "err", err)
	}
}

// parseID reads a row's number.
func parseID(s string) (int64, error) {
	id, err := strconv.ParseInt(s, 10, 64)
	if err != nil || id < 1 {
		return 0, ferry.ErrInvalid
	}
	return id, nil
}
