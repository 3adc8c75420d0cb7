package store

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"gitferry/internal/ferry"
)

// addCommit writes one commit with its links and candidates. A known commit
// keeps its row and may gain links.
func (x *indexing) addCommit(c Commit) error {
	parents := make([]byte, 0, len(c.Parents)*len(c.OID))
	for _, p := range c.Parents {
		parents = append(parents, p[:]...)
	}
	named := c.Links
	links, err := x.withHandLinks(c)
	if err != nil {
		return fmt.Errorf("adding commit %s: %w", c.OID.Short(), err)
	}
	c.Links = links
	id, added, err := x.insert(`
		INSERT INTO git_commit (
			repository_id, oid, parents, author_name, author_email, authored_at,
			committer_name, committer_email, committed_at, message, initial, reachable, linked, seen_at)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1, ?, ?)
		ON CONFLICT DO NOTHING`,
		x.repo, c.OID[:], parents, c.Author.Name, c.Author.Email, ms(c.AuthoredAt),
		c.Committer.Name, c.Committer.Email, ms(c.CommittedAt), cutMessage(c.Message), c.Initial, len(c.Links) > 0, x.seen)
	if err != nil {
		return fmt.Errorf("adding commit %s: %w", c.OID.Short(), err)
	}
	committedAt := ms(c.CommittedAt)
	if added {
		x.done.Commits++
	} else {
		if err := x.row([]any{&id, &committedAt}, `
			SELECT id, committed_at FROM git_commit
			WHERE repository_id = ? AND oid = ?`, x.repo, c.OID[:]); err != nil {
			return fmt.Errorf("adding commit %s: %w", c.OID.Short(), err)
		}
		if _, err := x.exec(`
			UPDATE git_commit SET reachable = 1, linked = linked OR ?
			WHERE id = ? AND (reachable = 0 OR linked = 0 AND ?)`, len(c.Links) > 0, id, len(c.Links) > 0); err != nil {
			return fmt.Errorf("adding commit %s: %w", c.OID.Short(), err)
		}
	}
	if err := x.linkCommit(id, committedAt, c); err != nil {
		return fmt.Errorf("linking commit %s: %w", c.OID.Short(), err)
	}
	if added { // just now, so without candidates from before
		return nil
	}
	for _, l := range named { // a key that is known is no candidate any more
		if _, err := x.exec(`DELETE FROM candidate WHERE commit_id = ? AND issue_key = ?`, id, l.Key); err != nil {
			return fmt.Errorf("linking commit %s: %w", c.OID.Short(), err)
		}
	}
	return nil
}

// linkCommit adds the links and candidates of the commit in row id.
func (x *indexing) linkCommit(id, committedAt int64, c Commit) error {
	for _, l := range c.Links {
		if _, err := x.exec(`
			INSERT INTO link (commit_id, issue_key, reason, committed_at, repository_id)
			VALUES (?, ?, ?, ?, ?)
			ON CONFLICT DO NOTHING`, id, l.Key, l.Reason, committedAt, x.repo); err != nil {
			return err
		}
	}
	for _, k := range c.Unknown {
		if _, err := x.exec(`
			INSERT INTO candidate (commit_id, issue_key, project)
			SELECT ?1, ?2, ?3
			WHERE NOT EXISTS (SELECT 1 FROM link WHERE commit_id = ?1 AND issue_key = ?2)
			ON CONFLICT DO NOTHING`, id, k, k.Project()); err != nil {
			return err
		}
	}
	return nil
}

// cutMessage cuts a message to MaxMessage bytes, not within a character.
func cutMessage(m string) string {
	if len(m) <= MaxMessage {
		return m
	}
	n := MaxMessage
	for n > MaxMessage-utf8.UTFMax && !utf8.RuneStart(m[n]) {
		n--
	}
	return m[:n]
}

// Refs returns the refs of a repository as indexed.
func (s *Store) Refs(ctx context.Context, repo ferry.RepositoryID) (map[ferry.RefName]ferry.OID, error) {
	type ref struct {
		name ferry.RefName
		oid  ferry.OID
	}
	list, err := collect(ctx, s.r, func(row scanner) (r ref, err error) {
		err = row.Scan(&r.name, oidColumn{&r.oid})
		return r, err
	}, `SELECT name, oid FROM ref WHERE repository_id = ?`, repo)
	if err != nil {
		return nil, fmt.Errorf("reading refs of repository %d: %w", repo, err)
	}
	refs := make(map[ferry.RefName]ferry.OID, len(list))
	for _, r := range list {
		refs[r.name] = r.oid
	}
	return refs, nil
}

// lookupChunk is how many object names go into one query.
const lookupChunk = 500

// oidChunks yields "(?, ?, …)" and the arguments repo and names, for at most
// lookupChunk names at a time.
func oidChunks(repo ferry.RepositoryID, oids []ferry.OID, yield func(in string, args []any) error) error {
	for chunk := range slices.Chunk(oids, lookupChunk) {
		args := make([]any, 0, len(chunk)+1)
		args = append(args, repo)
		for i := range chunk {
			args = append(args, chunk[i][:])
		}
		if err := yield("(?"+strings.Repeat(", ?", len(chunk)-1)+")", args); err != nil {
			return err
		}
	}
	return nil
}

// KnownCommits tells which of the commits the index of repo holds; those that
// it does not hold are not in the map.
func (s *Store) KnownCommits(ctx context.Context, repo ferry.RepositoryID, oids []ferry.OID) (map[ferry.OID]bool, error) {
	known := make(map[ferry.OID]bool)
	err := oidChunks(repo, oids, func(in string, args []any) error {
		list, err := collect(ctx, s.r, func(row scanner) (o ferry.OID, err error) {
			err = row.Scan(oidColumn{&o})
			return o, err
		}, `SELECT oid FROM git_commit WHERE repository_id = ? AND oid IN `+in, args...)
		for _, o := range list {
			known[o] = true
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("looking up commits of repository %d: %w", repo, err)
	}
	return known, nil
}

// KeysOf returns the issue keys of commits, sorted, of projects that the
// repository belongs to; commits without keys are not in the map.
func (s *Store) KeysOf(ctx context.Context, repo ferry.RepositoryID, oids []ferry.OID) (map[ferry.OID][]ferry.IssueKey, error) {
	type pair struct {
		oid ferry.OID
		key ferry.IssueKey
	}
	keys := make(map[ferry.OID][]ferry.IssueKey)
	err := oidChunks(repo, oids, func(in string, args []any) error {
		list, err := collect(ctx, s.r, func(row scanner) (p pair, err error) {
			err = row.Scan(oidColumn{&p.oid}, &p.key)
			return p, err
		}, `
			SELECT c.oid, l.issue_key
			FROM git_commit c CROSS JOIN link l ON l.commit_id = c.id CROSS JOIN repository r ON r.id = c.repository_id
			WHERE c.repository_id = ? AND c.oid IN `+in+` AND `+keyAllowed+`
			ORDER BY c.oid, l.issue_key`, args...)
		for _, p := range list {
			keys[p.oid] = append(keys[p.oid], p.key)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading keys of commits of repository %d: %w", repo, err)
	}
	return keys, nil
}
