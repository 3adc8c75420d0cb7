package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"gitferry/internal/ferry"
	"gitferry/internal/pulls"
)

// newPull shows the dialog Create pull request.
func (s *Server) newPull(r *request) error {
	v, err := s.pullDialog(r, "")
	if err != nil {
		return err
	}
	return s.render(r, http.StatusOK, "new_pull", &v)
}

func (s *Server) pullDialog(r *request, problem string) (dialogView, error) {
	key, err := s.issueKey(r)
	if err != nil {
		return dialogView{}, err
	}
	v := dialogView{page: s.page(r, "Create pull request", "issues"), Key: key, Project: key.Project(), Problem: problem, Text: r.form("description")}
	if v.Form, err = s.Pulls.PullForm(r.ctx(), r.person(), key, s.chosenRepo(r), r.form("source"), r.form("target")); err != nil {
		return v, err
	}
	v.PullTitle = display(r.form("title"), v.Form.Title)
	if r.form("do") == "reload" {
		v.PullTitle = v.Form.Title
	}
	v.Source = branchField{Name: "source", Label: "Source branch", Branches: v.Form.Branches, Current: v.Form.Source, Default: v.Form.DefaultSource, Make: "default-source"}
	v.Target = branchField{Name: "target", Label: "Target branch", Branches: v.Form.Branches, Current: v.Form.Target, Default: v.Form.DefaultTarget, Make: "default-target"}
	if v.Form.Repository.ID != 0 && v.Form.Source != "" && v.Form.Target != "" {
		s.pullPreview(r, &v)
	}
	return v, s.dialogNames(r, &v)
}

// pullPreview says what the pull request would bring.
func (s *Server) pullPreview(r *request, v *dialogView) {
	v.Compare = repoPath(v.Form.Repository) + "/compare/" + escapePath(v.Form.Target) + "..." + escapePath(v.Form.Source)
	if v.Form.Source == v.Form.Target {
		v.Preview, v.Nothing = "Choose two different branches.", true
		return
	}
	ctx, cancel := context.WithTimeout(r.ctx(), viewTime)
	defer cancel()
	p, err := s.Pulls.Preview(ctx, v.Form.Repository, v.Form.Source, v.Form.Target)
	switch {
	case err != nil:
		v.Preview = "The branches could not be compared: " + display(text(err), "the mirror cannot be read") + "."
	case p.Ahead == 0:
		v.Preview, v.Nothing = "Nothing to merge: "+v.Form.Source+" has no commit of its own.", true
	default:
		added, removed := 0, 0
		for _, f := range p.Files {
			added, removed = added+f.Added, removed+f.Removed
		}
		v.Preview = fmt.Sprintf("%s, %s, +%s −%s", plural(p.Ahead, "commit", "commits"), plural(p.FileCount, "file", "files"), num(added), num(removed))
		if len(p.Conflicts) > 0 {
			v.Preview += "; " + plural(len(p.Conflicts), "file conflicts", "files conflict") + ": " + strings.Join(p.Conflicts[:min(len(p.Conflicts), 5)], ", ")
		}
	}
}

func (s *Server) newPullPost(r *request) error {
	key, err := s.issueKey(r)
	if err != nil {
		return err
	}
	again := func(status int, problem string) error {
		v, err := s.pullDialog(r, problem)
		if err != nil {
			return err
		}
		return s.render(r, status, "new_pull", &v)
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
	p, err := s.Pulls.CreatePull(ctx, r.person(), pulls.NewPull{Repository: repo, Source: r.form("source"), Target: r.form("target"), Title: r.form("title"),
		Description: r.FormValue("description"), Issue: key, Token: r.form("token")})
	if err != nil {
		if why := text(err); why != "" {
			return again(http.StatusUnprocessableEntity, why)
		}
		return err
	}
	said := flash{Kind: "ok", Text: fmt.Sprintf("The pull request #%d is open.", p.Number), Href: p.URL}
	if p.Existing {
		said.Kind, said.Text = "warn", fmt.Sprintf("The pull request #%d of these branches was open already; nothing was made.", p.Number)
	}
	if len(p.Warnings) > 0 {
		said.Kind, said.Text = "warn", said.Text+" "+strings.Join(p.Warnings, " ")
	}
	return s.doneWith(r, "/issues/"+string(key), said)
}
