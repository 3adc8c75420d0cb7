package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"gitferry/internal/ferry"
)

const (
	// maxLease is the longest lease. A stored lease that seems longer was
	// written before the clock stepped back, and has ended.
	maxLease = 10 * time.Minute
	// maxWait is the longest time a row may wait for its next attempt, and a
	// pause may last; what seems longer is likewise due.
	maxWait = 24 * time.Hour
)

// Conditions that the partial indexes of the outbox are made for, in the very
// words of migrations/0005_outbox.sql. INDEXED BY keeps SQLite, which has no
// statistics here, from walking through all waiting rows by their state.
const (
	actionOpen    = `state NOT IN ('done', 'dead', 'skipped')`
	actionWaiting = `state IN ('pending', 'retry', 'verify')`
	entityWaiting = `state IN ('pending', 'retry')`
)

// A Pause holds back all deliveries.
type Pause struct {
	Reason string
	Since  time.Time
	Until  time.Time // zero: until ResumeDeliveries
}

// PauseDeliveries keeps ClaimActions and ClaimEntities from giving anything
// out until a time, at most 24 hours ahead, or with the zero time until
// ResumeDeliveries. A second pause replaces the first but keeps its beginning.
func (s *Store) PauseDeliveries(ctx context.Context, reason string, until time.Time) error {
	now := s.now()
	if !until.IsZero() && until.Sub(now) > maxWait {
		until = now.Add(maxWait)
	}
	return s.write(ctx, "pausing deliveries", func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `
			INSERT INTO pause (id, reason, since_at, until_at) VALUES (1, ?, ?, ?)
			ON CONFLICT (id) DO UPDATE SET reason = excluded.reason, until_at = excluded.until_at`,
			reason, ms(now), ms(until))
		return err
	})
}

// ResumeDeliveries ends a pause and makes paused actions due now.
func (s *Store) ResumeDeliveries(ctx context.Context) error {
	return s.write(ctx, "resuming deliveries", func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `DELETE FROM pause`); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `UPDATE action SET state = 'retry', next_at = ? WHERE state = 'paused'`, ms(s.now()))
		return err
	})
}

// Paused returns the pause that holds now; ok is false if there is none or
// its time is over. A pause whose time is over stays noted, and its beginning
// with it, until ResumeDeliveries.
func (s *Store) Paused(ctx context.Context) (p Pause, ok bool, err error) {
	return s.paused(ctx, s.r)
}

func (s *Store) paused(ctx context.Context, q querier) (p Pause, ok bool, err error) {
	err = q.QueryRowContext(ctx, `SELECT reason, since_at, until_at FROM pause`).Scan(
		&p.Reason, stamp{&p.Since}, stamp{&p.Until})
	if errors.Is(err, sql.ErrNoRows) {
		return Pause{}, false, nil
	}
	if err != nil {
		return Pause{}, false, fmt.Errorf("reading the pause: %w", kind(err))
	}
	left := p.Until.Sub(s.now())
	return p, p.Until.IsZero() || left > 0 && left <= maxWait, nil
}

// ReleaseLeases gives back what earlier processes had leased; boot names the
// present one. An action whose request had begun comes back as verify, since
// it may have had its effect; others as what they were.
func (s *Store) ReleaseLeases(ctx context.Context, boot string) error {
	return s.write(ctx, "releasing leases", func(tx *sql.Tx) error {
		now := ms(s.now())
		if _, err := tx.ExecContext(ctx, returnActions+` AND lease_boot <> ?2`, now, boot); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, returnEntities+` AND lease_boot <> ?2`, now, boot)
		return err
	})
}

const (
	returnActions = `
		UPDATE action SET
			state = CASE sending WHEN 1 THEN 'verify' ELSE lease_from END,
			next_at = min(next_at, ?1), lease_boot = '', lease_from = '', lease_until = 0, sending = 0
		WHERE state = 'leased'`
	returnEntities = `
		UPDATE entity SET
			state = 'retry',
			next_at = min(next_at, ?1), lease_boot = '', lease_until = 0
		WHERE state = 'leased'`
)

