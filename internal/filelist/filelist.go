// Package filelist keeps in the books what each commit changed, so that
// whoever reads commits one by one needs no git.
//
// The one idea: the index writes commits fast and without their files; a
// background walk then reads the files of hundreds of commits in two runs of
// git and writes them beside. Whoever asks for a commit before the walk came
// by gets it from git, and the answer is kept.
//
// The API in GitHub's shape asks Of for each commit that Jira's connector
// fetches; cmd runs Run. What is written never changes: a commit's name says
// all of it. The package moves no ref and asks no upstream.
package filelist

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"time"

	"gitferry/internal/ferry"
	"gitferry/internal/git"
	"gitferry/internal/store"
	"gitferry/mirror"
)

// Lists are the file lists of all commits. Fill the fields before use.
type Lists struct {
	Store  *store.Store
	Git    *git.Runner
	Mirror *mirror.Dir
	Log    *slog.Logger
}

const (
	batch = 400             // commits of one run of git
	tick  = 2 * time.Second // how often new commits are looked for
	again = 10 * time.Minute
)

// Of returns the files of a commit, from the books, or from git if they are
// not there yet. It fails with ferry.ErrNotFound if the mirror has no such
// commit.
func (l *Lists) Of(ctx context.Context, repo ferry.RepositoryID, oid ferry.OID) (store.CommitFiles, error) {
	c, err := l.Store.FilesOfCommit(ctx, repo, oid)
	if !errors.Is(err, ferry.ErrNotFound) {
		return c, err
	}
	found, err := l.read(ctx, repo, []ferry.OID{oid})
	if err != nil {
		return c, err
	}
	if len(found) == 0 {
		return c, fmt.Errorf("files of commit %s: %w", oid.Short(), ferry.ErrNotFound)
	}
	if err := l.Store.AddCommitFiles(ctx, repo, found); err != nil && !errors.Is(err, ferry.ErrUnavailable) {
		return c, err
	}
	return found[0], nil
}

// All returns the files of many commits, as Of does for one. Commits that the
// mirror does not have are left out.
func (l *Lists) All(ctx context.Context, repo ferry.RepositoryID, oids []ferry.OID) (map[ferry.OID]store.CommitFiles, error) {
	all := make(map[ferry.OID]store.CommitFiles, len(oids))
	var missing []ferry.OID
	for _, oid := range oids {
		c, err := l.Store.FilesOfCommit(ctx, repo, oid)
		if errors.Is(err, ferry.ErrNotFound) {
			missing = append(missing, oid)
			continue
		}
		if err != nil {
			return nil, err
		}
		all[oid] = c
	}
	for part := range slices.Chunk(missing, batch) {
		found, err := l.read(ctx, repo, part)
		if err != nil {
			return nil, err
		}
		for _, c := range found {
			all[c.OID] = c
		}
	}
	return all, nil
}

// read asks git.
func (l *Lists) read(ctx context.Context, repo ferry.RepositoryID, oids []ferry.OID) ([]store.CommitFiles, error) {
	changes, err := l.Git.CommitChanges(ctx, l.Mirror.Path(repo), oids)
	if err != nil {
		return nil, err
	}
	list := make([]store.CommitFiles, len(changes))
	for i, c := range changes {
		list[i] = store.CommitFiles{OID: c.OID, Tree: c.Tree, Count: len(c.Files)}
		for j, f := range c.Files {
			list[i].Added += f.Added
			list[i].Removed += f.Removed
			if j < store.MaxCommitFiles {
				list[i].Files = append(list[i].Files, store.CommitFile{Path: f.Path, OldPath: f.OldPath, Status: string(f.Status),
					Blob: c.Blobs[j], Added: f.Added, Removed: f.Removed, Binary: f.Binary})
			}
		}
	}
	return list, nil
}

// Run fills in what is missing until ctx ends.
func (l *Lists) Run(ctx context.Context) error {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	after, began := int64(0), time.Now()
	for {
		// What could not be read, as of a mirror that is not there, is passed
		// over and tried again later.
		if time.Since(began) > again {
			after, began = 0, time.Now()
		}
		next, err := l.Fill(ctx, after)
		if err != nil && ctx.Err() == nil {
			l.Log.Error("listing files of commits", "err", err)
		}
		after = max(after, next)
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// Fill reads the files of all commits that are not in the books and were
// indexed after the commit numbered after, and returns the number of the last
// one it saw. Commits that cannot be read are passed over.
func (l *Lists) Fill(ctx context.Context, after int64) (last int64, err error) {
	last = after
	for {
		todo, err := l.Store.UnfiledCommits(ctx, last, batch)
		if err != nil || len(todo) == 0 {
			return last, err
		}
		groups := make(map[ferry.RepositoryID][]ferry.OID)
		for _, u := range todo {
			groups[u.Repository] = append(groups[u.Repository], u.OID)
			last = u.ID
		}
		for repo, oids := range groups {
			if err := l.fill(ctx, repo, oids); err != nil {
				return last, err
			}
		}
	}
}

func (l *Lists) fill(ctx context.Context, repo ferry.RepositoryID, oids []ferry.OID) error {
	if _, err := os.Stat(l.Mirror.Path(repo)); err != nil {
		return nil // not copied, or just removed
	}
	found, err := l.read(ctx, repo, oids)
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if n := len(oids) / 2; n > 0 { // one of them may be too much for all
			return errors.Join(l.fill(ctx, repo, oids[:n]), l.fill(ctx, repo, oids[n:]))
		}
		l.Log.Warn("listing files of commits", "repo_id", repo, "err", err)
		return nil
	}
	return l.Store.AddCommitFiles(ctx, repo, found)
}

// Row is what the books keep of a commit that git told.
func Row(c git.Commit) store.Commit {
	return store.Commit{OID: c.OID, Parents: c.Parents,
		Author: store.Person{Name: c.AuthorName, Email: c.AuthorEmail}, AuthoredAt: c.AuthoredAt,
		Committer: store.Person{Name: c.CommitterName, Email: c.CommitterEmail}, CommittedAt: c.CommittedAt, Message: c.Message}
}
