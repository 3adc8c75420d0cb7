package store

import (
	"context"
	"fmt"
	"time"

	"gitferry/internal/ferry"
)

// A Branch is a branch whose name holds an issue key, or that a person
// associated with one.
type Branch struct {
	Repository ferry.Repository
	Name       ferry.RefName
	OID        ferry.OID
	ByHand     bool
}

// An IssueSummary counts what the index knows about one issue.
type IssueSummary struct {
	Commits      int
	Branches     int
	PullRequests int
	LastCommitAt time.Time
}

// BranchesByKey returns the branches whose names hold an issue key or that
// were associated with it by hand, by repository and name.
func (s *Store) BranchesByKey(ctx context.Context, key ferry.IssueKey) ([]Branch, error) {
	list, err := collect(ctx, s.r, func(row scanner) (b Branch, err error) {
		err = row.Scan(append([]any{&b.Name, oidColumn{&b.OID}, &b.ByHand}, repositoryFields(&b.Repository)...)...)
		return b, err
	}, queryBranchesByKey, key)
	if err != nil {
		return nil, fmt.Errorf("reading branches of %s: %w", key, err)
	}
	return list, nil
}

const queryBranchesByKey = `
	SELECT l.ref, f.oid, EXISTS (
		SELECT 1 FROM hand_link
		WHERE repository_id = l.repository_id AND kind = 'branch' AND entity_id = l.ref AND issue_key = l.issue_key AND linked = 1),
	` + repositoryColumns + `
	FROM ref_link l
	CROSS JOIN ref f ON f.repository_id = l.repository_id AND f.name = l.ref
	CROSS JOIN repository r ON r.id = l.repository_id
	CROSS JOIN integration i ON i.id = r.integration_id
	WHERE l.issue_key = ? AND ` + keyAllowed + `
	ORDER BY i.slug, r.name, l.ref`

// RefKeys returns the issue keys in the name of a branch, and those that it
// was given by hand, sorted.
func (s *Store) RefKeys(ctx context.Context, repo ferry.RepositoryID, name ferry.RefName) ([]ferry.IssueKey, error) {
	keys, err := collect(ctx, s.r, func(row scanner) (k ferry.IssueKey, err error) {
		err = row.Scan(&k)
		return k, err
	}, `SELECT issue_key FROM ref_link WHERE repository_id = ? AND ref = ? ORDER BY issue_key`, repo, name)
	if err != nil {
		return nil, fmt.Errorf("reading the keys of %s: %w", name, err)
	}
	return keys, nil
}

// CommitCount returns how many commits the index of a repository holds.
func (s *Store) CommitCount(ctx context.Context, repo ferry.RepositoryID) (int, error) {
	return s.count(ctx, queryCommitCount, repo)
}

// KeyCount returns how many different issues the commits of a repository name.
func (s *Store) KeyCount(ctx context.Context, repo ferry.RepositoryID) (int, error) {
	return s.count(ctx, queryKeyCount, repo)
}

const (
	queryCommitCount = `SELECT COUNT(*) FROM git_commit WHERE repository_id = ?`
	queryKeyCount    = `SELECT COUNT(DISTINCT issue_key) FROM link WHERE repository_id = ?`
)

func (s *Store) count(ctx context.Context, query string, args ...any) (n int, err error) {
	if err := s.r.QueryRowContext(ctx, query, args...).Scan(&n); err != nil {
		return 0, fmt.Errorf("counting: %w", kind(err))
	}
	return n, nil
}

// IssueSummary counts what the index knows about an issue; an unknown key
// gives zeros.
func (s *Store) IssueSummary(ctx context.Context, key ferry.IssueKey) (IssueSummary, error) {
	var sum IssueSummary
	err := s.r.QueryRowContext(ctx, queryIssueSummary, key).Scan(
		&sum.Commits, stamp{&sum.LastCommitAt}, &sum.Branches, &sum.PullRequests)
	if err != nil {
		return sum, fmt.Errorf("counting for %s: %w", key, kind(err))
	}
	return sum, nil
}

const queryIssueSummary = `
	SELECT COUNT(*), COALESCE(MAX(l.committed_at), 0),
		(SELECT COUNT(*) FROM ref_link l CROSS JOIN repository r ON r.id = l.repository_id WHERE l.issue_key = ?1 AND ` + keyAllowed + `),
		(SELECT COUNT(*) FROM pull_request_link l CROSS JOIN pull_request p ON p.id = l.pull_request_id CROSS JOIN repository r ON r.id = p.repository_id
		 WHERE l.issue_key = ?1 AND ` + keyAllowed + `)
	FROM link l CROSS JOIN repository r ON r.id = l.repository_id
	WHERE l.issue_key = ?1 AND ` + keyAllowed
