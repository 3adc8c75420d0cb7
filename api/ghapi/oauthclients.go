package ghapi

import (
	"errors"
	"net/http"
	"net/url"
	"path"
	"strings"

	"gitferry/internal/ferry"
	"gitferry/internal/store"
)

// below reports whether u lies at or below the registered address.
func below(u *url.URL, registered string) bool {
	base, err := url.Parse(registered)
	if err != nil || u.Scheme != base.Scheme || !strings.EqualFold(u.Host, base.Host) || u.Host == "" || u.User != nil || u.Fragment != "" || u.Opaque != "" {
		return false
	}
	clean := u.Path
	if clean == "" {
		clean = "/"
	}
	if path.Clean(clean) != strings.TrimSuffix(clean, "/") && clean != "/" || strings.ContainsAny(u.Path, "\\\r\n") {
		return false
	}
	prefix := strings.TrimSuffix(base.Path, "/")
	return clean == prefix || strings.HasPrefix(clean, prefix+"/")
}

// showClient writes a registered client.
func showClient(cl store.OAuthClient) object {
	return object{"client_id": cl.ClientID, "name": cl.Name, "redirect_uri": cl.Redirect, "created_at": date(cl.CreatedAt)}
}

func (s *Server) oauthClients(c *call) (any, error) {
	all, err := s.Store.OAuthClients(c.ctx)
	if err != nil {
		return nil, err
	}
	return cut(s, c, all, showClient), nil
}

// addOAuthClient registers a client. Without an address it is the connected
// Jira's.
func (s *Server) addOAuthClient(c *call) (any, error) {
	var body struct {
		Name        string `json:"name"`
		RedirectURI string `json:"redirect_uri"`
	}
	if err := c.decode(&body); err != nil {
		return nil, err
	}
	if body.RedirectURI == "" {
		site, err := s.Store.JiraSite(c.ctx)
		if err != nil && !errors.Is(err, ferry.ErrNotFound) {
			return nil, err
		}
		body.RedirectURI = site.URL
	}
	secret, client, err := s.Store.AddOAuthClient(c.ctx, store.OAuthClient{Name: body.Name, Redirect: body.RedirectURI})
	if err = errors.Join(err, s.audit(c, "oauth.client.create", "client "+body.Name, err)); errors.Is(err, ferry.ErrInvalid) {
		return nil, invalid("Client", "redirect_uri", "want a name, and an address such as https://jira.example.com")
	} else if err != nil {
		return nil, err
	}
	o := showClient(client)
	o["client_secret"] = secret.Reveal()
	return status{http.StatusCreated, o}, nil
}

func (s *Server) removeOAuthClient(c *call) (any, error) {
	err := s.Store.RemoveOAuthClient(c.ctx, c.param("client"))
	return status{code: http.StatusNoContent}, errors.Join(err, s.audit(c, "oauth.client.remove", "client "+c.param("client"), err))
}
