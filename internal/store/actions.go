package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"
)

// An ActionResult is what became of one attempt.
type ActionResult struct {
	State   ActionState // any but leased
	NextAt  time.Time   // for pending, retry and verify; zero: at once
	JiraID  string      // empty: keep
	Problem string
}

// isHead says that no earlier action of the issue of action a is open.
const isHead = `
	NOT EXISTS (
		SELECT 1 FROM action b
		WHERE b.issue_key = a.issue_key AND b.id < a.id AND b.` + actionOpen + `)`

const actionColumns = `
	a.id, a.identity, COALESCE(a.repository_id, 0), a.oid, a.issue_key, a.ordinal, a.command,
	a.author_name, a.author_email, a.authored_at, COALESCE(a.actor_id, 0), COALESCE(a.push_id, 0),
	a.state, a.attempts, a.next_at, a.sent_at, a.created_at, a.done_at, a.jira_id, a.problem`

func scanAction(row scanner) (a Action, err error) {
	var command string
	err = row.Scan(&a.ID, &a.Identity, &a.Repository, oidColumn{&a.OID}, &a.Key, &a.Ordinal, &command,
		&a.Author.Name, &a.Author.Email, stamp{&a.AuthoredAt}, &a.Actor, &a.Push,
		&a.State, &a.Attempts, stamp{&a.NextAt}, stamp{&a.SentAt}, stamp{&a.CreatedAt}, stamp{&a.DoneAt}, &a.JiraID, &a.Problem)
	a.Command = json.RawMessage(command)
	a.Seq = a.ID
	return a, err
}

const queryDueActions = `
	SELECT ` + actionColumns + `
	FROM action a INDEXED BY action_due
	WHERE ` + actionWaiting + ` AND next_at <= ? AND ` + isHead + `
	ORDER BY next_at, id
	LIMIT ?`

// ClaimActions leases up to limit due actions to this process, boot, and
// returns them. Per issue it gives out only the head of the queue: the next
// one follows when the head is done, dead or skipped. The State of what it
// returns is the one before the lease: verify asks the caller to look in Jira
// whether an earlier request had its effect; pending and retry may be sent
// after MarkSending. A lease that ends without SaveAction gives the action
// back, as verify if MarkSending was called. Leases last 10 minutes at most.
func (s *Store) ClaimActions(ctx context.Context, boot string, lease time.Duration, limit int) ([]Action, error) {
	var list []Action
	err := s.claim(ctx, "claiming actions", lease, func(tx *sql.Tx, now, until int64) (err error) {
		list, err = collect(ctx, tx, scanAction, queryDueActions, now, limited(limit, 100))
		if err != nil {
			return err
		}
		for _, a := range list {
			if _, err := tx.ExecContext(ctx, `
				UPDATE action SET state = 'leased', lease_boot = ?, lease_until = ?, lease_from = state, sending = 0
				WHERE id = ?`, boot, until, a.ID); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}

// MarkSending records, durably, that the request for a leased action begins:
// one more attempt, sent now. It fails with ferry.ErrConflict if the lease is
// over or the action was discarded; the request must not be sent then.
func (s *Store) MarkSending(ctx context.Context, id int64) error {
	now := ms(s.now())
	return s.write(ctx, fmt.Sprintf("marking action %d as sending", id), func(tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, `
			UPDATE action SET attempts = attempts + 1, sent_at = ?, sending = 1
			WHERE id = ? AND state = 'leased' AND lease_until > ?`, now, id, now)
		return one(res, err, conflict("action %d is not leased any more", id))
	})
}

// SaveAction records what became of a leased action and ends the lease. A
// success or a refusal for good is also taken after the lease was lost. What
// comes later still fails with ferry.ErrConflict.
func (s *Store) SaveAction(ctx context.Context, id int64, r ActionResult) error {
	now := ms(s.now())
	nextAt, doneAt := now, int64(0)
	if !r.NextAt.IsZero() {
		nextAt = ms(r.NextAt)
	}
	switch r.State {
	case ActionPending, ActionRetry, ActionVerify, ActionPaused:
	case ActionDone, ActionDead, ActionSkipped:
		doneAt = now
	default:
		return invalid("state %.40q cannot be the result of an action", r.State)
	}
	return s.write(ctx, fmt.Sprintf("saving the result of action %d", id), func(tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, `
			UPDATE action SET
				state = ?1, next_at = ?2, done_at = ?3, problem = ?4,
				jira_id = CASE ?5 WHEN '' THEN jira_id ELSE ?5 END,
				lease_boot = '', lease_until = 0, lease_from = '', sending = 0
			WHERE id = ?6 AND (state = 'leased' OR ?1 IN ('done', 'dead') AND `+actionOpen+`)`,
			r.State, nextAt, doneAt, r.Problem, r.JiraID, id)
		return one(res, err, conflict("action %d is not leased any more", id))
	})
}
