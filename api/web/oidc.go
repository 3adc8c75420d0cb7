package web

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"gitferry/internal/ferry"
	"gitferry/internal/store"
	"gitferry/internal/upstream"
)

// An OIDC is an OpenID Connect provider at which people may log in: the
// authorization code flow with PKCE, state and nonce (OpenID Connect Core 1.0,
// section 3.1). A zero Issuer means that there is none.
type OIDC struct {
	Issuer       string // exactly as ID tokens name it
	ClientID     string
	ClientSecret ferry.Secret // zero: a public client
	Label        string       // of the button
	// Claim finds the user at the first log-in: "email", which must be
	// verified, or "preferred_username".
	Claim          string
	Domains        []string // of the verified address; none: any
	Create         bool     // whether who is not known becomes a user without rights
	PrivateNetwork bool     // whether the provider may be at a private address
}

const (
	ssoTime     = 10 * time.Second // for one answer of the provider
	ssoLife     = 10 * time.Minute // between the start of a log-in and its end
	ssoAnswer   = 1 << 20          // largest answer that is read, in bytes
	maxAttempts = 10_000           // log-ins under way
	// triesToStart is how many log-ins an address may start in a minute; what
	// they end in is counted like passwords.
	triesToStart = 60
)

// sso holds what is known of the provider and the log-ins under way. They do
// not outlive the process: who is caught by a restart starts again.
type sso struct {
	client *http.Client

	reading  sync.Mutex
	provider *oidc.Provider // guarded by reading; nil: not read yet

	mu      sync.Mutex
	waiting map[string]attempt // by state; guarded by mu
}

// An attempt is a log-in between our redirect and the provider's.
type attempt struct {
	browser  [sha256.Size]byte // of the cookie of the browser that started it
	nonce    string
	verifier string // of PKCE
	next     string
	until    time.Time
}

func newSSO(c OIDC, d *upstream.Dialer) *sso {
	s := &sso{waiting: make(map[string]attempt)}
	if c.Issuer != "" {
		client := *d.HTTPClient(c.PrivateNetwork)
		client.Transport, client.Timeout = bounded{client.Transport}, ssoTime
		s.client = &client
	}
	return s
}

// bounded cuts answers that are larger than any of a provider should be.
type bounded struct{ http.RoundTripper }

func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := b.RoundTripper.RoundTrip(r)
	if err == nil {
		resp.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(resp.Body, ssoAnswer), resp.Body}
	}
	return resp, err
}

// begin notes an attempt under a new state, false if too many are under way.
func (s *sso) begin(a attempt, now time.Time) (state string, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.waiting) >= maxAttempts {
		for k, w := range s.waiting {
			if now.After(w.until) {
				delete(s.waiting, k)
			}
		}
		if len(s.waiting) >= maxAttempts {
			return "", false
		}
	}
	state = rand.Text()
	s.waiting[state] = a
	return state, true
}

// take ends the attempt of a state: each is used once, and only by the browser
// that began it.
func (s *sso) take(state, cookie string, now time.Time) (attempt, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a, ok := s.waiting[state]
	delete(s.waiting, state)
	sum := sha256.Sum256([]byte(cookie))
	return a, ok && now.Before(a.until) && subtle.ConstantTimeCompare(sum[:], a.browser[:]) == 1
}

// metadata reads the provider's metadata once; a failure is tried again by the
// next log-in.
func (s *sso) metadata(ctx context.Context, issuer string) (*oidc.Provider, error) {
	s.reading.Lock()
	defer s.reading.Unlock()
	if s.provider == nil {
		// The provider keeps the context for reading keys later on.
		p, err := oidc.NewProvider(oidc.ClientContext(context.WithoutCancel(ctx), s.client), issuer)
		if err != nil {
			return nil, err
		}
		s.provider = p
	}
	return s.provider, nil
}

func (s *Server) oauth(p *oidc.Provider) *oauth2.Config {
	return &oauth2.Config{ClientID: s.OIDC.ClientID, ClientSecret: s.OIDC.ClientSecret.Reveal(), Endpoint: p.Endpoint(),
		RedirectURL: s.PublicURL + "/login/oidc/callback", Scopes: []string{oidc.ScopeOpenID, "profile", "email"}}
}

// ssoCookie ties a log-in to the browser that began it.
func (s *Server) ssoCookie(r *request) string { return s.cookieName(r.Request()) + "-oidc" }

func (s *Server) setSSOCookie(r *request, value string, maxAge int) {
	r.SetCookie(&http.Cookie{Name: s.ssoCookie(r), Value: value, Path: "/", MaxAge: maxAge,
		HttpOnly: true, Secure: s.secure(r.Request()), SameSite: http.SameSiteLaxMode})
}

