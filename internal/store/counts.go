package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"
)

// Counts are the numbers of the whole instance.
type Counts struct {
	Actions          map[ActionState]int
	Entities         map[EntityState]int
	Jobs             map[JobState]int
	UnresolvedPushes int
	Repositories     int
	// The oldest rows that are not in a final state, by when they were
	// queued; zero: there is none.
	OldestAction, OldestEntity, OldestJob time.Time
	// Due counts actions, entities and jobs that could be taken now or are
	// being worked on. Future retries, what waits for a key, what is paused
	// and actions behind a head that is not due are not in it.
	Due int
}

// Counts returns the numbers of the whole instance as of one moment.
func (s *Store) Counts(ctx context.Context) (Counts, error) {
	c := Counts{Actions: map[ActionState]int{}, Entities: map[EntityState]int{}, Jobs: map[JobState]int{}}
	tx, err := s.r.BeginTx(ctx, nil)
	if err != nil {
		return c, fmt.Errorf("counting: %w", kind(err))
	}
	defer tx.Rollback()
	if err := countStates(ctx, tx, "action", c.Actions); err != nil {
		return c, err
	}
	if err := countStates(ctx, tx, "entity", c.Entities); err != nil {
		return c, err
	}
	if err := countStates(ctx, tx, "job", c.Jobs); err != nil {
		return c, err
	}
	_, paused, err := s.paused(ctx, tx)
	if err != nil {
		return c, err
	}
	now := s.now()
	var dueDeliveries, dueJobs int
	err = tx.QueryRowContext(ctx, queryCounts, ms(now), ms(now.Add(maxWait))).Scan(
		&c.UnresolvedPushes, &c.Repositories,
		stamp{&c.OldestAction}, stamp{&c.OldestEntity}, stamp{&c.OldestJob},
		&dueDeliveries, &dueJobs)
	if err != nil {
		return c, fmt.Errorf("counting: %w", kind(err))
	}
	c.Due = dueJobs + c.Jobs[JobRunning] + c.Actions[ActionLeased] + c.Entities[EntityLeased]
	if !paused {
		c.Due += dueDeliveries
	}
	return c, nil
}

// queryCounts takes now and now + maxWait.
const queryCounts = `
	SELECT
		(SELECT COUNT(*) FROM push WHERE state IN ('released', 'resolved')),
		(SELECT COUNT(*) FROM repository),
		(SELECT COALESCE(MIN(created_at), 0) FROM action INDEXED BY action_open WHERE ` + actionOpen + `),
		(SELECT COALESCE(MIN(queued_at), 0) FROM entity WHERE state IN ('pending', 'leased', 'retry', 'waiting')),
		(SELECT COALESCE(MIN(queued_at), 0) FROM job WHERE state IN ('queued', 'running')),
		(SELECT COUNT(*) FROM action a INDEXED BY action_due WHERE ` + actionWaiting + ` AND (next_at <= ?1 OR next_at > ?2) AND ` + isHead + `) +
		(SELECT COUNT(*) FROM entity WHERE ` + entityWaiting + ` AND backfill IN (0, 1) AND (next_at <= ?1 OR next_at > ?2)),
		(SELECT COUNT(*) FROM job q WHERE ` + jobReady + `)`

func countStates[S ~string](ctx context.Context, tx *sql.Tx, table string, into map[S]int) error {
	rows, err := tx.QueryContext(ctx, `SELECT state, COUNT(*) FROM `+table+` GROUP BY state`)
	if err != nil {
		return fmt.Errorf("counting %s: %w", table, kind(err))
	}
	defer rows.Close()
	for rows.Next() {
		var state S
		var n int
		if err := rows.Scan(&state, &n); err != nil {
			return fmt.Errorf("counting %s: %w", table, err)
		}
		into[state] = n
	}
	return kind(rows.Err())
}
