package web

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"gitferry/internal/ferry"
	"gitferry/internal/store"
)

type usersView struct {
	page
	Section                   string
	Rows                      []userRow
	Name, Display_, Email     string
	IsAdmin                   bool
	Glob, Level               string
	Problem                   string
	Field                     string
	Globs                     []string
	Total, Keys, Tokens, Gets int
}

type userRow struct {
	ferry.User
	Href         string
	State        lozenge
	Grants       []ferry.Grant
	Keys, Tokens int
	Password     bool
}

func userPath(id ferry.UserID) string { return "/admin/users/" + strconv.FormatInt(int64(id), 10) }

// adminUsers lists the users.
func (s *Server) adminUsers(r *request) error {
	v, err := s.usersView(r)
	if err != nil {
		return err
	}
	return s.render(r, http.StatusOK, "admin_users", &v)
}

func (s *Server) usersView(r *request) (usersView, error) {
	v := usersView{page: s.page(r, "Users and access", "admin"), Section: "users", Level: "write", Glob: "**"}
	users, err := s.Store.Users(r.ctx())
	if err != nil {
		return v, err
	}
	grants, err := s.Store.Grants(r.ctx(), 0)
	if err != nil {
		return v, err
	}
	keys, err := s.Store.SSHKeys(r.ctx(), 0)
	if err != nil {
		return v, err
	}
	tokens, err := s.Store.Tokens(r.ctx(), 0)
	if err != nil {
		return v, err
	}
	for _, u := range users {
		row := userRow{User: u, Href: userPath(u.ID), State: lozenge{"ok", "ACTIVE"}}
		if u.Disabled {
			row.State = lozenge{"neutral", "DISABLED"}
		}
		for _, g := range grants {
			if g.User == u.ID {
				row.Grants = append(row.Grants, g)
			}
		}
		for _, k := range keys {
			if k.User == u.ID {
				row.Keys++
			}
		}
		for _, t := range tokens {
			if t.User == u.ID && t.RevokedAt.IsZero() && r.now.Before(t.ExpiresAt) {
				row.Tokens++
			}
		}
		v.Rows = append(v.Rows, row)
	}
	return v, nil
}

// adminUserAdd makes a user.
func (s *Server) adminUserAdd(r *request) error {
	u := ferry.User{Name: strings.ToLower(r.form("name")), Display: r.form("display"), Email: r.form("email"), Admin: r.ticked("admin")}
	password, glob := r.FormValue("password"), r.form("glob")
	level, err := ferry.ParseLevel(r.form("level"))
	if err == nil && password != "" {
		err = checkPassword(password, u.Name)
	}
	if err == nil {
		u, err = s.Store.AddUser(r.ctx(), u)
	}
	if err != nil {
		v, viewErr := s.usersView(r)
		if viewErr != nil {
			return viewErr
		}
		if v.Problem = text(err); v.Problem == "" {
			return err
		}
		v.Name, v.Display_, v.Email, v.IsAdmin, v.Glob, v.Level = u.Name, u.Display, u.Email, u.Admin, glob, r.form("level")
		return s.render(r, http.StatusUnprocessableEntity, "admin_users", &v)
	}
	s.audit(r, "user.create", "user "+u.Name, "")
	if password != "" {
		if err := s.Store.SetPassword(r.ctx(), u.ID, HashPassword(password)); err != nil {
			return err
		}
	}
	if level > ferry.LevelNone && glob != "" {
		if _, err := s.Store.AddGrant(r.ctx(), ferry.Grant{User: u.ID, Glob: glob, Level: level}); err != nil {
			return err
		}
		s.audit(r, "grant.create", "user "+u.Name, glob+" "+level.String())
	}
	return s.done(r, userPath(u.ID), display(u.Display, u.Name)+" is added.")
}

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

// setPassword changes a password; the owner must know the one that holds.
func (s *Server) setPassword(r *request, u ferry.User, own bool) error {
	if !s.mayCarrySecrets(r) {
		return s.userRefused(r, u, own, &ferry.Message{Kind: ferry.ErrDenied, Text: "Passwords are not accepted over clear text."})
	}
	if own {
		if !s.tries.allow("account "+u.Name, triesPerAccount, r.now) {
			return s.userRefused(r, u, own, &ferry.Message{Kind: ferry.ErrDenied, Text: "Too many tries. Wait a minute and try again."})
		}
		if _, err := s.passwordUser(r, u.Name, r.FormValue("current")); err != nil {
			return s.userRefused(r, u, own, &ferry.Message{Kind: ferry.ErrInvalid, Text: "The present password is wrong."})
		}
	}
	if err := checkPassword(r.FormValue("password"), u.Name); err != nil {
		return s.userRefused(r, u, own, err)
	}
	if err := s.Store.SetPassword(r.ctx(), u.ID, HashPassword(r.FormValue("password"))); err != nil {
		return err
	}
	keep := int64(0)
	if u.ID == r.subject.User.ID {
		keep = r.session.ID
	}
	if err := s.Store.EndSessions(r.ctx(), u.ID, keep); err != nil {
		return err
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
