package store

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"gitferry/internal/ferry"
)

// SeenMessage records an SNS message and tells whether it is the first of
// its topic and id. Messages are remembered for at least 7 days.
func (s *Store) SeenMessage(ctx context.Context, topic, id string) (first bool, err error) {
	err = s.write(ctx, "recording an SNS message", func(tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, `
			INSERT INTO sns_message (topic, message_id, seen_at) VALUES (?, ?, ?)
			ON CONFLICT DO NOTHING`, topic, id, ms(s.now()))
		if err != nil {
			return err
		}
		n, err := res.RowsAffected()
		first = n == 1
		return err
	})
	return first && err == nil, err
}

// A TriggerCall is one call of a hook address, kept for 7 days.
type TriggerCall struct {
	ID          int64
	At          time.Time // set by the store when zero
	Route       string    // "install", "integration" or "repo"
	Integration ferry.IntegrationID
	Repository  ferry.RepositoryID
	Address     string
	MessageID   string
	Result      string // "accepted", "duplicate", "refused", …
	Detail      string // cut to 2 KiB
}

const maxDetail = 2 << 10

// AddTriggerCall logs a call of a hook address.
func (s *Store) AddTriggerCall(ctx context.Context, t TriggerCall) error {
	return s.write(ctx, "logging a trigger call", func(tx *sql.Tx) error {
		return addTriggerCall(ctx, tx, t, s.now())
	})
}

func addTriggerCall(ctx context.Context, tx *sql.Tx, t TriggerCall, now time.Time) error {
	if t.At.IsZero() {
		t.At = now
	}
	t.Detail = strings.ToValidUTF8(t.Detail[:min(len(t.Detail), maxDetail)], "")
	_, err := tx.ExecContext(ctx, `
		INSERT INTO trigger_call (at, route, integration_id, repository_id, address, message_id, result, detail)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
		ms(t.At), t.Route, orNull(t.Integration), orNull(t.Repository), t.Address, t.MessageID, t.Result, t.Detail)
	return err
}

// TriggerCalls returns the latest calls for one integration or with 0 for
// all, newest first; limit 0 or above 1000 is 100.
func (s *Store) TriggerCalls(ctx context.Context, integration ferry.IntegrationID, limit int) ([]TriggerCall, error) {
	var w where
	if integration != 0 {
		w.add("integration_id = ?", integration)
	}
	list, err := collect(ctx, s.r, func(row scanner) (t TriggerCall, err error) {
		err = row.Scan(&t.ID, stamp{&t.At}, &t.Route, &t.Integration, &t.Repository, &t.Address, &t.MessageID, &t.Result, &t.Detail)
		return t, err
	}, `
		SELECT id, at, route, COALESCE(integration_id, 0), COALESCE(repository_id, 0), address, message_id, result, detail
		FROM trigger_call`+w.String()+` ORDER BY id DESC LIMIT ?`, append(w.args, limited(limit, 100))...)
	if err != nil {
		return nil, fmt.Errorf("reading trigger calls: %w", err)
	}
	return list, nil
}

// How long rows are kept that only record what happened.
const (
	keepTriggers = 7 * 24 * time.Hour
	keepMessages = 7 * 24 * time.Hour
	keepIssues   = 7 * 24 * time.Hour
	keepJobs     = 30 * 24 * time.Hour
	keepAudit    = 400 * 24 * time.Hour
)

// Prune removes records whose time is over: trigger calls, SNS messages and
// remembered issues after 7 days, ended jobs after 30, audit rows after 400.
// Nothing that steers deliveries is ever pruned.
func (s *Store) Prune(ctx context.Context) error {
	now := s.now()
	for _, p := range []struct {
		text string
		keep time.Duration
	}{
		{`DELETE FROM trigger_call WHERE at < ?`, keepTriggers},
		{`DELETE FROM sns_message WHERE seen_at < ?`, keepMessages},
		{`DELETE FROM issue WHERE checked_at < ?`, keepIssues},
		{`DELETE FROM former_path WHERE until_at < ?`, 0},
		{`DELETE FROM job WHERE state IN ('done', 'failed', 'canceled') AND finished_at < ?`, keepJobs},
		// A prefix of the rows, whatever the clock did between them; the
		// newest row stays, to chain the next one.
		{`DELETE FROM audit WHERE seq < (
			SELECT COALESCE((SELECT seq FROM audit WHERE at >= ? ORDER BY seq LIMIT 1), MAX(seq)) FROM audit)`, keepAudit},
	} {
		err := s.write(ctx, "pruning", func(tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, p.text, ms(now.Add(-p.keep)))
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}
