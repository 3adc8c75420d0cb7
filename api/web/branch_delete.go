package web

import (
	"context"
	"net/http"
	"net/url"

	"gitferry/internal/ferry"
	"gitferry/internal/pulls"
)

type deleteView struct {
	page
	Repo     ferry.Repository
	Plan     pulls.Deletion
	Action   string
	Back     string
	Problem  string
	RepoName string
}

// deleteTarget is the branch to delete: the repository comes from the path or,
// on an issue's page, from the query.
func (s *Server) deleteTarget(r *request) (repo ferry.Repository, name, back string, err error) {
	name = r.form("name")
	if r.Param("key") == "" {
		return r.repo, name, repoPath(r.repo) + "/branches", nil
	}
	key, err := s.issueKey(r)
	if err != nil {
		return repo, name, "", err
	}
	repo, err = s.dialogRepo(r)
	if err == nil && !r.can(ferry.ActionPush, repo.Path()) {
		err = ferry.ErrDenied
	}
	return repo, name, "/issues/" + string(key), err
}

// deleteBranch asks before a branch is deleted.
func (s *Server) deleteBranch(r *request) error {
	repo, name, back, err := s.deleteTarget(r)
	if err != nil {
		return err
	}
	plan, err := s.Pulls.PlanDeletion(r.ctx(), repo, name)
	if err != nil {
		return err
	}
	v := deleteView{page: s.page(r, "Delete branch", "repos"), Repo: repo, Plan: plan, Back: back, RepoName: repo.Path(), Action: r.Request().URL.Path}
	return s.render(r, http.StatusOK, "delete_branch", &v)
}

func (s *Server) deleteBranchPost(r *request) error {
	repo, name, back, err := s.deleteTarget(r)
	if err != nil {
		return err
	}
	tip, err := ferry.ParseOID(r.form("tip"))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(r.ctx(), awsTime)
	defer cancel()
	if _, err := s.Pulls.DeleteBranch(ctx, r.person(), repo, name, tip); err != nil {
		if why := text(err); why != "" {
			return s.doneWith(r, back, flash{Kind: "bad", Text: why})
		}
		return err
	}
	return s.done(r, back, "The branch "+name+" is deleted. Its tip "+tip.Short()+" is kept for 30 days.")
}

// deleteHref is the page that asks before a branch is deleted.
func deleteHref(base, name string) string {
	return base + "/branches/delete?name=" + url.QueryEscape(name)
}
