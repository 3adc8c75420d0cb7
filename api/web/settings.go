package web

import (
	"net/http"
	"slices"
	"strconv"

	"gitferry/internal/ferry"
)

// userSettings shows what people set for themselves.
func (s *Server) userSettings(r *request) error {
	v, err := s.userView(r, r.subject.User, true)
	if err != nil {
		return err
	}
	return s.render(r, http.StatusOK, "settings", &v)
}

// userSettingsPost is every change that people make for themselves.
func (s *Server) userSettingsPost(r *request) error {
	u := r.subject.User
	switch r.form("do") {
	case "theme":
		theme := r.form("theme")
		if !slices.Contains([]string{"", "light", "dark"}, theme) {
			return ferry.ErrInvalid
		}
		if err := s.Store.SetPreference(r.ctx(), u.ID, PreferenceTheme, theme); err != nil {
			return err
		}
		return s.done(r, "/settings", "Saved.")
	case "display":
		u.Display = r.form("display")
		if err := s.Store.UpdateUser(r.ctx(), u); err != nil {
			return s.userRefused(r, r.subject.User, true, err)
		}
		return s.done(r, "/settings", "Saved.")
	case "password":
		return s.setPassword(r, u, true)
	case "session":
		return s.endSession(r)
	case "sessions":
		if err := s.Store.EndSessions(r.ctx(), u.ID, r.session.ID); err != nil {
			return err
		}
		s.audit(r, "session.end", "user "+u.Name, "all others")
		return s.done(r, "/settings#sessions", "All other sessions are ended.")
	case "mail", "unmail", "unask":
		return s.setAddress(r)
	case "jira":
		return s.setJiraToken(r)
	case "default-repo", "default-branch":
		return s.setDefault(r)
	case "aws", "unaws":
		return s.setPersonal(r)
	}
	return s.credential(r, u, true)
}

func (s *Server) endSession(r *request) error {
	id, _ := strconv.ParseInt(r.form("id"), 10, 64) // zero is no session
	all, err := s.Store.Sessions(r.ctx(), r.subject.User.ID)
	if err != nil {
		return err
	}
	for _, n := range all {
		if n.ID == id {
			if err := s.Store.EndSession(r.ctx(), id); err != nil {
				return err
			}
			s.audit(r, "session.end", "user "+r.subject.User.Name, strconv.FormatInt(id, 10))
			return s.done(r, "/settings#sessions", "The session is ended.")
		}
	}
	return ferry.ErrNotFound
}

// setAddress asks for an own address, takes one away or withdraws a request.
func (s *Server) setAddress(r *request) error {
	u, address := r.subject.User, r.form("address")
	said := ""
	var err error
	switch r.form("do") {
	case "mail":
		err, said = s.Store.RequestEmail(r.ctx(), u.ID, address), "An administrator is asked to confirm "+address+"."
	case "unask":
		err, said = s.Store.DecideEmail(r.ctx(), u.ID, address, false), "The request for "+address+" is withdrawn."
	default:
		before := len(u.Aliases)
		u.Aliases = slices.DeleteFunc(slices.Clone(u.Aliases), func(a string) bool { return a == address })
		if len(u.Aliases) == before {
			return ferry.ErrNotFound
		}
		err, said = s.Store.UpdateUser(r.ctx(), u), address+" is removed."
	}
	if err != nil {
		return s.userRefused(r, r.subject.User, true, err)
	}
	s.audit(r, "address."+map[string]string{"mail": "ask", "unask": "withdraw", "unmail": "remove"}[r.form("do")], "user "+u.Name, address)
	return s.done(r, "/settings#mail", said)
}

// setJiraToken stores the token with which own smart commits act; empty takes
// it away.
func (s *Server) setJiraToken(r *request) error {
	u := r.subject.User
	token, email := ferry.NewSecret(r.form("token")), r.form("email")
	if r.form("remove") != "" {
		token = ferry.Secret{}
	} else if token.IsZero() {
		return s.userRefused(r, u, true, &ferry.Message{Kind: ferry.ErrInvalid, Text: "Enter the token that Jira showed."})
	}
	if err := s.Store.SetJiraToken(r.ctx(), u.ID, token, email); err != nil {
		return s.userRefused(r, u, true, err)
	}
	if token.IsZero() {
		s.audit(r, "jira-token.remove", "user "+u.Name, "")
		return s.done(r, "/settings#jira", "The Jira token is removed. Your smart commits act as the service account.")
	}
	s.audit(r, "jira-token.set", "user "+u.Name, "")
	return s.done(r, "/settings#jira", "The Jira token is stored. Your smart commits act as you.")
}

type helpView struct{ page }

// help lists shortcuts and the words of smart commits.
func (s *Server) help(r *request) error {
	v := helpView{s.page(r, "Help", "")}
	return s.render(r, http.StatusOK, "help", &v)
}

type componentsView struct {
	page
	Commit commitRow
	Chart  chart
}

// components shows every component, for development.
func (s *Server) components(r *request) error {
	v := componentsView{page: s.page(r, "Components", ""), Chart: dayChart("Sample", r.now.UTC().AddDate(0, 0, -29), 30, map[string]int{r.now.UTC().Format("2006-01-02"): 7}, "push", "pushes")}
	v.Commit = commitRow{OID: ferry.OID{0xab}, Href: "/", Message: "DEMO-1 a commit", At: r.now, Keys: []ferry.IssueKey{"DEMO-1"}, Merge: true, Lost: true, RepoName: "demo", RepoHref: "/"}
	v.Commit.Author.Name, v.Commit.Author.Email = "Alice Archer", "alice@example.com"
	return s.render(r, http.StatusOK, "components_page", &v)
}

func (s *Server) adminHome(r *request) error {
	return r.Redirect(http.StatusSeeOther, "/admin/integrations")
}
