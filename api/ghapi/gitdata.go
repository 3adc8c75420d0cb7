package ghapi

import (
	"cmp"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"gitferry/internal/ferry"
	"gitferry/internal/ghshape"
	"gitferry/internal/git"
	"gitferry/internal/store"
)

// objectID reads an object's name from the path.
func (c *call) objectID() (ferry.OID, error) {
	oid, err := ferry.ParseOID(c.param("sha"))
	if err != nil {
		return oid, problem(http.StatusUnprocessableEntity, "The sha parameter must be exactly 40 characters and contain only [0-9a-f].")
	}
	return oid, nil
}

func (s *Server) gitCommit(c *call) (any, error) {
	oid, err := ferry.ParseOID(c.param("sha"))
	if err != nil {
		return nil, ferry.ErrNotFound
	}
	shown, err := s.oneCommit(c, oid)
	if err != nil {
		return nil, err
	}
	return s.shape.GitCommit(c.repo, shown), nil
}

// maxTree bounds a tree that is listed as a whole.
const maxTree = 50_000

func (s *Server) gitTree(c *call) (any, error) {
	if err := s.copied(c); err != nil {
		return nil, err
	}
	at, err := s.resolve(c, c.wildcard())
	if errors.Is(err, ferry.ErrNotFound) { // the id of a tree
		at, err = ferry.ParseOID(c.wildcard())
		if err != nil {
			return nil, ferry.ErrNotFound
		}
	}
	if err != nil {
		return nil, err
	}
	root, err := s.Git.TreeOf(c.ctx, s.dir(c), at)
	if err != nil {
		return nil, err
	}
	var all []git.TreeEntry
	var more bool
	if _, recursive := c.echo.QueryParams()["recursive"]; recursive {
		all, more, err = s.Git.WholeTree(c.ctx, s.dir(c), at, maxTree)
	} else {
		all, more, err = s.Git.Tree(c.ctx, s.dir(c), at, "", maxTree)
	}
	if err != nil {
		return nil, err
	}
	base := s.shape.Repo(c.repo) + "/git/"
	list := []object{}
	for _, e := range all {
		o := object{"path": e.Name, "mode": e.Mode, "type": e.Kind, "sha": e.OID.String()}
		switch e.Kind {
		case "blob":
			o["size"], o["url"] = max(e.Size, 0), base+"blobs/"+e.OID.String()
		case "tree":
			o["url"] = base + "trees/" + e.OID.String()
		}
		list = append(list, o)
	}
	return object{"sha": root.String(), "url": base + "trees/" + root.String(), "tree": list, "truncated": more}, nil
}

func (s *Server) gitBlob(c *call) (any, error) {
	oid, err := c.objectID()
	if err != nil {
		return nil, err
	}
	if err := s.copied(c); err != nil {
		return nil, err
	}
	b, err := s.Git.BlobByOID(c.ctx, s.dir(c), oid, maxBlob)
	if err != nil {
		return nil, err
	}
	if b.Truncated {
		return nil, problem(http.StatusForbidden, "This file is too large for the API; clone the repository.")
	}
	if c.format == "raw" {
		return text{kind: "application/vnd.github.raw; charset=utf-8", body: b.Data, format: "raw"}, nil
	}
	if b.Size > 7<<20 {
		return nil, problem(http.StatusForbidden, "This file is too large for JSON; ask for it with the media type application/vnd.github.raw+json.")
	}
	return object{"sha": oid.String(), "node_id": ghshape.NodeID("Blob", itoa(int64(c.repo.ID))+":"+oid.String()), "size": b.Size,
		"url": s.shape.Repo(c.repo) + "/git/blobs/" + oid.String(), "content": inLines(b.Data), "encoding": "base64"}, nil
}

// gitTag shows an annotated tag.
func (s *Server) gitTag(c *call) (any, error) {
	oid, err := c.objectID()
	if err != nil {
		return nil, err
	}
	if err := s.copied(c); err != nil {
		return nil, err
	}
	t, err := s.Git.TagObject(c.ctx, s.dir(c), oid)
	if err != nil {
		return nil, err
	}
	at := s.shape.Repo(c.repo) + "/git/"
	return object{"sha": oid.String(), "node_id": ghshape.NodeID("Tag", itoa(int64(c.repo.ID))+":"+oid.String()), "url": at + "tags/" + oid.String(),
		"tag": t.Name, "message": t.Message, "tagger": object{"name": t.TaggerName, "email": t.TaggerEmail, "date": ghshape.Date(t.TaggedAt)},
		"object":       object{"type": t.Kind, "sha": t.Object.String(), "url": at + t.Kind + "s/" + t.Object.String()},
		"verification": object{"verified": false, "reason": "unsigned", "signature": nil, "payload": nil, "verified_at": nil}}, nil
}

// contributors counts commits by author address, of the newest ones.
func (s *Server) contributors(c *call) (any, error) {
	type count struct {
		who store.Person
		n   int
	}
	counts := make(map[string]*count)
	before := ""
	for range 20 { // 20,000 commits
		list, err := s.Store.LinkedCommits(c.ctx, c.repo.ID, store.AllCommits, store.Page{Limit: 1000, Before: before})
		if err != nil {
			return nil, err
		}
		for _, row := range list {
			key := strings.ToLower(row.Author.Email)
			if counts[key] == nil {
				counts[key] = &count{who: row.Author}
			}
			counts[key].n++
			before = row.Cursor
		}
		if len(list) < 1000 {
			break
		}
	}
	all := make([]*count, 0, len(counts))
	for _, n := range counts {
		all = append(all, n)
	}
	slices.SortFunc(all, func(a, b *count) int { return cmp.Or(b.n-a.n, strings.Compare(a.who.Email, b.who.Email)) })
	var failure error
	list := cut(s, c, all, func(n *count) object {
		u, err := s.userByEmail(c, n.who.Email)
		failure = errors.Join(failure, err)
		if u == nil {
			return object{"type": "Anonymous", "name": n.who.Name, "email": n.who.Email, "contributions": n.n}
		}
		o := s.shape.User(*u)
		o["contributions"] = n.n
		return o
	})
	return list, failure
}

// number reads a path parameter that is a row's or a pull request's number.
func (c *call) number(name string) (int64, error) {
	n, err := strconv.ParseInt(c.param(name), 10, 64)
	if err != nil || n <= 0 {
		return 0, ferry.ErrNotFound
	}
	return n, nil
}
