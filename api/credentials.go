package api

import (
	"context"
	"slices"
	"time"

	"gitferry/internal/ferry"
	"gitferry/internal/store"
)

// jiraTokenIn is a personal Jira token, with which the person's smart commits
// act. An empty one removes what is stored.
type jiraTokenIn struct {
	Token ferry.Secret `json:"token"`
	Email string       `json:"email,omitempty"`
}

func (s *Server) setJiraToken(c *call, in jiraTokenIn) (nothing, error) {
	u, err := s.user(c)
	if err != nil {
		return nothing{}, err
	}
	if in.Email == "" {
		in.Email = u.Email
	}
	return nothing{}, s.Store.SetJiraToken(c.ctx, u.ID, in.Token, in.Email)
}

func (s *Server) listKeys(c *call) (page[SSHKey], error) {
	return listOwned(s, c, s.Store.SSHKeys, SSHKeyOf)
}

// listOwned makes the page of what belongs to the user of the path.
func listOwned[Row, To any](s *Server, c *call, of func(context.Context, ferry.UserID) ([]Row, error), show func(Row, string) To) (page[To], error) {
	u, err := s.user(c)
	if err != nil {
		return page[To]{}, err
	}
	all, err := of(c.ctx, u.ID)
	if err != nil {
		return page[To]{}, err
	}
	return cut(c, all, func(row Row) To { return show(row, u.Name) })
}

type keyIn struct {
	Name   string `json:"name,omitempty"`
	Public string `json:"public"` // as in authorized_keys
}

// addKey registers a key. It opens all that its owner may do with git, so a
// token that is narrower cannot add one.
func (s *Server) addKey(c *call, in keyIn) (SSHKey, error) {
	u, err := s.user(c)
	if err != nil {
		return SSHKey{}, err
	}
	if !c.covers([]ferry.Scope{ferry.ScopeRepoRead, ferry.ScopeRepoWrite}, nil) {
		return SSHKey{}, errNarrow
	}
	k, err := s.AddSSHKey(c.ctx, u.ID, in.Name, in.Public)
	return SSHKeyOf(k, u.Name), err
}

func (s *Server) removeKey(c *call) (nothing, error) {
	return removeOwned(s, c, s.Store.SSHKeys, func(k store.SSHKey) int64 { return k.ID }, s.Store.RemoveSSHKey)
}

// removeOwned removes the row whose number the path has, if it belongs to the
// user of the path: rows of others are not there.
func removeOwned[Row any](s *Server, c *call, of func(context.Context, ferry.UserID) ([]Row, error), id func(Row) int64,
	remove func(context.Context, int64) error) (nothing, error) {
	n, err := c.number("id")
	if err != nil {
		return nothing{}, err
	}
	u, err := s.user(c)
	if err != nil {
		return nothing{}, err
	}
	all, err := of(c.ctx, u.ID)
	if err != nil {
		return nothing{}, err
	}
	if !slices.ContainsFunc(all, func(row Row) bool { return id(row) == n }) {
		return nothing{}, ferry.ErrNotFound
	}
	return nothing{}, remove(c.ctx, n)
}

var errNarrow = &ferry.Message{Kind: ferry.ErrDenied, Text: "the token of this request is narrower than what it asks for; use one with these scopes and repositories"}

// covers reports whether the credential of the request is at least as wide as
// scopes and globs, so that nobody makes a wider one with it.
func (c *call) covers(scopes []ferry.Scope, globs []string) bool {
	if c.subject.Scopes != nil {
		for _, s := range scopes {
			if !slices.Contains(c.subject.Scopes, s) {
				return false
			}
		}
	}
	if len(c.subject.Globs) == 0 {
		return true
	}
	for _, g := range globs {
		if !slices.Contains(c.subject.Globs, g) {
			return false
		}
	}
	return len(globs) > 0
}

func (s *Server) listTokens(c *call) (page[Token], error) {
	return listOwned(s, c, s.Store.Tokens, TokenOf)
}

type tokenIn struct {
	Name      string        `json:"name"`
	Scopes    []ferry.Scope `json:"scopes"`
	Globs     []string      `json:"repositories,omitempty"`
	ExpiresAt time.Time     `json:"expires_at,omitzero"` // left out: in 90 days
}

func (s *Server) addToken(c *call, in tokenIn) (NewToken, error) {
	u, err := s.user(c)
	if err != nil {
		return NewToken{}, err
	}
	if !c.covers(in.Scopes, in.Globs) {
		return NewToken{}, errNarrow
	}
	text, t, err := s.Store.NewToken(c.ctx, store.Token{User: u.ID, Name: in.Name, Scopes: in.Scopes, Globs: in.Globs, ExpiresAt: in.ExpiresAt})
	return NewToken{TokenOf(t, u.Name), text.Reveal()}, err
}

func (s *Server) revokeToken(c *call) (nothing, error) {
	return removeOwned(s, c, s.Store.Tokens, func(t store.Token) int64 { return t.ID }, s.Store.RevokeToken)
}
