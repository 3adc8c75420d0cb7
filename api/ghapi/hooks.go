package ghapi

import (
	"errors"
	"net/http"
	"slices"
	"strings"

	"gitferry/internal/ferry"
	"gitferry/internal/ghshape"
	"gitferry/internal/store"
)

// date is ghshape.Date, which this package writes often.
var date = ghshape.Date

// jiraOnly reports whether the call sees and makes only webhooks towards the
// connected Jira: it came in by the narrower of the two rights.
func (c *call) jiraOnly() bool { return !c.may(ferry.ActionMaintain, c.repo.Path()) }

func (s *Server) hooks(c *call) (any, error) {
	all, err := s.Store.Webhooks(c.ctx, c.repo.ID)
	if err != nil {
		return nil, err
	}
	all = slices.DeleteFunc(all, func(h store.Webhook) bool { return c.jiraOnly() && !h.Jira })
	return cut(s, c, all, func(h store.Webhook) object { return s.shape.Hook(c.repo, h) }), nil
}

// oneHook finds the webhook of the path.
func (s *Server) oneHook(c *call) (store.Webhook, error) {
	id, err := c.number("id")
	if err != nil {
		return store.Webhook{}, err
	}
	h, err := s.Store.Webhook(c.ctx, c.repo.ID, id)
	if err == nil && c.jiraOnly() && !h.Jira {
		err = ferry.ErrNotFound
	}
	return h, err
}

func (s *Server) hook(c *call) (any, error) {
	h, err := s.oneHook(c)
	if err != nil {
		return nil, err
	}
	return s.shape.Hook(c.repo, h), nil
}

// hookBody is what a client sends to make or change a webhook.
type hookBody struct {
	Name   string   `json:"name"`
	Active *bool    `json:"active"`
	Events []string `json:"events"`
	Config *struct {
		URL         string  `json:"url"`
		ContentType string  `json:"content_type"`
		Secret      *string `json:"secret"`
	} `json:"config"`
}

// known are the events that can be asked for. Others that GitHub has are
// taken and never sent: the connector asks for comments, too.
var known = []string{"push", "create", "delete", "pull_request", "*"}

// apply writes what the body says into h, and reports whether it holds a
// secret.
func (b hookBody) apply(h *store.Webhook) (secret bool, err error) {
	if b.Name != "" && b.Name != "web" {
		return false, invalid("Hook", "name", "want web")
	}
	if b.Active != nil {
		h.Active = *b.Active
	}
	if b.Events != nil {
		h.Events = b.Events
	}
	for _, e := range h.Events {
		if e == "" || len(e) > 50 || strings.Trim(e, "abcdefghijklmnopqrstuvwxyz_*") != "" {
			return false, invalid("Hook", "events", "want names of events such as push")
		}
	}
	if b.Config == nil {
		return false, nil
	}
	if b.Config.URL != "" {
		h.URL = b.Config.URL
	}
	if b.Config.ContentType != "" {
		h.ContentType = b.Config.ContentType
	}
	if b.Config.Secret != nil && *b.Config.Secret != "********" {
		h.Secret, secret = ferry.NewSecret(*b.Config.Secret), true
	}
	return secret, nil
}

func (s *Server) addHook(c *call) (any, error) {
	var body hookBody
	if err := c.decode(&body); err != nil {
		return nil, err
	}
	h := store.Webhook{Repository: c.repo.ID, ContentType: "form", Events: []string{"push"}, Active: true, Jira: c.jiraOnly(), User: c.subject.User.ID}
	if _, err := body.apply(&h); err != nil {
		return nil, err
	}
	if err := s.checkHook(c, h); err != nil {
		return nil, err
	}
	h, err := s.Store.AddWebhook(c.ctx, h)
	if errors.Is(err, ferry.ErrConflict) {
		err = invalid("Hook", "config", "Hook already exists on this repository, or it has too many of them")
	}
	err = errors.Join(err, s.audit(c, "webhook.create", h.URL, err))
	if err == nil && !h.Jira {
		err = s.Webhooks.Ping(c.ctx, h)
	}
	if err != nil {
		return nil, err
	}
	return status{http.StatusCreated, s.shape.Hook(c.repo, h)}, nil
}

