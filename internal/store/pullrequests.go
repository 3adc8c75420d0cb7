package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"gitferry/internal/ferry"
)

// A PullRequest is a pull request as the upstream last showed it.
type PullRequest struct {
	Repository     ferry.RepositoryID
	Number         int64
	Title          string
	Description    string
	Source         ferry.RefName
	Destination    ferry.RefName
	SourceOID      ferry.OID
	DestinationOID ferry.OID
	MergeOID       ferry.OID // zero: not merged, or not known
	Status         string    // "open" or "closed"
	Merged         bool
	Author         string // as the upstream names the person
	URL            string // page at the upstream
	CreatedAt      time.Time
	UpdatedAt      time.Time
	Keys           []ferry.IssueKey // sorted
}

// A PullRequestFilter narrows PullRequests. Zero fields do not narrow; one of
// Repository and Key must be given.
type PullRequestFilter struct {
	Repository ferry.RepositoryID
	Key        ferry.IssueKey
	Status     string
	Number     int64
	Limit      int // 0 or more than 1000: 1000
}

// PutPullRequests writes pull requests of a repository as they are now, each
// as a whole, and queues the entities with them.
func (s *Store) PutPullRequests(ctx context.Context, repo ferry.RepositoryID, prs []PullRequest, entities []Entity) error {
	return s.write(ctx, fmt.Sprintf("writing pull requests of repository %d", repo), func(tx *sql.Tx) error {
		x := s.indexing(ctx, tx, repo)
		for _, p := range prs {
			if err := x.putPullRequest(p); err != nil {
				return fmt.Errorf("pull request %d: %w", p.Number, err)
			}
		}
		for _, e := range entities {
			if err := x.queueEntity(e); err != nil {
				return err
			}
		}
		return nil
	})
}

func (x *indexing) putPullRequest(p PullRequest) error {
	var id int64
	if err := x.row([]any{&id}, `
		INSERT INTO pull_request (
			repository_id, number, title, description, source, destination,
			source_oid, destination_oid, merge_oid, status, merged, author, url, created_at, updated_at)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (repository_id, number) DO UPDATE SET
			title = excluded.title, description = excluded.description,
			source = excluded.source, destination = excluded.destination,
			source_oid = excluded.source_oid, destination_oid = excluded.destination_oid, merge_oid = excluded.merge_oid,
			status = excluded.status, merged = excluded.merged, author = excluded.author, url = excluded.url,
			created_at = excluded.created_at, updated_at = excluded.updated_at
		RETURNING id`,
		x.repo, p.Number, p.Title, p.Description, p.Source, p.Destination,
		p.SourceOID[:], p.DestinationOID[:], p.MergeOID[:], p.Status, p.Merged, p.Author, p.URL,
		ms(p.CreatedAt), ms(p.UpdatedAt)); err != nil {
		return err
	}
	if _, err := x.exec(`DELETE FROM pull_request_link WHERE pull_request_id = ?`, id); err != nil {
		return err
	}
	for _, k := range sortedKeys(p.Keys) {
		if _, err := x.exec(`INSERT INTO pull_request_link (pull_request_id, issue_key) VALUES (?, ?)`, id, k); err != nil {
			return err
		}
	}
	return nil
}

// PullRequests returns pull requests of a repository, highest number first,
// or of an issue over all repositories. It fails with ferry.ErrInvalid if the
// filter names neither.
func (s *Store) PullRequests(ctx context.Context, f PullRequestFilter) ([]PullRequest, error) {
	if f.Repository == 0 && f.Key == "" {
		return nil, invalid("pull requests: want a repository or an issue")
	}
	query, args := f.query()
	list, err := collect(ctx, s.r, func(row scanner) (p PullRequest, err error) {
		err = row.Scan(&p.Repository, &p.Number, &p.Title, &p.Description, &p.Source, &p.Destination,
			oidColumn{&p.SourceOID}, oidColumn{&p.DestinationOID}, oidColumn{&p.MergeOID}, &p.Status, &p.Merged, &p.Author, &p.URL,
			stamp{&p.CreatedAt}, stamp{&p.UpdatedAt}, jsonColumn{&p.Keys})
		return p, err
	}, query, args...)
	if err != nil {
		return nil, fmt.Errorf("reading pull requests: %w", err)
	}
	return list, nil
}

func (f PullRequestFilter) query() (string, []any) {
	var w where
	if f.Key != "" {
		w.add("p.id IN (SELECT pull_request_id FROM pull_request_link WHERE issue_key = ?)", f.Key)
	}
	if f.Repository != 0 {
		w.add("p.repository_id = ?", f.Repository)
	}
	if f.Status != "" {
		w.add("p.status = ?", f.Status)
	}
	if f.Number != 0 {
		w.add("p.number = ?", f.Number)
	}
	return `
		SELECT p.repository_id, p.number, p.title, p.description, p.source, p.destination,
			p.source_oid, p.destination_oid, p.merge_oid, p.status, p.merged, p.author, p.url, p.created_at, p.updated_at,
			(SELECT json_group_array(issue_key ORDER BY issue_key) FROM pull_request_link WHERE pull_request_id = p.id)
		FROM pull_request p` + w.String() + `
		ORDER BY p.repository_id, p.number DESC LIMIT ?`, append(w.args, limited(f.Limit, 1000))
}
