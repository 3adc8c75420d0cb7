package web

import (
	"context"
	"errors"
	"net/http"
	"path"
	"strings"

	"gitferry/internal/ferry"
	"gitferry/internal/git"
	"gitferry/internal/store"
)

// Bounds of views of files.
const (
	maxEntries = 1000    // of one directory
	maxFile    = 2 << 20 // bytes of a file that are shown
	maxReadme  = 256 << 10
)

type treeView struct {
	page
	repoHead
	Path    string
	Crumbs  []crumb
	Entries []entryRow
	More    bool
	Readme  *readme
	Latest  *commitRow
	Empty   bool // no commit yet
	Waiting bool // not copied yet
	Job     *jobRow
}

// A crumb is one part of a path above the page.
type crumb struct{ Name, Href string }

type entryRow struct {
	Name, Href string
	Icon       string // "dir", "file", "link" or "module"
	Size       int64
	Note       string // what a link or submodule is
}

// repository shows the files of the main branch.
func (s *Server) repository(r *request) error {
	h, err := s.repoHead(r, "files")
	if err != nil {
		return err
	}
	if name := r.QueryParam("ref"); name != "" {
		at, err := s.named(r.ctx(), &h, name)
		if err != nil {
			return err
		}
		return r.Redirect(http.StatusSeeOther, h.Base+"/tree/"+escapePath(at.Name))
	}
	at, ok := h.mainPlace()
	if !ok || !h.view.Copied {
		v := treeView{page: s.page(r, h.Name, "repos"), repoHead: h, Empty: !ok, Waiting: !h.view.Copied}
		if v.Job, err = s.runningJob(r.ctx(), h.Repo.ID); err != nil {
			return err
		}
		v.Empty = v.Empty && !v.Waiting
		if v.Waiting {
			v.page.Refresh = 3
		}
		return s.render(r, http.StatusOK, "tree", &v)
	}
	return s.showTree(r, h, at, "")
}

// tree shows a directory.
func (s *Server) tree(r *request) error {
	h, rest, err := s.repoRest(r, "files")
	if err != nil {
		return err
	}
	at, dir, err := s.split(r.ctx(), &h, rest)
	if err != nil {
		return err
	}
	return s.showTree(r, h, at, dir)
}

func (s *Server) showTree(r *request, h repoHead, at place, dir string) error {
	ctx, cancel := context.WithTimeout(r.ctx(), viewTime)
	defer cancel()
	h.At = at
	title := h.Name
	if dir != "" {
		title = dir + " · " + h.Name
	}
	v := treeView{page: s.page(r, title, "repos"), repoHead: h, Path: dir, Crumbs: crumbs(h, at, dir)}
	entries, more, err := s.Git.Tree(ctx, s.Mirror.Path(h.Repo.ID), at.OID, dir, maxEntries)
	if errors.Is(err, ferry.ErrNotFound) && dir != "" { // it may be a file
		if _, err := s.Git.Blob(ctx, s.Mirror.Path(h.Repo.ID), at.OID, dir, 1); err == nil {
			return r.Redirect(http.StatusSeeOther, h.Base+"/blob/"+escapePath(at.Name+"/"+dir))
		}
	}
	if err != nil {
		return notCopied(err)
	}
	v.More = more
	for _, dirs := range []bool{true, false} { // directories first, each in git's order
		for _, e := range entries {
			if (e.Kind == "tree") == dirs {
				v.Entries = append(v.Entries, entryOf(h, at, dir, e))
			}
		}
	}
	if v.Latest, err = s.latest(ctx, h, at, dir); err != nil {
		return err
	}
	v.Readme = s.findReadme(ctx, h, at, dir, entries)
	return s.render(r, http.StatusOK, "tree", &v)
}

func entryOf(h repoHead, at place, dir string, e git.TreeEntry) entryRow {
	full := path.Join(dir, e.Name)
	row := entryRow{Name: e.Name, Icon: "file", Size: e.Size, Href: h.Base + "/blob/" + escapePath(at.Name+"/"+full)}
	switch {
	case e.Kind == "tree":
		row.Icon, row.Href = "dir", h.Base+"/tree/"+escapePath(at.Name+"/"+full)
	case e.Kind == "commit":
		row.Icon, row.Href, row.Note = "module", "", "submodule at "+e.OID.Short()
	case e.Mode == "120000":
		row.Icon, row.Note = "link", "symbolic link"
	}
	return row
}

// crumbs leads from the repository to a path.
func crumbs(h repoHead, at place, p string) []crumb {
	list := []crumb{{h.Repo.Name, h.Base + "/tree/" + escapePath(at.Name)}}
	if p == "" {
		return list
	}
	parts := strings.Split(p, "/")
	for i, part := range parts {
		list = append(list, crumb{part, h.Base + "/tree/" + escapePath(at.Name+"/"+strings.Join(parts[:i+1], "/"))})
	}
	list[len(list)-1].Href = ""
	return list
}

// latest is the newest commit that touched a path.
func (s *Server) latest(ctx context.Context, h repoHead, at place, p string) (*commitRow, error) {
	list, err := s.Git.History(ctx, s.Mirror.Path(h.Repo.ID), git.History{Tips: []ferry.OID{at.OID}, Path: p, Max: 1, ByDate: true})
	if err != nil || len(list) == 0 {
		return nil, err
	}
	rows, err := s.gitRows(ctx, h.Repo, list)
	if err != nil {
		return nil, err
	}
	return &rows[0], nil
}

// gitRows makes rows of commits that git listed.
func (s *Server) gitRows(ctx context.Context, repo ferry.Repository, list []git.Commit) ([]commitRow, error) {
	oids := make([]ferry.OID, len(list))
	for i, c := range list {
		oids[i] = c.OID
	}
	keys, err := s.Store.KeysOf(ctx, repo.ID, oids)
	if err != nil {
		return nil, err
	}
	rows := make([]commitRow, len(list))
	for i, c := range list {
		rows[i] = commitRow{OID: c.OID, Href: repoPath(repo) + "/commit/" + c.OID.String(), Message: c.Message, At: c.CommittedAt,
			Author: store.Person{Name: c.AuthorName, Email: c.AuthorEmail}, Keys: keys[c.OID], Merge: len(c.Parents) > 1}
	}
	return rows, nil
}
