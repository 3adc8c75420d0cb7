package web

import (
	"fmt"
	"net/http"
	"time"

	"gitferry/internal/ferry"
	"gitferry/internal/store"
)

type adminRepoView struct {
	page
	Section string
	Repo    ferry.Repository
	Name    string
	State   lozenge
	Problem string
	View    string
	Looked  time.Time
	Commits int
	Keys    int
	Fault   string
}

func (s *Server) repositoryOf(r *request) (ferry.Repository, error) {
	id, err := pathID(r, "id")
	if err != nil {
		return ferry.Repository{}, err
	}
	return s.Store.Repository(r.ctx(), ferry.RepositoryID(id))
}

// adminRepository shows and changes what is done with a repository.
func (s *Server) adminRepository(r *request) error {
	repo, err := s.repositoryOf(r)
	if err != nil {
		return err
	}
	v, err := s.adminRepoView(r, repo)
	if err != nil {
		return err
	}
	return s.render(r, http.StatusOK, "admin_repository", &v)
}

func (s *Server) adminRepoView(r *request, repo ferry.Repository) (adminRepoView, error) {
	v := adminRepoView{page: s.page(r, repo.Path(), "admin"), Section: "repositories", Repo: repo, Name: repo.Path()}
	view, err := s.Mirror.View(r.ctx(), repo)
	if err != nil {
		return v, err
	}
	v.State, v.Looked = repoState(repo, view.Failure, view.Copied, len(view.Refs) == 0), view.LookedAt
	if view.Failure != nil {
		v.Problem = display(text(view.Failure), "the upstream does not answer")
	}
	if r.can(ferry.ActionRead, repo.Path()) {
		v.View = repoPath(repo)
	}
	if v.Commits, err = s.Store.CommitCount(r.ctx(), repo.ID); err != nil {
		return v, err
	}
	v.Keys, err = s.Store.KeyCount(r.ctx(), repo.ID)
	return v, err
}

func (s *Server) adminRepositoryPost(r *request) error {
	repo, err := s.repositoryOf(r)
	if err != nil {
		return err
	}
	repo.SmartCommits = r.ticked("smart_commits")
	if repo.State != ferry.RepositoryMissing {
		repo.State = ferry.RepositoryDisabled
		if r.ticked("enabled") {
			repo.State = ferry.RepositoryEnabled
		}
	}
	if err := s.Store.UpdateRepository(r.ctx(), repo); err != nil {
		return err
	}
	s.audit(r, "repository.update", "repository "+repo.Path(), fmt.Sprintf("state %s, smart commits %v", repo.State, repo.SmartCommits))
	return s.done(r, repositoryAdminPath(repo.ID), "Saved.")
}

// adminRepositoryDo reindexes, looks, or purges.
func (s *Server) adminRepositoryDo(r *request) error {
	repo, err := s.repositoryOf(r)
	if err != nil {
		return err
	}
	var op store.JobOp
	switch r.form("do") {
	case "sync":
		op = store.OpSync
	case "reindex":
		op = store.OpReindex
	case "purge":
		op = store.OpPurge
	default:
		return ferry.ErrInvalid
	}
	if repo.State == ferry.RepositoryDisabled {
		return s.doneWith(r, repositoryAdminPath(repo.ID), flash{Kind: "warn", Text: repo.Path() + " is disabled, so nothing was queued. Enable it first."})
	}
	if _, err := s.Store.Enqueue(r.ctx(), store.Job{Repository: repo.ID, Op: op, Source: "manual", Priority: 24}); err != nil {
		return err
	}
	s.Index.Wake(repo.ID)
	s.audit(r, "repository."+string(op), "repository "+repo.Path(), "")
	return s.done(r, repositoryAdminPath(repo.ID)+"/log", jobWords(op)+" is queued.")
}
