package store

import (
	"context"
	"database/sql"
	"fmt"

	"gitferry/internal/ferry"
)

func checkGlob(glob string) error {
	if glob == "" || len(glob) > ferry.MaxGlob {
		return invalid("repository glob %.80q: want 1 to %d bytes", glob, ferry.MaxGlob)
	}
	return nil
}

// AddGrant gives a user a level on the repositories of a glob; a grant for
// the same glob is replaced. It fails with ferry.ErrInvalid for a glob that
// is empty or longer than ferry.MaxGlob.
func (s *Store) AddGrant(ctx context.Context, g ferry.Grant) (ferry.Grant, error) {
	if err := checkGlob(g.Glob); err != nil {
		return g, err
	}
	if g.Level < ferry.LevelNone || g.Level > ferry.LevelAdmin {
		return g, invalid("level %d: want none, read, write or admin", g.Level)
	}
	err := s.write(ctx, "granting "+g.Glob, func(tx *sql.Tx) error {
		return tx.QueryRowContext(ctx, `
			INSERT INTO user_grant (user_id, glob, level) VALUES (?, ?, ?)
			ON CONFLICT (user_id, glob) DO UPDATE SET level = excluded.level
			RETURNING id`,
			g.User, g.Glob, g.Level).Scan(&g.ID)
	})
	return g, err
}

// Grants returns the grants of one user, or with 0 all of them.
func (s *Store) Grants(ctx context.Context, user ferry.UserID) ([]ferry.Grant, error) {
	if user == 0 {
		return collect(ctx, s.r, scanGrant, selectGrant+` ORDER BY user_id, glob`)
	}
	return grantsOf(ctx, s.r, user)
}

const selectGrant = `SELECT id, user_id, glob, level FROM user_grant`

func grantsOf(ctx context.Context, q querier, user ferry.UserID) ([]ferry.Grant, error) {
	return collect(ctx, q, scanGrant, selectGrant+` WHERE user_id = ? ORDER BY glob`, user)
}

func scanGrant(row scanner) (g ferry.Grant, err error) {
	err = row.Scan(&g.ID, &g.User, &g.Glob, &g.Level)
	return g, err
}

// RemoveGrant takes a grant back.
func (s *Store) RemoveGrant(ctx context.Context, id int64) error {
	return s.write(ctx, fmt.Sprintf("removing grant %d", id), func(tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, `DELETE FROM user_grant WHERE id = ?`, id)
		return one(res, err, ferry.ErrNotFound)
	})
}
