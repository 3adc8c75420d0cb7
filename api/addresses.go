package api

import (
	"slices"
	"strings"
	"time"

	"gitferry/internal/store"
)

// addressRequest is an address that a person says is theirs. Until an
// administrator confirms it commits by it are nobody's.
type addressRequest struct {
	User  string    `json:"user"`
	Email string    `json:"email"`
	At    time.Time `json:"at"`
}

func requestOf(r store.EmailRequest) addressRequest { return addressRequest{r.Name, r.Email, r.At} }

// ownAddresses are the addresses of a user, and those that wait.
type ownAddresses struct {
	Email   string           `json:"email,omitempty"`
	Aliases []string         `json:"aliases"`
	Asked   []addressRequest `json:"asked"`
}

func (s *Server) listOwnAddresses(c *call) (ownAddresses, error) {
	u, err := s.Store.User(c.ctx, c.subject.User.ID)
	if err != nil {
		return ownAddresses{}, err
	}
	asked, err := s.Store.EmailRequests(c.ctx, u.ID)
	out := ownAddresses{u.Email, append([]string{}, u.Aliases...), []addressRequest{}}
	for _, r := range asked {
		out.Asked = append(out.Asked, requestOf(r))
	}
	return out, err
}

type addressIn struct {
	Email string `json:"email"`
}

func (s *Server) askAddress(c *call, in addressIn) (ownAddresses, error) {
	if err := s.Store.RequestEmail(c.ctx, c.subject.User.ID, in.Email); err != nil {
		return ownAddresses{}, err
	}
	return s.listOwnAddresses(c)
}

// removeOwnAddress takes an alias away, or the request for one back.
func (s *Server) removeOwnAddress(c *call) (ownAddresses, error) {
	u, err := s.Store.User(c.ctx, c.subject.User.ID)
	if err != nil {
		return ownAddresses{}, err
	}
	is := func(a string) bool { return strings.EqualFold(a, c.param("email")) }
	if slices.ContainsFunc(u.Aliases, is) {
		u.Aliases = slices.DeleteFunc(u.Aliases, is)
		err = s.Store.UpdateUser(c.ctx, u)
	} else {
		err = s.Store.DecideEmail(c.ctx, u.ID, c.param("email"), false)
	}
	if err != nil {
		return ownAddresses{}, err
	}
	return s.listOwnAddresses(c)
}

func (s *Server) listAddressRequests(c *call) (page[addressRequest], error) {
	list, err := s.Store.EmailRequests(c.ctx, 0)
	if err != nil {
		return page[addressRequest]{}, err
	}
	return cut(c, list, requestOf)
}

func (s *Server) confirmAddress(c *call) (nothing, error) { return s.decideAddress(c, true) }

func (s *Server) refuseAddress(c *call) (nothing, error) { return s.decideAddress(c, false) }

func (s *Server) decideAddress(c *call, yes bool) (nothing, error) {
	u, err := s.user(c)
	if err != nil {
		return nothing{}, err
	}
	return nothing{}, s.Store.DecideEmail(c.ctx, u.ID, c.param("email"), yes)
}
