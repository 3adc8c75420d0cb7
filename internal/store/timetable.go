package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"gitferry/internal/ferry"
)

// A Timetable says when a repository's upstream is looked at.
type Timetable struct {
	Repository ferry.RepositoryID
	NextAt     time.Time // zero: at once
	LookedAt   time.Time // last look that worked
	ChangedAt  time.Time // last look that found something
	NotifiedAt time.Time // last trigger that came for it; zero: none ever did
	MissingAt  time.Time // when the account's list first lacked it; zero: it is there
	Misses     int       // looks at the list, at least an hour apart, that lacked it
	Problem    string    // of the last look; empty: it worked
}

const selectTimetable = `
	SELECT repository_id, next_at, looked_at, changed_at, notified_at, missing_at, misses, problem
	FROM timetable`

func scanTimetable(row scanner) (t Timetable, err error) {
	err = row.Scan(&t.Repository, stamp{&t.NextAt}, stamp{&t.LookedAt}, stamp{&t.ChangedAt}, stamp{&t.NotifiedAt},
		stamp{&t.MissingAt}, &t.Misses, &t.Problem)
	return t, err
}

// Timetable returns the timetable of a repository.
func (s *Store) Timetable(ctx context.Context, id ferry.RepositoryID) (Timetable, error) {
	t, err := scanTimetable(s.r.QueryRowContext(ctx, selectTimetable+` WHERE repository_id = ?`, id))
	if err != nil {
		return t, fmt.Errorf("reading the timetable of repository %d: %w", id, kind(err))
	}
	return t, nil
}

// Timetables returns the timetables of all repositories.
func (s *Store) Timetables(ctx context.Context) (map[ferry.RepositoryID]Timetable, error) {
	list, err := collect(ctx, s.r, scanTimetable, selectTimetable)
	if err != nil {
		return nil, fmt.Errorf("reading timetables: %w", err)
	}
	out := make(map[ferry.RepositoryID]Timetable, len(list))
	for _, t := range list {
		out[t.Repository] = t
	}
	return out, nil
}

// QueueDue queues a look at every enabled repository whose time has come, at
// most limit of them, and returns how many. Until the look has ended the
// repository is not due again for an hour, should nobody do the work.
func (s *Store) QueueDue(ctx context.Context, limit int) (int, error) {
	now := s.now()
	due, err := collect(ctx, s.r, func(row scanner) (id ferry.RepositoryID, err error) {
		return id, row.Scan(&id)
	}, `
		SELECT t.repository_id FROM timetable t
		JOIN repository r ON r.id = t.repository_id
		JOIN integration i ON i.id = r.integration_id
		WHERE t.next_at <= ? AND r.state = 'enabled' AND i.disabled = 0
		ORDER BY t.next_at LIMIT ?`, ms(now), limit)
	if err != nil {
		return 0, fmt.Errorf("reading the timetable: %w", err)
	}
	if len(due) == 0 {
		return 0, nil
	}
	return len(due), s.write(ctx, "queueing looks", func(tx *sql.Tx) error {
		for _, id := range due {
			var indexedAt int64
			err := tx.QueryRowContext(ctx, `SELECT indexed_at FROM repository WHERE id = ?`, id).Scan(&indexedAt)
			if errors.Is(err, sql.ErrNoRows) {
				continue // removed meanwhile
			}
			if err != nil {
				return err
			}
			j := Job{Repository: id, Op: OpSync, Source: "scheduled", Priority: 20}
			if indexedAt == 0 {
				j.Op, j.Source = OpCopy, "initial"
			}
			if _, err := enqueue(ctx, tx, j, now); err != nil {
				return err
			}
			if _, err := tx.ExecContext(ctx, `UPDATE timetable SET next_at = ? WHERE repository_id = ?`, ms(now.Add(time.Hour)), id); err != nil {
				return err
			}
		}
		return nil
	})
}

// A Look is the end of a look at a repository.
type Look struct {
	Repository ferry.RepositoryID
	Next       time.Time // when the next one is due
	Changed    bool      // something was found
	Problem    string    // empty: it worked
}

// looked records the end of a look.
func looked(ctx context.Context, tx *sql.Tx, l Look, now time.Time) error {
	_, err := tx.ExecContext(ctx, `
		UPDATE timetable SET
			next_at = ?1, problem = ?2,
			looked_at = CASE WHEN ?2 = '' THEN ?3 ELSE looked_at END,
			changed_at = CASE WHEN ?4 OR changed_at = 0 THEN ?3 ELSE changed_at END
		WHERE repository_id = ?5`, ms(l.Next), l.Problem, ms(now), l.Changed, l.Repository)
	return err
}

// SpreadLooks makes every repository due within the time given, at the start
// of a server: what happened meanwhile is found soon, and not all at once.
func (s *Store) SpreadLooks(ctx context.Context, within time.Duration) error {
	return s.write(ctx, "planning the first looks", func(tx *sql.Tx) error {
		// 2654435761 is Knuth's multiplier: neighbouring ids fall far apart.
		_, err := tx.ExecContext(ctx, `
			UPDATE timetable SET next_at = ?1 + (repository_id * 2654435761) % ?2
			WHERE next_at > ?1 + ?2`, ms(s.now()), max(within.Milliseconds(), 1))
		return err
	})
}

// Missed records that the account's list lacks a repository. The first miss
// makes it missing; misses closer than an hour to the last one count once.
func (s *Store) Missed(ctx context.Context, id ferry.RepositoryID) (t Timetable, err error) {
	err = s.write(ctx, fmt.Sprintf("recording that repository %d is missing", id), func(tx *sql.Tx) error {
		now := s.now()
		if _, err := tx.ExecContext(ctx, `
			UPDATE timetable SET
				missing_at = CASE WHEN misses = 0 THEN ?1 ELSE missing_at END,
				misses = CASE WHEN misses = 0 OR misses = 1 AND missing_at <= ?2 THEN misses + 1 ELSE misses END
			WHERE repository_id = ?3`, ms(now), ms(now.Add(-time.Hour)), id); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `
			UPDATE repository SET state = 'missing' WHERE id = ? AND state = 'enabled'`, id); err != nil {
			return err
		}
		t, err = scanTimetable(tx.QueryRowContext(ctx, selectTimetable+` WHERE repository_id = ?`, id))
		return err
	})
	return t, err
}

// FoundAgain takes a repository back that was missing. It is looked at at once.
func (s *Store) FoundAgain(ctx context.Context, id ferry.RepositoryID) error {
	return s.write(ctx, fmt.Sprintf("recording that repository %d is back", id), func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `UPDATE repository SET state = 'enabled' WHERE id = ? AND state = 'missing'`, id); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `UPDATE timetable SET missing_at = 0, misses = 0, next_at = 0 WHERE repository_id = ?`, id)
		return err
	})
}
