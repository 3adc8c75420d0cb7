package web

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"time"

	"gitferry/internal/ferry"
	"gitferry/internal/store"
	"gitferry/internal/weblink"
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
	Single  bool // a repository by its URL, not of an account
	Web     weblink.Templates
	Known   []string // projects that Jira listed
}

func (s *Server) repositoryOf(r *request) (ferry.Repository, error) {
	id, err := pathID(r, "id")
	if err != nil {
		return ferry.Repository{}, err
	}
	return s.Store.Repository(r.ctx(), ferry.RepositoryID(id))
}

// WebFields are the templates of addresses at the host, for the form.
func (v *adminRepoView) WebFields() []weblink.Field { return v.Web.Fields() }

// Providers are the hosts that fill these in.
func (v *adminRepoView) Providers() []weblink.Provider { return weblink.Providers() }

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
	v.Single = repo.Region == ""
	if v.Web, err = weblink.Parse(repo.WebLinks); err != nil {
		v.Web = weblink.Templates{}
	}
	if v.Known, _, _, err = s.Store.Projects(r.ctx()); err != nil {
		return v, err
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
	before := repo
	repo.SmartCommits, repo.ReadOnly, repo.TagFilter = r.ticked("smart_commits"), r.ticked("read_only"), r.form("tag_filter")
	if repo.Region == "" {
		repo.DefaultBranch = r.form("default_branch")
	}
	if repo.State != ferry.RepositoryMissing {
		repo.State = ferry.RepositoryDisabled
		if r.ticked("enabled") {
			repo.State = ferry.RepositoryEnabled
		}
	}
	var links weblink.Templates
	for _, f := range links.Fields() {
		*f.Value = r.form("web_" + f.ID)
	}
	show := func(status int, why string) error {
		v, err := s.adminRepoView(r, repo)
		if err != nil {
			return err
		}
		v.Problem, v.Web = why, links
		return s.render(r, status, "admin_repository", &v)
	}
	refuse := func(why string) error { return show(http.StatusUnprocessableEntity, why) }
	if repo.Region == "" {
		if r.form("fill") != "" { // the form comes back, nothing is saved
			for _, p := range weblink.Providers() {
				if p.ID == r.form("web_provider") {
					links = p.Templates
				}
			}
			return show(http.StatusOK, "")
		}
		if err := links.Check(); err != nil {
			return refuse(text(err))
		}
		repo.WebLinks = links.String()
	}
	if repo.Projects, err = projectsOfForm(r); err != nil {
		repo.Projects = r.form("projects")
		return refuse(text(err))
	}
	if why, err := s.repositoryFault(r, repo); err != nil || why != "" {
		return errors.Join(err, refuseIf(why, refuse))
	}
	if err := s.Store.UpdateRepository(r.ctx(), repo); err != nil {
		if why := text(err); why != "" {
			return refuse(why)
		}
		return err
	}
	said := "Saved."
	if repo.Projects != before.Projects {
		s.Outbox.Wake()
		said = "Saved. Jira is told of what belongs to the repository now, and what does not any more is withdrawn."
	}
	s.audit(r, "repository.update", "repository "+repo.Path(), fmt.Sprintf("state %s, smart commits %v, projects %s, read-only %v",
		repo.State, repo.SmartCommits, display(repo.Projects, "all"), repo.ReadOnly))
	return s.done(r, repositoryAdminPath(repo.ID), said)
}

func refuseIf(why string, refuse func(string) error) error {
	if why == "" {
		return nil
	}
	return refuse(why)
}

// projectsOfForm reads the project permissions of a form.
func projectsOfForm(r *request) (string, error) {
	if r.form("restrict") == "" {
		return "", nil
	}
	projects, err := ferry.ParseProjects(r.form("projects"))
	if err == nil && projects == "" {
		err = &ferry.Message{Kind: ferry.ErrInvalid, Text: "Enter the keys of the projects, or associate with all of them."}
	}
	return projects, err
}

// repositoryFault says what is wrong with the settings of a repository.
func (s *Server) repositoryFault(r *request, repo ferry.Repository) (string, error) {
	if _, err := regexp.Compile(repo.TagFilter); err != nil {
		return "The tag filter is not a regular expression: " + err.Error() + ".", nil
	}
	if repo.Region != "" || repo.DefaultBranch == "" {
		return "", nil
	}
	refs, err := s.Store.Refs(r.ctx(), repo.ID)
	if err == nil && refs[ferry.RefName("refs/heads/"+repo.DefaultBranch)].IsZero() {
		return "There is no branch " + repo.DefaultBranch + ".", nil
	}
	return "", err
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
