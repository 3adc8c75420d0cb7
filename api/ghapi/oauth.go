package ghapi

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	_ "embed"

	"gitferry/internal/ferry"
	"gitferry/internal/store"
)

//go:embed consent.html
var consentText string

var consentPage = template.Must(template.New("consent").Parse(consentText))

const consentCSS = "body{font:16px/1.5 system-ui,sans-serif;margin:3rem auto;max-width:40rem;padding:0 1rem;color:#1c1e21;background:#fff}" +
	"h1{font-size:1.4rem}button{font:inherit;padding:.4rem 1rem}"

// consentHash is what the content security policy knows the style by.
var consentHash = func() string {
	sum := sha256.Sum256([]byte(consentCSS))
	return base64.StdEncoding.EncodeToString(sum[:])
}()

// A request for consent, as the client sent the browser with it (RFC 6749,
// 4.1.1).
type consentRequest struct {
	client   store.OAuthClient
	redirect *url.URL
	state    string
}

// consentView is what the page shows.
type consentView struct {
	Client, Host, User string
	ClientID, Redirect string
	State, FormToken   string
	Login              string // where one signs in
	Problem            string
	Style              template.CSS
}

// readConsent checks a request for consent. Nothing is ever redirected to an
// address that is not the client's.
func (s *Server) readConsent(c *call) (consentRequest, error) {
	var q consentRequest
	bad := func(why string) error { return problem(http.StatusBadRequest, why) }
	form := c.echo.Request().FormValue
	var err error
	q.client, err = s.Store.OAuthClient(c.ctx, form("client_id"))
	if errors.Is(err, ferry.ErrNotFound) {
		return q, bad("There is no OAuth client of that id. An administrator can register one.")
	}
	if err != nil {
		return q, err
	}
	raw := form("redirect_uri")
	if raw == "" {
		raw = q.client.Redirect
	}
	if q.redirect, err = url.Parse(raw); err != nil || !below(q.redirect, q.client.Redirect) {
		return q, bad("The redirect address is not one of this client's.")
	}
	if q.state = form("state"); len(q.state) > 2000 {
		return q, bad("The state is too long.")
	}
	if t := form("response_type"); t != "" && t != "code" {
		return q, bad("Want the response type code.")
	}
	return q, nil
}

// session returns who is signed in at the pages, by their cookie.
func (s *Server) session(c *call) (ferry.Subject, string) {
	r := c.echo.Request()
	if r.TLS == nil && !s.TrustClearText(r.RemoteAddr) {
		return ferry.Subject{}, ""
	}
	for _, name := range []string{"__Host-gf", "gf"} { // see api/web
		cookie, err := r.Cookie(name)
		if err != nil || cookie.Value == "" {
			continue
		}
		if subject, _, err := s.Store.SubjectBySession(c.ctx, cookie.Value, r.RemoteAddr); err == nil {
			return subject, cookie.Value
		}
	}
	return ferry.Subject{}, ""
}

// formToken binds a form to the session and to what it asks for.
func formToken(cookie string, q consentRequest) string {
	mac := hmac.New(sha256.New, []byte(cookie))
	fmt.Fprintf(mac, "oauth\x00%s\x00%s\x00%s", q.client.ClientID, q.redirect, q.state)
	return hex.EncodeToString(mac.Sum(nil))
}

// authorize shows the consent page: with a session two buttons, without one a
// field for a token and the way to the log-in page.
func (s *Server) authorize(c *call) (any, error) {
	q, err := s.readConsent(c)
	if err != nil {
		return nil, err
	}
	return s.askConsent(c, q, "", http.StatusOK)
}

