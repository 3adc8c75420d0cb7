package store

import (
	"context"
	"fmt"
	"slices"

	"gitferry/internal/ferry"
)

// LinkFilter chooses commits by whether they name an issue.
type LinkFilter string

const (
	AllCommits   LinkFilter = "all"
	OnlyLinked   LinkFilter = "linked"
	OnlyUnlinked LinkFilter = "unlinked"
)

// A Page asks for the part of a list after Before.
type Page struct {
	Limit  int    // 0 or more than 1000: 100
	Before string // a Cursor; empty: from the newest on
}

// A Candidate is a commit that names a key whose project Jira did not know
// when the commit was indexed.
type Candidate struct {
	Repository ferry.RepositoryID
	OID        ferry.OID
	Key        ferry.IssueKey
}

const commitColumns = `
	c.id, c.oid, c.parents, c.author_name, c.author_email, c.authored_at,
	c.committer_name, c.committer_email, c.committed_at, c.message, c.initial, c.reachable, c.seen_at,
	(SELECT json_group_array(json_object('Key', issue_key, 'Reason', reason)) FROM link WHERE commit_id = c.id),
	(SELECT json_group_array(issue_key) FROM candidate WHERE commit_id = c.id),` + repositoryColumns

// commitRepository joins what repositoryColumns needs to git_commit c. CROSS
// JOIN keeps SQLite from beginning with the repositories.
const commitRepository = `
	CROSS JOIN repository r ON r.id = c.repository_id
	CROSS JOIN integration i ON i.id = r.integration_id`

func scanCommit(row scanner) (c IndexedCommit, err error) {
	var id int64
	var parents []byte
	err = row.Scan(append([]any{&id, oidColumn{&c.OID}, &parents, &c.Author.Name, &c.Author.Email, stamp{&c.AuthoredAt},
		&c.Committer.Name, &c.Committer.Email, stamp{&c.CommittedAt}, &c.Message, &c.Initial, &c.Reachable, stamp{&c.SeenAt},
		jsonColumn{&c.Links}, jsonColumn{&c.Unknown}}, repositoryFields(&c.Repository)...)...)
	for p := range slices.Chunk(parents, len(c.OID)) {
		c.Parents = append(c.Parents, ferry.OID(p))
	}
	c.Links = slices.DeleteFunc(c.Links, func(l Link) bool { return !c.Repository.Allows(l.Key.Project()) })
	c.Cursor = cursor(ms(c.CommittedAt), id)
	return c, err
}

// CommitByOID returns one commit of a repository's index.
func (s *Store) CommitByOID(ctx context.Context, repo ferry.RepositoryID, oid ferry.OID) (IndexedCommit, error) {
	c, err := scanCommit(s.r.QueryRowContext(ctx, queryCommitByOID, repo, oid[:]))
	if err != nil {
		return c, fmt.Errorf("reading commit %s: %w", oid.Short(), kind(err))
	}
	return c, nil
}

const queryCommitByOID = `
	SELECT ` + commitColumns + `
	FROM git_commit c` + commitRepository + `
	WHERE c.repository_id = ? AND c.oid = ?`

// CommitsByKey returns the commits that name an issue, over all repositories,
// newest first by commit date.
func (s *Store) CommitsByKey(ctx context.Context, key ferry.IssueKey, p Page) ([]IndexedCommit, error) {
	before, err := parseCursor(p.Before)
	if err != nil {
		return nil, err
	}
	list, err := collect(ctx, s.r, scanCommit, queryCommitsByKey, key, before[0], before[1], limited(p.Limit, 100))
	if err != nil {
		return nil, fmt.Errorf("reading commits of %s: %w", key, err)
	}
	return list, nil
}

const queryCommitsByKey = `
	SELECT ` + commitColumns + `
	FROM link l CROSS JOIN git_commit c ON c.id = l.commit_id` + commitRepository + `
	WHERE l.issue_key = ? AND (l.committed_at, l.commit_id) < (?, ?) AND ` + keyAllowed + `
	ORDER BY l.committed_at DESC, l.commit_id DESC
	LIMIT ?`

