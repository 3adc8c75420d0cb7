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
	MergeBase      ferry.OID // zero: not known
	Status         string    // "open" or "closed"
	Merged         bool
	Author         string // as the upstream names the person
	AuthorARN      string // who that is at AWS; empty: not known
	MergedBy       string // likewise; empty: not merged, or not known
	Revision       string // changes with the source; approvals belong to one
	Reviewers      []Reviewer
	URL            string // page at the upstream
	CreatedAt      time.Time
	UpdatedAt      time.Time
	LookedAt       time.Time        // when the upstream was last asked for it
	Keys           []ferry.IssueKey // sorted
}

// A Reviewer is somebody who approved a pull request, or took the approval
// back.
type Reviewer struct {
	Name     string `json:"name"`          // as the upstream names the person
	ARN      string `json:"arn,omitempty"` // who that is at AWS; empty: not known
	Approved bool   `json:"approved"`
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
			source_oid, destination_oid, merge_oid, merge_base, status, merged, author, author_arn, merged_by, revision, reviewers,
			url, created_at, updated_at, looked_at)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (repository_id, number) DO UPDATE SET
			title = excluded.title, description = excluded.description,
			source = excluded.source, destination = excluded.destination,
			source_oid = excluded.source_oid, destination_oid = excluded.destination_oid, merge_oid = excluded.merge_oid, merge_base = excluded.merge_base,
			status = excluded.status, merged = excluded.merged, author = excluded.author, author_arn = excluded.author_arn, merged_by = excluded.merged_by,
			revision = excluded.revision, reviewers = excluded.reviewers, url = excluded.url,
			created_at = excluded.created_at, updated_at = excluded.updated_at, looked_at = excluded.looked_at
		RETURNING id`,
		x.repo, p.Number, p.Title, p.Description, p.Source, p.Destination,
		p.SourceOID[:], p.DestinationOID[:], p.MergeOID[:], p.MergeBase[:], p.Status, p.Merged, p.Author, p.AuthorARN, p.MergedBy, p.Revision, asJSON(p.Reviewers),
		p.URL, ms(p.CreatedAt), ms(p.UpdatedAt), ms(p.LookedAt)); err != nil {
		return err
	}
	if _, err := x.exec(`DELETE FROM pull_request_link WHERE pull_request_id = ?`, id); err != nil {
		return err
	}
	keys, err := x.withHand(EntityPullRequest, fmt.Sprint(p.Number), p.Keys)
	if err != nil {
		return err
	}
	for _, k := range sortedKeys(keys) {
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
			oidColumn{&p.SourceOID}, oidColumn{&p.DestinationOID}, oidColumn{&p.MergeOID}, oidColumn{&p.MergeBase},
			&p.Status, &p.Merged, &p.Author, &p.AuthorARN, &p.MergedBy, &p.Revision, jsonColumn{&p.Reviewers}, &p.URL,
			stamp{&p.CreatedAt}, stamp{&p.UpdatedAt}, stamp{&p.LookedAt}, jsonColumn{&p.Keys})
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
		w.add(`p.id IN (
			SELECT l.pull_request_id FROM pull_request_link l
			CROSS JOIN pull_request o ON o.id = l.pull_request_id CROSS JOIN repository r ON r.id = o.repository_id
			WHERE l.issue_key = ? AND `+keyAllowed+`)`, f.Key)
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
			p.source_oid, p.destination_oid, p.merge_oid, p.merge_base, p.status, p.merged, p.author, p.author_arn, p.merged_by, p.revision, p.reviewers,
			p.url, p.created_at, p.updated_at, p.looked_at,
			(SELECT json_group_array(issue_key ORDER BY issue_key) FROM pull_request_link WHERE pull_request_id = p.id)
		FROM pull_request p` + w.String() + `
		ORDER BY p.repository_id, p.number DESC LIMIT ?`, append(w.args, limited(f.Limit, 1000))
}

// RemovePullRequests removes pull requests that the upstream does not have any
// more, and queues their withdrawal from Jira with them.
func (s *Store) RemovePullRequests(ctx context.Context, repo ferry.RepositoryID, numbers []int64) error {
	return s.write(ctx, fmt.Sprintf("removing pull requests of repository %d", repo), func(tx *sql.Tx) error {
		x := s.indexing(ctx, tx, repo)
		for _, n := range numbers {
			if _, err := x.exec(`DELETE FROM pull_request WHERE repository_id = ? AND number = ?`, repo, n); err != nil {
				return fmt.Errorf("pull request %d: %w", n, err)
			}
			if err := x.queueEntity(Entity{Repository: repo, Kind: EntityPullRequest, EntityID: fmt.Sprint(n)}); err != nil {
				return err
			}
		}
		return nil
	})
}

// LookedAtPullRequest notes that the upstream was asked for a pull request
// and nothing had changed.
func (s *Store) LookedAtPullRequest(ctx context.Context, repo ferry.RepositoryID, number int64, when time.Time) error {
	return s.write(ctx, fmt.Sprintf("noting a look at pull request %d", number), func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `
			UPDATE pull_request SET looked_at = ?
			WHERE repository_id = ? AND number = ?`, ms(when), repo, number)
		return err
	})
}

const queryStalestPull = `
	SELECT number FROM pull_request
	WHERE repository_id = ? AND status = 'open'
	ORDER BY looked_at, number LIMIT 1`

// StalestPullRequest returns the open pull request of a repository that the
// upstream was not asked for the longest. It fails with ferry.ErrNotFound if
// none is open.
func (s *Store) StalestPullRequest(ctx context.Context, repo ferry.RepositoryID) (number int64, err error) {
	err = s.r.QueryRowContext(ctx, queryStalestPull, repo).Scan(&number)
	if err != nil {
		return 0, fmt.Errorf("looking for an open pull request: %w", kind(err))
	}
	return number, nil
}
