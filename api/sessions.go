package api

import (
	"slices"
	"time"

	"gitferry/internal/ferry"
	"gitferry/internal/store"
)

// session is a signed-in browser.
type session struct {
	ID        int64     `json:"id"`
	CreatedAt time.Time `json:"created_at"`
	SeenAt    time.Time `json:"seen_at"`
	Address   string    `json:"address"`
	Agent     string    `json:"agent"`
}

func (s *Server) listSessions(c *call) (page[session], error) {
	u, err := s.user(c)
	if err != nil {
		return page[session]{}, err
	}
	all, err := s.Store.Sessions(c.ctx, u.ID)
	if err != nil {
		return page[session]{}, err
	}
	all = slices.DeleteFunc(all, func(n store.Session) bool { return time.Since(n.SeenAt) > store.SessionIdle })
	return cut(c, all, func(n store.Session) session {
		return session{ID: n.ID, CreatedAt: n.CreatedAt, SeenAt: n.SeenAt, Address: n.Address, Agent: n.Agent}
	})
}

func (s *Server) endSession(c *call) (nothing, error) {
	return removeOwned(s, c, s.Store.Sessions, func(n store.Session) int64 { return n.ID }, s.Store.EndSession)
}

func (s *Server) endSessions(c *call) (nothing, error) {
	u, err := s.user(c)
	if err != nil {
		return nothing{}, err
	}
	return nothing{}, s.Store.EndSessions(c.ctx, u.ID, 0)
}

// unbindUser forgets who a user is at the identity provider.
func (s *Server) unbindUser(c *call) (nothing, error) {
	u, err := s.user(c)
	if err != nil {
		return nothing{}, err
	}
	return nothing{}, s.Store.UnbindIdentities(c.ctx, u.ID)
}

// passwordIn is a new password, of 12 to 128 characters.
type passwordIn struct {
	Password ferry.Secret `json:"password"`
}

// setPassword ends all sessions of the user.
func (s *Server) setPassword(c *call, in passwordIn) (nothing, error) {
	u, err := s.user(c)
	if err != nil {
		return nothing{}, err
	}
	return nothing{}, s.pages.ChangePassword(c.ctx, u, in.Password.Reveal(), 0)
}

// ownPasswordIn is the password that holds, and the one to come.
type ownPasswordIn struct {
	Current  ferry.Secret `json:"current"`
	Password ferry.Secret `json:"password"`
}

// setOwnPassword asks for the present password: a token that is lost shall not
// be good for the pages too.
func (s *Server) setOwnPassword(c *call, in ownPasswordIn) (nothing, error) {
	u := c.subject.User
	if err := s.pages.ConfirmPassword(c.ctx, u, in.Current.Reveal()); err != nil {
		return nothing{}, err
	}
	return nothing{}, s.pages.ChangePassword(c.ctx, u, in.Password.Reveal(), 0)
}
