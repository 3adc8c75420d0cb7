package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"gitferry/internal/ferry"
)

// An Object is a commit, a branch or a pull request of a repository.
type Object struct {
	Repository ferry.RepositoryID
	Kind       EntityKind
	ID         string // commit: 40 digits; branch: full ref name; pull request: number
}

// A HandLink is what a person decided on one object and one issue.
type HandLink struct {
	Object
	Key    ferry.IssueKey
	Linked bool // false: removed, whatever the text says
	By     string
	At     time.Time
}

// maxHandLinks bounds the keys that one object gets by hand.
const maxHandLinks = 100

// LinkByHand associates an object with issues and takes associations away,
// those that the index found as well, in one transaction with what Jira must
// hear of it. The decision outlives a new reading of the repository. It reports
// whether anything changed, and fails with ferry.ErrNotFound if there is no
// such object. Jira hears of it as of history: an old commit with a new key is
// no news to its automation.
func (s *Store) LinkByHand(ctx context.Context, o Object, by ferry.User, add, remove []ferry.IssueKey) (changed bool, err error) {
	err = s.write(ctx, fmt.Sprintf("linking %s %.60s by hand", o.Kind, o.ID), func(tx *sql.Tx) error {
		x := s.indexing(ctx, tx, o.Repository)
		have, err := x.objectKeys(o)
		if err != nil {
			return err
		}
		if len(have)+len(add) > maxHandLinks {
			return invalid("more than %d issues for one %s", maxHandLinks, o.Kind)
		}
		for _, k := range sortedKeys(remove) {
			if slices.Contains(have, k) {
				changed = true
				if err := x.decide(o, k, false, by); err != nil {
					return err
				}
			}
		}
		for _, k := range sortedKeys(add) {
			if !slices.Contains(have, k) {
				changed = true
				if err := x.decide(o, k, true, by); err != nil {
					return err
				}
			}
		}
		if !changed {
			return nil
		}
		return x.requeue(o)
	})
	return changed, err
}

// HandLinks returns what was decided on an object, by key.
func (s *Store) HandLinks(ctx context.Context, o Object) ([]HandLink, error) {
	list, err := collect(ctx, s.r, scanHandLink, queryHandLinks, o.Repository, o.Kind, o.ID)
	if err != nil {
		return nil, fmt.Errorf("reading links by hand of %s %.60s: %w", o.Kind, o.ID, err)
	}
	return list, nil
}

// HandLinksOf returns what was decided for an issue, at most 1,000 decisions.
func (s *Store) HandLinksOf(ctx context.Context, key ferry.IssueKey) ([]HandLink, error) {
	list, err := collect(ctx, s.r, scanHandLink, queryHandLinksOf, key)
	if err != nil {
		return nil, fmt.Errorf("reading links by hand of %s: %w", key, err)
	}
	return list, nil
}

const (
	handLinkColumns  = `SELECT repository_id, kind, entity_id, issue_key, linked, user_name, at FROM hand_link `
	queryHandLinks   = handLinkColumns + `WHERE repository_id = ? AND kind = ? AND entity_id = ? ORDER BY issue_key`
	queryHandLinksOf = handLinkColumns + `WHERE issue_key = ? ORDER BY repository_id, kind, entity_id LIMIT 1000`
)

func scanHandLink(row scanner) (h HandLink, err error) {
	err = row.Scan(&h.Repository, &h.Kind, &h.ID, &h.Key, &h.Linked, &h.By, stamp{&h.At})
	return h, err
}

// WithHand returns the keys of an object as people decided: without those
// that were taken away, with those that were added. The result is sorted.
func (s *Store) WithHand(ctx context.Context, o Object, keys []ferry.IssueKey) ([]ferry.IssueKey, error) {
	decided, err := s.HandLinks(ctx, o)
	if err != nil || len(decided) == 0 {
		return keys, err
	}
	return applyHand(keys, decided), nil
}

func applyHand(keys []ferry.IssueKey, decided []HandLink) []ferry.IssueKey {
	out := slices.Clone(keys)
	for _, d := range decided {
		out = slices.DeleteFunc(out, func(k ferry.IssueKey) bool { return k == d.Key })
		if d.Linked {
			out = append(out, d.Key)
		}
	}
	return sortedKeys(out)
}

