package web

import (
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

// issueKey is the issue of the path, if the reader may see what belongs to it.
func (s *Server) issueKey(r *request) (ferry.IssueKey, error) {
	key, err := ferry.ParseIssueKey(strings.ToUpper(param(r, "key")))
	if err != nil {
		return "", ferry.ErrNotFound
	}
	if _, hidden := s.Issues.Hides(r.ctx(), r.subject, key); hidden {
		return "", ferry.ErrNotFound
	}
	return key, nil
}

// chosenRepo is the repository that a dialog was asked for, by its number or,
// where the field is one to type into, by its path; 0 at first.
func (s *Server) chosenRepo(r *request) ferry.RepositoryID {
	if owner, name, typed := strings.Cut(r.form("repo"), "/"); typed {
		repo, err := s.Store.RepositoryByPath(r.ctx(), owner, name)
		if err != nil || !r.can(ferry.ActionRead, repo.Path()) {
			return 0
		}
		return repo.ID
	}
	id, err := parseID(r.form("repo"))
	if err != nil {
		return 0
	}
	return ferry.RepositoryID(id)
}

// LongList reports whether the repositories are too many for a plain select.
func (v *dialogView) LongList() bool { return len(v.Form.Repositories) > maxNative }

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
	ctx, user, project, repo := r.ctx(), r.subject.User.ID, key.Project(), s.chosenRepo(r)
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
	repo, err := s.Store.Repository(r.ctx(), s.chosenRepo(r))
	if err != nil {
		return repo, err
	}
	if !r.can(ferry.ActionRead, repo.Path()) {
		return repo, ferry.ErrNotFound
	}
	return repo, nil
}
