package web

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"gitferry/internal/ferry"
	"gitferry/internal/store"
)

// A provider is a stand-in for an OpenID Connect provider: it logs in whom it
// is told to, and lies where it is told to.
type provider struct {
	t      *testing.T
	url    string
	key    *rsa.PrivateKey
	claims map[string]any // of the next ID token; they win over what is right
	signer *rsa.PrivateKey
	asked  url.Values // of the last authorization request
	code   string
	tokens int // requests for tokens
	down   bool
}

const (
	oidcClient = "gitferry-test"
	oidcSecret = "a-secret/of the client"
)

func newProvider(t *testing.T) *provider {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	p := &provider{t: t, key: key, signer: key}
	mux := http.NewServeMux()
	ts := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p.down {
			http.Error(w, "down", http.StatusServiceUnavailable)
			return
		}
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(ts.Close)
	p.url = ts.URL
	answer := func(w http.ResponseWriter, v any) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(v) // the client may be gone
	}
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, r *http.Request) {
		answer(w, map[string]any{"issuer": p.url, "authorization_endpoint": p.url + "/authorize", "token_endpoint": p.url + "/token", "jwks_uri": p.url + "/keys",
			"id_token_signing_alg_values_supported": []string{"RS256"}, "response_types_supported": []string{"code"}, "subject_types_supported": []string{"public"}})
	})
	mux.HandleFunc("GET /keys", func(w http.ResponseWriter, r *http.Request) {
		b64 := base64.RawURLEncoding
		answer(w, map[string]any{"keys": []any{map[string]any{"kty": "RSA", "use": "sig", "alg": "RS256", "kid": "1", "n": b64.EncodeToString(p.key.N.Bytes()), "e": b64.EncodeToString(big.NewInt(int64(p.key.E)).Bytes())}}})
	})
	mux.HandleFunc("POST /token", func(w http.ResponseWriter, r *http.Request) {
		p.tokens++
		id, secret, basic := r.BasicAuth()
		if !basic {
			id, secret = r.FormValue("client_id"), r.FormValue("client_secret")
		} else {
			id, _ = url.QueryUnescape(id)
			secret, _ = url.QueryUnescape(secret)
		}
		sum := sha256.Sum256([]byte(r.FormValue("code_verifier")))
		if id != oidcClient || secret != oidcSecret || r.FormValue("code") != p.code || p.code == "" || r.FormValue("redirect_uri") != p.asked.Get("redirect_uri") ||
			base64.RawURLEncoding.EncodeToString(sum[:]) != p.asked.Get("code_challenge") {
			w.WriteHeader(http.StatusBadRequest)
			answer(w, map[string]string{"error": "invalid_grant"})
			return
		}
		p.code = ""
		answer(w, map[string]any{"access_token": "x", "token_type": "Bearer", "expires_in": 60, "id_token": p.idToken()})
	})
	return p
}

