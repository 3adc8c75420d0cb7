package web

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"gitferry/internal/ferry"
	"gitferry/internal/jira"
	"gitferry/internal/outbox"
	"gitferry/internal/store"
)

type jiraView struct {
	page
	Section   string
	Site      store.JiraSite
	Connected bool
	Have      struct{ APIToken, ClientSecret, PAT bool }
	Test      *jiraTest
	Problem   string
}

// A jiraTest is what a live test found, line by line.
type jiraTest struct {
	OK   bool
	Rows []testRow
}

type testRow struct {
	What  string
	State lozenge
	Text  string
}

// adminJira shows how Jira is reached.
func (s *Server) adminJira(r *request) error {
	v, err := s.jiraView(r)
	if err != nil {
		return err
	}
	return s.render(r, http.StatusOK, "admin_jira", &v)
}

func (s *Server) jiraView(r *request) (jiraView, error) {
	v := jiraView{page: s.page(r, "Jira connection", "admin"), Section: "jira"}
	site, err := s.Store.JiraSite(r.ctx())
	if errors.Is(err, ferry.ErrNotFound) {
		v.Site = store.JiraSite{Kind: "cloud", Processor: string(outbox.ProcessorGitferry)}
		return v, nil
	}
	v.Site, v.Connected = site, true
	v.Have.APIToken, v.Have.ClientSecret, v.Have.PAT = !site.APIToken.IsZero(), !site.ClientSecret.IsZero(), !site.PAT.IsZero()
	return v, err
}

// adminJiraPost tests what was entered and, if Jira answers, keeps it.
func (s *Server) adminJiraPost(r *request) error {
	v, err := s.jiraView(r)
	if err != nil {
		return err
	}
	before := v.Site
	site := store.JiraSite{Kind: r.form("kind"), URL: strings.TrimRight(r.form("url"), "/"), Email: r.form("email"), ClientID: r.form("client_id"),
		DevinfoURL: r.form("devinfo_url"), TokenURL: r.form("token_url"), APIToken: ferry.NewSecret(r.form("api_token")),
		ClientSecret: ferry.NewSecret(r.form("client_secret")), PAT: ferry.NewSecret(r.form("pat")), HoursPerDay: before.HoursPerDay, DaysPerWeek: before.DaysPerWeek, Processor: before.Processor}
	v.Site = site
	tested := site
	if site.URL == before.URL && site.DevinfoURL == before.DevinfoURL && site.TokenURL == before.TokenURL { // secrets stay with their address
		for _, f := range []struct{ entered, kept *ferry.Secret }{{&tested.APIToken, &before.APIToken}, {&tested.ClientSecret, &before.ClientSecret}, {&tested.PAT, &before.PAT}} {
			if f.entered.IsZero() {
				*f.entered = *f.kept
			}
		}
	}
	ctx, cancel := context.WithTimeout(r.ctx(), awsTime)
	defer cancel()
	v.Test = s.testJira(ctx, tested)
	if !v.Test.OK {
		v.Problem = "Nothing was saved, since the test failed."
		return s.render(r, http.StatusUnprocessableEntity, "admin_jira", &v)
	}
	if err := s.Store.SetJiraSite(r.ctx(), site); err != nil {
		if v.Problem = text(err); v.Problem == "" {
			return err
		}
		return s.render(r, http.StatusUnprocessableEntity, "admin_jira", &v)
	}
	s.audit(r, "jira.update", "jira "+site.URL, site.Kind)
	if err := s.Issues.Refresh(ctx); err != nil {
		s.Log.Warn("reading the projects of Jira", "err", err)
	}
	s.Issues.Wake()
	s.Outbox.Wake()
	test := v.Test
	if v, err = s.jiraView(r); err != nil {
		return err
	}
	v.Test, v.page.Flash = test, &flash{Kind: "ok", Text: "Saved. Jira answers."}
	return s.render(r, http.StatusOK, "admin_jira", &v)
}

// adminJiraTest tests the stored connection.
func (s *Server) adminJiraTest(r *request) error {
	v, err := s.jiraView(r)
	if err != nil {
		return err
	}
	if !v.Connected {
		return s.doneWith(r, "/admin/jira", flash{Kind: "warn", Text: "No Jira site is connected yet."})
	}
	ctx, cancel := context.WithTimeout(r.ctx(), awsTime)
	defer cancel()
	v.Test = s.testJira(ctx, v.Site)
	return s.render(r, http.StatusOK, "admin_jira", &v)
}

// testJira signs in and reports in plain words what works. It is OK if the
// site answers and the account may sign in.
func (s *Server) testJira(ctx context.Context, site store.JiraSite) *jiraTest {
	t := new(jiraTest)
	row := func(what string, good bool, text string) {
		l := lozenge{"ok", "OK"}
		if !good {
			l = lozenge{"bad", "FAILED"}
		}
		t.Rows = append(t.Rows, testRow{what, l, text})
	}
	client, err := outbox.NewClient(site, jira.Options{Product: "gitferry " + s.Version})
	if err != nil {
		row("Address", false, display(text(err), err.Error()))
		return t
	}
	p, err := client.Probe(ctx)
	if err != nil {
		said := err.Error()
		var e *jira.Error
		if errors.As(err, &e) && e.Class == jira.Moved {
			said += ". The site moved to " + e.Host + "; enter that address."
		}
		row("Sign-in", false, said)
		return t
	}
	t.OK = true
	edition := "Jira Cloud"
	if p.Server.Kind != jira.Cloud {
		edition = "Jira Data Center"
	}
	row("Address", true, edition+", version "+p.Server.Version)
	row("Sign-in", true, "as "+display(p.Account.Display, p.Account.Name))
	if len(p.Missing) > 0 {
		row("Permissions", false, "The account lacks "+strings.Join(p.Missing, ", ")+". Smart commits that need them fail.")
	} else {
		row("Permissions", true, "The account has all permissions that smart commits need.")
	}
	if p.TimeTracking {
		row("Time tracking", true, "On: "+trimFloat(p.HoursPerDay)+" hours a day, "+trimFloat(p.DaysPerWeek)+" days a week.")
	} else {
		t.Rows = append(t.Rows, testRow{"Time tracking", lozenge{"warn", "OFF"}, "Time tracking is off in Jira, so #time does not work."})
	}
	switch {
	case site.Kind != "cloud":
		row("Development information", true, "Shown as links on issues.")
	case p.Devinfo != nil:
		row("Development information", false, p.Devinfo.Error())
	default:
		row("Development information", true, "The client credentials are good.")
	}
	return t
}

func (s *Server) adminJiraRemove(r *request) error {
	if err := s.Store.RemoveJiraSite(r.ctx()); err != nil {
		return err
	}
	s.audit(r, "jira.remove", "jira", "")
	return s.done(r, "/admin/jira", "Jira is disconnected. Deliveries wait until a site is connected.")
}
