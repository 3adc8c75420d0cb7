package store

import (
	"context"
	"fmt"

	"gitferry/internal/ferry"
)

// LatestMovements returns the log of ref movements, newest first; limit 0 or
// above 1000 is 1000.
func (s *Store) LatestMovements(ctx context.Context, repo ferry.RepositoryID, limit int) ([]Movement, error) {
	list, err := collect(ctx, s.r, scanMovement, queryLatestMovements, repo, limited(limit, 1000))
	if err != nil {
		return nil, fmt.Errorf("reading ref movements of repository %d: %w", repo, err)
	}
	return list, nil
}

// AllMovements returns the log of ref movements of all repositories after seq
// since, oldest first; limit 0 or above 1000 is 1000.
func (s *Store) AllMovements(ctx context.Context, since int64, limit int) ([]Movement, error) {
	list, err := collect(ctx, s.r, scanMovement, queryAllMovements, since, limited(limit, 1000))
	if err != nil {
		return nil, fmt.Errorf("reading ref movements: %w", err)
	}
	return list, nil
}

// LastMovement returns the seq of the latest ref movement, 0 before the first.
func (s *Store) LastMovement(ctx context.Context) (seq int64, err error) {
	if err := s.r.QueryRowContext(ctx, `SELECT COALESCE(MAX(seq), 0) FROM movement`).Scan(&seq); err != nil {
		return 0, fmt.Errorf("reading the end of ref movements: %w", err)
	}
	return seq, nil
}

func scanMovement(row scanner) (m Movement, err error) {
	err = row.Scan(&m.Seq, &m.Repository, &m.Ref, oidColumn{&m.Old}, oidColumn{&m.New}, stamp{&m.At}, &m.Push)
	return m, err
}

const queryLatestMovements = `
	SELECT seq, repository_id, ref, old, new, at, COALESCE(push_id, 0)
	FROM movement WHERE repository_id = ?
	ORDER BY seq DESC LIMIT ?`

const queryAllMovements = `
	SELECT seq, repository_id, ref, old, new, at, COALESCE(push_id, 0)
	FROM movement WHERE seq > ?
	ORDER BY seq LIMIT ?`
