package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"gitferry/internal/ferry"
)

// WebhookState is how far a delivery of a webhook has come.
type WebhookState string

const (
	WebhookPending WebhookState = "pending"
	WebhookSending WebhookState = "sending"
	WebhookDone    WebhookState = "done"
	WebhookDead    WebhookState = "dead" // given up; it may be delivered again by hand
)

// A WebhookDelivery is one call, with what became of its latest attempt.
type WebhookDelivery struct {
	ID          int64
	Hook        int64
	GUID        string // the same in every attempt and redelivery
	Event       string
	Action      string // of pull requests: "opened", …
	Payload     json.RawMessage
	Redelivery  bool
	State       WebhookState
	Attempts    int
	NextAt      time.Time
	CreatedAt   time.Time
	DeliveredAt time.Time     // end of the latest attempt; zero: none yet
	Duration    time.Duration // of the latest attempt
	Code        int           // status of the latest answer; 0: none
	Request     map[string]string
	Response    map[string]string
	Body        string // beginning of the answer
	Problem     string // why the latest attempt failed; empty: it did not
}

const selectWebhookDelivery = `
	SELECT id, webhook_id, guid, event, action, payload, redelivery, state, attempts, next_at, created_at, delivered_at,
		duration_ms, code, request, response, body, problem
	FROM webhook_delivery`

func scanWebhookDelivery(row scanner) (d WebhookDelivery, err error) {
	var took int64
	var payload string
	err = row.Scan(&d.ID, &d.Hook, &d.GUID, &d.Event, &d.Action, &payload, &d.Redelivery, &d.State, &d.Attempts, stamp{&d.NextAt},
		stamp{&d.CreatedAt}, stamp{&d.DeliveredAt}, &took, &d.Code, jsonColumn{&d.Request}, jsonColumn{&d.Response}, &d.Body, &d.Problem)
	d.Payload, d.Duration = json.RawMessage(payload), time.Duration(took)*time.Millisecond
	return d, err
}

// WebhookDeliveries returns the log of a webhook, newest first; before, if
// not 0, asks for those with lower IDs. Limit 0 or above 1000 is 30.
func (s *Store) WebhookDeliveries(ctx context.Context, hook, before int64, limit int) ([]WebhookDelivery, error) {
	if before <= 0 {
		before = notBefore[0]
	}
	return collect(ctx, s.r, scanWebhookDelivery, selectWebhookDelivery+`
		WHERE webhook_id = ? AND id < ?
		ORDER BY id DESC LIMIT ?`, hook, before, limited(limit, 30))
}

// WebhookDelivery returns one delivery of a webhook.
func (s *Store) WebhookDelivery(ctx context.Context, hook, id int64) (WebhookDelivery, error) {
	d, err := scanWebhookDelivery(s.r.QueryRowContext(ctx, selectWebhookDelivery+` WHERE webhook_id = ? AND id = ?`, hook, id))
	if err != nil {
		return d, fmt.Errorf("reading delivery %d: %w", id, kind(err))
	}
	return d, nil
}

// AddWebhookDelivery queues a delivery by itself, such as a ping.
func (s *Store) AddWebhookDelivery(ctx context.Context, d WebhookDelivery) error {
	return s.write(ctx, fmt.Sprintf("queueing a delivery of webhook %d", d.Hook), func(tx *sql.Tx) error {
		return queueDelivery(ctx, tx, d.Hook, d, ms(s.now()))
	})
}

// RedeliverWebhook queues a delivery of the log again, as a new one with the
// same GUID and payload.
func (s *Store) RedeliverWebhook(ctx context.Context, hook, id int64) error {
	return s.write(ctx, fmt.Sprintf("repeating delivery %d", id), func(tx *sql.Tx) error {
		d, err := scanWebhookDelivery(tx.QueryRowContext(ctx, selectWebhookDelivery+` WHERE webhook_id = ? AND id = ?`, hook, id))
		if err != nil {
			return err
		}
		d.Redelivery = true
		return queueDelivery(ctx, tx, hook, d, ms(s.now()))
	})
}

