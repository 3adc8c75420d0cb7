package web

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"gitferry/internal/ferry"
	"gitferry/internal/store"
	"gitferry/internal/webhook"
)

// hookEvents are the events that the page offers; "*" is all.
var hookEvents = []string{"push", "create", "delete", "pull_request"}

type webhooksView struct {
	page
	Section string
	Rows    []webhookRow
	Repos   []ferry.Repository
	Private bool // addresses in private networks are allowed by the setting
	Form    webhookForm
	Events  []string
	Problem string
}

// A webhookRow is a webhook in a list. The query of its address may hold a
// secret, so it is not shown.
type webhookRow struct {
	store.Webhook
	Href, Repo, Where string
	State             lozenge
}

type webhookForm struct {
	Repo, URL, ContentType string
	Events                 []string
	Active                 bool
}

// Has reports whether an event is ticked.
func (f webhookForm) Has(event string) bool {
	return slices.Contains(f.Events, event) || slices.Contains(f.Events, "*")
}

func webhookPath(h store.Webhook) string {
	return fmt.Sprintf("%s/webhooks/%d", repositoryAdminPath(h.Repository), h.ID)
}

func withoutQuery(address string) string {
	at, _, hidden := strings.Cut(address, "?")
	if hidden {
		at += "?…"
	}
	return at
}

func webhookRowOf(h store.Webhook, repo string) webhookRow {
	row := webhookRow{Webhook: h, Href: webhookPath(h), Repo: repo, Where: withoutQuery(h.URL), State: lozenge{"neutral", "NOT CALLED YET"}}
	switch {
	case !h.Active:
		row.State = lozenge{"neutral", "OFF"}
	case h.LastCode >= 200 && h.LastCode < 300:
		row.State = lozenge{"ok", "DELIVERED"}
	case h.LastCode != 0 || h.LastMessage != "":
		row.State = lozenge{"bad", "FAILED"}
	}
	return row
}

// adminWebhooks lists the webhooks of all repositories.
func (s *Server) adminWebhooks(r *request) error {
	v, err := s.webhooksView(r, webhookForm{ContentType: "json", Events: []string{"push"}, Active: true})
	if err != nil {
		return err
	}
	return s.render(r, http.StatusOK, "admin_webhooks", &v)
}

func (s *Server) webhooksView(r *request, form webhookForm) (webhooksView, error) {
	v := webhooksView{page: s.page(r, "Webhooks", "admin"), Section: "webhooks", Form: form, Events: hookEvents}
	err := s.Store.Setting(r.ctx(), webhook.SettingPrivateNetwork, &v.Private)
	if err != nil && !errors.Is(err, ferry.ErrNotFound) {
		return v, err
	}
	if v.Repos, err = s.Store.Repositories(r.ctx(), store.RepositoryFilter{}); err != nil {
		return v, err
	}
	for _, repo := range v.Repos {
		hooks, err := s.Store.Webhooks(r.ctx(), repo.ID)
		if err != nil {
			return v, err
		}
		for _, h := range hooks {
			v.Rows = append(v.Rows, webhookRowOf(h, repo.Path()))
		}
	}
	return v, nil
}

// readWebhook reads the fields of a form into h; newSecret reports whether it
// holds a secret.
func readWebhook(r *request, h *store.Webhook) (newSecret bool) {
	h.URL, h.ContentType, h.Active = r.form("url"), r.form("content_type"), r.ticked("active")
	h.Events = nil
	for _, e := range hookEvents {
		if slices.Contains(r.Request().PostForm["event"], e) {
			h.Events = append(h.Events, e)
		}
	}
	if r.ticked("no_secret") {
		h.Secret = ferry.Secret{}
		return true
	}
	h.Secret = ferry.NewSecret(r.form("secret"))
	return !h.Secret.IsZero()
}

func formOfWebhook(repo string, h store.Webhook) webhookForm {
	return webhookForm{Repo: repo, URL: h.URL, ContentType: h.ContentType, Events: h.Events, Active: h.Active}
}

func (s *Server) checkWebhook(r *request, h store.Webhook) error {
	if len(h.Events) == 0 {
		return &ferry.Message{Kind: ferry.ErrInvalid, Text: "choose at least one event"}
	}
	return s.Webhooks.CheckURL(r.ctx(), h.URL, h.Jira)
}