// LinkedCommits returns commits of a repository, newest first by commit date,
// chosen by whether they name an issue.
func (s *Store) LinkedCommits(ctx context.Context, repo ferry.RepositoryID, f LinkFilter, p Page) ([]IndexedCommit, error) {
	before, err := parseCursor(p.Before)
	if err != nil {
		return nil, err
	}
	query, ok := queryLinkedCommits[f]
	if !ok {
		return nil, invalid("filter %.40q: want all, linked or unlinked", f)
	}
	list, err := collect(ctx, s.r, scanCommit, query, repo, before[0], before[1], limited(p.Limit, 100))
	if err != nil {
		return nil, fmt.Errorf("reading commits of repository %d: %w", repo, err)
	}
	return list, nil
}

var queryLinkedCommits = map[LinkFilter]string{
	AllCommits:   linkedCommits(``),
	OnlyLinked:   linkedCommits(` AND c.linked = 1`),
	OnlyUnlinked: linkedCommits(` AND c.linked = 0`),
}

func linkedCommits(and string) string {
	return `
	SELECT ` + commitColumns + `
	FROM git_commit c` + commitRepository + `
	WHERE c.repository_id = ? AND (c.committed_at, c.id) < (?, ?)` + and + `
	ORDER BY c.committed_at DESC, c.id DESC
	LIMIT ?`
}

// RecentCommits returns the newest commits over all repositories by commit
// date; limit 0 or above 1000 is 100.
func (s *Store) RecentCommits(ctx context.Context, limit int) ([]IndexedCommit, error) {
	list, err := collect(ctx, s.r, scanCommit, queryRecentCommits, limited(limit, 100))
	if err != nil {
		return nil, fmt.Errorf("reading recent commits: %w", err)
	}
	return list, nil
}

const queryRecentCommits = `
	SELECT ` + commitColumns + `
	FROM git_commit c` + commitRepository + `
	ORDER BY c.committed_at DESC, c.id DESC
	LIMIT ?`

// Movements returns the log of ref movements after seq since, oldest first;
// limit 0 or above 1000 is 1000.
func (s *Store) Movements(ctx context.Context, repo ferry.RepositoryID, since int64, limit int) ([]Movement, error) {
	list, err := collect(ctx, s.r, func(row scanner) (m Movement, err error) {
		err = row.Scan(&m.Seq, &m.Repository, &m.Ref, oidColumn{&m.Old}, oidColumn{&m.New}, stamp{&m.At}, &m.Push)
		return m, err
	}, queryMovements, repo, since, limited(limit, 1000))
	if err != nil {
		return nil, fmt.Errorf("reading ref movements of repository %d: %w", repo, err)
	}
	return list, nil
}

const queryMovements = `
	SELECT seq, repository_id, ref, old, new, at, COALESCE(push_id, 0)
	FROM movement WHERE repository_id = ? AND seq > ?
	ORDER BY seq LIMIT ?`

// Candidates returns commits that name a key of a project that Jira did not
// know when they were indexed. Once it does, AddCommits with the link makes
// the candidate a link. Limit 0 or above 1000 is 1000.
func (s *Store) Candidates(ctx context.Context, project string, limit int) ([]Candidate, error) {
	list, err := collect(ctx, s.r, func(row scanner) (c Candidate, err error) {
		err = row.Scan(&c.Repository, oidColumn{&c.OID}, &c.Key)
		return c, err
	}, queryCandidates, project, limited(limit, 1000))
	if err != nil {
		return nil, fmt.Errorf("reading candidates of project %s: %w", project, err)
	}
	return list, nil
}

const queryCandidates = `
	SELECT c.repository_id, c.oid, k.issue_key
	FROM candidate k CROSS JOIN git_commit c ON c.id = k.commit_id
	WHERE k.project = ?
	ORDER BY k.commit_id, k.issue_key LIMIT ?`
