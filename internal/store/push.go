package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"gitferry/internal/ferry"
)

// PushState is how far a push has come (table push).
type PushState string

const (
	PushReleased PushState = "released" // the held bytes may have gone out: the outcome is not known
	PushResolved PushState = "resolved" // what upstream did is known for every ref, or known to be unknown
	PushDone     PushState = "done"     // mirror and index followed
	PushRefused  PushState = "refused"  // refused before release; nothing reached upstream
	PushAborted  PushState = "aborted"  // given up; upstream took nothing
	PushUnknown  PushState = "unknown"  // finished, but for some ref upstream's decision stays unknown
)

// Outcome is what upstream did with one ref of a push.
type Outcome string

const (
	OutcomeOK       Outcome = "ok"
	OutcomeRejected Outcome = "rejected"
	OutcomeUnknown  Outcome = "unknown"
)

// A PushResult is the outcome for one ref. Reason is upstream's word for a
// rejection, made safe to print.
type PushResult struct {
	Name    ferry.RefName `json:"name"`
	Outcome Outcome       `json:"outcome"`
	Reason  string        `json:"reason,omitempty"`
}

// A Push is one push through this server, from its release on, or one that
// was refused.
type Push struct {
	ID         ferry.PushID
	Repository ferry.RepositoryID
	User       ferry.UserID // 0: the user was removed since
	// Credential and Address say how and from where the pusher signed in.
	Credential, Address string
	State               PushState
	Updates             []ferry.RefUpdate
	Results             []PushResult
	NoSmartCommits      bool   // the pusher asked that commands are not carried out
	Quarantine          string // directory of the pack, relative to the data directory
	ReceivedAt          time.Time
	ReleasedAt          time.Time
	DoneAt              time.Time
	Reason              string // why it was refused or aborted
}

// ReleasePush records a push whose checks all passed, durably, before the
// first held byte goes to upstream, and returns its ID. From here on its
// outcome is unknown until proven.
func (s *Store) ReleasePush(ctx context.Context, p Push) (ferry.PushID, error) {
	now := s.now()
	p.State = PushReleased
	p.ReleasedAt, p.DoneAt = now, time.Time{}
	return s.addPush(ctx, "releasing a push", p)
}

// RecordRefusedPush records a push that policy or a check refused before its
// release; p.Reason says why.
func (s *Store) RecordRefusedPush(ctx context.Context, p Push) (ferry.PushID, error) {
	p.State = PushRefused
	p.ReleasedAt, p.DoneAt = time.Time{}, s.now()
	return s.addPush(ctx, "recording a refused push", p)
}

func (s *Store) addPush(ctx context.Context, what string, p Push) (ferry.PushID, error) {
	if p.ReceivedAt.IsZero() {
		p.ReceivedAt = s.now()
	}
	err := s.write(ctx, what, func(tx *sql.Tx) error {
		return tx.QueryRowContext(ctx, `
			INSERT INTO push (
				repository_id, user_id, credential, address, state, updates, results,
				no_smart_commits, quarantine, received_at, released_at, done_at, reason)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
			RETURNING id`,
			p.Repository, orNull(p.User), p.Credential, p.Address, p.State, asJSON(p.Updates), asJSON(p.Results),
			p.NoSmartCommits, p.Quarantine, ms(p.ReceivedAt), ms(p.ReleasedAt), ms(p.DoneAt), p.Reason).Scan(&p.ID)
	})
	return p.ID, err
}

// ResolvePush records what upstream did with each ref of a released push; it
// may be called again while the push is not done. Otherwise it fails with
// ferry.ErrConflict.
func (s *Store) ResolvePush(ctx context.Context, id ferry.PushID, results []PushResult) error {
	return s.write(ctx, fmt.Sprintf("resolving push %d", id), func(tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, `
			UPDATE push SET state = 'resolved', results = ?
			WHERE id = ? AND state IN ('released', 'resolved')`,
			asJSON(results), id)
		return one(res, err, ferry.ErrConflict)
	})
}

