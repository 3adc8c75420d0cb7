package web

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"gitferry/internal/ferry"
	"gitferry/internal/pulls"
)

// newBranch shows the dialog Create branch, which is a page too.
func (s *Server) newBranch(r *request) error {
	v, err := s.branchDialog(r, "", "")
	if err != nil {
		return err
	}
	return s.render(r, http.StatusOK, "new_branch", &v)
}

// branchDialog prepares the dialog; name is what the person entered.
func (s *Server) branchDialog(r *request, name, problem string) (dialogView, error) {
	key, err := s.issueKey(r)
	if err != nil {
		return dialogView{}, err
	}
	v := dialogView{page: s.page(r, "Create branch", "issues"), Key: key, Project: key.Project(), Problem: problem}
	if v.Form, err = s.Pulls.BranchForm(r.ctx(), r.person(), key, s.chosenRepo(r), r.form("source")); err != nil {
		return v, err
	}
	v.Name = display(name, v.Form.Name)
	v.Source = branchField{Name: "source", Label: "Source branch", Branches: v.Form.Branches, Current: v.Form.Source, Default: v.Form.DefaultSource, Make: "default-source"}
	return v, s.dialogNames(r, &v)
}

func (s *Server) newBranchPost(r *request) error {
	key, err := s.issueKey(r)
	if err != nil {
		return err
	}
	again := func(status int, problem string) error {
		v, err := s.branchDialog(r, r.form("name"), problem)
		if err != nil {
			return err
		}
		if r.form("do") == "reload" {
			v.Name = v.Form.Name
		}
		return s.render(r, status, "new_branch", &v)
	}
	if done, err := s.dialogDefault(r, key); done || err != nil {
		if err != nil {
			return err
		}
		return again(http.StatusOK, "")
	}
	repo, err := s.dialogRepo(r)
	if errors.Is(err, ferry.ErrNotFound) {
		return again(http.StatusUnprocessableEntity, "There is no such repository, or you may not see it.")
	}
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(r.ctx(), awsTime)
	defer cancel()
	b, err := s.Pulls.CreateBranch(ctx, r.person(), pulls.NewBranch{Repository: repo, Source: r.form("source"), Name: r.form("name"), Issue: key, Token: r.form("token")})
	if err != nil {
		if why := text(err); why != "" {
			return again(http.StatusUnprocessableEntity, why)
		}
		return err
	}
	said := flash{Kind: "ok", Text: "The branch " + b.Name + " is made in " + repo.Path() + ".", Lines: b.Commands, Href: b.URL}
	if len(b.Warnings) > 0 {
		said.Kind, said.Text = "warn", said.Text+" "+strings.Join(b.Warnings, " ")
	}
	return s.doneWith(r, "/issues/"+string(key), said)
}
