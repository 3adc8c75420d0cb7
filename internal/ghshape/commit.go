package ghshape

import (
	"time"

	"gitferry/internal/ferry"
	"gitferry/internal/store"
)

// A Commit is what the shapes of commits need.
type Commit struct {
	store.Commit
	Tree ferry.OID
	// AuthorUser and CommitterUser are our users whose addresses stand in the
	// commit; nil if they are nobody's.
	AuthorUser, CommitterUser *ferry.User
}

// Commit writes a commit as lists have it; files are added by whoever shows
// one.
func (s Shape) Commit(r ferry.Repository, c Commit) Object {
	sha := c.OID.String()
	at := s.Repo(r) + "/commits/" + sha
	return Object{
		"sha": sha, "node_id": NodeID("Commit", itoa(r.ID)+":"+sha), "url": at, "html_url": s.Page(r) + "/commit/" + sha, "comments_url": at + "/comments",
		"commit": Object{
			"url": s.Repo(r) + "/git/commits/" + sha, "author": person(c.Author, c.AuthoredAt), "committer": person(c.Committer, c.CommittedAt),
			"message": c.Message, "comment_count": 0, "tree": Object{"sha": c.Tree.String(), "url": s.Repo(r) + "/git/trees/" + c.Tree.String()},
			"verification": unsigned(),
		},
		"author": s.maybe(c.AuthorUser), "committer": s.maybe(c.CommitterUser), "parents": s.parents(r, c, "commits"),
	}
}

// GitCommit writes the same commit as a git object.
func (s Shape) GitCommit(r ferry.Repository, c Commit) Object {
	sha := c.OID.String()
	return Object{
		"sha": sha, "node_id": NodeID("Commit", itoa(r.ID)+":"+sha), "url": s.Repo(r) + "/git/commits/" + sha, "html_url": s.Page(r) + "/commit/" + sha,
		"author": person(c.Author, c.AuthoredAt), "committer": person(c.Committer, c.CommittedAt), "message": c.Message,
		"tree":    Object{"sha": c.Tree.String(), "url": s.Repo(r) + "/git/trees/" + c.Tree.String()},
		"parents": s.parents(r, c, "git/commits"), "verification": unsigned(),
	}
}

func (s Shape) parents(r ferry.Repository, c Commit, below string) []Object {
	parents := []Object{}
	for _, p := range c.Parents {
		parents = append(parents, Object{"sha": p.String(), "url": s.Repo(r) + "/" + below + "/" + p.String(), "html_url": s.Page(r) + "/commit/" + p.String()})
	}
	return parents
}

func (s Shape) maybe(u *ferry.User) any {
	if u == nil {
		return nil
	}
	return s.User(*u)
}

func person(p store.Person, at time.Time) Object {
	return Object{"name": p.Name, "email": p.Email, "date": Date(at)}
}

// unsigned says of a signature that none was looked at.
func unsigned() Object {
	return Object{"verified": false, "reason": "unsigned", "signature": nil, "payload": nil, "verified_at": nil}
}

// statuses are GitHub's words for git's letters.
var statuses = map[string]string{"A": "added", "M": "modified", "D": "removed", "R": "renamed", "C": "copied", "T": "changed"}

// File writes one file of a difference whose newer side is the commit at.
// Without a patch, as of binary files, the member is left out.
func (s Shape) File(r ferry.Repository, at ferry.OID, f store.CommitFile, patch string) Object {
	path, sha := EscapePath(f.Path), at.String()
	o := Object{
		"sha": f.Blob.String(), "filename": f.Path, "status": statuses[f.Status],
		"additions": f.Added, "deletions": f.Removed, "changes": f.Added + f.Removed,
		"blob_url": s.Page(r) + "/blob/" + sha + "/" + path, "raw_url": s.Page(r) + "/raw/" + sha + "/" + path,
		"contents_url": s.Repo(r) + "/contents/" + path + "?ref=" + sha,
	}
	if f.OldPath != "" {
		o["previous_filename"] = f.OldPath
	}
	if patch != "" {
		o["patch"] = patch
	}
	return o
}