// adminWebhooksPost adds a webhook, or switches private networks.
func (s *Server) adminWebhooksPost(r *request) error {
	if r.form("do") == "private" {
		on := r.ticked("private")
		if err := s.Store.SetSetting(r.ctx(), webhook.SettingPrivateNetwork, on); err != nil {
			return err
		}
		s.audit(r, "webhooks.private-network", "webhooks", fmt.Sprint(on))
		return s.done(r, "/admin/webhooks", "Saved.")
	}
	h := store.Webhook{User: r.subject.User.ID}
	readWebhook(r, &h)
	owner, name, _ := strings.Cut(r.form("repository"), "/")
	repo, err := s.Store.RepositoryByPath(r.ctx(), owner, name)
	if errors.Is(err, ferry.ErrNotFound) {
		err = &ferry.Message{Kind: ferry.ErrInvalid, Text: "choose one of the repositories"}
	}
	if err == nil {
		h.Repository = repo.ID
		err = s.checkWebhook(r, h)
	}
	if err == nil {
		h, err = s.Store.AddWebhook(r.ctx(), h)
	}
	if err != nil {
		v, viewErr := s.webhooksView(r, formOfWebhook(r.form("repository"), h))
		if viewErr != nil {
			return viewErr
		}
		if v.Problem = text(err); v.Problem == "" {
			return err
		}
		return s.render(r, http.StatusUnprocessableEntity, "admin_webhooks", &v)
	}
	s.audit(r, "webhook.create", repo.Path()+" "+withoutQuery(h.URL), "")
	if err := s.Webhooks.Ping(r.ctx(), h); err != nil {
		return err
	}
	return s.done(r, webhookPath(h), "The webhook is made, and a ping is on its way.")
}

type webhookView struct {
	page
	Section string
	Hook    webhookRow
	Repo    ferry.Repository
	Form    webhookForm
	Events  []string
	Signed  bool
	Log     []hookDeliveryRow
	Next    string
	Problem string
}

type hookDeliveryRow struct {
	store.WebhookDelivery
	Href  string
	State lozenge
}

func hookDeliveryRowOf(h store.Webhook, d store.WebhookDelivery) hookDeliveryRow {
	row := hookDeliveryRow{WebhookDelivery: d, Href: fmt.Sprintf("%s/deliveries/%d", webhookPath(h), d.ID), State: lozenge{"warn", "WAITING"}}
	switch {
	case d.State == store.WebhookDone:
		row.State = lozenge{"ok", "DELIVERED"}
	case d.State == store.WebhookDead:
		row.State = lozenge{"bad", "FAILED"}
	case d.Problem != "":
		row.State = lozenge{"warn", "RETRYING"}
	}
	return row
}

// hookOf loads the repository and webhook of the path.
func (s *Server) hookOf(r *request) (ferry.Repository, store.Webhook, error) {
	repo, err := s.repositoryOf(r)
	if err != nil {
		return repo, store.Webhook{}, err
	}
	id, err := pathID(r, "hook")
	if err != nil {
		return repo, store.Webhook{}, err
	}
	h, err := s.Store.Webhook(r.ctx(), repo.ID, id)
	return repo, h, err
}

// adminWebhook shows one webhook with its log.
func (s *Server) adminWebhook(r *request) error {
	repo, h, err := s.hookOf(r)
	if err != nil {
		return err
	}
	v, err := s.webhookView(r, repo, h)
	if err != nil {
		return err
	}
	return s.render(r, http.StatusOK, "admin_webhook", &v)
}

func (s *Server) webhookView(r *request, repo ferry.Repository, h store.Webhook) (webhookView, error) {
	v := webhookView{page: s.page(r, "Webhook of "+repo.Path(), "admin"), Section: "webhooks", Hook: webhookRowOf(h, repo.Path()), Repo: repo,
		Form: formOfWebhook(repo.Path(), h), Events: hookEvents, Signed: !h.Secret.IsZero()}
	before, _ := parseID(r.QueryParam("before")) // zero: from the newest on
	const size = 30
	list, err := s.Store.WebhookDeliveries(r.ctx(), h.ID, before, size+1)
	if err != nil {
		return v, err
	}
	if len(list) > size {
		list = list[:size]
		v.Next = withQuery(r.Request().URL, "before", fmt.Sprint(list[size-1].ID))
	}
	for _, d := range list {
		v.Log = append(v.Log, hookDeliveryRowOf(h, d))
		if d.State == store.WebhookPending || d.State == store.WebhookSending {
			v.page.Refresh = 3
		}
	}
	return v, nil
}