// decided returns the decisions on an object of the repository at hand. Most
// repositories have none, which one look tells.
func (x *indexing) decided(kind EntityKind, id string) ([]HandLink, error) {
	if x.hand == nil {
		var some bool
		if err := x.row([]any{&some}, `SELECT EXISTS (SELECT 1 FROM hand_link WHERE repository_id = ?)`, x.repo); err != nil {
			return nil, err
		}
		x.hand = &some
	}
	if !*x.hand {
		return nil, nil
	}
	st, err := x.stmt(queryHandLinks)
	if err != nil {
		return nil, err
	}
	rows, err := st.QueryContext(x.ctx, x.repo, kind, id)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []HandLink
	for rows.Next() {
		h, err := scanHandLink(rows)
		if err != nil {
			return nil, err
		}
		list = append(list, h)
	}
	return list, rows.Err()
}

// withHand is WithHand within an indexing.
func (x *indexing) withHand(kind EntityKind, id string, keys []ferry.IssueKey) ([]ferry.IssueKey, error) {
	decided, err := x.decided(kind, id)
	if err != nil || len(decided) == 0 {
		return keys, err
	}
	return applyHand(keys, decided), nil
}

// withHandLinks is withHand for the links of a commit, which have reasons.
func (x *indexing) withHandLinks(c Commit) ([]Link, error) {
	decided, err := x.decided(EntityCommit, c.OID.String())
	if err != nil || len(decided) == 0 {
		return c.Links, err
	}
	links := slices.Clone(c.Links)
	for _, d := range decided {
		links = slices.DeleteFunc(links, func(l Link) bool { return l.Key == d.Key })
		if d.Linked {
			links = append(links, Link{Key: d.Key, Reason: ReasonManual})
		}
	}
	return links, nil
}

// decide writes one decision and what it means for the links.
func (x *indexing) decide(o Object, key ferry.IssueKey, linked bool, by ferry.User) error {
	if _, err := x.exec(`
		INSERT INTO hand_link (repository_id, kind, entity_id, issue_key, linked, user_id, user_name, at)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT DO UPDATE SET linked = excluded.linked, user_id = excluded.user_id, user_name = excluded.user_name, at = excluded.at`,
		x.repo, o.Kind, o.ID, key, linked, orNull(by.ID), by.Name, x.now); err != nil {
		return err
	}
	x.hand = nil
	text := map[bool]map[EntityKind]string{
		true: {
			EntityCommit: `
				INSERT INTO link (commit_id, issue_key, reason, committed_at, repository_id)
				SELECT id, ?3, 'manual', committed_at, repository_id FROM git_commit WHERE repository_id = ?1 AND oid = unhex(?2)
				ON CONFLICT DO NOTHING`,
			EntityBranch: `INSERT INTO ref_link (repository_id, ref, issue_key) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING`,
			EntityPullRequest: `
				INSERT INTO pull_request_link (pull_request_id, issue_key)
				SELECT id, ?3 FROM pull_request WHERE repository_id = ?1 AND number = CAST(?2 AS INTEGER)
				ON CONFLICT DO NOTHING`,
		},
		false: {
			EntityCommit: `
				DELETE FROM link WHERE issue_key = ?3
				AND commit_id = (SELECT id FROM git_commit WHERE repository_id = ?1 AND oid = unhex(?2))`,
			EntityBranch: `DELETE FROM ref_link WHERE repository_id = ?1 AND ref = ?2 AND issue_key = ?3`,
			EntityPullRequest: `
				DELETE FROM pull_request_link WHERE issue_key = ?3
				AND pull_request_id = (SELECT id FROM pull_request WHERE repository_id = ?1 AND number = CAST(?2 AS INTEGER))`,
		},
	}[linked][o.Kind]
	if _, err := x.exec(text, x.repo, o.ID, key); err != nil || o.Kind != EntityCommit {
		return err
	}
	_, err := x.exec(`
		UPDATE git_commit SET linked = EXISTS (SELECT 1 FROM link WHERE commit_id = git_commit.id)
		WHERE repository_id = ? AND oid = unhex(?)`, x.repo, o.ID)
	return err
}