// oidcStart sends the browser to the provider.
func (s *Server) oidcStart(r *request) error {
	if s.OIDC.Issuer == "" {
		return ferry.ErrNotFound
	}
	next := safeNext(r.QueryParam("next"))
	if fresh, err := s.fresh(r.ctx()); err != nil {
		return err
	} else if fresh {
		return r.Redirect(http.StatusSeeOther, "/setup")
	}
	if r.signedIn() {
		return r.Redirect(http.StatusSeeOther, next)
	}
	if !s.mayCarrySecrets(r) {
		return s.ssoRefuse(r, http.StatusForbidden, next, "", "A log-in is not accepted over clear text. Open this page over https.", "clear text")
	}
	if !s.tries.allow("oidc "+addressKey(r.RealIP()), triesToStart, r.now) {
		return s.ssoRefuse(r, http.StatusTooManyRequests, next, "", "Too many tries. Wait a minute and try again.", "too many tries")
	}
	p, err := s.sso.metadata(r.ctx(), s.OIDC.Issuer)
	if err != nil {
		s.Log.Warn("the identity provider does not answer", "issuer", s.OIDC.Issuer, "err", err)
		return s.ssoRefuse(r, http.StatusServiceUnavailable, next, "", s.OIDC.Label+" does not answer as an identity provider should. Try again in a moment, or log in with a password.", "the provider does not answer")
	}
	cookie := rand.Text()
	a := attempt{browser: sha256.Sum256([]byte(cookie)), nonce: rand.Text(), verifier: oauth2.GenerateVerifier(), next: next, until: r.now.Add(ssoLife)}
	state, ok := s.sso.begin(a, r.now)
	if !ok {
		return s.ssoRefuse(r, http.StatusServiceUnavailable, next, "", "Too many people log in at this moment. Try again in a few minutes.", "too many log-ins under way")
	}
	s.setSSOCookie(r, cookie, int(ssoLife.Seconds()))
	return r.Redirect(http.StatusSeeOther, s.oauth(p).AuthCodeURL(state, oidc.Nonce(a.nonce), oauth2.S256ChallengeOption(a.verifier)))
}

// ssoRefuse shows the log-in page with what went wrong; reason goes to the
// audit.
func (s *Server) ssoRefuse(r *request, status int, next, name, why, reason string) error {
	s.loginAudit(r, "oidc", name, "refused", reason)
	v := s.loginView(r, next)
	v.Problem = why
	return s.render(r, status, "login", &v)
}

// claims are what is read of an ID token.
type claims struct {
	Email    string `json:"email"`
	Verified bool   `json:"email_verified"`
	Username string `json:"preferred_username"`
	Name     string `json:"name"`
	Party    string `json:"azp"`
}

// oidcCallback takes the browser back from the provider and starts a session.
func (s *Server) oidcCallback(r *request) error {
	if s.OIDC.Issuer == "" {
		return ferry.ErrNotFound
	}
	if !s.tries.allow(addressKey(r.RealIP()), triesPerAddress, r.now) {
		return s.ssoRefuse(r, http.StatusTooManyRequests, "/", "", "Too many tries. Wait a minute and try again.", "too many tries")
	}
	cookie := ""
	if c, err := r.Cookie(s.ssoCookie(r)); err == nil {
		cookie = c.Value
	}
	a, ok := s.sso.take(r.QueryParam("state"), cookie, r.now)
	s.setSSOCookie(r, "", -1)
	if !ok || !s.mayCarrySecrets(r) {
		return s.ssoRefuse(r, http.StatusUnauthorized, "/", "", "This log-in was not started in this browser, was used already, or took longer than ten minutes. Start again.", "unknown state")
	}
	if code := r.QueryParam("error"); code != "" {
		text := strings.TrimSpace(cut(r.QueryParam("error_description"), 300) + " [" + cut(code, 60) + "]")
		return s.ssoRefuse(r, http.StatusUnauthorized, a.next, "", s.OIDC.Label+" refused the log-in: "+text, "the provider refused: "+cut(code, 60))
	}
	if iss := r.QueryParam("iss"); iss != "" && iss != s.OIDC.Issuer { // RFC 9207
		return s.ssoRefuse(r, http.StatusUnauthorized, a.next, "", "The answer came from another provider than the one that was asked.", "another issuer")
	}
	token, c, err := s.idToken(r.ctx(), a, r.QueryParam("code"), r.now)
	if err != nil {
		s.Log.Warn("an ID token was refused", "issuer", s.OIDC.Issuer, "err", err, "request_id", r.id)
		return s.ssoRefuse(r, http.StatusUnauthorized, a.next, "", "What "+s.OIDC.Label+" answered could not be verified. Start again; if it happens again, send your administrator this id: "+r.id, "the ID token was refused")
	}
	user, why, err := s.ssoUser(r.ctx(), token, c)
	if err != nil {
		return err
	}
	name := display(display(user.Name, c.Email), c.Username)
	if why != "" {
		return s.ssoRefuse(r, http.StatusForbidden, a.next, name, why, why)
	}
	if err := s.startSession(r, user); err != nil {
		return err
	}
	s.loginAudit(r, "oidc", user.Name, "ok", "")
	return r.Redirect(http.StatusSeeOther, a.next)
}

