package web

import (
	"fmt"
	"net/http"
	"strconv"
	"time"

	"gitferry/internal/ferry"
	"gitferry/internal/store"
)

// setPassword changes a password; the owner must know the one that holds.
func (s *Server) setPassword(r *request, u ferry.User, own bool) error {
	if !s.mayCarrySecrets(r) {
		return s.userRefused(r, u, own, &ferry.Message{Kind: ferry.ErrDenied, Text: "Passwords are not accepted over clear text."})
	}
	if own {
		if err := s.ConfirmPassword(r.ctx(), u, r.FormValue("current")); err != nil {
			return s.userRefused(r, u, own, err)
		}
	}
	keep := int64(0)
	if u.ID == r.subject.User.ID {
		keep = r.session.ID
	}
	if err := s.ChangePassword(r.ctx(), u, r.FormValue("password"), keep); err != nil {
		return s.userRefused(r, u, own, err)
	}
	s.audit(r, "password.set", "user "+u.Name, "")
	back := userPath(u.ID)
	if own {
		back = "/settings"
	}
	return s.done(r, back, "The password is changed. Other sessions are ended.")
}

// credential adds or removes an SSH key or a token of a user.
func (s *Server) credential(r *request, u ferry.User, own bool) error {
	back := userPath(u.ID)
	if own {
		back = "/settings"
	}
	switch r.form("do") {
	case "key":
		k, err := s.AddSSHKey(r.ctx(), u.ID, r.form("name"), r.form("key"))
		if err != nil {
			return s.userRefused(r, u, own, err)
		}
		s.audit(r, "key.create", "user "+u.Name, k.Fingerprint)
		return s.done(r, back+"#keys", "The key "+k.Fingerprint+" is added.")
	case "unkey":
		return s.removeKey(r, u, back)
	case "token":
		return s.addToken(r, u, own)
	case "untoken":
		return s.revokeToken(r, u, back)
	}
	return ferry.ErrInvalid
}

func (s *Server) removeKey(r *request, u ferry.User, back string) error {
	id, _ := strconv.ParseInt(r.form("id"), 10, 64) // zero is no key
	keys, err := s.Store.SSHKeys(r.ctx(), u.ID)
	if err != nil {
		return err
	}
	for _, k := range keys {
		if k.ID == id {
			if err := s.Store.RemoveSSHKey(r.ctx(), id); err != nil {
				return err
			}
			s.audit(r, "key.remove", "user "+u.Name, k.Fingerprint)
			return s.done(r, back+"#keys", "The key "+k.Fingerprint+" is removed.")
		}
	}
	return ferry.ErrNotFound
}

// addToken makes a token and shows its text on the page that answers: it is
// kept nowhere, so there is nothing to redirect to.
func (s *Server) addToken(r *request, u ferry.User, own bool) error {
	days, err := strconv.Atoi(r.form("days"))
	if err != nil || days < 1 || days > 366 {
		days = 90
	}
	t := store.Token{User: u.ID, Name: r.form("name"), Globs: words(r.form("globs")), ExpiresAt: r.now.Add(time.Duration(days) * 24 * time.Hour)}
	_ = r.Request().ParseForm() // what does not parse has no fields
	for _, sc := range r.Request().PostForm["scope"] {
		if ferry.Scope(sc) == ferry.ScopeAPIAdmin && !u.Admin {
			return ferry.ErrDenied
		}
		t.Scopes = append(t.Scopes, ferry.Scope(sc))
	}
	plain, t, err := s.Store.NewToken(r.ctx(), t)
	if err != nil {
		return s.userRefused(r, u, own, err)
	}
	s.audit(r, "token.create", "user "+u.Name, fmt.Sprintf("token %d %v", t.ID, t.Scopes))
	v, err := s.userView(r, u, own)
	if err != nil {
		return err
	}
	v.NewToken = plain.Reveal()
	return s.renderUser(r, http.StatusOK, &v)
}

func (s *Server) revokeToken(r *request, u ferry.User, back string) error {
	id, _ := strconv.ParseInt(r.form("id"), 10, 64) // zero is no token
	tokens, err := s.Store.Tokens(r.ctx(), u.ID)
	if err != nil {
		return err
	}
	for _, t := range tokens {
		if t.ID == id {
			if err := s.Store.RevokeToken(r.ctx(), id); err != nil {
				return err
			}
			s.audit(r, "token.revoke", "user "+u.Name, fmt.Sprintf("token %d", id))
			return s.done(r, back+"#tokens", "The token "+t.Name+" is revoked.")
		}
	}
	return ferry.ErrNotFound
}