// settle puts right, before rows are given out, what time did to them: leases
// that ended, and waits that a step of the clock made endless.
func (s *Store) settle(ctx context.Context, tx *sql.Tx) error {
	now := s.now()
	for _, text := range []string{returnActions, returnEntities} {
		if _, err := tx.ExecContext(ctx, text+` AND (lease_until <= ?1 OR lease_until > ?2)`,
			ms(now), ms(now.Add(maxLease))); err != nil {
			return err
		}
	}
	for _, text := range []string{
		`UPDATE action INDEXED BY action_due SET next_at = ?1 WHERE ` + actionWaiting + ` AND next_at > ?2`,
		`UPDATE entity INDEXED BY entity_due SET next_at = ?1 WHERE ` + entityWaiting + ` AND backfill IN (0, 1) AND next_at > ?2`,
	} {
		if _, err := tx.ExecContext(ctx, text, ms(now), ms(now.Add(maxWait))); err != nil {
			return err
		}
	}
	return nil
}

// claim runs take in a transaction unless deliveries are paused. The lease is
// cut to maxLease.
func (s *Store) claim(ctx context.Context, what string, lease time.Duration, take func(tx *sql.Tx, now, until int64) error) error {
	return s.write(ctx, what, func(tx *sql.Tx) error {
		if err := s.settle(ctx, tx); err != nil {
			return err
		}
		if _, paused, err := s.paused(ctx, tx); err != nil || paused {
			return err
		}
		now := s.now()
		return take(tx, ms(now), ms(now.Add(min(lease, maxLease))))
	})
}

// NextDue returns when the earliest delivery can be claimed, or a lease ends;
// the time may lie in the past. ok is false if nothing waits, or if deliveries
// are paused without an end.
func (s *Store) NextDue(ctx context.Context) (next time.Time, ok bool, err error) {
	pause, paused, err := s.Paused(ctx)
	if err != nil || paused && pause.Until.IsZero() {
		return time.Time{}, false, err
	}
	now := s.now()
	for _, query := range nextDueQueries {
		var ms int64
		err := s.r.QueryRowContext(ctx, query).Scan(&ms)
		if errors.Is(err, sql.ErrNoRows) {
			continue
		}
		if err != nil {
			return time.Time{}, false, fmt.Errorf("reading when the next delivery is due: %w", kind(err))
		}
		due := at(ms)
		if due.Sub(now) > maxWait {
			due = now
		}
		if !ok || due.Before(next) {
			next, ok = due, true
		}
	}
	if ok && paused && next.Before(pause.Until) {
		next = pause.Until
	}
	return next, ok, nil
}

var nextDueQueries = []string{
	`SELECT next_at FROM action a INDEXED BY action_due WHERE ` + actionWaiting + ` AND ` + isHead + ` ORDER BY next_at LIMIT 1`,
	`SELECT lease_until FROM action WHERE state = 'leased' ORDER BY lease_until LIMIT 1`,
	`SELECT next_at FROM entity WHERE ` + entityWaiting + ` AND backfill = 0 ORDER BY next_at LIMIT 1`,
	`SELECT next_at FROM entity WHERE ` + entityWaiting + ` AND backfill = 1 ORDER BY next_at LIMIT 1`,
	`SELECT lease_until FROM entity WHERE state = 'leased' ORDER BY lease_until LIMIT 1`,
}

// RequeueKey makes entities due that wait for Jira to know an issue.
func (s *Store) RequeueKey(ctx context.Context, key ferry.IssueKey) error {
	return s.write(ctx, "queueing again for "+string(key), func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `
			UPDATE entity SET state = 'pending', next_at = ?
			WHERE id IN (SELECT entity_id FROM entity_key WHERE issue_key = ?) AND state = 'waiting'`,
			ms(s.now()), key)
		return err
	})
}