// idToken changes the code for an ID token and verifies it: signature, issuer,
// audience, expiry and nonce.
func (s *Server) idToken(ctx context.Context, a attempt, code string, now time.Time) (*oidc.IDToken, claims, error) {
	var c claims
	p, err := s.sso.metadata(ctx, s.OIDC.Issuer)
	if err != nil {
		return nil, c, err
	}
	ctx = oidc.ClientContext(ctx, s.sso.client)
	answer, err := s.oauth(p).Exchange(ctx, code, oauth2.VerifierOption(a.verifier))
	if err != nil {
		var refused *oauth2.RetrieveError
		if errors.As(err, &refused) { // its text holds the whole answer
			return nil, c, fmt.Errorf("the provider refused the code: %.60s", refused.ErrorCode)
		}
		return nil, c, err
	}
	raw, ok := answer.Extra("id_token").(string)
	if !ok {
		return nil, c, errors.New("the answer holds no ID token")
	}
	token, err := p.VerifierContext(ctx, &oidc.Config{ClientID: s.OIDC.ClientID, Now: func() time.Time { return now }}).Verify(ctx, raw)
	if err != nil {
		return nil, c, err
	}
	if subtle.ConstantTimeCompare([]byte(token.Nonce), []byte(a.nonce)) != 1 {
		return nil, c, errors.New("the nonce is not the one that was sent")
	}
	if err := token.Claims(&c); err != nil {
		return nil, c, err
	}
	if c.Party != "" && c.Party != s.OIDC.ClientID {
		return nil, c, errors.New("the token is for another party")
	}
	return token, c, nil
}

// ssoUser returns who a verified token is. A text says why the person may not
// log in.
func (s *Server) ssoUser(ctx context.Context, token *oidc.IDToken, c claims) (user ferry.User, why string, err error) {
	if !s.domainAllowed(c) {
		return user, "Your e-mail address is not verified at " + s.OIDC.Label + ", or belongs to a domain that may not log in here.", nil
	}
	user, err = s.Store.UserByIdentity(ctx, token.Issuer, token.Subject)
	if errors.Is(err, ferry.ErrNotFound) {
		user, why, err = s.ssoFirst(ctx, token, c)
	}
	if err != nil || why != "" {
		return user, why, err
	}
	if user.Disabled {
		return user, "This account may not sign in. Ask an administrator.", nil
	}
	return user, "", nil
}

func (s *Server) domainAllowed(c claims) bool {
	if len(s.OIDC.Domains) == 0 {
		return true
	}
	_, domain, _ := strings.Cut(c.Email, "@")
	return c.Verified && slices.ContainsFunc(s.OIDC.Domains, func(d string) bool { return strings.EqualFold(d, domain) })
}

// ssoFirst finds or makes the user at the first log-in and binds it.
func (s *Server) ssoFirst(ctx context.Context, token *oidc.IDToken, c claims) (user ferry.User, why string, err error) {
	switch s.OIDC.Claim {
	case "preferred_username":
		user, err = s.Store.UserByName(ctx, strings.ToLower(c.Username))
	default:
		if c.Email == "" || !c.Verified {
			return user, s.OIDC.Label + " does not say that your e-mail address is verified.", nil
		}
		user, err = s.Store.UserByEmail(ctx, c.Email)
	}
	if errors.Is(err, ferry.ErrNotFound) {
		if !s.OIDC.Create {
			return user, "No user here belongs to you. Ask an administrator to add you.", nil
		}
		user, err = s.ssoCreate(ctx, c)
		if errors.Is(err, ferry.ErrConflict) || errors.Is(err, ferry.ErrInvalid) {
			return ferry.User{}, "No user could be made for you, since the name or the address is taken or has a form that is not allowed. Ask an administrator to add you.", nil
		}
	}
	if err != nil || user.Disabled {
		return user, "", err
	}
	err = s.Store.BindIdentity(ctx, store.Identity{Issuer: token.Issuer, Subject: token.Subject, User: user.ID})
	if errors.Is(err, ferry.ErrConflict) {
		return user, "The user " + user.Name + " belongs to somebody else at " + s.OIDC.Label + ". Ask an administrator.", nil
	}
	return user, "", err
}

// ssoCreate makes a user without rights out of claims.
func (s *Server) ssoCreate(ctx context.Context, c claims) (ferry.User, error) {
	name, _, _ := strings.Cut(display(c.Username, c.Email), "@")
	name = strings.Map(func(ch rune) rune {
		if ch >= 'a' && ch <= 'z' || ch >= '0' && ch <= '9' || ch == '.' || ch == '_' || ch == '-' {
			return ch
		}
		return '-'
	}, strings.ToLower(name))
	u := ferry.User{Name: strings.Trim(cut39(name), "-._"), Display: cut(c.Name, 100)}
	if c.Verified {
		u.Email = c.Email
	}
	u, err := s.Store.AddUser(ctx, u)
	if err == nil {
		err = s.Store.Audit(ctx, store.AuditEvent{Actor: u.Name, ActorID: u.ID, Credential: "oidc", Action: "user.create", Object: "user " + u.Name, Result: "ok", Detail: "first log-in at " + s.OIDC.Issuer})
	}
	return u, err
}

// cut39 shortens a name of ASCII characters to what a user name may have.
func cut39(name string) string { return name[:min(len(name), 39)] }