func (s *Server) checkHook(c *call, h store.Webhook) error {
	err := s.Webhooks.CheckURL(c.ctx, h.URL, h.Jira)
	var m *ferry.Message
	if errors.As(err, &m) {
		return invalid("Hook", "url", m.Text)
	}
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(h.Events, func(e string) bool { return slices.Contains(known, e) }) {
		return invalid("Hook", "events", "want one of "+strings.Join(known, ", "))
	}
	return nil
}

func (s *Server) changeHook(c *call) (any, error) {
	h, err := s.oneHook(c)
	if err != nil {
		return nil, err
	}
	var body hookBody
	if err := c.decode(&body); err != nil {
		return nil, err
	}
	secret, err := body.apply(&h)
	if err != nil {
		return nil, err
	}
	if err := s.checkHook(c, h); err != nil {
		return nil, err
	}
	h, err = s.Store.UpdateWebhook(c.ctx, h, secret)
	if err = errors.Join(err, s.audit(c, "webhook.change", h.URL, err)); err != nil {
		return nil, err
	}
	return s.shape.Hook(c.repo, h), nil
}

func (s *Server) removeHook(c *call) (any, error) {
	h, err := s.oneHook(c)
	if err != nil {
		return nil, err
	}
	err = s.Store.RemoveWebhook(c.ctx, c.repo.ID, h.ID)
	return status{code: http.StatusNoContent}, errors.Join(err, s.audit(c, "webhook.remove", h.URL, err))
}

func (s *Server) pingHook(c *call) (any, error) {
	h, err := s.oneHook(c)
	if err == nil {
		err = s.Webhooks.Ping(c.ctx, h)
	}
	return status{code: http.StatusNoContent}, err
}

// hookDeliveries is the log, newest first. It pages by a cursor, as GitHub's.
func (s *Server) hookDeliveries(c *call) (any, error) {
	h, err := s.oneHook(c)
	if err != nil {
		return nil, err
	}
	before := int64(0)
	if v := c.query("cursor"); v != "" {
		if before, err = parseID(v); err != nil {
			return nil, problem(http.StatusBadRequest, "This is not a cursor of this list.")
		}
	}
	p := c.page(30, 100)
	list, err := s.Store.WebhookDeliveries(c.ctx, h.ID, before, p.size+1)
	if err != nil {
		return nil, err
	}
	if len(list) > p.size {
		list = list[:p.size]
		c.header().Set("Link", "<"+s.shape.Repo(c.repo)+"/hooks/"+itoa(h.ID)+"/deliveries?per_page="+itoa(int64(p.size))+"&cursor="+itoa(list[p.size-1].ID)+`>; rel="next"`)
	}
	out := []object{}
	for _, d := range list {
		out = append(out, s.shape.HookDelivery(c.repo, h, d, false))
	}
	return out, nil
}

// oneDelivery finds the delivery of the path.
func (s *Server) oneDelivery(c *call) (store.Webhook, store.WebhookDelivery, error) {
	h, err := s.oneHook(c)
	if err != nil {
		return h, store.WebhookDelivery{}, err
	}
	id, err := c.number("delivery")
	if err != nil {
		return h, store.WebhookDelivery{}, err
	}
	d, err := s.Store.WebhookDelivery(c.ctx, h.ID, id)
	return h, d, err
}

func (s *Server) hookDelivery(c *call) (any, error) {
	h, d, err := s.oneDelivery(c)
	if err != nil {
		return nil, err
	}
	return s.shape.HookDelivery(c.repo, h, d, true), nil
}

func (s *Server) redeliverHook(c *call) (any, error) {
	h, d, err := s.oneDelivery(c)
	if err != nil {
		return nil, err
	}
	err = s.Store.RedeliverWebhook(c.ctx, h.ID, d.ID)
	return status{code: http.StatusOK, body: object{}}, errors.Join(err, s.audit(c, "webhook.redeliver", h.URL, err))
}

// audit writes down a change. The query of an address may hold a secret.
func (s *Server) audit(c *call, action, object string, failed error) error {
	object, _, _ = strings.Cut(object, "?")
	if c.repo.ID != 0 {
		object = c.repo.Path() + " " + object
	}
	e := store.AuditEvent{ActorID: c.subject.User.ID, Actor: c.subject.User.Name, Credential: c.subject.Credential,
		Address: c.echo.Request().RemoteAddr, Request: c.request, Action: action, Object: object, Result: "ok"}
	if failed != nil {
		e.Result, e.Reason = "failed", failed.Error()
	}
	return s.Store.Audit(c.ctx, e)
}