// adminWebhookPost changes, tests or removes a webhook, or sends a delivery
// again.
func (s *Server) adminWebhookPost(r *request) error {
	repo, h, err := s.hookOf(r)
	if err != nil {
		return err
	}
	object := repo.Path() + " " + withoutQuery(h.URL)
	switch r.form("do") {
	case "ping":
		if err := s.Webhooks.Ping(r.ctx(), h); err != nil {
			return err
		}
		s.audit(r, "webhook.ping", object, "")
		return s.done(r, webhookPath(h), "A ping is on its way.")
	case "remove":
		if err := s.Store.RemoveWebhook(r.ctx(), repo.ID, h.ID); err != nil {
			return err
		}
		s.audit(r, "webhook.remove", object, "")
		return s.done(r, "/admin/webhooks", "The webhook is removed.")
	case "redeliver":
		id, err := parseID(r.form("id"))
		if err != nil {
			return err
		}
		if err := s.Store.RedeliverWebhook(r.ctx(), h.ID, id); err != nil {
			return err
		}
		s.audit(r, "webhook.redeliver", object, fmt.Sprint(id))
		return s.done(r, webhookPath(h), "The delivery is on its way once more.")
	case "save":
	default:
		return ferry.ErrInvalid
	}
	before := h
	newSecret := readWebhook(r, &h)
	err = s.checkWebhook(r, h)
	if err == nil {
		h, err = s.Store.UpdateWebhook(r.ctx(), h, newSecret)
	}
	if err != nil {
		v, viewErr := s.webhookView(r, repo, before)
		if viewErr != nil {
			return viewErr
		}
		if v.Problem = text(err); v.Problem == "" {
			return err
		}
		v.Form = formOfWebhook(repo.Path(), h)
		return s.render(r, http.StatusUnprocessableEntity, "admin_webhook", &v)
	}
	s.audit(r, "webhook.change", repo.Path()+" "+withoutQuery(h.URL), "")
	return s.done(r, webhookPath(h), "Saved.")
}

type hookDeliveryView struct {
	page
	Section  string
	Hook     webhookRow
	Repo     ferry.Repository
	Delivery hookDeliveryRow
	Took     time.Duration
	Request  []headerRow
	Response []headerRow
	Payload  string // indented, cut to maxShownPayload
	Cut      bool
}

type headerRow struct{ Name, Value string }

// maxShownPayload is how much of what was sent a page shows, in bytes.
const maxShownPayload = 64 << 10

func headerRows(h map[string]string) []headerRow {
	var rows []headerRow
	for name, value := range h {
		rows = append(rows, headerRow{name, value})
	}
	slices.SortFunc(rows, func(a, b headerRow) int { return strings.Compare(a.Name, b.Name) })
	return rows
}

// adminWebhookDelivery shows what was sent, and what came back.
func (s *Server) adminWebhookDelivery(r *request) error {
	repo, h, err := s.hookOf(r)
	if err != nil {
		return err
	}
	id, err := pathID(r, "delivery")
	if err != nil {
		return err
	}
	d, err := s.Store.WebhookDelivery(r.ctx(), h.ID, id)
	if err != nil {
		return err
	}
	v := hookDeliveryView{page: s.page(r, "Delivery of a webhook", "admin"), Section: "webhooks", Hook: webhookRowOf(h, repo.Path()), Repo: repo,
		Delivery: hookDeliveryRowOf(h, d), Took: d.Duration, Request: headerRows(d.Request), Response: headerRows(d.Response)}
	var pretty bytes.Buffer
	if json.Indent(&pretty, d.Payload, "", "  ") != nil {
		pretty.Write(d.Payload)
	}
	v.Payload = pretty.String()
	if len(v.Payload) > maxShownPayload {
		v.Payload, v.Cut = strings.ToValidUTF8(v.Payload[:maxShownPayload], ""), true
	}
	return s.render(r, http.StatusOK, "admin_webhook_delivery", &v)
}
