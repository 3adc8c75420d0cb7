package ghapi

import (
	"errors"
	"net/http"
	"slices"
	"strings"

	"gitferry/internal/ferry"
	"gitferry/internal/ghshape"
)

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
	if u.ID != c.subject.User.ID && !c.may(ferry.ActionAdmin, "") {
		u.Email = "" // others' addresses are theirs
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
