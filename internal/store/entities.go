package store

import (
	"context"
	"database/sql"
	"time"

	"gitferry/internal/ferry"
)

// An EntityResult is what became of sending one version of an entity.
type EntityResult struct {
	ID            int64
	Version       int64       // the version sent
	State         EntityState // any but leased
	NextAt        time.Time   // for pending and retry; zero: at once
	DeliveredKeys []ferry.IssueKey
	Problem       string
}

const entityColumns = `
	id, repository_id, kind, entity_id, keys, version, backfill, state, attempts,
	next_at, sent_at, delivered_version, delivered_keys, problem`

func scanEntity(row scanner) (e Entity, err error) {
	err = row.Scan(&e.ID, &e.Repository, &e.Kind, &e.EntityID, jsonColumn{&e.Keys}, &e.Version, &e.Backfill, &e.State, &e.Attempts,
		stamp{&e.NextAt}, stamp{&e.SentAt}, &e.DeliveredVersion, jsonColumn{&e.DeliveredKeys}, &e.Problem)
	return e, err
}

const queryDueEntities = `
	SELECT ` + entityColumns + `
	FROM entity
	WHERE ` + entityWaiting + ` AND backfill = ? AND next_at <= ?
	ORDER BY next_at, id
	LIMIT ?`

// ClaimEntities leases up to limit due entities to this process, boot, and
// returns them; those of a backfill come only after all others. The State of
// what it returns is the one before the lease; Attempts and SentAt count the
// attempt that now begins. Leases last 10 minutes at most.
func (s *Store) ClaimEntities(ctx context.Context, boot string, lease time.Duration, limit int) ([]Entity, error) {
	var list []Entity
	err := s.claim(ctx, "claiming entities", lease, func(tx *sql.Tx, now, until int64) error {
		limit := limited(limit, 100)
		for _, backfill := range []bool{false, true} {
			if limit == len(list) {
				break
			}
			more, err := collect(ctx, tx, scanEntity, queryDueEntities, backfill, now, limit-len(list))
			if err != nil {
				return err
			}
			list = append(list, more...)
		}
		for i := range list {
			e := &list[i]
			e.Attempts++
			e.SentAt = at(now)
			if _, err := tx.ExecContext(ctx, `
				UPDATE entity SET state = 'leased', lease_boot = ?, lease_until = ?, attempts = ?, sent_at = ?
				WHERE id = ?`, boot, until, e.Attempts, now, e.ID); err != nil {
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

// SaveEntities records what became of leased entities, in one transaction. If
// a newer version was queued while an older one was being sent, what Jira
// took is noted and the newer one becomes pending. Entities that are gone, or
// whose lease was lost, are passed over.
func (s *Store) SaveEntities(ctx context.Context, results []EntityResult) error {
	now := ms(s.now())
	return s.write(ctx, "saving the results of entities", func(tx *sql.Tx) error {
		for _, r := range results {
			switch r.State {
			case EntityPending, EntityRetry, EntityWaiting, EntityDead, EntityDone:
			default:
				return invalid("state %.40q cannot be the result of an entity", r.State)
			}
			nextAt := now
			if !r.NextAt.IsZero() {
				nextAt = ms(r.NextAt)
			}
			// The right sides see the row as it was.
			if _, err := tx.ExecContext(ctx, `
				UPDATE entity SET
					delivered_keys = CASE
						WHEN ?1 = 'done' AND ?2 > delivered_version THEN ?3
						WHEN ?1 <> 'done' AND ?3 <> '[]' THEN (
							SELECT json_group_array(value) FROM (
								SELECT value FROM json_each(delivered_keys) UNION SELECT value FROM json_each(?3)))
						ELSE delivered_keys END,
					delivered_version = CASE ?1 WHEN 'done' THEN max(?2, delivered_version) ELSE delivered_version END,
					state = CASE version WHEN ?2 THEN ?1 ELSE 'pending' END,
					problem = CASE version WHEN ?2 THEN ?4 ELSE '' END,
					next_at = ?5, lease_boot = '', lease_until = 0
				WHERE id = ?6 AND (state = 'leased' OR ?1 = 'done' AND version = ?2)`,
				r.State, r.Version, asJSON(sortedKeys(r.DeliveredKeys)), r.Problem, nextAt, r.ID); err != nil {
				return err
			}
		}
		return nil
	})
}
