package web

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"

	"gitferry/internal/ferry"
)

// A defaultRow is a default of a person's dialogs.
type defaultRow struct {
	Project, Repo, What string
	RepoID              ferry.RepositoryID
	Do                  string // the action that clears it
	Gone                bool   // the branch is not there any more
}

// An awsRow is an account with a person's own access key, if there is one.
type awsRow struct {
	ID         ferry.IntegrationID
	Name       string
	Required   bool
	KeyID, ARN string
}

// ownSettings adds defaults and own credentials to the page of a user.
func (s *Server) ownSettings(r *request, v *userView) error {
	repos, err := s.readable(r)
	if err != nil {
		return err
	}
	names := namesOf(repos)
	for _, repo := range repos {
		if r.can(ferry.ActionPush, repo.Path()) {
			v.Repos = append(v.Repos, repo)
		}
	}
	if v.Asked, err = s.Store.EmailRequests(r.ctx(), v.Who.ID); err != nil {
		return err
	}
	d, err := s.Pulls.Defaults(r.ctx(), v.Who.ID)
	if err != nil {
		return err
	}
	for _, o := range d.All() {
		row := defaultRow{Project: o.Project, Repo: display(names[o.Repository], "a repository that is gone"), RepoID: o.Repository}
		if o.Main {
			row.What, row.Do, row.Gone = "default repository", "default-repo", names[o.Repository] == ""
			v.Defaults = append(v.Defaults, row)
		}
		refs, err := s.Store.Refs(r.ctx(), o.Repository)
		if err != nil {
			return err
		}
		row.Do = "default-branch"
		for _, b := range []struct{ what, branch string }{{"source branch ", o.Source}, {"target branch ", o.Target}} {
			if row.What, row.Gone = b.what+b.branch, refs[ferry.RefName("refs/heads/"+b.branch)].IsZero(); b.branch != "" {
				v.Defaults = append(v.Defaults, row)
			}
		}
	}
	slices.SortFunc(v.Defaults, func(a, b defaultRow) int {
		return cmp.Compare(a.Project+" "+a.Repo+" "+a.What, b.Project+" "+b.Repo+" "+b.What)
	})
	return s.ownAWS(r, v, repos)
}

func (s *Server) ownAWS(r *request, v *userView, repos []ferry.Repository) error {
	all, err := s.Store.Integrations(r.ctx())
	if err != nil {
		return err
	}
	own, err := s.Store.PersonalCredentials(r.ctx(), v.Who.ID)
	if err != nil {
		return err
	}
	for _, i := range all {
		seen := slices.ContainsFunc(repos, func(repo ferry.Repository) bool { return repo.IntegrationID == i.ID })
		if i.Kind != ferry.KindCodeCommit || !seen {
			continue
		}
		row := awsRow{ID: i.ID, Name: display(i.Name, i.Slug), Required: i.PersonalRequired}
		for _, c := range own {
			if c.Integration == i.ID {
				row.KeyID, row.ARN = c.AccessKeyID, c.ARN
			}
		}
		v.AWS = append(v.AWS, row)
	}
	return nil
}

// setDefault sets or clears a default of the dialogs.
func (s *Server) setDefault(r *request) error {
	u, project, repo := r.subject.User, strings.ToUpper(r.form("project")), s.chosenRepo(r)
	if _, err := ferry.ParseIssueKey(project + "-1"); err != nil {
		return s.userRefused(r, u, true, &ferry.Message{Kind: ferry.ErrInvalid, Text: "Enter the key of a project, for example DEMO."})
	}
	source, target := r.form("source"), r.form("target")
	if r.ticked("clear") {
		source, target = "", ""
	} else if at, err := s.Store.Repository(r.ctx(), repo); errors.Is(err, ferry.ErrNotFound) {
		return s.userRefused(r, u, true, &ferry.Message{Kind: ferry.ErrInvalid, Text: "There is no such repository, or you may not see it."})
	} else if err != nil {
		return err
	} else if !r.can(ferry.ActionRead, at.Path()) {
		return ferry.ErrNotFound
	}
	var err error
	if r.form("do") == "default-branch" {
		err = s.Pulls.SetDefaultBranches(r.ctx(), u.ID, repo, project, source, target)
	} else {
		if r.ticked("clear") {
			repo = 0
		}
		err = s.Pulls.SetDefaultRepository(r.ctx(), u.ID, project, repo)
	}
	if err != nil {
		return s.userRefused(r, u, true, err)
	}
	return s.done(r, "/settings#defaults", "Saved.")
}

// setPersonal stores or forgets the person's own access key for an account
// with a repository that the person may see.
func (s *Server) setPersonal(r *request) error {
	id, err := parseID(r.form("integration"))
	if err != nil {
		return err
	}
	repos, err := s.readable(r)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(repos, func(repo ferry.Repository) bool { return int64(repo.IntegrationID) == id }) {
		return ferry.ErrNotFound
	}
	i, err := s.Store.Integration(r.ctx(), ferry.IntegrationID(id))
	if err != nil {
		return err
	}
	if r.form("do") == "unaws" {
		if err := s.Pulls.RemovePersonal(r.ctx(), r.person(), i); err != nil {
			return err
		}
		return s.done(r, "/settings#aws", "Your access key for "+display(i.Name, i.Slug)+" is removed.")
	}
	ctx, cancel := context.WithTimeout(r.ctx(), awsTime)
	defer cancel()
	c, err := s.Pulls.SetPersonal(ctx, r.person(), i, r.form("access_key_id"), ferry.NewSecret(r.form("secret_access_key")))
	if err != nil {
		return s.userRefused(r, r.subject.User, true, err)
	}
	return s.done(r, "/settings#aws", "AWS says that the key belongs to "+c.ARN+". It is stored.")
}
