package web

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"gitferry/internal/ferry"
	"gitferry/internal/store"
)

type projectView struct {
	page
	Key    string
	Rows   []commitRow
	Scan   int // how many commits were looked at
	Older  bool
	Issues int
}

// project lists the newest commits that name an issue of a project.
func (s *Server) project(r *request) error {
	key := strings.ToUpper(param(r, "key"))
	if _, err := ferry.ParseIssueKey(key + "-1"); err != nil {
		return ferry.ErrNotFound
	}
	if key != param(r, "key") {
		return r.Redirect(http.StatusSeeOther, "/projects/"+key)
	}
	if _, hidden := s.Issues.Hides(r.ctx(), r.subject, ferry.IssueKey(key)); hidden {
		return ferry.ErrNotFound
	}
	v := projectView{page: s.page(r, key, "issues"), Key: key}
	repos, err := s.readable(r)
	if err != nil {
		return err
	}
	names := namesOf(repos)
	p, err := s.ProjectCommits(r.ctx(), key, repos)
	if err != nil {
		return err
	}
	v.Scan, v.Older = p.Looked, p.Older
	var all []commitRow
	for _, c := range p.Commits {
		all = append(all, commitRowOf(c, names[c.Repository.ID]))
	}
	seen := make(map[ferry.IssueKey]bool)
	for _, row := range all {
		for _, k := range row.Keys {
			seen[k] = seen[k] || k.Project() == key
		}
	}
	v.Issues = len(seen)
	v.Rows = all[:min(len(all), 50)]
	return s.render(r, http.StatusOK, "project", &v)
}

// ProjectCommits are the newest commits that name an issue of a project.
type ProjectCommits struct {
	Commits []store.IndexedCommit // newest first
	Looked  int                   // linked commits looked at: at most 200 of each of 100 repositories
	Older   bool                  // some repository has older ones
}

// ProjectCommits looks for the newest commits in repos that name an issue of
// the project with a key.
func (s *Server) ProjectCommits(ctx context.Context, key string, repos []ferry.Repository) (ProjectCommits, error) {
	var out ProjectCommits
	for _, repo := range repos[:min(len(repos), 100)] {
		list, err := s.Store.LinkedCommits(ctx, repo.ID, store.OnlyLinked, store.Page{Limit: 200})
		if err != nil {
			return out, err
		}
		out.Looked += len(list)
		out.Older = out.Older || len(list) == 200
		for _, c := range list {
			if slices.ContainsFunc(c.Links, func(l store.Link) bool { return l.Key.Project() == key }) {
				out.Commits = append(out.Commits, c)
			}
		}
	}
	slices.SortStableFunc(out.Commits, func(a, b store.IndexedCommit) int { return b.CommittedAt.Compare(a.CommittedAt) })
	return out, nil
}
