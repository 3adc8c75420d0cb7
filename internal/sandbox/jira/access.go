package jira

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"
)

// tokenLife is how long an access token of a development tool lives
// (developer.atlassian.com, "Integrate Jira Software Cloud with on-premises
// tools").
const tokenLife = 15 * time.Minute

// access knows every credential of the site.
type access struct {
	credentials Credentials
	classic     map[string]*user     // "email:token"
	scoped      map[string]*user     // "email:token", and the token alone for Bearer
	personal    map[string]*user     // personal access token
	tool        map[string]time.Time // access tokens of development tools, with their end
}

func newAccess(st *site) access {
	a := access{
		classic: map[string]*user{}, scoped: map[string]*user{},
		personal: map[string]*user{}, tool: map[string]time.Time{},
	}
	a.credentials = Credentials{
		ClientID: randomText(16), ClientSecret: "secret-" + randomText(24),
		CloudID: st.cloudID, People: map[string]PersonCredentials{},
	}
	for _, u := range st.users {
		p := PersonCredentials{
			Email: u.Email, APIToken: "classic-" + randomText(20),
			ScopedAPIToken: "scoped-" + randomText(20), PersonalAccessToken: "pat-" + randomText(20),
		}
		a.classic[strings.ToLower(u.Email)+":"+p.APIToken] = u
		a.scoped[strings.ToLower(u.Email)+":"+p.ScopedAPIToken] = u
		a.scoped[p.ScopedAPIToken] = u
		a.personal[p.PersonalAccessToken] = u
		a.credentials.People[u.Name] = p
	}
	own := a.credentials.People[serviceAccount]
	a.credentials.Email, a.credentials.APIToken = own.Email, own.APIToken
	a.credentials.ScopedAPIToken, a.credentials.PersonalAccessToken = own.ScopedAPIToken, own.PersonalAccessToken
	return a
}

func bearer(r *http.Request) string {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}

// who returns the user that a request to a REST face comes from. nil and true
// is the anonymous caller, nil and false a credential that does not hold: a
// classic token counts on the site's address only and a scoped one below
// /ex/jira only, as live sites have it.
func (a access) who(r *http.Request, f face) (*user, bool) {
	if r.Header.Get("Authorization") == "" {
		return nil, true
	}
	var u *user
	name, secret, basic := r.BasicAuth()
	key := strings.ToLower(name) + ":" + secret
	switch {
	case f.dc:
		u = a.personal[bearer(r)]
	case f.scoped && basic:
		u = a.scoped[key]
	case f.scoped:
		u = a.scoped[bearer(r)]
	case basic:
		u = a.classic[key]
	}
	if u == nil || u.Inactive {
		return nil, false
	}
	return u, true
}

// isTool reports whether the request carries a living token of a development
// tool.
func (s *Server) isTool(r *http.Request) bool {
	end, ok := s.auth.tool[bearer(r)]
	return ok && s.now().Before(end)
}

// token answers POST /oauth/token: JSON, or a form as older clients send it.
func token(c *call) (reply, error) {
	var in struct {
		Audience     string `json:"audience"`
		GrantType    string `json:"grant_type"`
		ClientID     string `json:"client_id"`
		ClientSecret string `json:"client_secret"`
	}
	if strings.HasPrefix(c.r.Header.Get("Content-Type"), "application/x-www-form-urlencoded") {
		form, err := parseForm(c.body)
		if err != nil {
			return reply{}, oauthRefusal(http.StatusBadRequest, "invalid_request")
		}
		in.GrantType, in.ClientID, in.ClientSecret = form.Get("grant_type"), form.Get("client_id"), form.Get("client_secret")
	} else if json.Unmarshal(c.body, &in) != nil {
		return reply{}, oauthRefusal(http.StatusBadRequest, "invalid_request")
	}
	own := c.s.auth.credentials
	switch {
	case in.GrantType != "client_credentials":
		return reply{}, oauthRefusal(http.StatusForbidden, "unsupported_grant_type")
	case in.Audience != "" && in.Audience != "api.atlassian.com":
		return reply{}, oauthRefusal(http.StatusForbidden, "access_denied")
	case in.ClientID != own.ClientID || in.ClientSecret != own.ClientSecret:
		return reply{}, oauthRefusal(http.StatusUnauthorized, "access_denied")
	}
	now := c.s.now()
	for t, end := range c.s.auth.tool {
		if !now.Before(end) {
			delete(c.s.auth.tool, t)
		}
	}
	t := "tool-" + randomText(24)
	c.s.auth.tool[t] = now.Add(tokenLife)
	return ok(map[string]any{
		"access_token": t, "expires_in": int(tokenLife / time.Second),
		"token_type": "Bearer", "scope": "write:dev-info:jira read:dev-info:jira delete:dev-info:jira",
	}), nil
}

// oauthRefusal is an error of the token endpoint (RFC 6749, 5.2).
func oauthRefusal(status int, code string) error {
	return &refusal{status: status, body: map[string]string{"error": code}}
}
