package web

import (
	"net/http"
	"strconv"
	"strings"

	"gitferry/internal/ferry"
	"gitferry/internal/store"
)

type usersView struct {
	page
	Section               string
	Rows                  []userRow
	Name, Display_, Email string
	IsAdmin               bool
	Glob, Level           string
	Problem               string
	Asked                 []store.EmailRequest
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
	if v.Asked, err = s.Store.EmailRequests(r.ctx(), 0); err != nil {
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