// ClaimWebhookDeliveries leases due deliveries to this process for a time and
// returns them, at most limit and one of each webhook, of which none is under
// way. A lease that ends without SaveWebhookDelivery gives the delivery back:
// it may then arrive twice, with the same GUID.
func (s *Store) ClaimWebhookDeliveries(ctx context.Context, lease time.Duration, limit int) ([]WebhookDelivery, error) {
	now := s.now()
	var list []WebhookDelivery
	due, err := collect(ctx, s.r, func(row scanner) (id int64, err error) { return id, row.Scan(&id) }, queryDueWebhooks, ms(now), limited(limit, 100))
	if err != nil || len(due) == 0 {
		return nil, err
	}
	err = s.write(ctx, "claiming deliveries of webhooks", func(tx *sql.Tx) error {
		list = nil
		for _, id := range due {
			d, err := scanWebhookDelivery(tx.QueryRowContext(ctx, `
				UPDATE webhook_delivery SET state = 'sending', attempts = attempts + 1, next_at = ?
				WHERE id = ? AND state IN ('pending', 'sending') AND next_at <= ?
				RETURNING id, webhook_id, guid, event, action, payload, redelivery, state, attempts, next_at, created_at, delivered_at,
					duration_ms, code, request, response, body, problem`, ms(now.Add(lease)), id, ms(now)))
			if err == sql.ErrNoRows { // another process was first
				continue
			}
			if err != nil {
				return err
			}
			list = append(list, d)
		}
		return nil
	})
	return list, err
}

const queryDueWebhooks = `
	SELECT MIN(d.id)
	FROM webhook_delivery d INDEXED BY webhook_delivery_due
	WHERE d.state IN ('pending', 'sending') AND d.next_at <= ?1
		AND EXISTS (SELECT 1 FROM webhook h WHERE h.id = d.webhook_id AND h.active = 1)
		AND NOT EXISTS (
			SELECT 1 FROM webhook_delivery o
			WHERE o.webhook_id = d.webhook_id AND o.state = 'sending' AND o.next_at > ?1)
	GROUP BY d.webhook_id
	LIMIT ?2`

// SaveWebhookDelivery records what became of an attempt: State, NextAt,
// DeliveredAt, Duration, Code, Request, Response, Body and Problem. It passes
// over a delivery that is gone.
func (s *Store) SaveWebhookDelivery(ctx context.Context, d WebhookDelivery) error {
	return s.write(ctx, fmt.Sprintf("saving delivery %d", d.ID), func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `
			UPDATE webhook_delivery SET
				state = ?, next_at = ?, delivered_at = ?, duration_ms = ?, code = ?, request = ?, response = ?, body = ?, problem = ?
			WHERE id = ?`,
			d.State, ms(d.NextAt), ms(d.DeliveredAt), d.Duration.Milliseconds(), d.Code, asHeaders(d.Request), asHeaders(d.Response),
			d.Body, d.Problem, d.ID); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `UPDATE webhook SET last_code = ?, last_message = ? WHERE id = ?`, d.Code, d.Problem, d.Hook)
		return err
	})
}

// PruneWebhooks removes ended deliveries older than a time.
func (s *Store) PruneWebhooks(ctx context.Context, before time.Time) error {
	return s.write(ctx, "removing old deliveries of webhooks", func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `
			DELETE FROM webhook_delivery
			WHERE state IN ('done', 'dead') AND created_at < ?`, ms(before))
		return err
	})
}

// RepositoryOfWebhook returns the webhook of a delivery with its repository.
func (s *Store) RepositoryOfWebhook(ctx context.Context, hook int64) (Webhook, ferry.Repository, error) {
	h, err := s.scanWebhook(s.r.QueryRowContext(ctx, selectWebhook+` WHERE id = ?`, hook))
	if err != nil {
		return h, ferry.Repository{}, fmt.Errorf("reading webhook %d: %w", hook, kind(err))
	}
	repo, err := s.Repository(ctx, h.Repository)
	return h, repo, err
}
