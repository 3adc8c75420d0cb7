package web

import (
	"net/http"
	"strconv"
	"time"

	"gitferry/internal/ferry"
	"gitferry/internal/store"
)

type adminReposView struct {
	page
	Section      string
	Integration  ferry.IntegrationID
	Integrations []ferry.Integration
	Status       string
	Q            string
	Rows         []adminRepoRow
	Pager        pager
	Filtered     bool
}

type adminRepoRow struct {
	ID                ferry.RepositoryID
	Path, Href        string
	View              string // the repository's page; "" if the reader may not see it
	State             lozenge
	Problem           string
	CheckedAt         time.Time
	Branches, Commits int
	SmartCommits      bool
	CloneURL          string
	Disabled          bool
	Job               *jobRow
}

// adminRepositories lists all connected repositories.
func (s *Server) adminRepositories(r *request) error {
	v := adminReposView{page: s.page(r, "Manage repositories", "admin"), Section: "repositories", Status: r.form("status"), Q: r.form("q")}
	id, _ := strconv.ParseInt(r.QueryParam("integration"), 10, 64) // zero: all
	v.Integration = ferry.IntegrationID(id)
	v.Filtered = id != 0 || v.Status != "" || v.Q != ""
	var err error
	if v.Integrations, err = s.Store.Integrations(r.ctx()); err != nil {
		return err
	}
	all, err := s.Store.Repositories(r.ctx(), store.RepositoryFilter{Integration: v.Integration, Query: v.Q})
	if err != nil {
		return err
	}
	var shown []adminRepoRow
	for _, repo := range all {
		view, err := s.Mirror.View(r.ctx(), repo)
		if err != nil {
			return err
		}
		row := adminRepoRow{ID: repo.ID, Path: repo.Path(), Href: repositoryAdminPath(repo.ID), State: repoState(repo, view.Failure, view.Copied, len(view.Refs) == 0),
			CheckedAt: view.LookedAt, SmartCommits: repo.SmartCommits, CloneURL: s.PublicURL + repoPath(repo) + ".git", Disabled: repo.State == ferry.RepositoryDisabled}
		if view.Failure != nil {
			row.Problem = display(text(view.Failure), "the upstream does not answer")
		}
		main := false
		for _, ref := range view.Refs {
			if ferry.RefName(ref.Name).IsBranch() {
				row.Branches++
			}
			main = main || ref.Name == "refs/heads/"+repo.DefaultBranch
		}
		if row.Problem == "" && row.Branches > 0 && repo.DefaultBranch != "" && !main {
			row.Problem = "The main branch " + repo.DefaultBranch + " was deleted at the host."
		}
		if r.can(ferry.ActionRead, repo.Path()) {
			row.View = repoPath(repo)
		}
		if v.Status == "" || v.Status == row.State.Text {
			shown = append(shown, row)
		}
	}
	n := pageNumber(r)
	v.Pager = newPager(r.Request().URL, n, perPage, len(shown))
	v.Rows = shown[min(len(shown), (n-1)*perPage):min(len(shown), n*perPage)]
	for i := range v.Rows {
		row := &v.Rows[i]
		if row.Commits, err = s.Store.CommitCount(r.ctx(), row.ID); err != nil {
			return err
		}
		if row.State.Text == "QUEUED" || row.State.Text == "INDEXING" {
			if row.Job, err = s.runningJob(r.ctx(), row.ID); err != nil {
				return err
			}
			v.page.Refresh = 3
		}
	}
	return s.render(r, http.StatusOK, "admin_repositories", &v)
}

// adminRepositoriesPost does one thing with the ticked repositories.
func (s *Server) adminRepositoriesPost(r *request) error {
	what := r.form("do")
	n, skipped := 0, 0
	for _, id := range formIDs(r, "id") {
		repo, err := s.Store.Repository(r.ctx(), ferry.RepositoryID(id))
		if err != nil {
			return err
		}
		switch what {
		case "reindex":
			if repo.State == ferry.RepositoryDisabled {
				skipped++
				continue
			}
			err = s.reindex(r.ctx(), repo)
		case "enable", "disable":
			repo.State = ferry.RepositoryEnabled
			if what == "disable" {
				repo.State = ferry.RepositoryDisabled
			}
			err = s.Store.UpdateRepository(r.ctx(), repo)
		default:
			return ferry.ErrInvalid
		}
		if err != nil {
			return err
		}
		n++
		s.audit(r, "repository."+what, "repository "+repo.Path(), "")
	}
	back := "/admin/repositories"
	switch {
	case n+skipped == 0:
		return s.doneWith(r, back, flash{Kind: "warn", Text: "Nothing was ticked."})
	case what == "reindex":
		return s.done(r, back, queuedText(n, skipped))
	}
	return s.done(r, back, plural(n, "repository", "repositories")+" "+what+"d.")
}