// idToken signs an ID token with the claims that were asked for.
func (p *provider) idToken() string {
	c := map[string]any{"iss": p.url, "aud": oidcClient, "sub": "subject-1", "iat": time.Now().Unix(), "exp": time.Now().Add(time.Minute).Unix(), "nonce": p.asked.Get("nonce"),
		"email": "alice@example.com", "email_verified": true, "name": "Alice A.", "preferred_username": "alice"}
	maps.Copy(c, p.claims)
	part := func(v any) string {
		b, err := json.Marshal(v)
		if err != nil {
			p.t.Error(err)
		}
		return base64.RawURLEncoding.EncodeToString(b)
	}
	text := part(map[string]string{"alg": "RS256", "kid": "1", "typ": "JWT"}) + "." + part(c)
	sum := sha256.Sum256([]byte(text))
	sig, err := rsa.SignPKCS1v15(rand.Reader, p.signer, crypto.SHA256, sum[:])
	if err != nil {
		p.t.Error(err)
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(sig)
}

// config is the provider as the pages are told of it.
func (p *provider) config() OIDC {
	return OIDC{Issuer: p.url, ClientID: oidcClient, ClientSecret: ferry.NewSecret(oidcSecret), Label: "Example ID", Claim: "email", PrivateNetwork: true}
}

// start begins a log-in and returns where the provider sends the browser back.
func (p *provider) start(b *browser, next string) string {
	p.t.Helper()
	status, body, h := b.get("/login/oidc?next=" + url.QueryEscape(next))
	to, err := url.Parse(h.Get("Location"))
	if err != nil || status != http.StatusSeeOther || !strings.HasPrefix(to.String(), p.url+"/authorize?") {
		p.t.Fatalf("starting a log-in: %d to %s\n%.300s", status, h.Get("Location"), body)
	}
	p.asked, p.code = to.Query(), rand.Text()
	back, err := url.Parse(p.asked.Get("redirect_uri"))
	if err != nil {
		p.t.Fatal(err)
	}
	return back.Path + "?state=" + p.asked.Get("state") + "&code=" + p.code
}

// lastAudit returns the newest line of the audit.
func (w *world) lastAudit() store.AuditEvent {
	w.t.Helper()
	list, err := w.store.AuditEvents(w.t.Context(), store.AuditFilter{Limit: 1})
	w.must(err)
	if len(list) == 0 {
		w.t.Fatal("the audit is empty")
	}
	return list[0]
}

// Somebody logs in at the provider, is found by the verified address, bound to
// the subject, and known by it ever after.
func TestOIDC(t *testing.T) {
	p := newProvider(t)
	w := newWorldWith(t, p.config())
	alice := w.user("alice", ferry.LevelRead, false)
	b := w.browser()
	b.page("/login?next=/repos", "Log in with Example ID", `href="/login/oidc?next=%2Frepos"`)
	back := p.start(b, "/repos")
	for _, k := range []string{"state", "nonce", "code_challenge"} {
		if len(p.asked.Get(k)) < 22 {
			t.Errorf("%s is %q", k, p.asked.Get(k))
		}
	}
	if p.asked.Get("code_challenge_method") != "S256" || p.asked.Get("response_type") != "code" || !strings.Contains(p.asked.Get("scope"), "openid") || strings.Contains(p.asked.Encode(), "secret") {
		t.Errorf("the provider is asked %v", p.asked)
	}
	status, body, h := b.get(back)
	if status != http.StatusSeeOther || h.Get("Location") != "/repos" {
		t.Fatalf("coming back: %d to %s\n%.500s", status, h.Get("Location"), body)
	}
	cookies := strings.Join(h.Values("Set-Cookie"), "\n")
	if !strings.Contains(cookies, "gf=") || !strings.Contains(cookies, "HttpOnly") || !strings.Contains(cookies, "gf-oidc=;") {
		t.Errorf("cookies after the log-in:\n%s", cookies)
	}
	b.page("/settings", "alice")
	if e := w.lastAudit(); e.Actor != "alice" || e.Credential != "oidc" || e.Action != "session.create" || e.Result != "ok" {
		t.Errorf("the audit says %+v", e)
	}
	if status, _, _ := b.get(back); status != http.StatusUnauthorized {
		t.Errorf("coming back a second time: %d, want 401", status)
	}

	// The subject counts now: neither a new address at the provider nor the
	// old address in other hands changes who it is.
	p.claims = map[string]any{"email": "new@example.com"}
	b = w.browser()
	if status, _, _ := b.get(p.start(b, "/")); status != http.StatusSeeOther {
		t.Errorf("with a new address: %d, want 303", status)
	}
	p.claims = map[string]any{"sub": "subject-2"}
	b = w.browser()
	if status, body, _ := b.get(p.start(b, "/")); status != http.StatusForbidden || !strings.Contains(body, "belongs to somebody else") {
		t.Errorf("another subject with the address of alice: %d\n%.300s", status, body)
	}
	root := w.user("root", ferry.LevelNone, true)
	admin := w.as(root.Name)
	admin.page(userPath(alice.ID), "subject-1", "Forget the identity")
	if status, _, _ := admin.post(userPath(alice.ID)+"/do", "do", "unbind"); status != http.StatusSeeOther {
		t.Errorf("forgetting the identity: %d", status)
	}
	if status, _, _ := b.get(p.start(b, "/")); status != http.StatusSeeOther {
		t.Error("after the identity was forgotten another subject is not let in")
	}
}

// What must not let anybody in.
func TestOIDCRefuses(t *testing.T) {
	p := newProvider(t)
	w := newWorldWith(t, p.config())
	w.user("alice", ferry.LevelRead, false)
	gone := w.user("gone", ferry.LevelRead, false)
	gone.Disabled = true
	w.must(w.store.UpdateUser(t.Context(), gone))
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	w.must(err)
	for _, c := range []struct {
		name   string
		claims map[string]any
		signer *rsa.PrivateKey
		back   func(string) string // changes where the browser comes back to
		thief  bool                // another browser comes back
		status int
		says   string
	}{
		{name: "wrong nonce", claims: map[string]any{"nonce": "another"}, status: 401, says: "could not be verified"},
		{name: "no nonce", claims: map[string]any{"nonce": ""}, status: 401, says: "could not be verified"},
		{name: "expired", claims: map[string]any{"exp": time.Now().Add(-time.Minute).Unix()}, status: 401, says: "could not be verified"},
		{name: "another issuer", claims: map[string]any{"iss": "https://evil.example"}, status: 401, says: "could not be verified"},
		{name: "another audience", claims: map[string]any{"aud": "another"}, status: 401, says: "could not be verified"},
		{name: "another party", claims: map[string]any{"aud": []string{oidcClient, "another"}, "azp": "another"}, status: 401, says: "could not be verified"},
		{name: "another key", signer: other, status: 401, says: "could not be verified"},
		{name: "wrong code", back: func(s string) string { return s + "x" }, status: 401, says: "could not be verified"},
		{name: "wrong state", back: func(s string) string { return strings.Replace(s, "state=", "state=x", 1) }, status: 401, says: "not started in this browser"},
		{name: "another browser", thief: true, status: 401, says: "not started in this browser"},
		{name: "mix-up", back: func(s string) string { return s + "&iss=https%3A%2F%2Fevil.example" }, status: 401, says: "another provider"},
		{name: "denied", back: func(s string) string {
			return strings.Replace(s, "&code=", "&error=access_denied&error_description=%3Cscript%3Ealert(1)%3C%2Fscript%3E&x=", 1)
		}, status: 401, says: "refused the log-in: &lt;script&gt;alert(1)&lt;/script&gt; [access_denied]"},
		{name: "unknown user", claims: map[string]any{"email": "mallory@example.com"}, status: 403, says: "No user here belongs to you"},
		{name: "address not verified", claims: map[string]any{"email_verified": false}, status: 403, says: "your e-mail address is verified"},
		{name: "disabled user", claims: map[string]any{"email": "gone@example.com"}, status: 403, says: "may not sign in"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w.server.tries = newTries()
			p.claims, p.signer = c.claims, p.key
			if c.signer != nil {
				p.signer = c.signer
			}
			b := w.browser()
			back := p.start(b, "/")
			if c.back != nil {
				back = c.back(back)
			}
			if c.thief {
				b = w.browser()
			}
			status, body, h := b.get(back)
			checkHTML(t, c.name, body)
			if status != c.status || !strings.Contains(body, c.says) || strings.Contains(strings.Join(h.Values("Set-Cookie"), ""), "gf=") {
				t.Errorf("%d, want %d and %q\n%.2000s", status, c.status, c.says, body)
			}
			if e := w.lastAudit(); e.Credential != "oidc" || e.Result != "refused" || e.Reason == "" {
				t.Errorf("the audit says %+v", e)
			}
			if status, _, _ := b.get("/settings"); status != http.StatusSeeOther {
				t.Errorf("the settings answer %d afterwards, want the log-in page", status)
			}
		})
	}
	p.claims, p.signer = nil, p.key
	b := w.browser()
	w.server.tries = newTries()
	for range triesPerAddress {
		b.get("/login/oidc/callback?state=guess&code=guess")
	}
	if status, _, _ := b.get("/login/oidc/callback?state=guess&code=guess"); status != http.StatusTooManyRequests {
		t.Errorf("guessing states: %d, want 429", status)
	}
	w.server.tries = newTries()
	p.start(b, "/") // late: ten minutes pass
	late := p.asked.Get("state")
	w.server.Now = func() time.Time { return time.Now().Add(ssoLife + time.Second) }
	if status, _, _ := b.get("/login/oidc/callback?state=" + late + "&code=" + p.code); status != http.StatusUnauthorized {
		t.Errorf("coming back after ten minutes: %d, want 401", status)
	}
	if p.tokens > 12 {
		t.Errorf("%d codes were sent to the provider, also of log-ins that were not ours", p.tokens)
	}
}

