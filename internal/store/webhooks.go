package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"gitferry/internal/ferry"
)

// A Webhook is a call to another server after something moved.
type Webhook struct {
	ID          int64
	Repository  ferry.RepositoryID
	URL         string
	ContentType string       // "json" or "form"
	Secret      ferry.Secret // signs what is sent; empty: nothing is signed
	Events      []string     // "push", "create", "delete", "pull_request", "ping", or "*"
	Active      bool
	Jira        bool         // may call the connected Jira only
	User        ferry.UserID // who made it; 0: removed since
	Upto        int64        // last movement of which deliveries were made
	CreatedAt   time.Time
	UpdatedAt   time.Time
	LastCode    int // status of the last answer, 0: none yet
	LastMessage string
}

// MaxWebhooks is how many webhooks one repository may have.
const MaxWebhooks = 20

func checkWebhook(h Webhook) error {
	switch {
	case h.ContentType != "json" && h.ContentType != "form":
		return invalid("content type %.20q of a webhook: want json or form", h.ContentType)
	case len(h.URL) > 2000 || len(h.Secret.Reveal()) > 255 || len(h.Events) == 0 || len(h.Events) > 100:
		return invalid("webhook: want a URL of at most 2,000 bytes, a secret of at most 255 and 1 to 100 events")
	}
	return nil
}

// AddWebhook makes a webhook and returns it with its ID. It hears of what
// moves from now on; pull requests that are known count as told. It fails
// with ferry.ErrConflict if the repository has a webhook with that address,
// content type and events, or MaxWebhooks of them.
func (s *Store) AddWebhook(ctx context.Context, h Webhook) (Webhook, error) {
	if err := checkWebhook(h); err != nil {
		return h, err
	}
	now := s.now()
	h.CreatedAt, h.UpdatedAt = at(ms(now)), at(ms(now))
	err := s.write(ctx, fmt.Sprintf("adding a webhook to repository %d", h.Repository), func(tx *sql.Tx) error {
		var n, same int
		if err := tx.QueryRowContext(ctx, `
			SELECT COUNT(*), COALESCE(SUM(url = ? AND content_type = ? AND events = ?), 0)
			FROM webhook WHERE repository_id = ?`, h.URL, h.ContentType, asJSON(h.Events), h.Repository).Scan(&n, &same); err != nil {
			return err
		}
		if n >= MaxWebhooks || same > 0 {
			return conflict("the repository has such a webhook, or %d of them", MaxWebhooks)
		}
		if err := tx.QueryRowContext(ctx, `
			INSERT INTO webhook (
				repository_id, url, content_type, events, active, jira, user_id, upto, created_at, updated_at, last_code, last_message)
			VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, COALESCE((SELECT MAX(seq) FROM movement WHERE repository_id = ?1), 0), ?8, ?8, 0, '')
			RETURNING id, upto`,
			h.Repository, h.URL, h.ContentType, asJSON(h.Events), h.Active, h.Jira, orNull(h.User), ms(now)).Scan(&h.ID, &h.Upto); err != nil {
			return err
		}
		if err := s.putWebhookSecret(ctx, tx, h); err != nil {
			return err
		}
		return catchUpWebhook(ctx, tx, h.ID)
	})
	return h, err
}

func (s *Store) putWebhookSecret(ctx context.Context, tx *sql.Tx, h Webhook) error {
	_, err := tx.ExecContext(ctx, `UPDATE webhook SET secret = ? WHERE id = ?`, s.vault.seal("webhook", h.ID, "secret", h.Secret), h.ID)
	return err
}

// catchUpWebhook makes everything that is known now count as told.
func catchUpWebhook(ctx context.Context, tx *sql.Tx, id int64) error {
	if _, err := tx.ExecContext(ctx, `
		UPDATE webhook SET upto = COALESCE((SELECT MAX(seq) FROM movement m WHERE m.repository_id = webhook.repository_id), 0)
		WHERE id = ?`, id); err != nil {
		return err
	}
	return catchUpPulls(ctx, tx, id)
}

func catchUpPulls(ctx context.Context, tx *sql.Tx, id int64) error {
	_, err := tx.ExecContext(ctx, `
		INSERT OR REPLACE INTO webhook_pull (webhook_id, number, status, source_oid, updated_at)
		SELECT h.id, p.number, p.status, p.source_oid, p.updated_at
		FROM webhook h JOIN pull_request p ON p.repository_id = h.repository_id
		WHERE h.id = ?`, id)
	return err
}

