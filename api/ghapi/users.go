package ghapi

import (
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"gitferry/internal/ferry"
	"gitferry/internal/ghshape"
	"gitferry/internal/store"
)

// root is the directory of addresses.
func (s *Server) root(c *call) (any, error) {
	o := object{}
	for _, name := range []string{"authorizations", "emails", "emojis", "events", "feeds", "followers", "issues", "notifications", "rate_limit", "starred"} {
		o[name+"_url"] = s.shape.API("/" + name)
	}
	for name, path := range map[string]string{
		"current_user_url": "/user", "code_search_url": "/search/code?q={query}{&page,per_page,sort,order}",
		"commit_search_url": "/search/commits?q={query}{&page,per_page,sort,order}", "following_url": "/user/following{/target}",
		"gists_url": "/gists{/gist_id}", "issue_search_url": "/search/issues?q={query}{&page,per_page,sort,order}", "keys_url": "/user/keys",
		"label_search_url": "/search/labels?q={query}&repository_id={repository_id}{&page,per_page}", "organization_url": "/orgs/{org}",
		"organization_repositories_url": "/orgs/{org}/repos{?type,page,per_page,sort}", "organization_teams_url": "/orgs/{org}/teams",
		"public_gists_url": "/gists/public", "repository_url": "/repos/{owner}/{repo}",
		"repository_search_url":         "/search/repositories?q={query}{&page,per_page,sort,order}",
		"current_user_repositories_url": "/user/repos{?type,page,per_page,sort}", "starred_gists_url": "/gists/starred", "user_url": "/users/{user}",
		"user_organizations_url": "/user/orgs", "user_repositories_url": "/users/{user}/repos{?type,page,per_page,sort}",
		"user_search_url": "/search/users?q={query}{&page,per_page,sort,order}",
	} {
		o[name] = s.shape.API(path)
	}
	o["current_user_authorizations_html_url"] = s.PublicURL + "/settings"
	return o, nil
}

func (s *Server) meta(*call) (any, error) {
	return object{"verifiable_password_authentication": false, "installed_version": "3.19.0"}, nil
}

func (s *Server) rateLimit(*call) (any, error) {
	return nil, problem(http.StatusNotFound, "Rate limiting is not enabled.")
}

// readable returns the repositories that the subject may read, by path.
func (s *Server) readable(c *call) ([]ferry.Repository, error) {
	all, err := s.Store.Repositories(c.ctx, store.RepositoryFilter{})
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all, func(r ferry.Repository) bool { return !c.may(ferry.ActionRead, r.Path()) }), nil
}

// owners counts the readable repositories of each owner. An owner of none
// that is readable is not there.
func (s *Server) owners(c *call) (map[ferry.IntegrationID]int, error) {
	all, err := s.readable(c)
	n := make(map[ferry.IntegrationID]int)
	for _, r := range all {
		n[r.IntegrationID]++
	}
	return n, err
}

// owner finds an owner by its slug.
func (s *Server) owner(c *call, login string) (ferry.Integration, int, error) {
	i, err := s.Store.IntegrationBySlug(c.ctx, login)
	if err != nil {
		return i, 0, err
	}
	n, err := s.owners(c)
	if err == nil && n[i.ID] == 0 {
		err = ferry.ErrNotFound
	}
	return i, n[i.ID], err
}

func (s *Server) self(c *call) (any, error) {
	all, err := s.readable(c)
	return s.shape.Profile(c.subject.User, len(all)), err
}

// user shows a user or an owner. Nobody learns without signing in who there
// is: the connector takes 403 as "there, but private".
func (s *Server) user(c *call) (any, error) {
	if c.subject.User.ID == 0 {
		return nil, problem(http.StatusForbidden, "Requires authentication")
	}
	if !c.may(ferry.ActionWho, "") {
		return nil, ferry.ErrDenied
	}
	name := c.param("user")
	i, n, err := s.owner(c, name)
	if err == nil {
		return s.shape.OwnerProfile(i, n), nil
	}
	if !errors.Is(err, ferry.ErrNotFound) {
		return nil, err
	}
	u, err := s.Store.UserByName(c.ctx, strings.ToLower(name))
	if err != nil {
		return nil, err
	}
	return s.shape.Profile(u, 0), nil
}

func (s *Server) ownOrganizations(c *call) (any, error) {
	n, err := s.owners(c)
	if err != nil {
		return nil, err
	}
	all, err := s.Store.Integrations(c.ctx)
	if err != nil {
		return nil, err
	}
	all = slices.DeleteFunc(all, func(i ferry.Integration) bool { return n[i.ID] == 0 })
	return cut(s, c, all, func(i ferry.Integration) object { return s.shape.Organization(i, n[i.ID]) }), nil
}

// userOrganizations lists one's own; those of others are nobody's business.
func (s *Server) userOrganizations(c *call) (any, error) {
	if !strings.EqualFold(c.param("user"), c.subject.User.Name) {
		return []object{}, nil
	}
	return s.ownOrganizations(c)
}

