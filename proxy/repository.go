package proxy

import (
	"context"
	"errors"
	"strings"

	"gitferry/internal/ferry"
)

// errNoRepository is the answer for a repository that does not exist and for
// one that the subject may not see: nobody can tell them apart.
var errNoRepository = &ferry.Message{Kind: ferry.ErrNotFound,
	Text: "no such repository, or you have no access to it; ask an administrator for a grant"}

// lookUp finds the repository that a git path names and checks that subject
// may act on it. Paths are OWNER/NAME, NAME if that is unique, and CodeCommit's
// own forms v1/repos/NAME and REGION/v1/repos/NAME; ".git" at the end is
// optional.
func (s *Server) lookUp(ctx context.Context, subject ferry.Subject, path string, action ferry.Action) (ferry.Repository, error) {
	candidates, err := s.named(ctx, path)
	if err != nil {
		return ferry.Repository{}, err
	}
	now := s.now()
	var readable []ferry.Repository
	for _, r := range candidates {
		// Any scope shows that there is something: what it lacks is said below.
		if ferry.Check(subject, ferry.ActionGitHubRead, r.Path(), now) == nil {
			readable = append(readable, r)
		}
	}
	switch {
	case len(readable) == 0:
		return ferry.Repository{}, errNoRepository
	case len(readable) > 1:
		names := make([]string, len(readable))
		for i, r := range readable {
			names[i] = r.Path()
		}
		return ferry.Repository{}, &ferry.Message{Kind: ferry.ErrInvalid,
			Text: "several repositories have this name; use one of " + strings.Join(names, ", ")}
	}
	repo := readable[0]
	if repo.State == ferry.RepositoryDisabled {
		return ferry.Repository{}, &ferry.Message{Kind: ferry.ErrDenied, Text: repo.Path() + " is disabled; ask an administrator"}
	}
	if on, err := s.passesThrough(ctx, repo); err != nil || on {
		if err == nil {
			err = errOwnOnly(repo)
		}
		return ferry.Repository{}, err
	}
	if ferry.Check(subject, action, repo.Path(), now) != nil {
		return ferry.Repository{}, errNotAllowed(subject, repo, action)
	}
	return repo, nil
}

// errNotAllowed says what somebody who sees repo lacks to fetch or push: the
// grant, or the scope of the token.
func errNotAllowed(subject ferry.Subject, repo ferry.Repository, action ferry.Action) error {
	need, scope := ferry.LevelRead, ferry.ScopeRepoRead
	if action == ferry.ActionPush {
		need, scope = ferry.LevelWrite, ferry.ScopeRepoWrite
	}
	if subject.LevelOn(repo.Path()) < need {
		return &ferry.Message{Kind: ferry.ErrDenied,
			Text: subject.User.Name + " may read " + repo.Path() + " but not push to it; ask an administrator for write access"}
	}
	return &ferry.Message{Kind: ferry.ErrDenied, Text: "this token is not for that; use one with the scope " + string(scope)}
}

// movedNote is what a client is told that names a repository as it was called
// before it was renamed at the host; "" for the name that it has.
func movedNote(path string, repo ferry.Repository) string {
	path = strings.Trim(path, "/")
	if strings.TrimSuffix(path[strings.LastIndexByte(path, '/')+1:], ".git") == repo.Name {
		return ""
	}
	return "this repository is called " + repo.Path() + " now;\nits old address ends 30 days after the renaming: git remote set-url"
}

// movedNotes is movedNote line by line.
func movedNotes(path string, repo ferry.Repository) []string {
	if note := movedNote(path, repo); note != "" {
		return strings.Split(note, "\n")
	}
	return nil
}

// named lists the repositories that a path may mean.
func (s *Server) named(ctx context.Context, path string) ([]ferry.Repository, error) {
	parts := strings.Split(strings.Trim(path, "/"), "/")
	last := &parts[len(parts)-1]
	name, err := ferry.ParseRepositoryName(strings.TrimSuffix(*last, ".git"))
	if err != nil {
		return nil, errNoRepository
	}
	*last = name
	switch {
	case len(parts) == 1:
		return s.Store.RepositoriesByName(ctx, "", name)
	case len(parts) == 3 && parts[0] == "v1" && parts[1] == "repos":
		return s.Store.RepositoriesByName(ctx, "", name)
	case len(parts) == 4 && parts[1] == "v1" && parts[2] == "repos":
		return s.Store.RepositoriesByName(ctx, parts[0], name)
	case len(parts) == 2:
		repo, err := s.Store.RepositoryByPath(ctx, parts[0], name)
		if errors.Is(err, ferry.ErrNotFound) {
			return nil, errNoRepository
		}
		return []ferry.Repository{repo}, err
	}
	return nil, errNoRepository
}
