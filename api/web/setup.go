package web

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"gitferry/internal/ferry"
)

// setup holds the one-time token of a server without users.
type setup struct {
	mu    sync.Mutex
	token string // guarded by mu; empty: not made yet
}

const setupFile = "setup-token"

// fresh reports whether the server has no user yet.
func (s *Server) fresh(ctx context.Context) (bool, error) {
	users, err := s.Store.Users(ctx)
	return len(users) == 0, err
}

// FirstRun makes the one-time set-up token if the server has no user yet,
// writes it to the file setup-token in DataDir, readable by its owner only,
// and logs where it is. cmd calls it at start; calling it again does nothing.
func (s *Server) FirstRun(ctx context.Context) error {
	fresh, err := s.fresh(ctx)
	if err != nil || !fresh {
		return err
	}
	s.setup.mu.Lock()
	defer s.setup.mu.Unlock()
	if s.setup.token != "" {
		return nil
	}
	token := rand.Text()
	if s.DataDir == "" {
		s.Log.Warn("no user yet: open /setup and enter the one-time token", "url", s.PublicURL+"/setup", "token", token)
		s.setup.token = token
		return nil
	}
	path := filepath.Join(s.DataDir, setupFile)
	_ = os.Remove(path) // of an earlier run: the mode of a file that is there would stay
	if err := os.WriteFile(path, []byte(token+"\n"), 0o600); err != nil {
		return fmt.Errorf("writing the set-up token: %w", err)
	}
	s.setup.token = token
	s.Log.Warn("no user yet: open /setup and enter the one-time token", "url", s.PublicURL+"/setup", "token", token, "file", path)
	return nil
}

type setupView struct {
	page
	Name, Display, Email string
	ReadAll              bool
	File                 string // where the token is, "" if it is only in the log
	Problem              string
	Field                string // the field that the problem belongs to
}

func (s *Server) setupPage(r *request) error {
	fresh, err := s.fresh(r.ctx())
	if err != nil {
		return err
	}
	if !fresh {
		return r.Redirect(http.StatusSeeOther, "/")
	}
	if err := s.FirstRun(r.ctx()); err != nil {
		return err
	}
	v := setupView{page: s.page(r, "Set up", ""), Name: "admin", ReadAll: true, File: s.setupFileName()}
	return s.render(r, http.StatusOK, "setup", &v)
}

func (s *Server) setupFileName() string {
	if s.DataDir == "" {
		return ""
	}
	return setupFile
}

// setupPost makes the administrator. It works once: afterwards there is a user.
func (s *Server) setupPost(r *request) error {
	fresh, err := s.fresh(r.ctx())
	if err != nil {
		return err
	}
	if !fresh {
		return ferry.ErrNotFound
	}
	v := setupView{page: s.page(r, "Set up", ""), Name: strings.ToLower(r.form("name")), Display: r.form("display"), Email: r.form("email"),
		ReadAll: r.ticked("read_all"), File: s.setupFileName()}
	refuse := func(status int, field, why string) error {
		v.Field, v.Problem = field, why
		return s.render(r, status, "setup", &v)
	}
	if !s.mayCarrySecrets(r) {
		return refuse(http.StatusForbidden, "", "Passwords are not accepted over clear text. Open this page over https or on the machine itself.")
	}
	if !s.tries.allow("setup", triesPerAddress, r.now) {
		return refuse(http.StatusTooManyRequests, "", "Too many tries. Wait a minute and try again.")
	}
	s.setup.mu.Lock()
	defer s.setup.mu.Unlock()
	if s.setup.token == "" || subtle.ConstantTimeCompare([]byte(r.form("token")), []byte(s.setup.token)) != 1 {
		return refuse(http.StatusUnprocessableEntity, "token", "That is not the set-up token of this start of the server.")
	}
	if err := checkPassword(r.FormValue("password"), v.Name); err != nil {
		return refuse(http.StatusUnprocessableEntity, "password", text(err))
	}
	user, err := s.Store.AddUser(r.ctx(), ferry.User{Name: v.Name, Display: v.Display, Email: v.Email, Admin: true})
	if why := text(err); err != nil && why != "" {
		return refuse(http.StatusUnprocessableEntity, "name", why)
	}
	if err != nil {
		return err
	}
	if err := s.Store.SetPassword(r.ctx(), user.ID, HashPassword(r.FormValue("password"))); err != nil {
		return err
	}
	if v.ReadAll {
		if _, err := s.Store.AddGrant(r.ctx(), ferry.Grant{User: user.ID, Glob: "**", Level: ferry.LevelAdmin}); err != nil {
			return err
		}
	}
	s.setup.token = ""
	if s.DataDir != "" {
		_ = os.Remove(filepath.Join(s.DataDir, setupFile))
	}
	if err := s.startSession(r, user); err != nil {
		return err
	}
	s.audit(r, "setup", "user "+user.Name, "first administrator")
	return s.done(r, "/", "The administrator account is made. Next: connect Jira and add an integration.")
}
