package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"gitferry/internal/ferry"
)

// formerFor is how long the old path of a renamed repository answers.
const formerFor = 30 * 24 * time.Hour

// ConnectRepositories adds repositories of one integration, each with the job
// of its first copy, in one transaction. A name that a missing repository
// still holds is taken over: that one steps aside under a name of its own. It
// fails with ferry.ErrConflict if another repository has a name.
func (s *Store) ConnectRepositories(ctx context.Context, repos []ferry.Repository) ([]ferry.Repository, error) {
	out := make([]ferry.Repository, 0, len(repos))
	for _, r := range repos {
		if err := checkRepository(r); err != nil {
			return nil, err
		}
	}
	err := s.write(ctx, "connecting repositories", func(tx *sql.Tx) error {
		out = out[:0]
		for _, r := range repos {
			if err := stepAside(ctx, tx, r.IntegrationID, r.Name); err != nil {
				return err
			}
			err := tx.QueryRowContext(ctx, `
				INSERT INTO repository (
					integration_id, name, region, host_id, clone_url, default_branch, state, smart_commits, indexed_at, created_at, projects)
				VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0, ?, `+projectsOfIntegration+`)
				RETURNING id`,
				r.IntegrationID, r.Name, r.Region, r.HostID, r.CloneURL, r.DefaultBranch, r.State, r.SmartCommits, ms(s.created(r)), r.IntegrationID).Scan(&r.ID)
			if err != nil {
				return fmt.Errorf("%s: %w", r.Name, err)
			}
			if _, err := tx.ExecContext(ctx, `DELETE FROM former_path WHERE integration_id = ? AND name = ?`, r.IntegrationID, r.Name); err != nil {
				return err
			}
			if _, err := tx.ExecContext(ctx, `DELETE FROM unticked WHERE integration_id = ? AND host_id = ?`, r.IntegrationID, r.HostID); err != nil {
				return err
			}
			if _, err := enqueue(ctx, tx, Job{Repository: r.ID, Op: OpCopy, Source: "initial", Priority: 20}, s.now()); err != nil {
				return err
			}
			if r, err = repositoryBy(ctx, tx, "r.id = ?", r.ID); err != nil {
				return err
			}
			out = append(out, r)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// stepAside frees a name that a missing repository holds.
func stepAside(ctx context.Context, tx *sql.Tx, integration ferry.IntegrationID, name string) error {
	_, err := tx.ExecContext(ctx, `
		UPDATE repository SET name = substr(name, 1, 80) || '.gone-' || id
		WHERE integration_id = ? AND name = ? AND (state = 'missing' OR id IN (SELECT repository_id FROM timetable WHERE misses > 0))`,
		integration, name)
	return err
}

// RenameRepositories gives repositories of one integration their new names
// and clone URLs, in one transaction, so that two may swap theirs. The old
// paths answer for 30 days more.
func (s *Store) RenameRepositories(ctx context.Context, renamed []ferry.Repository) error {
	for _, r := range renamed {
		if err := checkRepository(r); err != nil {
			return err
		}
	}
	return s.write(ctx, "renaming repositories", func(tx *sql.Tx) error {
		until := ms(s.now().Add(formerFor))
		for _, r := range renamed {
			if _, err := tx.ExecContext(ctx, `
				INSERT OR REPLACE INTO former_path (integration_id, name, repository_id, until_at)
				SELECT integration_id, name, id, ? FROM repository WHERE id = ?`, until, r.ID); err != nil {
				return err
			}
			if _, err := tx.ExecContext(ctx, `UPDATE repository SET name = '~' || id WHERE id = ?`, r.ID); err != nil {
				return err
			}
		}
		for _, r := range renamed {
			if err := stepAside(ctx, tx, r.IntegrationID, r.Name); err != nil {
				return err
			}
			if _, err := tx.ExecContext(ctx, `UPDATE repository SET name = ?, clone_url = ? WHERE id = ?`, r.Name, r.CloneURL, r.ID); err != nil {
				return fmt.Errorf("%s: %w", r.Name, err)
			}
			if _, err := tx.ExecContext(ctx, `DELETE FROM former_path WHERE integration_id = ? AND name = ?`, r.IntegrationID, r.Name); err != nil {
				return err
			}
		}
		return nil
	})
}

// formerRepository finds a renamed repository by a path that it had within
// the last 30 days.
func (s *Store) formerRepository(ctx context.Context, owner, name string) (ferry.Repository, error) {
	return repositoryBy(ctx, s.r, `r.id = (
		SELECT f.repository_id FROM former_path f JOIN integration o ON o.id = f.integration_id
		WHERE o.slug = ? AND f.name = ? AND f.until_at > ?)`, owner, name, ms(s.now()))
}

// Untick remembers that people disconnected a repository, so that it does not
// come back by itself.
func (s *Store) Untick(ctx context.Context, integration ferry.IntegrationID, hostID string) error {
	return s.write(ctx, "remembering a disconnection", func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `
			INSERT INTO unticked (integration_id, host_id, at) VALUES (?, ?, ?)
			ON CONFLICT DO NOTHING`, integration, hostID, ms(s.now()))
		return err
	})
}

// Unticked returns the ids at the host of the repositories that people
// disconnected.
func (s *Store) Unticked(ctx context.Context, integration ferry.IntegrationID) (map[string]bool, error) {
	list, err := collect(ctx, s.r, func(row scanner) (id string, err error) {
		return id, row.Scan(&id)
	}, `SELECT host_id FROM unticked WHERE integration_id = ?`, integration)
	if err != nil {
		return nil, fmt.Errorf("reading what was disconnected: %w", err)
	}
	out := make(map[string]bool, len(list))
	for _, id := range list {
		out[id] = true
	}
	return out, nil
}
