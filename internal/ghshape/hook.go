package ghshape

import (
	"net/url"
	"time"

	"gitferry/internal/ferry"
	"gitferry/internal/store"
)

// Hook writes a webhook. Its secret shows as stars.
func (s Shape) Hook(r ferry.Repository, h store.Webhook) Object {
	at := s.Repo(r) + "/hooks/" + itoa(h.ID)
	config := Object{"url": h.URL, "content_type": h.ContentType, "insecure_ssl": "0"}
	if !h.Secret.IsZero() {
		config["secret"] = "********"
	}
	last := Object{"code": nil, "status": "unused", "message": nil}
	if h.LastCode != 0 || h.LastMessage != "" {
		last = Object{"code": h.LastCode, "status": "active", "message": "OK"}
		if h.LastMessage != "" {
			last["status"], last["message"] = "misconfigured", h.LastMessage
		}
	}
	return Object{"type": "Repository", "id": h.ID, "name": "web", "active": h.Active, "events": h.Events, "config": config,
		"updated_at": Date(h.UpdatedAt), "created_at": Date(h.CreatedAt), "url": at, "test_url": at + "/tests", "ping_url": at + "/pings",
		"deliveries_url": at + "/deliveries", "last_response": last}
}

// HookDelivery writes one entry of a webhook's log. whole adds what was sent
// and what came back.
func (s Shape) HookDelivery(r ferry.Repository, h store.Webhook, d store.WebhookDelivery, whole bool) Object {
	o := Object{"id": d.ID, "guid": d.GUID, "delivered_at": Date(d.DeliveredAt), "redelivery": d.Redelivery, "duration": d.Duration.Seconds(),
		"status": status(d), "status_code": d.Code, "event": d.Event, "action": nil, "installation_id": nil, "repository_id": r.ID,
		"throttled_at": nil, "attempts": d.Attempts, "state": d.State, "created_at": Date(d.CreatedAt), "next_at": nil}
	if d.Action != "" {
		o["action"] = d.Action
	}
	if d.State == store.WebhookPending {
		o["next_at"] = Date(later(d.NextAt, d.CreatedAt))
	}
	if whole {
		o["url"] = withoutQuery(h.URL)
		o["request"] = Object{"headers": d.Request, "payload": d.Payload}
		o["response"] = Object{"headers": d.Response, "payload": d.Body}
	}
	return o
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

func status(d store.WebhookDelivery) string {
	switch {
	case d.Problem != "":
		return d.Problem
	case d.State == store.WebhookDone:
		return "OK"
	}
	return "pending"
}

func withoutQuery(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return ""
	}
	u.RawQuery = ""
	return u.String()
}
