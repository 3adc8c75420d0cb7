package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"

	"gitferry/internal/ferry"
)

// MaxCommitFiles is how many files of one commit are kept.
const MaxCommitFiles = 3000

// CommitFiles are the files that a commit changed against its first parent, a
// root commit against nothing.
type CommitFiles struct {
	OID     ferry.OID
	Tree    ferry.OID
	Count   int // of all files; Files holds the first MaxCommitFiles
	Added   int // lines, over all files
	Removed int
	Files   []CommitFile // in git's order
}

// A CommitFile is one file of a commit. The short names keep rows small.
type CommitFile struct {
	Path    string    `json:"p"`
	OldPath string    `json:"o,omitempty"` // where it was renamed or copied from
	Status  string    `json:"s"`           // git's letter: A, M, D, R, C or T
	Blob    ferry.OID `json:"b"`           // after the change; of a deleted file before it
	Added   int       `json:"a,omitempty"` // lines; zero for binary files
	Removed int       `json:"r,omitempty"`
	Binary  bool      `json:"x,omitempty"`
}

// An Unfiled commit is one whose files are not in the books.
type Unfiled struct {
	ID         int64 // grows with the order in which commits were indexed
	Repository ferry.RepositoryID
	OID        ferry.OID
}

// UnfiledCommits returns commits whose files are not in the books, with IDs
// above after, in order; limit 0 or above 1000 is 1000.
func (s *Store) UnfiledCommits(ctx context.Context, after int64, limit int) ([]Unfiled, error) {
	list, err := collect(ctx, s.r, func(row scanner) (u Unfiled, err error) {
		err = row.Scan(&u.ID, &u.Repository, oidColumn{&u.OID})
		return u, err
	}, queryUnfiled, after, limited(limit, 1000))
	if err != nil {
		return nil, fmt.Errorf("reading commits without files: %w", err)
	}
	return list, nil
}

const queryUnfiled = `
	SELECT id, repository_id, oid
	FROM git_commit WHERE filed = 0 AND id > ?
	ORDER BY id LIMIT ?`

// AddCommitFiles writes the files of commits in one transaction. Commits that
// the index does not hold are passed over, as are those already written.
func (s *Store) AddCommitFiles(ctx context.Context, repo ferry.RepositoryID, list []CommitFiles) error {
	return s.write(ctx, fmt.Sprintf("writing files of commits of repository %d", repo), func(tx *sql.Tx) error {
		x := s.indexing(ctx, tx, repo)
		for _, c := range list {
			text, err := json.Marshal(append([]CommitFile{}, c.Files[:min(len(c.Files), MaxCommitFiles)]...))
			if err != nil {
				return err
			}
			if _, err := x.exec(`
				INSERT INTO commit_file (commit_id, tree, files, added, removed, list)
				SELECT id, ?, ?, ?, ?, ?
				FROM git_commit WHERE repository_id = ? AND oid = ?
				ON CONFLICT DO NOTHING`,
				c.Tree[:], c.Count, c.Added, c.Removed, string(text), repo, c.OID[:]); err != nil {
				return err
			}
			if _, err := x.exec(`
				UPDATE git_commit SET filed = 1
				WHERE repository_id = ? AND oid = ? AND filed = 0`, repo, c.OID[:]); err != nil {
				return err
			}
		}
		return nil
	})
}

// FilesOfCommit returns the files of one commit. It fails with
// ferry.ErrNotFound while they are not in the books.
func (s *Store) FilesOfCommit(ctx context.Context, repo ferry.RepositoryID, oid ferry.OID) (CommitFiles, error) {
	c := CommitFiles{OID: oid}
	err := s.r.QueryRowContext(ctx, queryCommitFiles, repo, oid[:]).Scan(
		oidColumn{&c.Tree}, &c.Count, &c.Added, &c.Removed, jsonColumn{&c.Files})
	if err != nil {
		return c, fmt.Errorf("reading files of commit %s: %w", oid.Short(), kind(err))
	}
	return c, nil
}

const queryCommitFiles = `
	SELECT f.tree, f.files, f.added, f.removed, f.list
	FROM git_commit c CROSS JOIN commit_file f ON f.commit_id = c.id
	WHERE c.repository_id = ? AND c.oid = ?`