// FinishPush ends a push that changes nothing in the index: it becomes done,
// or unknown if the outcome of some ref is. Apply does the same for pushes
// that do change it. A refused or aborted push fails with ferry.ErrConflict.
func (s *Store) FinishPush(ctx context.Context, id ferry.PushID) error {
	var done bool // by the change that indexed it, in most cases
	err := s.r.QueryRowContext(ctx, `SELECT state IN ('done', 'unknown') AND quarantine = '' FROM push WHERE id = ?`, id).Scan(&done)
	if err == nil && done {
		return nil
	}
	return s.write(ctx, fmt.Sprintf("finishing push %d", id), func(tx *sql.Tx) error {
		return finishPush(ctx, tx, id, ms(s.now()))
	})
}

func finishPush(ctx context.Context, tx *sql.Tx, id ferry.PushID, now int64) error {
	res, err := tx.ExecContext(ctx, `
		UPDATE push SET
			state = CASE WHEN EXISTS (SELECT 1 FROM json_each(results) WHERE value ->> 'outcome' = 'unknown')
				THEN 'unknown' ELSE 'done' END,
			done_at = CASE done_at WHEN 0 THEN ? ELSE done_at END,
			quarantine = ''
		WHERE id = ? AND state NOT IN ('refused', 'aborted')`, now, id)
	if err := one(res, err, ferry.ErrConflict); err != nil {
		return fmt.Errorf("push %d: %w", id, err)
	}
	return nil
}

// AbortPush ends a released push that upstream is known not to have taken.
func (s *Store) AbortPush(ctx context.Context, id ferry.PushID, reason string) error {
	return s.write(ctx, fmt.Sprintf("aborting push %d", id), func(tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, `
			UPDATE push SET state = 'aborted', reason = ?, done_at = ?, quarantine = ''
			WHERE id = ? AND state IN ('released', 'resolved')`,
			reason, ms(s.now()), id)
		return one(res, err, ferry.ErrConflict)
	})
}

const selectPush = `
	SELECT id, repository_id, COALESCE(user_id, 0), credential, address, state, updates, results,
		no_smart_commits, quarantine, received_at, released_at, done_at, reason
	FROM push`

func scanPush(row scanner) (p Push, err error) {
	err = row.Scan(&p.ID, &p.Repository, &p.User, &p.Credential, &p.Address, &p.State, jsonColumn{&p.Updates}, jsonColumn{&p.Results},
		&p.NoSmartCommits, &p.Quarantine, stamp{&p.ReceivedAt}, stamp{&p.ReleasedAt}, stamp{&p.DoneAt}, &p.Reason)
	return p, err
}

// UnresolvedPushes returns the pushes that are released or resolved, in order
// of their release: those that recovery must bring to an end.
func (s *Store) UnresolvedPushes(ctx context.Context) ([]Push, error) {
	return collect(ctx, s.r, scanPush, selectPush+` WHERE state IN ('released', 'resolved') ORDER BY id`)
}

// Push returns one push.
func (s *Store) Push(ctx context.Context, id ferry.PushID) (Push, error) {
	p, err := scanPush(s.r.QueryRowContext(ctx, selectPush+` WHERE id = ?`, id))
	if err != nil {
		return p, fmt.Errorf("reading push %d: %w", id, kind(err))
	}
	return p, nil
}

// Pushes returns the latest pushes to a repository, newest first; limit 0 or
// above 1000 is 100.
func (s *Store) Pushes(ctx context.Context, repo ferry.RepositoryID, limit int) ([]Push, error) {
	return collect(ctx, s.r, scanPush, selectPush+` WHERE repository_id = ? ORDER BY id DESC LIMIT ?`, repo, limited(limit, 100))
}

// AllPushes returns the latest pushes to any repository, newest first; limit 0
// or above 1000 is 100.
func (s *Store) AllPushes(ctx context.Context, limit int) ([]Push, error) {
	return collect(ctx, s.r, scanPush, selectPush+` ORDER BY id DESC LIMIT ?`, limited(limit, 100))
}