func (s *Server) organization(c *call) (any, error) {
	i, n, err := s.owner(c, c.param("org"))
	if err != nil {
		return nil, err
	}
	return s.shape.Organization(i, n), nil
}

func (s *Server) ownRepositories(c *call) (any, error) {
	all, err := s.readable(c)
	if err != nil {
		return nil, err
	}
	return s.listRepositories(c, all)
}

func (s *Server) organizationRepositories(c *call) (any, error) {
	i, _, err := s.owner(c, c.param("org"))
	if err != nil {
		return nil, err
	}
	return s.repositoriesOf(c, i)
}

// userRepositories lists an owner's repositories. Users own none.
func (s *Server) userRepositories(c *call) (any, error) {
	i, _, err := s.owner(c, c.param("user"))
	if errors.Is(err, ferry.ErrNotFound) {
		return []object{}, nil
	}
	if err != nil {
		return nil, err
	}
	return s.repositoriesOf(c, i)
}

func (s *Server) repositoriesOf(c *call, i ferry.Integration) (any, error) {
	all, err := s.readable(c)
	if err != nil {
		return nil, err
	}
	return s.listRepositories(c, slices.DeleteFunc(all, func(r ferry.Repository) bool { return r.IntegrationID != i.ID }))
}

// listRepositories sorts and pages.
func (s *Server) listRepositories(c *call, all []ferry.Repository) (any, error) {
	moved := make(map[ferry.RepositoryID]time.Time)
	by := c.query("sort")
	compare := func(a, b ferry.Repository) int { return strings.Compare(a.Path(), b.Path()) }
	switch by {
	case "", "full_name":
	case "created":
		compare = func(a, b ferry.Repository) int { return int(b.ID - a.ID) }
	case "updated", "pushed":
		for _, r := range all {
			t, err := s.moved(c, r)
			if err != nil {
				return nil, err
			}
			moved[r.ID] = t
		}
		compare = func(a, b ferry.Repository) int { return moved[b.ID].Compare(moved[a.ID]) }
	default:
		return nil, invalid("Repository", "sort", "want full_name, created, updated or pushed")
	}
	slices.SortStableFunc(all, compare)
	natural := "asc"
	if by != "" && by != "full_name" {
		natural = "desc"
	}
	if d := c.query("direction"); d != "" && d != natural {
		slices.Reverse(all)
	}
	var failure error
	list := cut(s, c, all, func(r ferry.Repository) object {
		t, err := s.moved(c, r)
		failure = errors.Join(failure, err)
		return s.shape.Repository(r, t, c.rights(r))
	})
	return list, failure
}

// allRepositories lists by id.
func (s *Server) allRepositories(c *call) (any, error) {
	all, err := s.readable(c)
	if err != nil {
		return nil, err
	}
	since, _ := strconv.ParseInt(c.query("since"), 10, 64) // junk is from the beginning
	all = slices.DeleteFunc(all, func(r ferry.Repository) bool { return int64(r.ID) <= since })
	slices.SortFunc(all, func(a, b ferry.Repository) int { return int(a.ID - b.ID) })
	out := []object{}
	for _, r := range all[:min(len(all), 100)] {
		t, err := s.moved(c, r)
		if err != nil {
			return nil, err
		}
		out = append(out, s.shape.Repository(r, t, c.rights(r)))
	}
	return out, nil
}

// moved returns when a ref of the repository moved last.
func (s *Server) moved(c *call, r ferry.Repository) (time.Time, error) {
	last, err := s.Store.LatestMovements(c.ctx, r.ID, 1)
	if err != nil || len(last) == 0 {
		return r.IndexedAt, err
	}
	return last[0].At, nil
}

func (c *call) rights(r ferry.Repository) ghshape.Rights {
	return ghshape.Rights{Admin: c.may(ferry.ActionMaintain, r.Path()), Push: c.may(ferry.ActionPush, r.Path()), Pull: true}
}

func (s *Server) repository(c *call) (any, error) {
	t, err := s.moved(c, c.repo)
	return s.shape.Repository(c.repo, t, c.rights(c.repo)), err
}

// userByEmail returns the user whose address stands in a commit, or nil.
func (s *Server) userByEmail(c *call, email string) (*ferry.User, error) {
	if u, ok := c.users[email]; ok || email == "" {
		return u, nil
	}
	if c.users == nil {
		c.users = make(map[string]*ferry.User)
	}
	u, err := s.Store.UserByEmail(c.ctx, email)
	switch {
	case err == nil:
		c.users[email] = &u
	case errors.Is(err, ferry.ErrNotFound):
		c.users[email] = nil
	default:
		return nil, err
	}
	return c.users[email], nil
}

// stranger writes who the upstream names: a user of ours of that name, or
// somebody unknown.
func (s *Server) stranger(c *call, name string) (object, error) {
	u, err := s.Store.UserByName(c.ctx, strings.ToLower(ghshape.LoginOf(name)))
	if err == nil {
		return s.shape.User(u), nil
	}
	if errors.Is(err, ferry.ErrNotFound) || errors.Is(err, ferry.ErrInvalid) {
		return s.shape.Stranger(name), nil
	}
	return nil, err
}
