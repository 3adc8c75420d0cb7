package store

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"gitferry/internal/ferry"
)

// A DeliveryFilter narrows Deliveries. Zero fields do not narrow.
type DeliveryFilter struct {
	State      string // a state of either kind
	Key        ferry.IssueKey
	Repository ferry.RepositoryID
	Limit      int    // 0 or more than 1000: 100
	Before     string // Cursor of the last delivery of the page before
}

// A Delivery is one row of the outbox, of either kind.
type Delivery struct {
	ID         string // "a12" is an action, "e7" an entity
	Kind       string // "action", or the kind of the entity
	State      string
	Keys       []ferry.IssueKey
	Repository ferry.RepositoryID // 0: removed since
	EntityID   string             // entities: commit, ref or number; actions: the commit
	Command    json.RawMessage    // actions only
	Actor      ferry.UserID       // actions only; 0: the service account
	Attempts   int
	Version    int64     // entities only
	CreatedAt  time.Time // when it was queued
	NextAt     time.Time
	SentAt     time.Time
	DoneAt     time.Time // actions only
	JiraID     string    // actions only
	Problem    string
	Cursor     string
}

// Deliveries returns the rows of the outbox, newest first by when they were
// queued. An entity is found by the keys that it asks for.
func (s *Store) Deliveries(ctx context.Context, f DeliveryFilter) ([]Delivery, error) {
	limit := limited(f.Limit, 100)
	actions, entities, err := deliveryCursor(f.Before)
	if err != nil {
		return nil, err
	}
	query, args := f.actionQuery(actions, limit)
	list, err := collect(ctx, s.r, scanAction, query, args...)
	if err != nil {
		return nil, fmt.Errorf("reading deliveries: %w", err)
	}
	all := make([]Delivery, 0, len(list))
	for _, a := range list {
		all = append(all, a.delivery())
	}
	query, args = f.entityQuery(entities, limit)
	more, err := collect(ctx, s.r, scanEntityDelivery, query, args...)
	if err != nil {
		return nil, fmt.Errorf("reading deliveries: %w", err)
	}
	all = append(all, more...)
	// Both parts are in order; of one millisecond, entities come first.
	slices.SortStableFunc(all, func(a, b Delivery) int {
		return cmp.Or(b.CreatedAt.Compare(a.CreatedAt), cmp.Compare(b.ID[0], a.ID[0]))
	})
	return all[:min(limit, len(all))], nil
}

// deliveryCursor reads "TIME.ID" into where each kind of row goes on.
func deliveryCursor(s string) (actions, entities [2]int64, err error) {
	if s == "" {
		return notBefore, notBefore, nil
	}
	time, id, _ := strings.Cut(s, ".")
	t, err := strconv.ParseInt(time, 10, 64)
	if err != nil {
		return actions, entities, invalid("cursor %.40q: want one that a list gave", s)
	}
	kind, n, err := parseDeliveryID(id)
	if kind == 'e' {
		return [2]int64{t, math.MaxInt64}, [2]int64{t, n}, err
	}
	return [2]int64{t, n}, [2]int64{t, 0}, err
}

// parseDeliveryID reads "a12" or "e7".
func parseDeliveryID(id string) (kind byte, n int64, err error) {
	if id != "" && (id[0] == 'a' || id[0] == 'e') {
		if n, err := strconv.ParseInt(id[1:], 10, 64); err == nil && n > 0 {
			return id[0], n, nil
		}
	}
	return 0, 0, invalid("delivery %.40q: want an ID such as a12 or e7", id)
}

func (f DeliveryFilter) actionQuery(before [2]int64, limit int) (string, []any) {
	var w where
	w.add("(a.created_at, a.id) < (?, ?)", before[0], before[1])
	if f.State != "" {
		w.add("a.state = ?", f.State)
	}
	if f.Key != "" {
		w.add("a.issue_key = ?", f.Key)
	}
	if f.Repository != 0 {
		w.add("a.repository_id = ?", f.Repository)
	}
	return `SELECT ` + actionColumns + ` FROM action a` + w.String() + `
		ORDER BY a.created_at DESC, a.id DESC LIMIT ?`, append(w.args, limit)
}

