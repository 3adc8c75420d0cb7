package jira

import (
	"context"
	"errors"
	"net/http"
	"time"

	"gitferry/internal/ferry"
)

// renewEarly is how long before its end a token is replaced.
const renewEarly = 60 * time.Second

// signREST signs a request to the REST API as this client's identity.
func (c *Client) signREST(r *http.Request) {
	switch {
	case c.site.Kind == DataCenter:
		if !c.site.PersonalAccessToken.IsZero() {
			r.Header.Set("Authorization", "Bearer "+c.site.PersonalAccessToken.Reveal())
		}
	case c.site.APIToken.IsZero():
	case c.site.Email != "":
		r.SetBasicAuth(c.site.Email, c.site.APIToken.Reveal())
	default:
		r.Header.Set("Authorization", "Bearer "+c.site.APIToken.Reveal())
	}
}

// doREST makes a call to the REST API; path begins with a slash.
func (c *Client) doREST(ctx context.Context, k call, path string) error {
	k.url = c.rest + path
	k.auth = c.signREST
	return c.do(ctx, k)
}

// doDevinfo makes a call to the development information API with a token of
// the client credentials, renewed once if it is refused.
func (c *Client) doDevinfo(ctx context.Context, k call, path string) error {
	if c.devinfo == "" || c.site.ClientID == "" || c.site.CloudID == "" {
		return &Error{Class: Credentials, Operation: k.op,
			Text: "the site has no client id and cloud id for development information"}
	}
	k.url = c.devinfo + path
	for try := 0; ; try++ {
		token, err := c.accessToken(ctx, k.op)
		if err != nil {
			return err
		}
		k.auth = func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+token.Reveal()) }
		err = c.do(ctx, k)
		var e *Error
		if try == 0 && errors.As(err, &e) && e.Status == http.StatusUnauthorized {
			c.token.drop(token)
			continue
		}
		return err
	}
}

// accessToken returns the token in use, or asks for a new one. Callers that
// come meanwhile wait for the same answer.
func (c *Client) accessToken(ctx context.Context, op string) (ferry.Secret, error) {
	t := c.token
	t.mu.Lock()
	defer t.mu.Unlock()
	now := c.now()
	// A token is never trusted for longer than a day, whatever the clock did.
	if !t.text.IsZero() && now.Before(t.expires) && t.expires.Sub(now) < 24*time.Hour {
		return t.text, nil
	}
	var answer struct {
		AccessToken string `json:"access_token"`
		ExpiresIn   int64  `json:"expires_in"`
		TokenType   string `json:"token_type"`
	}
	err := c.do(ctx, call{
		op: op + ": asking for a token", method: http.MethodPost, url: c.site.TokenURL, reading: true,
		body: map[string]string{
			"audience": "api.atlassian.com", "grant_type": "client_credentials",
			"client_id": c.site.ClientID, "client_secret": c.site.ClientSecret.Reveal(),
		},
		want: []int{http.StatusOK}, into: &answer,
		shape: func() bool { return answer.AccessToken != "" && answer.ExpiresIn > 0 },
	})
	var e *Error
	if errors.As(err, &e) && (e.Class == Permanent || e.Class == Forbidden) {
		e.Class = Credentials // a refused client id is answered with 400, 401 or 403
	}
	if err != nil {
		return ferry.Secret{}, err
	}
	t.text = ferry.NewSecret(answer.AccessToken)
	life := time.Duration(min(answer.ExpiresIn, 86400)) * time.Second
	t.expires = now.Add(max(life-renewEarly, life/2))
	return t.text, nil
}

// drop forgets token if it is still the one in use.
func (t *tokenSource) drop(token ferry.Secret) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.text == token {
		t.text = ferry.Secret{}
	}
}

// CheckDevinfo asks for a fresh token, which proves client id and secret.
func (c *Client) CheckDevinfo(ctx context.Context) error {
	const op = "checking the credentials for development information"
	if token, err := c.accessToken(ctx, op); err == nil {
		c.token.drop(token)
	}
	_, err := c.accessToken(ctx, op)
	return err
}