// Where the provider may make users, they come without rights; domains bound
// who may.
func TestOIDCCreates(t *testing.T) {
	p := newProvider(t)
	c := p.config()
	c.Claim, c.Create, c.Domains = "preferred_username", true, []string{"example.com"}
	w := newWorldWith(t, c)
	w.user("root", ferry.LevelNone, true)
	p.claims = map[string]any{"sub": "s9", "preferred_username": "Zoë.Müller@corp", "email": "zoe@example.com", "name": "Zoë Müller"}
	b := w.browser()
	if status, body, _ := b.get(p.start(b, "/")); status != http.StatusSeeOther {
		t.Fatalf("the first log-in: %d\n%.500s", status, body)
	}
	u, err := w.store.UserByIdentity(t.Context(), p.url, "s9")
	w.must(err)
	if u.Name != "zo-.m-ller" || u.Display != "Zoë Müller" || u.Email != "zoe@example.com" || u.Admin {
		t.Errorf("the user is %+v", u)
	}
	if grants, err := w.store.Grants(t.Context(), u.ID); err != nil || len(grants) > 0 {
		t.Errorf("grants of a new user: %v, error %v", grants, err)
	}
	for name, claims := range map[string]map[string]any{
		"another domain": {"sub": "s10", "preferred_username": "eve", "email": "eve@evil.example"},
		"not verified":   {"sub": "s11", "preferred_username": "eve", "email": "eve@example.com", "email_verified": false},
		"a taken name":   {"sub": "s12", "preferred_username": "root@x", "email": "eve@example.com"},
		"no name":        {"sub": "s13", "preferred_username": "ß", "email": "eve@example.com"},
	} {
		p.claims = claims
		b := w.browser()
		if status, body, _ := b.get(p.start(b, "/")); status != http.StatusForbidden {
			t.Errorf("%s: %d, want 403\n%.300s", name, status, body)
		}
	}
}