// UpdateWebhook writes URL, ContentType, Events and Active, and with secret
// the secret. If the URL moves to another host, scheme or port, a stored
// secret is cleared unless a new one comes with it. One that becomes active
// hears of what moves from now on, one that wants other events of pull
// requests from now on.
func (s *Store) UpdateWebhook(ctx context.Context, h Webhook, secret bool) (Webhook, error) {
	if err := checkWebhook(h); err != nil {
		return h, err
	}
	err := s.write(ctx, fmt.Sprintf("changing webhook %d", h.ID), func(tx *sql.Tx) error {
		before, err := s.webhookBy(ctx, tx, h.Repository, h.ID)
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `
			UPDATE webhook SET url = ?, content_type = ?, events = ?, active = ?, updated_at = ?
			WHERE id = ?`, h.URL, h.ContentType, asJSON(h.Events), h.Active, ms(s.now()), h.ID); err != nil {
			return err
		}
		if !secret && origin(before.URL) != origin(h.URL) {
			h.Secret, secret = ferry.Secret{}, true
		}
		if secret {
			if err := s.putWebhookSecret(ctx, tx, h); err != nil {
				return err
			}
		}
		if h.Active && !before.Active {
			if err := catchUpWebhook(ctx, tx, h.ID); err != nil {
				return err
			}
		}
		if asJSON(h.Events) != asJSON(before.Events) {
			if err := catchUpPulls(ctx, tx, h.ID); err != nil {
				return err
			}
		}
		h, err = s.webhookBy(ctx, tx, h.Repository, h.ID)
		return err
	})
	return h, err
}

// RemoveWebhook removes a webhook with its deliveries.
func (s *Store) RemoveWebhook(ctx context.Context, repo ferry.RepositoryID, id int64) error {
	return s.write(ctx, fmt.Sprintf("removing webhook %d", id), func(tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, `DELETE FROM webhook WHERE repository_id = ? AND id = ?`, repo, id)
		return one(res, err, ferry.ErrNotFound)
	})
}

const selectWebhook = `
	SELECT id, repository_id, url, content_type, secret, events, active, jira, COALESCE(user_id, 0), upto,
		created_at, updated_at, last_code, last_message
	FROM webhook h`

func (s *Store) scanWebhook(row scanner) (h Webhook, err error) {
	var sealed []byte
	if err = row.Scan(&h.ID, &h.Repository, &h.URL, &h.ContentType, &sealed, jsonColumn{&h.Events}, &h.Active, &h.Jira, &h.User, &h.Upto,
		stamp{&h.CreatedAt}, stamp{&h.UpdatedAt}, &h.LastCode, &h.LastMessage); err != nil {
		return h, err
	}
	h.Secret, err = s.vault.open("webhook", h.ID, "secret", sealed)
	return h, err
}

func (s *Store) webhookBy(ctx context.Context, q querier, repo ferry.RepositoryID, id int64) (Webhook, error) {
	h, err := s.scanWebhook(q.QueryRowContext(ctx, selectWebhook+` WHERE repository_id = ? AND id = ?`, repo, id))
	if err != nil {
		return h, fmt.Errorf("reading webhook %d: %w", id, kind(err))
	}
	return h, nil
}

// Webhook returns one webhook of a repository.
func (s *Store) Webhook(ctx context.Context, repo ferry.RepositoryID, id int64) (Webhook, error) {
	return s.webhookBy(ctx, s.r, repo, id)
}

// Webhooks returns the webhooks of a repository, oldest first.
func (s *Store) Webhooks(ctx context.Context, repo ferry.RepositoryID) ([]Webhook, error) {
	return collect(ctx, s.r, s.scanWebhook, selectWebhook+` WHERE repository_id = ? ORDER BY id`, repo)
}

// WebhooksBehind returns the active webhooks of repositories in which a ref
// moved that they were not told of.
func (s *Store) WebhooksBehind(ctx context.Context) ([]Webhook, error) {
	return collect(ctx, s.r, s.scanWebhook, queryWebhooksBehind)
}

const queryWebhooksBehind = selectWebhook + `
	WHERE active = 1
		AND EXISTS (SELECT 1 FROM movement m WHERE m.repository_id = h.repository_id AND m.seq > h.upto)
	ORDER BY id`

