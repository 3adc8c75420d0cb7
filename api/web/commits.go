package web

import (
	"context"
	"net/http"
	"net/url"
	"strconv"

	"gitferry/internal/ferry"
	"gitferry/internal/git"
	"gitferry/internal/store"
)

const (
	commitsPerPage = 20
	maxScanned     = 2000 // commits looked at for one page of a filter
)

type commitsView struct {
	page
	repoHead
	Filter   string // "all", "linked" or "unlinked"
	Path     string
	All      bool // of all branches
	Rows     []commitRow
	Prev     string
	Next     string
	NextText string
}

// commits lists the commits of a branch, or of all.
func (s *Server) commits(r *request) error {
	h, rest, err := s.repoRest(r, "commits")
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(r.ctx(), viewTime)
	defer cancel()
	v := commitsView{page: s.page(r, "Commits · "+h.Name, "repos"), repoHead: h, Filter: "all"}
	switch f := r.QueryParam("filter"); f {
	case "linked", "unlinked":
		v.Filter = f
	}
	branch, chosen := r.QueryParams()["branch"]
	switch {
	case chosen && branch[0] == "":
		v.All = true
	case chosen:
		v.At, err = s.named(ctx, &h, branch[0])
	case rest != "":
		v.At, v.Path, err = s.split(ctx, &h, rest)
	default:
		var ok bool
		if v.At, ok = h.mainPlace(); !ok {
			return s.render(r, http.StatusOK, "commits", &v)
		}
	}
	if err != nil {
		return err
	}
	if v.All {
		err = s.allCommits(r, &v)
	} else {
		err = s.branchCommits(ctx, r, &v)
	}
	if err != nil {
		return notCopied(err)
	}
	for i := range v.Rows {
		if s.mayLink(r, r.repo, v.Rows[i].Author) {
			v.Rows[i].Link = v.Rows[i].Href + "/issues"
		}
	}
	return s.render(r, http.StatusOK, "commits", &v)
}

// allCommits fills the list from the index.
func (s *Server) allCommits(r *request, v *commitsView) error {
	list, err := s.Store.LinkedCommits(r.ctx(), r.repo.ID, store.LinkFilter(v.Filter), store.Page{Limit: commitsPerPage + 1, Before: r.QueryParam("before")})
	if err != nil {
		return err
	}
	if len(list) > commitsPerPage {
		list = list[:commitsPerPage]
		v.Next, v.NextText = withQuery(r.Request().URL, "before", list[len(list)-1].Cursor), "Older"
	}
	v.Rows = commitRows(list, nil)
	return nil
}

// branchCommits fills the list from git, chunk by chunk until enough commits
// pass the filter.
func (s *Server) branchCommits(ctx context.Context, r *request, v *commitsView) error {
	skip, _ := strconv.Atoi(r.QueryParam("skip")) // zero if it is no number
	skip = max(0, min(skip, 10_000_000))
	chunk := commitsPerPage + 1
	if v.Filter != "all" {
		chunk = 200
	}
	for scanned := 0; scanned < maxScanned; scanned += chunk {
		list, err := s.Git.History(ctx, s.Mirror.Path(r.repo.ID), git.History{Tips: []ferry.OID{v.At.OID}, Path: v.Path, Skip: skip, Max: chunk, ByDate: true})
		if err != nil {
			return err
		}
		rows, err := s.gitRows(ctx, r.repo, list)
		if err != nil {
			return err
		}
		for _, row := range rows {
			if len(v.Rows) == commitsPerPage {
				v.Next, v.NextText = withQuery(r.Request().URL, "skip", strconv.Itoa(skip)), "Older"
				return nil
			}
			skip++
			if v.Filter == "all" || (v.Filter == "linked") == (len(row.Keys) > 0) {
				v.Rows = append(v.Rows, row)
			}
		}
		if len(list) < chunk {
			return nil
		}
	}
	v.Next, v.NextText = withQuery(r.Request().URL, "skip", strconv.Itoa(skip)), "Search in older commits"
	return nil
}

// FilterHref is the address of the list with another filter.
func (v *commitsView) FilterHref(filter string) string {
	q := url.Values{"filter": {filter}}
	base := v.Base + "/commits"
	switch {
	case v.All:
		q.Set("branch", "")
	case v.At.Name != "" && v.Path != "":
		base += "/" + escapePath(v.At.Name+"/"+v.Path)
	case v.At.Name != "":
		base += "/" + escapePath(v.At.Name)
	}
	return base + "?" + q.Encode()
}
