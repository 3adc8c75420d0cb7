package web

import (
	"context"
	"errors"
	"net/http"
	"net/url"

	"gitferry/internal/ferry"
	"gitferry/internal/store"
)

type loginView struct {
	page
	Name, Next string
	Problem    string
	ClearText  bool   // the connection may not carry a password
	SSO        string // name of the provider, empty: there is none
	SSOHref    string
}

// login shows the log-in form, or leads to the set-up of a fresh server.
func (s *Server) login(r *request) error {
	if fresh, err := s.fresh(r.ctx()); err != nil {
		return err
	} else if fresh {
		return r.Redirect(http.StatusSeeOther, "/setup")
	}
	next := safeNext(r.QueryParam("next"))
	if r.signedIn() {
		return r.Redirect(http.StatusSeeOther, next)
	}
	v := s.loginView(r, next)
	return s.render(r, http.StatusOK, "login", &v)
}

// loginView is the log-in page that leads to next afterwards.
func (s *Server) loginView(r *request, next string) loginView {
	v := loginView{page: s.page(r, "Log in", ""), Next: next, ClearText: !s.mayCarrySecrets(r)}
	if s.OIDC.Issuer != "" && !v.ClearText {
		v.SSO, v.SSOHref = s.OIDC.Label, "/login/oidc?next="+url.QueryEscape(next)
	}
	return v
}

// mayCarrySecrets reports whether a password may be sent over the connection.
func (s *Server) mayCarrySecrets(r *request) bool {
	return r.Request().TLS != nil || s.TrustClearText(r.Request().RemoteAddr)
}

// loginPost signs in with name and password.
func (s *Server) loginPost(r *request) error {
	name, next := r.form("name"), safeNext(r.FormValue("next"))
	refuse := func(status int, why string) error {
		v := s.loginView(r, next)
		v.Name, v.Problem = name, why
		return s.render(r, status, "login", &v)
	}
	if !s.mayCarrySecrets(r) {
		return refuse(http.StatusForbidden, "Passwords are not accepted over clear text. Open this page over https.")
	}
	if !s.tries.allow(addressKey(r.RealIP()), triesPerAddress, r.now) || !s.tries.allow("account "+name, triesPerAccount, r.now) {
		s.loginAudit(r, "password", name, "refused", "too many tries")
		return refuse(http.StatusTooManyRequests, "Too many tries. Wait a minute and try again.")
	}
	user, err := s.passwordUser(r.ctx(), name, r.FormValue("password"))
	if errors.Is(err, ferry.ErrDenied) {
		s.loginAudit(r, "password", name, "refused", "")
		return refuse(http.StatusUnauthorized, "Name or password is wrong.")
	}
	if err != nil {
		return err
	}
	if err := s.startSession(r, user); err != nil {
		return err
	}
	s.loginAudit(r, "password", name, "ok", "")
	return r.Redirect(http.StatusSeeOther, next)
}

// passwordUser returns the user of a name and password, else ferry.ErrDenied.
// All refusals take the same time.
func (s *Server) passwordUser(ctx context.Context, name, password string) (ferry.User, error) {
	if len(password) > 1024 {
		password = ""
	}
	hash := ""
	user, err := s.Store.UserByName(ctx, name)
	if err == nil {
		hash, err = s.Store.PasswordHash(ctx, user.ID)
	}
	if err != nil && !errors.Is(err, ferry.ErrNotFound) {
		return user, err
	}
	known := hash != ""
	if !known {
		hash = nobody
	}
	if !s.passwordFits(password, hash) || !known || user.Disabled {
		return user, ferry.ErrDenied
	}
	return user, nil
}

// loginAudit writes down a log-in, or an attempt, with a kind of credential.
func (s *Server) loginAudit(r *request, credential, name, result, reason string) {
	if len(name) > 60 {
		name = name[:60]
	}
	err := s.Store.Audit(r.ctx(), store.AuditEvent{Actor: name, Credential: credential, Address: r.RealIP(), Request: r.id,
		Action: "session.create", Object: "user " + name, Result: result, Reason: reason})
	if err != nil {
		s.Log.Error("writing the audit", "action", "session.create", "err", err)
	}
}

// startSession gives the browser a fresh cookie; an earlier session ends.
func (s *Server) startSession(r *request, user ferry.User) error {
	if r.session.ID != 0 {
		if err := s.Store.EndSession(r.ctx(), r.session.ID); err != nil {
			return err
		}
	}
	cookie, err := s.Store.NewSession(r.ctx(), user.ID, r.RealIP(), r.Request().UserAgent())
	if err != nil {
		return err
	}
	r.subject, r.session, err = s.Store.SubjectBySession(r.ctx(), cookie.Reveal(), r.RealIP())
	if err != nil {
		return err
	}
	r.cookie = cookie.Reveal()
	s.setCookie(r, r.cookie, int(store.SessionLife.Seconds()))
	return nil
}

func (s *Server) setCookie(r *request, value string, maxAge int) {
	r.SetCookie(&http.Cookie{Name: s.cookieName(r.Request()), Value: value, Path: "/", MaxAge: maxAge,
		HttpOnly: true, Secure: s.secure(r.Request()), SameSite: http.SameSiteLaxMode})
}

// logout ends the session.
func (s *Server) logout(r *request) error {
	if r.session.ID != 0 {
		if err := s.Store.EndSession(r.ctx(), r.session.ID); err != nil {
			return err
		}
		s.audit(r, "session.end", "user "+r.subject.User.Name, "")
	}
	s.setCookie(r, "", -1)
	return r.Redirect(http.StatusSeeOther, "/login")
}
