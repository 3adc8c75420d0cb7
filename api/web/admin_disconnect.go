package web

import (
	"net/http"
	"strconv"

	"gitferry/internal/ferry"
	"gitferry/internal/store"
)

type disconnectView struct {
	page
	Section     string
	Integration ferry.Integration
	Repos       int
	Waiting     int
}

func (s *Server) adminDisconnect(r *request) error {
	i, err := s.integrationOf(r)
	if err != nil {
		return err
	}
	repos, err := s.Store.Repositories(r.ctx(), store.RepositoryFilter{Integration: i.ID})
	if err != nil {
		return err
	}
	v := disconnectView{page: s.page(r, "Disconnect "+display(i.Name, i.Slug), "admin"), Section: "integrations", Integration: i, Repos: len(repos)}
	v.Waiting, _ = strconv.Atoi(r.QueryParam("waiting")) // zero if it is no number
	return s.render(r, http.StatusOK, "admin_disconnect", &v)
}

func (s *Server) adminDisconnectPost(r *request) error {
	i, err := s.integrationOf(r)
	if err != nil {
		return err
	}
	waiting, err := s.Connections.DisconnectAll(r.ctx(), i, r.ticked("force"))
	if err != nil {
		return err
	}
	s.Outbox.Wake()
	if waiting > 0 {
		return s.doneWith(r, integrationPath(i.ID)+"/disconnect?waiting="+strconv.Itoa(waiting),
			flash{Kind: "warn", Text: plural(waiting, "withdrawal waits", "withdrawals wait") + " to be taken by Jira. Disconnect again in a moment, or without waiting."})
	}
	s.audit(r, "integration.disconnect", "integration "+i.Slug, "")
	return s.done(r, "/admin/integrations", display(i.Name, i.Slug)+" is disconnected.")
}