// Without a provider there is no button and no way; one that is down is said
// to be, and the next log-in tries again.
func TestOIDCMissing(t *testing.T) {
	w := newWorld(t)
	w.user("root", ferry.LevelNone, true)
	b := w.browser()
	if body := b.page("/login"); strings.Contains(body, "oidc") {
		t.Error("the log-in page offers a provider that there is not")
	}
	for _, path := range []string{"/login/oidc", "/login/oidc/callback?state=x&code=y"} {
		if status, _, _ := b.get(path); status != http.StatusNotFound {
			t.Errorf("GET %s without a provider: %d, want 404", path, status)
		}
	}
	p := newProvider(t)
	w = newWorldWith(t, p.config())
	b = w.browser()
	if status, _, h := b.get("/login/oidc"); status != http.StatusSeeOther || h.Get("Location") != "/setup" {
		t.Errorf("a log-in at a fresh server: %d to %s, want /setup", status, h.Get("Location"))
	}
	w.user("alice", ferry.LevelRead, false)
	p.down = true
	if status, body, _ := b.get("/login/oidc"); status != http.StatusServiceUnavailable || !strings.Contains(body, "Example ID does not answer") {
		t.Errorf("a provider that is down: %d", status)
	}
	p.down = false
	if status, _, _ := b.get(p.start(b, "/")); status != http.StatusSeeOther {
		t.Errorf("a provider that is up again: %d", status)
	}
	w.server.TrustClearText = func(string) bool { return false }
	if status, _, _ := w.browser().get("/login/oidc"); status != http.StatusForbidden {
		t.Errorf("over clear text: %d, want 403", status)
	}
}
