package web

import (
	"fmt"
	"net/http"
	"strconv"

	"gitferry/internal/ferry"
	"gitferry/internal/store"
)

type userView struct {
	page
	Section   string
	Who       ferry.User
	Base      string // address of the actions
	Own       bool
	Password  bool
	Keys      []store.SSHKey
	Tokens    []tokenRow
	Grants    []ferry.Grant
	Sessions  []sessionRow
	Bound     []store.Identity // who the user is at identity providers
	Scopes    []scopeRow
	NewToken  string // shown this once
	Problem   string
	JiraToken bool
	JiraEmail string
	Theme2    string
	Connected bool // a Jira site is connected
	Cloud     bool
	Defaults  []defaultRow
	AWS       []awsRow
	Repos     []ferry.Repository
	Asked     []store.EmailRequest // addresses that wait for an administrator
}

// DoHref is the address of the actions.
func (v *userView) DoHref() string {
	if v.Own {
		return v.Base
	}
	return v.Base + "/do"
}

type tokenRow struct {
	store.Token
	State lozenge
	Live  bool
}

type sessionRow struct {
	store.Session
	Current bool
}

type scopeRow struct {
	Scope  ferry.Scope
	Text   string
	Ticked bool
}

func (s *Server) userOf(r *request) (ferry.User, error) {
	id, err := pathID(r, "id")
	if err != nil {
		return ferry.User{}, err
	}
	return s.Store.User(r.ctx(), ferry.UserID(id))
}

// adminUser shows a user with everything that signs in as it.
func (s *Server) adminUser(r *request) error {
	u, err := s.userOf(r)
	if err != nil {
		return err
	}
	v, err := s.userView(r, u, false)
	if err != nil {
		return err
	}
	return s.render(r, http.StatusOK, "admin_user", &v)
}

// userView reads what the page of a user shows, to an administrator or to the
// user.
func (s *Server) userView(r *request, u ferry.User, own bool) (userView, error) {
	v := userView{page: s.page(r, display(u.Display, u.Name), "admin"), Section: "users", Who: u, Base: userPath(u.ID), Own: own, Theme2: r.theme}
	if own {
		v.page.Title, v.page.Nav, v.Base = "User settings", "settings", "/settings"
	}
	hash, err := s.Store.PasswordHash(r.ctx(), u.ID)
	if err != nil {
		return v, err
	}
	v.Password = hash != ""
	if v.Keys, err = s.Store.SSHKeys(r.ctx(), u.ID); err != nil {
		return v, err
	}
	tokens, err := s.Store.Tokens(r.ctx(), u.ID)
	if err != nil {
		return v, err
	}
	for _, t := range tokens {
		row := tokenRow{Token: t, State: lozenge{"ok", "VALID"}, Live: true}
		switch {
		case !t.RevokedAt.IsZero():
			row.State, row.Live = lozenge{"neutral", "REVOKED"}, false
		case !r.now.Before(t.ExpiresAt):
			row.State, row.Live = lozenge{"neutral", "EXPIRED"}, false
		}
		v.Tokens = append(v.Tokens, row)
	}
	if v.Grants, err = s.Store.Grants(r.ctx(), u.ID); err != nil {
		return v, err
	}
	if v.Bound, err = s.Store.Identities(r.ctx(), u.ID); err != nil {
		return v, err
	}
	sessions, err := s.Store.Sessions(r.ctx(), u.ID)
	if err != nil {
		return v, err
	}
	for _, n := range sessions {
		if r.now.Sub(n.SeenAt) < store.SessionIdle {
			v.Sessions = append(v.Sessions, sessionRow{n, n.ID == r.session.ID})
		}
	}
	v.Scopes = []scopeRow{{ferry.ScopeRepoRead, "Clone and fetch", true}, {ferry.ScopeRepoWrite, "Push", true}, {ferry.ScopeAPIRead, "Read with the API", false}, {ferry.ScopeJiraDVCS, "Jira's DVCS connector", false}}
	if u.Admin {
		v.Scopes = append(v.Scopes, scopeRow{ferry.ScopeAPIAdmin, "Administer with the API", false})
	}
	if _, email, err := s.Store.JiraToken(r.ctx(), u.ID); err == nil {
		v.JiraToken, v.JiraEmail = true, email
	}
	site, ok, err := s.jiraSite(r)
	if err != nil {
		return v, err
	}
	v.Connected, v.Cloud = ok, site.Kind == "cloud"
	if own {
		err = s.ownSettings(r, &v)
	}
	return v, err
}

// userRefused shows the page of a user again with what was wrong.
func (s *Server) userRefused(r *request, u ferry.User, own bool, err error) error {
	v, viewErr := s.userView(r, u, own)
	if viewErr != nil {
		return viewErr
	}
	if v.Problem = text(err); v.Problem == "" {
		return err
	}
	return s.renderUser(r, http.StatusUnprocessableEntity, &v)
}

