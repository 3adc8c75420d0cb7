package store

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"time"

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
	return s.eachLinked(ctx, what, repo, time.Time{}, (*indexing).requeueIfOther)
}

// SettingHistorySince is the name of the setting, a time, from when on OpHistory
// sends what there is.
const SettingHistorySince = "jira.history_since"

// QueueHistory queues OpHistory for all enabled repositories, and returns how
// many they are.
func (s *Store) QueueHistory(ctx context.Context, since time.Time) (int, error) {
	if err := s.SetSetting(ctx, SettingHistorySince, since); err != nil {
		return 0, err
	}
	return s.queueForAll(ctx, OpHistory)
}

// QueueWithdrawal queues OpWithdraw for all enabled repositories, and returns
// how many they are.
func (s *Store) QueueWithdrawal(ctx context.Context) (int, error) {
	return s.queueForAll(ctx, OpWithdraw)
}

func (s *Store) queueForAll(ctx context.Context, op JobOp) (int, error) {
	repos, err := s.Repositories(ctx, RepositoryFilter{State: ferry.RepositoryEnabled})
	if err != nil {
		return 0, err
	}
	for _, r := range repos {
		if _, err := s.Enqueue(ctx, Job{Repository: r.ID, Op: op, Source: "manual", Priority: 2}); err != nil {
			return 0, err
		}
	}
	return len(repos), nil
}

// SendHistory queues what has issue keys in a repository for Jira once more, as
// history: commits and pull requests since a time, the zero time for all, and
// the branches. What waits already stays as it is.
func (s *Store) SendHistory(ctx context.Context, repo ferry.RepositoryID, since time.Time) error {
	what := fmt.Sprintf("sending the history of repository %d", repo)
	return s.eachLinked(ctx, what, repo, since, func(x *indexing, o Object) error {
		keys, err := x.objectKeys(o)
		if err != nil || len(keys) == 0 {
			return err
		}
		alive, err := x.live(o.Kind, o.ID)
		if err != nil || !alive {
			return err
		}
		return x.queueEntity(Entity{Repository: repo, Kind: o.Kind, EntityID: o.ID, Keys: keys, Backfill: true})
	})
}

// eachLinked does something with each object of a repository that may have
// issue keys, in transactions of at most removeChunk.
func (s *Store) eachLinked(ctx context.Context, what string, repo ferry.RepositoryID, since time.Time, do func(*indexing, Object) error) error {
	for _, kind := range []EntityKind{EntityCommit, EntityBranch, EntityPullRequest} {
		for after, more := "", true; more; {
			err := s.write(ctx, what, func(tx *sql.Tx) error {
				x := s.indexing(ctx, tx, repo)
				var ids []string
				if err := x.row([]any{jsonColumn{&ids}}, `SELECT json_group_array(id) FROM (`+linkedObjects[kind]+`)`, repo, after, removeChunk, ms(since)); err != nil {
					return err
				}
				if more = len(ids) > 0; more {
					after = ids[len(ids)-1]
				}
				for _, id := range ids {
					if err := do(x, Object{Repository: repo, Kind: kind, ID: id}); err != nil {
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

// linkedObjects list what may have issue keys, in the order of its id: of
// repository ?1 after ?2, at most ?3, since ?4.
var linkedObjects = map[EntityKind]string{
	EntityCommit: `
		SELECT DISTINCT lower(hex(c.oid)) AS id FROM git_commit c
		WHERE c.repository_id = ?1 AND c.linked = 1 AND c.committed_at >= ?4 AND c.oid > unhex(?2) ORDER BY c.oid LIMIT ?3`,
	EntityBranch: `
		SELECT name AS id FROM ref WHERE repository_id = ?1 AND name > max(?2, 'refs/heads/') AND name < 'refs/heads0' AND ?4 >= 0 ORDER BY name LIMIT ?3`,
	EntityPullRequest: `
		SELECT CAST(number AS TEXT) AS id FROM pull_request
		WHERE repository_id = ?1 AND number > CAST(?2 AS INTEGER) AND updated_at >= ?4 ORDER BY number LIMIT ?3`,
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

// Withdraw queues the withdrawal from Jira of all that it shows of a
// repository, which SendHistory undoes.
func (s *Store) Withdraw(ctx context.Context, repo ferry.RepositoryID) error {
	what := fmt.Sprintf("withdrawing repository %d", repo)
	for more := true; more; {
		err := s.write(ctx, what, func(tx *sql.Tx) error {
			x := s.indexing(ctx, tx, repo)
			var list []struct {
				Kind EntityKind
				ID   string
			}
			if err := x.row([]any{jsonColumn{&list}}, `
				SELECT json_group_array(json_object('Kind', kind, 'ID', entity_id)) FROM (
					SELECT kind, entity_id FROM entity WHERE repository_id = ? AND keys <> '[]' LIMIT ?)`, repo, removeChunk); err != nil {
				return err
			}
			more = len(list) > 0
			for _, o := range list {
				if err := x.queueEntity(Entity{Repository: repo, Kind: o.Kind, EntityID: o.ID, Gone: true, Backfill: true}); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}
