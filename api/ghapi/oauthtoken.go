package ghapi

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"gitferry/internal/ferry"
	"gitferry/internal/store"
)

// grantedFor is how long a token lives that a client was given, in days.
const grantedFor = 365

// accessToken exchanges a code for a token of the scope jira:dvcs. The
// connector reads the answer as a form that begins with "access_token=".
func (s *Server) accessToken(c *call) (any, error) {
	r := c.echo.Request()
	r.Body = http.MaxBytesReader(c.echo.Response(), r.Body, 64<<10)
	if err := r.ParseForm(); err != nil {
		return nil, problem(http.StatusBadRequest, "The form could not be read.")
	}
	c.header().Set("Cache-Control", "no-store")
	if r.TLS == nil && !s.TrustClearText(r.RemoteAddr) {
		return nil, problem(http.StatusForbidden, "Credentials are not accepted over clear text; use https.")
	}
	form := r.PostFormValue
	client, err := s.Store.OAuthClientBySecret(c.ctx, form("client_id"), form("client_secret"))
	if errors.Is(err, ferry.ErrDenied) {
		return oauthAnswer(c, [][2]string{{"error", "incorrect_client_credentials"}, {"error_description", "The client_id and/or client_secret passed are incorrect."}})
	}
	if err != nil {
		return nil, err
	}
	user, redirect, err := s.Store.TakeOAuthCode(c.ctx, client.ID, form("code"))
	if v := form("redirect_uri"); err == nil && v != "" && v != redirect {
		err = ferry.ErrDenied
	}
	if errors.Is(err, ferry.ErrDenied) {
		return oauthAnswer(c, [][2]string{{"error", "bad_verification_code"}, {"error_description", "The code passed is incorrect or expired."}})
	}
	if err != nil {
		return nil, err
	}
	plain, t, err := s.Store.NewToken(c.ctx, store.Token{User: user, Name: "OAuth: " + client.Name, Scopes: []ferry.Scope{ferry.ScopeJiraDVCS},
		ExpiresAt: s.Now().Add(grantedFor * 24 * time.Hour)})
	if err != nil {
		return nil, err
	}
	if c.subject, err = s.Store.Subject(c.ctx, user); err != nil {
		return nil, err
	}
	if err := s.audit(c, "token.create", "token "+itoa(t.ID)+" for client "+client.Name, nil); err != nil {
		return nil, err
	}
	return oauthAnswer(c, [][2]string{{"access_token", plain.Reveal()}, {"scope", "repo"}, {"token_type", "bearer"}})
}

// oauthAnswer writes members in order, as a form or, where that is asked for,
// as JSON.
func oauthAnswer(c *call, members [][2]string) (any, error) {
	if strings.Contains(c.echo.Request().Header.Get("Accept"), "application/json") {
		o := object{}
		for _, m := range members {
			o[m[0]] = m[1]
		}
		return o, nil
	}
	var parts []string
	for _, m := range members {
		parts = append(parts, m[0]+"="+url.QueryEscape(m[1]))
	}
	return text{kind: "application/x-www-form-urlencoded; charset=utf-8", body: []byte(strings.Join(parts, "&"))}, nil
}