func (s *Server) renderUser(r *request, status int, v *userView) error {
	if v.Own {
		return s.render(r, status, "settings", v)
	}
	return s.render(r, status, "admin_user", v)
}

// adminUserPost changes a user.
func (s *Server) adminUserPost(r *request) error {
	u, err := s.userOf(r)
	if err != nil {
		return err
	}
	before := u
	u.Display, u.Email, u.Aliases = r.form("display"), r.form("email"), words(r.form("aliases"))
	u.Admin, u.Disabled = r.ticked("admin"), !r.ticked("enabled")
	if err := s.Store.UpdateUser(r.ctx(), u); err != nil {
		return s.userRefused(r, before, false, err)
	}
	if u.Disabled || u.Admin != before.Admin { // rights changed: sign in anew
		keep := int64(0)
		if u.ID == r.subject.User.ID {
			keep = r.session.ID
		}
		if err := s.Store.EndSessions(r.ctx(), u.ID, keep); err != nil {
			return err
		}
	}
	s.audit(r, "user.update", "user "+u.Name, fmt.Sprintf("admin %v, disabled %v", u.Admin, u.Disabled))
	return s.done(r, userPath(u.ID), "Saved.")
}

// adminUserDo is every other change of a user by an administrator.
func (s *Server) adminUserDo(r *request) error {
	u, err := s.userOf(r)
	if err != nil {
		return err
	}
	switch r.form("do") {
	case "password":
		return s.setPassword(r, u, false)
	case "sessions":
		if err := s.Store.EndSessions(r.ctx(), u.ID, 0); err != nil {
			return err
		}
		s.audit(r, "session.end", "user "+u.Name, "all")
		return s.done(r, userPath(u.ID), "All sessions are ended.")
	case "unbind":
		if err := s.Store.UnbindIdentities(r.ctx(), u.ID); err != nil {
			return err
		}
		s.audit(r, "user.unbind", "user "+u.Name, "")
		return s.done(r, userPath(u.ID), "Forgotten. The next log-in at the identity provider finds the user by its claim again.")
	case "confirm", "refuse":
		return s.decideAddress(r, u)
	case "grant":
		return s.addGrant(r, u)
	case "ungrant":
		return s.removeGrant(r, u)
	case "remove":
		if r.form("confirm") != u.Name {
			return s.userRefused(r, u, false, &ferry.Message{Kind: ferry.ErrInvalid, Text: "Enter the user name to confirm the removal."})
		}
		if err := s.Store.RemoveUser(r.ctx(), u.ID); err != nil {
			return s.userRefused(r, u, false, err)
		}
		s.audit(r, "user.remove", "user "+u.Name, "")
		return s.done(r, "/admin/users", u.Name+" is removed.")
	}
	return s.credential(r, u, false)
}

// decideAddress confirms or refuses an address that a user asked for.
func (s *Server) decideAddress(r *request, u ferry.User) error {
	address, yes := r.form("address"), r.form("do") == "confirm"
	err := s.Store.DecideEmail(r.ctx(), u.ID, address, yes)
	if why := text(err); err != nil && why != "" {
		return s.doneWith(r, "/admin/users", flash{Kind: "bad", Text: address + " is not confirmed: it belongs to another user, or " + u.Name + " does not ask for it any more."})
	}
	if err != nil {
		return err
	}
	s.audit(r, "address."+r.form("do"), "user "+u.Name, address)
	return s.done(r, "/admin/users", map[bool]string{true: address + " belongs to " + u.Name + " now.", false: address + " is refused."}[yes])
}

func (s *Server) addGrant(r *request, u ferry.User) error {
	level, err := ferry.ParseLevel(r.form("level"))
	if err == nil {
		_, err = s.Store.AddGrant(r.ctx(), ferry.Grant{User: u.ID, Glob: r.form("glob"), Level: level})
	}
	if err != nil {
		return s.userRefused(r, u, false, err)
	}
	s.audit(r, "grant.create", "user "+u.Name, r.form("glob")+" "+level.String())
	return s.done(r, userPath(u.ID), "The grant holds from now on.")
}

func (s *Server) removeGrant(r *request, u ferry.User) error {
	id, _ := strconv.ParseInt(r.form("id"), 10, 64) // zero is no grant
	grants, err := s.Store.Grants(r.ctx(), u.ID)
	if err != nil {
		return err
	}
	for _, g := range grants {
		if g.ID == id {
			if err := s.Store.RemoveGrant(r.ctx(), id); err != nil {
				return err
			}
			s.audit(r, "grant.remove", "user "+u.Name, g.Glob+" "+g.Level.String())
			return s.done(r, userPath(u.ID), "The grant is taken back.")
		}
	}
	return ferry.ErrNotFound
}