// WebhooksBehindPulls returns the active webhooks that want pull requests and
// were not told of one as it is now. It compares all pull requests of their
// repositories.
func (s *Store) WebhooksBehindPulls(ctx context.Context) ([]Webhook, error) {
	return collect(ctx, s.r, s.scanWebhook, queryWebhooksBehindPulls)
}

const wantsPulls = `(h.events LIKE '%"pull_request"%' OR h.events LIKE '%"*"%')`

const queryWebhooksBehindPulls = selectWebhook + `
	WHERE active = 1 AND ` + wantsPulls + `
		AND EXISTS (
			SELECT 1 FROM pull_request p
			LEFT JOIN webhook_pull t ON t.webhook_id = h.id AND t.number = p.number
			WHERE p.repository_id = h.repository_id
				AND (t.number IS NULL OR t.updated_at <> p.updated_at OR t.status <> p.status OR t.source_oid <> p.source_oid))
	ORDER BY id`

// A PullChange is a pull request as it is, with what a webhook was last told.
type PullChange struct {
	Number    int64
	Known     bool // the webhook was told of it before
	Status    string
	SourceOID ferry.OID
}

// WebhookPulls returns the pull requests of which a webhook was not told as
// they are now, by number.
func (s *Store) WebhookPulls(ctx context.Context, h Webhook) ([]PullChange, error) {
	return collect(ctx, s.r, func(row scanner) (c PullChange, err error) {
		err = row.Scan(&c.Number, &c.Known, &c.Status, oidColumn{&c.SourceOID})
		return c, err
	}, `
		SELECT p.number, t.number IS NOT NULL, COALESCE(t.status, ''), COALESCE(t.source_oid, zeroblob(20))
		FROM pull_request p
		LEFT JOIN webhook_pull t ON t.webhook_id = ? AND t.number = p.number
		WHERE p.repository_id = ?
			AND (t.number IS NULL OR t.updated_at <> p.updated_at OR t.status <> p.status OR t.source_oid <> p.source_oid)
		ORDER BY p.number LIMIT 1000`, h.ID, h.Repository)
}

// TellWebhook queues deliveries and notes, in the same transaction, up to
// which movement the webhook is told with them, and which pull requests. It
// fails with ferry.ErrConflict if the webhook was told meanwhile.
func (s *Store) TellWebhook(ctx context.Context, h Webhook, upto int64, pulls []PullRequest, deliveries []WebhookDelivery) error {
	return s.write(ctx, fmt.Sprintf("queueing deliveries of webhook %d", h.ID), func(tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, `UPDATE webhook SET upto = ? WHERE id = ? AND upto = ?`, upto, h.ID, h.Upto)
		if err := one(res, err, fmt.Errorf("it was told meanwhile: %w", ferry.ErrConflict)); err != nil {
			return err
		}
		for _, p := range pulls {
			if _, err := tx.ExecContext(ctx, `
				INSERT OR REPLACE INTO webhook_pull (webhook_id, number, status, source_oid, updated_at)
				VALUES (?, ?, ?, ?, ?)`, h.ID, p.Number, p.Status, p.SourceOID[:], ms(p.UpdatedAt)); err != nil {
				return err
			}
		}
		for _, d := range deliveries {
			if err := queueDelivery(ctx, tx, h.ID, d, ms(s.now())); err != nil {
				return err
			}
		}
		return nil
	})
}

func queueDelivery(ctx context.Context, tx *sql.Tx, hook int64, d WebhookDelivery, now int64) error {
	_, err := tx.ExecContext(ctx, `
		INSERT INTO webhook_delivery (
			webhook_id, guid, event, action, payload, redelivery, state, attempts, next_at, created_at, delivered_at,
			duration_ms, code, request, response, body, problem)
		VALUES (?, ?, ?, ?, ?, ?, 'pending', 0, 0, ?, 0, 0, 0, '{}', '{}', '', '')`,
		hook, d.GUID, d.Event, d.Action, string(d.Payload), d.Redelivery, now)
	return err
}

// asHeaders encodes headers for a JSON column.
func asHeaders(h map[string]string) string {
	if len(h) == 0 {
		return "{}"
	}
	b, err := json.Marshal(h)
	if err != nil {
		panic("store: encoding headers: " + err.Error()) // a map of strings
	}
	return string(b)
}