// objectKeys returns the keys of an object as the books have them. It fails
// with ferry.ErrNotFound if there is no such object.
func (x *indexing) objectKeys(o Object) ([]ferry.IssueKey, error) {
	var found int64
	var keys []ferry.IssueKey
	var err error
	switch o.Kind {
	case EntityCommit:
		if _, bad := ferry.ParseOID(o.ID); bad != nil {
			return nil, ferry.ErrNotFound
		}
		err = x.row([]any{&found, jsonColumn{&keys}}, `
			SELECT id, (SELECT json_group_array(issue_key) FROM link WHERE commit_id = git_commit.id)
			FROM git_commit WHERE repository_id = ? AND oid = unhex(?)`, x.repo, o.ID)
	case EntityBranch:
		if !ferry.RefName(o.ID).IsBranch() {
			return nil, ferry.ErrNotFound
		}
		if err = x.row([]any{&found, jsonColumn{&keys}}, `
			SELECT 1, (
				SELECT json_group_array(issue_key) FROM (
					SELECT issue_key FROM ref_link WHERE repository_id = ref.repository_id AND ref = ref.name
					UNION
					SELECT l.issue_key FROM git_commit c CROSS JOIN link l ON l.commit_id = c.id
					WHERE c.repository_id = ref.repository_id AND c.oid = ref.oid))
			FROM ref WHERE repository_id = ? AND name = ?`, x.repo, o.ID); err == nil {
			keys, err = x.withHand(o.Kind, o.ID, keys)
		}
	case EntityPullRequest:
		number, bad := strconv.ParseInt(o.ID, 10, 64)
		if bad != nil || strconv.FormatInt(number, 10) != o.ID {
			return nil, ferry.ErrNotFound
		}
		err = x.row([]any{&found, jsonColumn{&keys}}, `
			SELECT id, (SELECT json_group_array(issue_key) FROM pull_request_link WHERE pull_request_id = pull_request.id)
			FROM pull_request WHERE repository_id = ? AND number = ?`, x.repo, number)
	default:
		return nil, invalid("kind %.40q: want commit, branch or pull_request", o.Kind)
	}
	if errors.Is(err, sql.ErrNoRows) {
		err = ferry.ErrNotFound
	}
	return keys, err
}

// requeue has Jira hear of an object with its present keys, and of the
// branches whose tip a commit is, since they have its keys.
func (x *indexing) requeue(o Object) error {
	keys, err := x.objectKeys(o)
	if err != nil {
		return err
	}
	if alive, err := x.live(o.Kind, o.ID); err != nil {
		return err
	} else if !alive {
		keys = nil
	}
	if err := x.queueEntity(Entity{Repository: x.repo, Kind: o.Kind, EntityID: o.ID, Keys: keys, Backfill: true}); err != nil || o.Kind != EntityCommit {
		return err
	}
	var branches []string
	if err := x.row([]any{jsonColumn{&branches}}, `
		SELECT json_group_array(name) FROM ref
		WHERE repository_id = ? AND oid = unhex(?) AND name LIKE 'refs/heads/%'`, x.repo, o.ID); err != nil {
		return err
	}
	for _, name := range branches {
		if err := x.requeue(Object{Repository: x.repo, Kind: EntityBranch, ID: name}); err != nil {
			return err
		}
	}
	return nil
}

// live reports whether Jira shall know an object at all: a commit that a ref
// reaches, a branch or pull request that is there.
func (x *indexing) live(kind EntityKind, id string) (alive bool, err error) {
	text := map[EntityKind]string{
		EntityCommit:      `SELECT EXISTS (SELECT 1 FROM git_commit WHERE repository_id = ? AND oid = unhex(?) AND reachable = 1)`,
		EntityBranch:      `SELECT EXISTS (SELECT 1 FROM ref WHERE repository_id = ? AND name = ?)`,
		EntityPullRequest: `SELECT EXISTS (SELECT 1 FROM pull_request WHERE repository_id = ? AND number = CAST(? AS INTEGER))`,
	}[kind]
	err = x.row([]any{&alive}, text, x.repo, id)
	return alive, err
}