func (f DeliveryFilter) entityQuery(before [2]int64, limit int) (string, []any) {
	var w where
	index := ""
	w.add("(queued_at, id) < (?, ?)", before[0], before[1])
	if f.State != "" {
		w.add("state = ?", f.State)
	}
	if f.Key != "" {
		index = " NOT INDEXED" // an issue has few: go by their ids
		w.add("id IN (SELECT entity_id FROM entity_key WHERE issue_key = ?)", f.Key)
	}
	if f.Repository != 0 {
		w.add("repository_id = ?", f.Repository)
	}
	return `SELECT queued_at, ` + entityColumns + ` FROM entity` + index + w.String() + `
		ORDER BY queued_at DESC, id DESC LIMIT ?`, append(w.args, limit)
}

func (a Action) delivery() Delivery {
	id := fmt.Sprintf("a%d", a.ID)
	return Delivery{
		ID: id, Kind: "action", State: string(a.State), Keys: []ferry.IssueKey{a.Key}, Repository: a.Repository,
		EntityID: a.OID.String(), Command: a.Command, Actor: a.Actor, Attempts: a.Attempts,
		CreatedAt: a.CreatedAt, NextAt: a.NextAt, SentAt: a.SentAt, DoneAt: a.DoneAt,
		JiraID: a.JiraID, Problem: a.Problem, Cursor: fmt.Sprintf("%d.%s", ms(a.CreatedAt), id),
	}
}

func scanEntityDelivery(row scanner) (Delivery, error) {
	var queuedAt time.Time
	e, err := scanEntity(prefixed{row, []any{stamp{&queuedAt}}})
	id := fmt.Sprintf("e%d", e.ID)
	return Delivery{
		ID: id, Kind: string(e.Kind), State: string(e.State), Keys: e.Keys, Repository: e.Repository,
		EntityID: e.EntityID, Attempts: e.Attempts, Version: e.Version,
		CreatedAt: queuedAt, NextAt: e.NextAt, SentAt: e.SentAt,
		Problem: e.Problem, Cursor: fmt.Sprintf("%d.%s", ms(queuedAt), id),
	}, err
}

// A prefixed row has columns before those that a scan function knows.
type prefixed struct {
	row    scanner
	fields []any
}

func (p prefixed) Scan(dest ...any) error { return p.row.Scan(append(p.fields, dest...)...) }

// RetryDelivery makes a delivery due now: a dead one again, a waiting one
// before its time. A dead action is sent anew, so the caller must know that
// it had no effect. What is leased, done or skipped fails with
// ferry.ErrConflict.
func (s *Store) RetryDelivery(ctx context.Context, id string) error {
	return s.changeDelivery(ctx, "retrying", id,
		`UPDATE action SET
			state = CASE state WHEN 'dead' THEN 'pending' WHEN 'paused' THEN 'retry' ELSE state END,
			next_at = ?1, done_at = 0
		WHERE id = ?2 AND state IN ('dead', 'paused', 'pending', 'retry', 'verify')`,
		`UPDATE entity SET state = 'pending', next_at = ?1
		WHERE id = ?2 AND state IN ('dead', 'waiting', 'pending', 'retry')`,
		ms(s.now()))
}

// DiscardDelivery ends a delivery that is not done: an action is skipped, an
// entity counts as done without Jira having heard of it; by is the name of
// whoever decided. What is leased or ended already fails with
// ferry.ErrConflict.
func (s *Store) DiscardDelivery(ctx context.Context, id, by string) error {
	return s.changeDelivery(ctx, "discarding", id,
		`UPDATE action SET state = 'skipped', done_at = ?1, problem = 'discarded by ' || ?3
		WHERE id = ?2 AND state NOT IN ('leased', 'done', 'skipped')`,
		`UPDATE entity SET state = 'done', problem = 'discarded by ' || ?3
		WHERE id = ?2 AND ?1 > 0 AND state NOT IN ('leased', 'done')`,
		ms(s.now()), by)
}

// changeDelivery runs one of two statements whose arguments are a time, the
// row and more.
func (s *Store) changeDelivery(ctx context.Context, doing, id, action, entity string, now int64, more ...any) error {
	kind, n, err := parseDeliveryID(id)
	if err != nil {
		return err
	}
	table, text := "action", action
	if kind == 'e' {
		table, text = "entity", entity
	}
	return s.write(ctx, doing+" delivery "+id, func(tx *sql.Tx) error {
		var state string
		if err := tx.QueryRowContext(ctx, `SELECT state FROM `+table+` WHERE id = ?`, n).Scan(&state); err != nil {
			return err
		}
		res, err := tx.ExecContext(ctx, text, append([]any{now, n}, more...)...)
		return one(res, err, conflict("delivery %s is %s", id, state))
	})
}
