package web

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"gitferry/internal/ferry"
	"gitferry/internal/pulls"
)

// maxNative is the most branches that a plain select holds; with more the
// field is one to type into, with suggestions.
const maxNative = 15

// branchField is the field that chooses a branch.
type branchField struct {
	Name, Label string
	Branches    []string
	Current     string
	Default     bool   // the person's own default
	Make        string // value of the button that makes it so
}

// Native reports whether a plain select will do.
func (f branchField) Native() bool { return len(f.Branches) <= maxNative }

type dialogView struct {
	page
	Key       ferry.IssueKey
	Form      pulls.Form
	Names     map[ferry.RepositoryID]string
	Source    branchField
	Target    branchField
	Name      string // of the new branch
	PullTitle string // of the pull request
	Text      string
	Problem   string
	Preview   string
	Nothing   bool // there is nothing to merge
	Compare   string
	Project   string
	Integrate string // where own credentials are set up
}

// person is who asks, in the words of package pulls.
func (r *request) person() pulls.Person {
	return pulls.Person{Subject: r.subject, Address: r.RealIP(), Request: r.id}
}

func issueKey(r *request) (ferry.IssueKey, error) {
	key, err := ferry.ParseIssueKey(strings.ToUpper(param(r, "key")))
	if err != nil {
		return "", ferry.ErrNotFound
	}
	return key, nil
}

// chosenRepo is the repository that a dialog was asked for, 0 at first.
func chosenRepo(r *request) ferry.RepositoryID {
	id, err := parseID(r.form("repo"))
	if err != nil {
		return 0
	}
	return ferry.RepositoryID(id)
}

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
	key, err := issueKey(r)
	if err != nil {
		return dialogView{}, err
	}
	v := dialogView{page: s.page(r, "Create branch", "issues"), Key: key, Project: key.Project(), Problem: problem}
	if v.Form, err = s.Pulls.BranchForm(r.ctx(), r.person(), key, chosenRepo(r), r.form("source")); err != nil {
		return v, err
	}
	v.Name = display(name, v.Form.Name)
	v.Source = branchField{Name: "source", Label: "Source branch", Branches: v.Form.Branches, Current: v.Form.Source, Default: v.Form.DefaultSource, Make: "default-source"}
	return v, s.dialogNames(r, &v)
}

func (s *Server) dialogNames(r *request, v *dialogView) error {
	repos, err := s.readable(r)
	v.Names = namesOf(repos)
	v.Integrate = "/settings#aws"
	if v.Form.Token == "" {
		v.Form.Token = r.form("token")
	}
	return err
}

// dialogDefault handles the buttons beside the fields; done reports whether it
// was one of them.
func (s *Server) dialogDefault(r *request, key ferry.IssueKey) (done bool, err error) {
	ctx, user, project, repo := r.ctx(), r.subject.User.ID, key.Project(), chosenRepo(r)
	switch r.form("do") {
	case "reload":
		return true, nil
	case "default-repo":
		return true, s.Pulls.SetDefaultRepository(ctx, user, project, repo)
	case "clear-repo":
		return true, s.Pulls.SetDefaultRepository(ctx, user, project, 0)
	case "default-source", "default-target":
		d, err := s.Pulls.Defaults(ctx, user)
		if err != nil {
			return true, err
		}
		source, target := d.SourceFor(repo, project), d.TargetFor(repo, project)
		if r.form("do") == "default-source" {
			source = r.form("source")
		} else {
			target = r.form("target")
		}
		return true, s.Pulls.SetDefaultBranches(ctx, user, repo, project, source, target)
	}
	return false, nil
}

// dialogRepo loads the chosen repository; one that may not be pushed to is
// refused by package pulls with words of its own.
func (s *Server) dialogRepo(r *request) (ferry.Repository, error) {
	repo, err := s.Store.Repository(r.ctx(), chosenRepo(r))
	if err != nil {
		return repo, err
	}
	if !r.can(ferry.ActionRead, repo.Path()) {
		return repo, ferry.ErrNotFound
	}
	return repo, nil
}

func (s *Server) newBranchPost(r *request) error {
	key, err := issueKey(r)
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

// newPull shows the dialog Create pull request.
func (s *Server) newPull(r *request) error {
	v, err := s.pullDialog(r, "")
	if err != nil {
		return err
	}
	return s.render(r, http.StatusOK, "new_pull", &v)
}

func (s *Server) pullDialog(r *request, problem string) (dialogView, error) {
	key, err := issueKey(r)
	if err != nil {
		return dialogView{}, err
	}
	v := dialogView{page: s.page(r, "Create pull request", "issues"), Key: key, Project: key.Project(), Problem: problem, Text: r.form("description")}
	if v.Form, err = s.Pulls.PullForm(r.ctx(), r.person(), key, chosenRepo(r), r.form("source"), r.form("target")); err != nil {
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
	key, err := issueKey(r)
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
	key, err := issueKey(r)
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
