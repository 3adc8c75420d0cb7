package api

import (
	"time"

	"gitferry/internal/ferry"
)

func (s *Server) listUsers(c *call) (page[User], error) {
	all, err := s.Store.Users(c.ctx)
	if err != nil {
		return page[User]{}, err
	}
	return cut(c, all, UserOf)
}

// user is the user that the path names, or the subject on routes below /user.
func (s *Server) user(c *call) (ferry.User, error) {
	if name := c.param("user"); name != "" {
		return s.Store.UserByName(c.ctx, name)
	}
	return c.subject.User, nil
}

func (s *Server) getUser(c *call) (User, error) {
	u, err := s.user(c)
	return UserOf(u), err
}

// self is who the request comes from, and what its token may be used for.
type self struct {
	User
	Scopes     []ferry.Scope `json:"scopes"`
	Globs      []string      `json:"token_repositories"`
	Credential string        `json:"credential"`
	ExpiresAt  time.Time     `json:"expires_at,omitzero"`
	Grants     []Grant       `json:"grants"`
}

func (s *Server) getSelf(c *call) (self, error) {
	u := c.subject.User
	out := self{User: UserOf(u), Scopes: list(c.subject.Scopes), Globs: list(c.subject.Globs), Credential: c.subject.Credential,
		ExpiresAt: c.subject.Expires, Grants: []Grant{}}
	for _, g := range c.subject.Grants {
		out.Grants = append(out.Grants, GrantOf(g, u.Name))
	}
	return out, nil
}

type userIn struct {
	Name    string   `json:"name"`
	Display string   `json:"display,omitempty"`
	Email   string   `json:"email,omitempty"`
	Aliases []string `json:"aliases,omitempty"`
	Admin   bool     `json:"admin,omitempty"`
}

func (s *Server) addUser(c *call, in userIn) (User, error) {
	u, err := s.Store.AddUser(c.ctx, ferry.User{Name: in.Name, Display: in.Display, Email: in.Email, Aliases: in.Aliases, Admin: in.Admin})
	return UserOf(u), err
}

// userPatch changes what it names.
type userPatch struct {
	Display  *string   `json:"display,omitempty"`
	Email    *string   `json:"email,omitempty"`
	Aliases  *[]string `json:"aliases,omitempty"`
	Admin    *bool     `json:"admin,omitempty"`
	Disabled *bool     `json:"disabled,omitempty"`
}

func (s *Server) changeUser(c *call, in userPatch) (User, error) {
	u, err := s.user(c)
	if err != nil {
		return User{}, err
	}
	if in.Display != nil {
		u.Display = *in.Display
	}
	if in.Email != nil {
		u.Email = *in.Email
	}
	if in.Aliases != nil {
		u.Aliases = *in.Aliases
	}
	before := u
	if in.Admin != nil {
		u.Admin = *in.Admin
	}
	if in.Disabled != nil {
		u.Disabled = *in.Disabled
	}
	if err := s.Store.UpdateUser(c.ctx, u); err != nil {
		return User{}, err
	}
	if u.Admin != before.Admin || u.Disabled { // rights changed: sign in anew
		err = s.Store.EndSessions(c.ctx, u.ID, 0)
	}
	return UserOf(u), err
}

func (s *Server) removeUser(c *call) (nothing, error) {
	u, err := s.user(c)
	if err != nil {
		return nothing{}, err
	}
	return nothing{}, s.Store.RemoveUser(c.ctx, u.ID)
}

func (s *Server) listGrants(c *call) (page[Grant], error) {
	return listOwned(s, c, s.Store.Grants, GrantOf)
}

func (s *Server) listAllGrants(c *call) (page[Grant], error) {
	names, err := s.userNames(c)
	if err != nil {
		return page[Grant]{}, err
	}
	all, err := s.Store.Grants(c.ctx, 0)
	if err != nil {
		return page[Grant]{}, err
	}
	return cut(c, all, func(g ferry.Grant) Grant { return GrantOf(g, names[g.User]) })
}

func (s *Server) userNames(c *call) (map[ferry.UserID]string, error) {
	users, err := s.Store.Users(c.ctx)
	names := make(map[ferry.UserID]string, len(users))
	for _, u := range users {
		names[u.ID] = u.Name
	}
	return names, err
}

type grantIn struct {
	Glob  string      `json:"repositories"`
	Level ferry.Level `json:"level"`
}

func (s *Server) addGrant(c *call, in grantIn) (Grant, error) {
	u, err := s.user(c)
	if err != nil {
		return Grant{}, err
	}
	g, err := s.Store.AddGrant(c.ctx, ferry.Grant{User: u.ID, Glob: in.Glob, Level: in.Level})
	return GrantOf(g, u.Name), err
}

func (s *Server) removeGrant(c *call) (nothing, error) {
	return removeOwned(s, c, s.Store.Grants, func(g ferry.Grant) int64 { return g.ID }, s.Store.RemoveGrant)
}