func (s *Server) askConsent(c *call, q consentRequest, problem string, code int) (any, error) {
	subject, cookie := s.session(c)
	v := consentView{Client: q.client.Name, Host: q.redirect.Host, ClientID: q.client.ClientID, Redirect: q.redirect.String(), State: q.state, Problem: problem, Style: consentCSS}
	if subject.User.ID != 0 {
		v.User, v.FormToken = subject.User.Name, formToken(cookie, q)
	} else {
		back := url.Values{"client_id": {v.ClientID}, "redirect_uri": {v.Redirect}, "state": {v.State}}
		v.Login = "/login?next=" + url.QueryEscape("/login/oauth/authorize?"+back.Encode())
	}
	h := c.header()
	// The answer to the form leads to the client, which browsers take as a
	// target of the form.
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'sha256-"+consentHash+"'; frame-ancestors 'none'; base-uri 'none'; form-action 'self' "+
		q.redirect.Scheme+"://"+q.redirect.Host)
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
	var b strings.Builder
	if err := consentPage.Execute(&b, v); err != nil {
		return nil, err
	}
	return status{code, text{kind: "text/html; charset=utf-8", body: []byte(b.String())}}, nil
}

// consent takes the answer of the page and leads the browser back to the
// client, with a code or with the refusal.
func (s *Server) consent(c *call) (any, error) {
	r := c.echo.Request()
	r.Body = http.MaxBytesReader(c.echo.Response(), r.Body, 64<<10)
	if err := s.origin.Check(r); err != nil {
		return nil, problem(http.StatusForbidden, "This form did not come from a page of this server.")
	}
	if err := r.ParseForm(); err != nil {
		return nil, problem(http.StatusBadRequest, "The form could not be read.")
	}
	q, err := s.readConsent(c)
	if err != nil {
		return nil, err
	}
	subject, cookie := s.session(c)
	if typed := strings.TrimSpace(r.PostFormValue("token")); typed != "" && subject.User.ID == 0 {
		if r.TLS == nil && !s.TrustClearText(r.RemoteAddr) {
			return nil, problem(http.StatusForbidden, "Credentials are not accepted over clear text; use https.")
		}
		if subject, err = s.Store.SubjectByToken(c.ctx, typed, r.RemoteAddr); err != nil {
			return s.askConsent(c, q, "This token is not valid.", http.StatusUnauthorized)
		}
	} else if subject.User.ID == 0 || !hmac.Equal([]byte(r.PostFormValue("form_token")), []byte(formToken(cookie, q))) {
		return s.askConsent(c, q, "Sign in, or give a token.", http.StatusUnauthorized)
	}
	back := q.redirect.Query()
	if q.state != "" {
		back.Set("state", q.state)
	}
	if r.PostFormValue("answer") != "allow" {
		back.Set("error", "access_denied")
		return s.redirect(c, q.redirect, back)
	}
	c.subject = subject
	if !c.may(ferry.ActionSelf, "") {
		return s.askConsent(c, q, "Granting access needs a token of the scope api:admin that is not limited to some repositories.", http.StatusForbidden)
	}
	code, err := s.Store.NewOAuthCode(c.ctx, q.client.ID, subject.User.ID, q.redirect.String())
	if err = errors.Join(err, s.audit(c, "oauth.grant", "client "+q.client.Name, err)); err != nil {
		return nil, err
	}
	back.Set("code", code.Reveal())
	return s.redirect(c, q.redirect, back)
}

// redirect keeps the query that the client's address had of its own, in its
// order, and adds what is new.
func (s *Server) redirect(c *call, to *url.URL, add url.Values) (any, error) {
	own := to.Query()
	more := url.Values{}
	for name, v := range add {
		if !slices.Equal(own[name], v) {
			more[name] = v
		}
	}
	target := *to
	if target.RawQuery != "" {
		target.RawQuery += "&"
	}
	target.RawQuery += more.Encode()
	c.header().Set("Cache-Control", "no-store")
	return sent{}, c.echo.Redirect(http.StatusSeeOther, target.String())
}

func parseID(v string) (int64, error) { return strconv.ParseInt(v, 10, 64) }
