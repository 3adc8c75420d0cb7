package store

import (
	"context"
	"database/sql"
	"fmt"
	"slices"

	"gitferry/internal/ferry"
)

// keyAllowed is the condition that the repository r belongs to the project of
// the key l.issue_key; see ferry.Repository.Projects.
const keyAllowed = `(r.projects = '' OR instr(' ' || r.projects || ' ', ' ' || substr(l.issue_key, 1, instr(l.issue_key, '-') - 1) || ' ') > 0)`

// allowed drops the keys of projects that the repository at hand does not
// belong to.
func (x *indexing) allowed(keys []ferry.IssueKey) ([]ferry.IssueKey, error) {
	if len(keys) == 0 {
		return keys, nil
	}
	if x.projects == nil {
		var projects string
		if err := x.row([]any{&projects}, `SELECT projects FROM repository WHERE id = ?`, x.repo); err != nil {
			return nil, err
		}
		x.projects = &projects
	}
	return allowedKeys(ferry.Repository{Projects: *x.projects}, keys), nil
}

func allowedKeys(r ferry.Repository, keys []ferry.IssueKey) []ferry.IssueKey {
	if r.Projects == "" {
		return keys
	}
	return slices.DeleteFunc(slices.Clone(keys), func(k ferry.IssueKey) bool { return !r.Allows(k.Project()) })
}

// reassociate tells Jira of everything of a repository whose keys are others
// than it was told, after the repository's projects changed; in parts, so that
// none holds the others up for long.
func (s *Store) reassociate(ctx context.Context, repo ferry.RepositoryID) error {
	what := fmt.Sprintf("telling Jira anew of repository %d", repo)
	for _, kind := range []EntityKind{EntityCommit, EntityBranch, EntityPullRequest} {
		for after, more := "", true; more; {
			err := s.write(ctx, what, func(tx *sql.Tx) error {
				x := s.indexing(ctx, tx, repo)
				var ids []string
				if err := x.row([]any{jsonColumn{&ids}}, `SELECT json_group_array(id) FROM (`+linkedObjects[kind]+`)`, repo, after, removeChunk); err != nil {
					return err
				}
				if more = len(ids) > 0; more {
					after = ids[len(ids)-1]
				}
				for _, id := range ids {
					if err := x.requeueIfOther(Object{Repository: repo, Kind: kind, ID: id}); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// linkedObjects list what has issue keys, in the order of its id.
var linkedObjects = map[EntityKind]string{
	EntityCommit: `
		SELECT DISTINCT lower(hex(c.oid)) AS id FROM git_commit c
		WHERE c.repository_id = ? AND c.linked = 1 AND c.oid > unhex(?) ORDER BY c.oid LIMIT ?`,
	EntityBranch: `
		SELECT name AS id FROM ref WHERE repository_id = ? AND name > max(?, 'refs/heads/') AND name < 'refs/heads0' ORDER BY name LIMIT ?`,
	EntityPullRequest: `
		SELECT CAST(number AS TEXT) AS id FROM pull_request
		WHERE repository_id = ? AND number > CAST(? AS INTEGER) ORDER BY number LIMIT ?`,
}

// requeueIfOther queues an object whose keys differ from those that were
// queued last.
func (x *indexing) requeueIfOther(o Object) error {
	keys, err := x.objectKeys(o)
	if err != nil {
		return err
	}
	if keys, err = x.allowed(sortedKeys(keys)); err != nil {
		return err
	}
	var had []ferry.IssueKey
	if err := x.row([]any{jsonColumn{&had}}, `
		SELECT COALESCE((SELECT keys FROM entity WHERE site_id = ? AND repository_id = ? AND kind = ? AND entity_id = ?), '[]')`,
		site, x.repo, o.Kind, o.ID); err != nil {
		return err
	}
	if slices.Equal(keys, had) {
		return nil
	}
	alive, err := x.live(o.Kind, o.ID)
	if err != nil {
		return err
	}
	if !alive {
		keys = nil
	}
	return x.queueEntity(Entity{Repository: x.repo, Kind: o.Kind, EntityID: o.ID, Keys: keys, Backfill: true})
}
