package web

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"gitferry/internal/ferry"
	"gitferry/internal/store"
	"gitferry/internal/triggers"
)

type triggersView struct {
	page
	Section  string
	Enabled  bool
	Rows     []triggerRow
	Levels   []triggerLevel
	Public   string
	Loopback bool
	Address  string // asked for with this request; holds a secret
	Of       string // what it is of
	Repo     ferry.Repository
}

type triggerRow struct {
	store.TriggerCall
	State lozenge
	On    string
}

// A triggerLevel is an address that can be called: of the whole installation
// or of an integration.
type triggerLevel struct {
	Level  string // "install" or "integration"
	ID     int64
	Name   string
	State  *lozenge
	Notice string
	At     time.Time // of the last genuine message
	Topic  string
}

// adminTriggers shows the calls of hook addresses of the last 7 days.
func (s *Server) adminTriggers(r *request) error {
	v, err := s.triggersView(r)
	if err != nil {
		return err
	}
	return s.render(r, http.StatusOK, "admin_triggers", &v)
}

func (s *Server) triggersView(r *request) (triggersView, error) {
	v := triggersView{page: s.page(r, "Indexing triggers", "admin"), Section: "triggers", Public: s.PublicURL, Loopback: !s.secure(r.Request())}
	var err error
	if v.Enabled, err = triggers.Enabled(r.ctx(), s.Store); err != nil {
		return v, err
	}
	calls, err := s.Store.TriggerCalls(r.ctx(), 0, 200)
	if err != nil {
		return v, err
	}
	all, err := s.Store.Integrations(r.ctx())
	if err != nil {
		return v, err
	}
	names := make(map[ferry.IntegrationID]string)
	v.Levels = []triggerLevel{{Level: "install", Name: "Whole installation"}}
	for _, i := range all {
		names[i.ID] = display(i.Name, i.Slug)
		l := triggerLevel{Level: "integration", ID: int64(i.ID), Name: names[i.ID]}
		if i.Kind == ferry.KindCodeCommit {
			t, err := s.Store.TriggerSetup(r.ctx(), i.ID)
			if err != nil && !errors.Is(err, ferry.ErrNotFound) {
				return v, err
			}
			l.State, l.Notice, l.At, l.Topic = setupState(t), t.Problem, t.MessageAt, t.Topic
		}
		v.Levels = append(v.Levels, l)
	}
	for _, c := range calls {
		row := triggerRow{TriggerCall: c, State: triggerState(c.Result), On: names[c.Integration]}
		if c.Repository != 0 {
			if repo, err := s.Store.Repository(r.ctx(), c.Repository); err == nil {
				row.On = repo.Path()
			}
		}
		v.Rows = append(v.Rows, row)
	}
	return v, nil
}

func setupState(t store.TriggerSetup) *lozenge {
	switch t.State {
	case store.TriggersConfirmed:
		return &lozenge{"ok", "SET UP"}
	case store.TriggersPending:
		return &lozenge{"warn", "NOT CONFIRMED"}
	case store.TriggersEnded:
		return &lozenge{"bad", "ENDED"}
	}
	return &lozenge{"neutral", "POLLING ONLY"}
}

// triggerRoute reads which address a form is about, and its path.
func (s *Server) triggerRoute(r *request) (route store.TriggerRoute, at, name string, err error) {
	route.Route = r.form("level")
	if route.Route == "install" {
		return route, "/hooks/install/", "the whole installation", nil
	}
	id, err := parseID(r.form("id"))
	if err != nil {
		return route, "", "", err
	}
	switch route.Route {
	case "integration":
		i, err := s.Store.Integration(r.ctx(), ferry.IntegrationID(id))
		route.Integration = i.ID
		return route, fmt.Sprintf("/hooks/integration/%d/", id), display(i.Name, i.Slug), err
	case "repo":
		repo, err := s.Store.Repository(r.ctx(), ferry.RepositoryID(id))
		route.Repository = repo.ID
		return route, fmt.Sprintf("/hooks/repo/%d/", id), repo.Path(), err
	}
	return route, "", "", ferry.ErrInvalid
}

func (s *Server) adminTriggersPost(r *request) error {
	switch r.form("do") {
	case "switch":
		on := r.ticked("enabled")
		if err := s.Store.SetSetting(r.ctx(), triggers.SettingEnabled, on); err != nil {
			return err
		}
		s.audit(r, "triggers.switch", "triggers", fmt.Sprint(on))
		return s.done(r, "/admin/triggers", map[bool]string{true: "Triggers are taken.", false: "Triggers are ignored. Changes are found by looking."}[on])
	case "clear":
		if err := s.Store.ClearTriggerCalls(r.ctx()); err != nil {
			return err
		}
		s.audit(r, "triggers.clear", "triggers", "")
		return s.done(r, "/admin/triggers", "The log of calls is empty.")
	case "setup":
		route, _, name, err := s.triggerRoute(r)
		if err != nil || route.Route != "integration" {
			return errors.Join(err, ferry.ErrInvalid)
		}
		if err := s.queueTriggers(r, route.Integration); err != nil {
			return err
		}
		return s.done(r, "/admin/triggers", "The triggers of "+name+" are set up anew.")
	case "show", "renew":
		return s.showTriggerAddress(r)
	}
	return ferry.ErrInvalid
}

func (s *Server) queueTriggers(r *request, id ferry.IntegrationID) error {
	_, err := s.Store.Enqueue(r.ctx(), store.Job{Integration: id, Op: store.OpTriggers, Source: "manual", Priority: 24})
	s.Index.Ring()
	return err
}

// showTriggerAddress shows an address, with a new secret if that is asked for.
// It stands on no page that a link leads to, since it holds a secret.
func (s *Server) showTriggerAddress(r *request) error {
	route, at, name, err := s.triggerRoute(r)
	if err != nil {
		return err
	}
	ask, said := s.Store.TriggerSecret, "triggers.show"
	if r.form("do") == "renew" {
		ask, said = s.Store.NewTriggerSecret, "triggers.renew"
	}
	secret, err := ask(r.ctx(), route)
	if err != nil {
		return err
	}
	s.audit(r, said, "triggers of "+name, "")
	if said == "triggers.renew" && route.Integration != 0 {
		if err := s.queueTriggers(r, route.Integration); err != nil {
			return err
		}
	}
	v, err := s.triggersView(r)
	if err != nil {
		return err
	}
	v.Address, v.Of = s.PublicURL+at+secret.Reveal(), name
	if route.Repository != 0 {
		if v.Repo, err = s.Store.Repository(r.ctx(), route.Repository); err != nil {
			return err
		}
	}
	return s.render(r, http.StatusOK, "admin_triggers", &v)
}
