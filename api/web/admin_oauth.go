package web

import (
	"net/http"

	"gitferry/internal/store"
)

type oauthView struct {
	page
	Section        string
	Rows           []store.OAuthClient
	Name, Redirect string
	New            *store.OAuthClient // made with this request
	Secret         string             // of it, shown this once
	Public         string
	Problem        string
}

// adminOAuth lists the programs that may ask people for tokens: Jira's DVCS
// connector is one.
func (s *Server) adminOAuth(r *request) error {
	v, err := s.oauthView(r)
	if err != nil {
		return err
	}
	v.Name = "Jira"
	site, ok, err := s.jiraSite(r)
	if err != nil {
		return err
	}
	if ok {
		v.Redirect = site.URL
	}
	return s.render(r, http.StatusOK, "admin_oauth", &v)
}

func (s *Server) oauthView(r *request) (oauthView, error) {
	v := oauthView{page: s.page(r, "OAuth clients", "admin"), Section: "oauth", Public: s.PublicURL}
	var err error
	v.Rows, err = s.Store.OAuthClients(r.ctx())
	return v, err
}

// adminOAuthPost registers a client, whose secret the answer shows, or removes
// one.
func (s *Server) adminOAuthPost(r *request) error {
	if r.form("do") == "remove" {
		id := r.form("client")
		if err := s.Store.RemoveOAuthClient(r.ctx(), id); err != nil {
			return err
		}
		s.audit(r, "oauth.client.remove", "client "+id, "")
		return s.done(r, "/admin/oauth", "The client is removed.")
	}
	name, redirect := r.form("name"), r.form("redirect")
	secret, client, err := s.Store.AddOAuthClient(r.ctx(), store.OAuthClient{Name: name, Redirect: redirect})
	if why := text(err); err != nil && why == "" {
		return err
	} else if err == nil {
		s.audit(r, "oauth.client.create", "client "+name, "")
	}
	v, viewErr := s.oauthView(r)
	if viewErr != nil {
		return viewErr
	}
	if err != nil {
		v.Problem, v.Name, v.Redirect = text(err), name, redirect
		return s.render(r, http.StatusUnprocessableEntity, "admin_oauth", &v)
	}
	v.New, v.Secret = &client, secret.Reveal()
	return s.render(r, http.StatusOK, "admin_oauth", &v)
}
