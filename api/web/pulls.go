package web

import (
	"context"
	"net/http"
	"slices"
	"strconv"

	"gitferry/internal/ferry"
	"gitferry/internal/git"
	"gitferry/internal/store"
)

type pullsView struct {
	page
	repoHead
	Status string
	Rows   []pullRow
}

// A pullRow is a pull request in a list.
type pullRow struct {
	RepoName string
	store.PullRequest
	Href       string
	State      lozenge
	SourceGone bool
	Console    string
	ByHand     *store.HandLink // on an issue's page
}

func pullRowOf(repo ferry.Repository, p store.PullRequest) pullRow {
	p.Keys = slices.DeleteFunc(p.Keys, func(k ferry.IssueKey) bool { return !repo.Allows(k.Project()) })
	return pullRow{PullRequest: p, Href: repoPath(repo) + "/pull/" + strconv.FormatInt(p.Number, 10), State: pullState(p),
		Console: display(safeURL(p.URL), console(repo).PullRequest(strconv.FormatInt(p.Number, 10)))}
}

func pullState(p store.PullRequest) lozenge {
	switch {
	case p.Status == "open":
		return lozenge{"info", "OPEN"}
	case p.Merged:
		return lozenge{"merged", "MERGED"}
	}
	return lozenge{"neutral", "CLOSED"}
}

// pulls lists the pull requests of a repository.
func (s *Server) pulls(r *request) error {
	h, err := s.repoHead(r, "pulls")
	if err != nil {
		return err
	}
	v := pullsView{page: s.page(r, "Pull requests · "+h.Name, "repos"), repoHead: h}
	switch st := r.QueryParam("status"); st {
	case "open", "closed":
		v.Status = st
	}
	list, err := s.Store.PullRequests(r.ctx(), store.PullRequestFilter{Repository: r.repo.ID, Status: v.Status, Limit: 200})
	if err != nil {
		return err
	}
	for _, p := range list {
		v.Rows = append(v.Rows, pullRowOf(r.repo, p))
	}
	return s.render(r, http.StatusOK, "pulls", &v)
}

type pullView struct {
	page
	repoHead
	Pull    pullRow
	Commits []commitRow
	More    bool
	Compare string
	Link    string // page that changes its issues; empty: the reader may not
	ByHand  []store.HandLink
}

// pullOf loads the pull request of the path.
func (s *Server) pullOf(r *request) (store.PullRequest, error) {
	n, err := strconv.ParseInt(r.Param("number"), 10, 64)
	if err != nil || n < 1 {
		return store.PullRequest{}, ferry.ErrNotFound
	}
	list, err := s.Store.PullRequests(r.ctx(), store.PullRequestFilter{Repository: r.repo.ID, Number: n, Limit: 1})
	if err != nil {
		return store.PullRequest{}, err
	}
	if len(list) == 0 {
		return store.PullRequest{}, ferry.ErrNotFound
	}
	return list[0], nil
}

// pull shows a pull request.
func (s *Server) pull(r *request) error {
	found, err := s.pullOf(r)
	if err != nil {
		return err
	}
	h, err := s.repoHead(r, "pulls")
	if err != nil {
		return err
	}
	p := pullRowOf(r.repo, found)
	v := pullView{page: s.page(r, p.Title+" · "+h.Name, "repos"), repoHead: h, Pull: p}
	v.Pull.SourceGone = h.lookup(p.Source).IsZero()
	if !v.Pull.SourceGone {
		v.Compare = h.Base + "/compare/" + escapePath(p.Destination.Short()) + "..." + escapePath(p.Source.Short())
	}
	if t, err := s.pullTarget(r); err != nil {
		return err
	} else if s.Issues.MayAssociate(r.ctx(), r.subject, r.repo, t.Object) {
		v.Link = t.form
	}
	if v.ByHand, err = s.Store.HandLinks(r.ctx(), store.Object{Repository: r.repo.ID, Kind: store.EntityPullRequest, ID: strconv.FormatInt(p.Number, 10)}); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(r.ctx(), viewTime)
	defer cancel()
	if !p.SourceOID.IsZero() && !p.DestinationOID.IsZero() {
		commits, err := s.Git.History(ctx, s.Mirror.Path(r.repo.ID), git.History{Tips: []ferry.OID{p.SourceOID}, Not: []ferry.OID{p.DestinationOID}, Max: maxCompared + 1})
		if err == nil { // commits of an old pull request may be gone
			if len(commits) > maxCompared {
				commits, v.More = commits[:maxCompared], true
			}
			if v.Commits, err = s.gitRows(ctx, r.repo, commits); err != nil {
				return err
			}
		}
	}
	return s.render(r, http.StatusOK, "pull", &v)
}
