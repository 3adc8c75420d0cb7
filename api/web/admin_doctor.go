package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"gitferry/internal/ferry"
	"gitferry/internal/smartcommit"
	"gitferry/internal/store"
)

type doctorView struct {
	page
	Section       string
	Commit, Issue string
	Repo          ferry.RepositoryID
	Repos         []ferry.Repository
	Asked         bool
	Rows          []checkRow
	Verdict       string
	OK            bool
	Problem       string
}

// A checkRow is one question on the way of a commit to its issue.
type checkRow struct {
	What   string
	State  lozenge
	Text   string
	Href   string
	Remedy string
}

var (
	checkOK   = lozenge{"ok", "OK"}
	checkBad  = lozenge{"bad", "HERE"}
	checkSkip = lozenge{"neutral", "NOT CHECKED"}
)

// adminDoctor finds out why a commit does not show at an issue.
func (s *Server) adminDoctor(r *request) error {
	v := doctorView{page: s.page(r, "Why is my commit missing?", "admin"), Section: "doctor", Commit: strings.ToLower(r.form("commit")), Issue: strings.ToUpper(r.form("issue"))}
	all, err := s.Store.Repositories(r.ctx(), store.RepositoryFilter{})
	if err != nil {
		return err
	}
	v.Repos = all
	if id, err := parseID(r.form("repo")); err == nil {
		v.Repo = ferry.RepositoryID(id)
	}
	if v.Commit == "" && v.Issue == "" {
		return s.render(r, http.StatusOK, "admin_doctor", &v)
	}
	if err := s.examineAsked(r.ctx(), &v); err != nil {
		if v.Problem = text(err); v.Problem == "" || v.Asked {
			return err
		}
		return s.render(r, http.StatusUnprocessableEntity, "admin_doctor", &v)
	}
	return s.render(r, http.StatusOK, "admin_doctor", &v)
}

// examineAsked runs the checks if what was asked for makes sense; Asked says
// whether it did.
func (s *Server) examineAsked(ctx context.Context, v *doctorView) error {
	key, err := ferry.ParseIssueKey(v.Issue)
	if err != nil {
		return &ferry.Message{Kind: ferry.ErrInvalid, Text: "Enter an issue key such as DEMO-1."}
	}
	if len(v.Commit) < 7 || len(v.Commit) > 40 || strings.Trim(v.Commit, "0123456789abcdef") != "" {
		return &ferry.Message{Kind: ferry.ErrInvalid, Text: "Enter 7 to 40 digits of the commit id."}
	}
	ctx, cancel := context.WithTimeout(ctx, viewTime)
	defer cancel()
	v.Asked = true
	return s.examine(ctx, v, key)
}

// An Examination says where a commit got to on its way to an issue.
type Examination struct {
	OK      bool               `json:"ok"`
	Verdict string             `json:"verdict"`
	Checks  []ExaminationCheck `json:"checks"` // in the order of the way, up to the first that fails
}

// An ExaminationCheck is one question on the way. State is ok, failed or
// skipped; Remedy says what to do after a failure.
type ExaminationCheck struct {
	What   string `json:"what"`
	State  string `json:"state"`
	Text   string `json:"text"`
	Remedy string `json:"remedy,omitempty"`
}

// Examine finds out why a commit, named by 7 or more digits of its id, does
// not show at an issue; repo 0 looks in all repositories. It fails with
// ferry.ErrInvalid if issue or commit cannot be any.
func (s *Server) Examine(ctx context.Context, commit, issue string, repo ferry.RepositoryID) (Examination, error) {
	v := doctorView{Commit: strings.ToLower(commit), Issue: strings.ToUpper(issue), Repo: repo}
	var err error
	if v.Repos, err = s.Store.Repositories(ctx, store.RepositoryFilter{}); err != nil {
		return Examination{}, err
	}
	if err := s.examineAsked(ctx, &v); err != nil {
		return Examination{}, err
	}
	out := Examination{OK: v.OK, Verdict: v.Verdict, Checks: []ExaminationCheck{}}
	for _, row := range v.Rows {
		state := map[lozenge]string{checkOK: "ok", checkBad: "failed", checkSkip: "skipped"}[row.State]
		out.Checks = append(out.Checks, ExaminationCheck{What: row.What, State: state, Text: row.Text, Remedy: row.Remedy})
	}
	return out, nil
}

// examine runs the checks in the order of a commit's way and stops at the
// first that fails.
func (s *Server) examine(ctx context.Context, v *doctorView, key ferry.IssueKey) error {
	good := func(what, text string) { v.Rows = append(v.Rows, checkRow{What: what, State: checkOK, Text: text}) }
	bad := func(what, text, remedy, href string) {
		v.Rows = append(v.Rows, checkRow{What: what, State: checkBad, Text: text, Remedy: remedy, Href: href})
		v.Verdict = text + " " + remedy
	}
	repo, oid, err := s.findCommit(ctx, v)
	if err != nil {
		return err
	}
	if repo.ID == 0 {
		bad("Commit in a mirror", "No mirror has a commit that begins with "+v.Commit+".", s.staleRemedy(ctx, v), "/admin/repositories")
		return nil
	}
	if repo.State != ferry.RepositoryEnabled {
		bad("Repository", repo.Path()+" is "+string(repo.State)+".", "Enable the repository.", repositoryAdminPath(repo.ID))
		return nil
	}
	good("Repository", repo.Path()+" is connected and enabled.")
	view, err := s.Mirror.View(ctx, repo)
	if err != nil {
		return err
	}
	if view.Failure != nil {
		bad("Upstream", "The last look at "+repo.Path()+" failed: "+display(text(view.Failure), "the upstream does not answer"), "See the log, and mend the connection of the integration.", repositoryAdminPath(repo.ID)+"/log")
		return nil
	}
	good("Upstream", "Last looked at "+ago(view.LookedAt, s.Now())+".")
	good("Commit in the mirror", oid.String())
	indexed, err := s.Store.CommitByOID(ctx, repo.ID, oid)
	if errors.Is(err, ferry.ErrNotFound) {
		bad("Commit in the index", "The mirror has the commit, the index does not.", "A commit that only a tag holds is not listed. Else reindex the repository.", repositoryAdminPath(repo.ID))
		return nil
	}
	if err != nil {
		return err
	}
	good("Commit in the index", "Seen "+ago(indexed.SeenAt, s.Now())+".")
	if !indexed.Reachable {
		bad("Held by a branch", "No branch leads to the commit any more, so it was withdrawn.", "Push the commit to a branch again.", "")
		return nil
	}
	good("Held by a branch", "Yes.")
	return s.examineKey(ctx, v, key, repo, indexed, good, bad)
}

// examineKey runs the checks about the key and Jira.
func (s *Server) examineKey(ctx context.Context, v *doctorView, key ferry.IssueKey, repo ferry.Repository, c store.IndexedCommit,
	good func(what, text string), bad func(what, text, remedy, href string)) error {
	linked := false
	for _, l := range c.Links {
		linked = linked || l.Key == key
	}
	if !linked {
		everything := smartcommit.Parse(c.Message, smartcommit.Options{All: true})
		named := false
		for _, k := range everything.Keys {
			named = named || k == key
		}
		if !named {
			bad("Key in the message", "The message does not name "+string(key)+" in a form that counts.", "Write the key with a blank, bracket or colon around it: "+string(key)+" what was done.", "")
			return nil
		}
		projects, known, listed, err := s.Store.Projects(ctx)
		if err != nil {
			return err
		}
		if known && !contains(projects, key.Project()) {
			bad("Project in Jira", "Jira had no project "+key.Project()+" when its projects were listed "+ago(listed, s.Now())+".", "Give the Jira account the right to browse the project; it is linked by itself then.", "/admin/jira")
			return nil
		}
		if !repo.Allows(key.Project()) {
			bad("Project permissions", repo.Path()+" is associated with "+repo.Projects+" only.", "Add "+key.Project()+" to the projects of the repository.", repositoryAdminPath(repo.ID))
			return nil
		}
		decided, err := s.Store.HandLinks(ctx, store.Object{Repository: repo.ID, Kind: store.EntityCommit, ID: c.OID.String()})
		if err != nil {
			return err
		}
		for _, d := range decided {
			if d.Key == key && !d.Linked {
				bad("Association", d.By+" took the commit from "+string(key)+" by hand, "+ago(d.At, s.Now())+".", "Associate it again on the commit's page.", repoPath(repo)+"/commit/"+c.OID.String()+"/issues")
				return nil
			}
		}
		bad("Association", "The message names "+string(key)+", but the commit is not linked.", "Reindex the repository.", repositoryAdminPath(repo.ID))
		return nil
	}
	good("Key", string(key)+" is linked "+reasonOf(c.Links, key)+".")
	if state, ok := s.Issues.States(ctx, []ferry.IssueKey{key})[key]; !ok {
		v.Rows = append(v.Rows, checkRow{What: "Issue in Jira", State: checkSkip, Text: "Jira did not answer in time."})
	} else if !state.Exists {
		bad("Issue in Jira", "Jira has no issue "+string(key)+", or its account may not see it.", "Check the key, and the account's right to browse the project.", "/admin/jira")
		return nil
	} else {
		good("Issue in Jira", display(state.Summary, "It exists."))
	}
	return s.examineDelivery(ctx, v, key, repo, c, good, bad)
}

func (s *Server) examineDelivery(ctx context.Context, v *doctorView, key ferry.IssueKey, repo ferry.Repository, c store.IndexedCommit,
	good func(what, text string), bad func(what, text, remedy, href string)) error {
	list, err := s.Store.Deliveries(ctx, store.DeliveryFilter{Key: key, Limit: 1000})
	if err != nil {
		return err
	}
	for _, d := range list {
		if d.Kind != string(store.EntityCommit) || d.Repository != repo.ID || d.EntityID != c.OID.String() {
			continue
		}
		switch store.EntityState(d.State) {
		case store.EntityDone:
			good("Delivered to Jira", "Taken "+ago(d.SentAt, s.Now())+".")
			v.OK = true
			v.Verdict = "Everything is in order: the commit shows on the page of " + string(key) + " and Jira took it. Jira itself may need a few minutes, and shows it only to people with View development tools."
		case store.EntityDead:
			bad("Delivered to Jira", "Jira refused it: "+d.Problem, "Mend the cause and retry the delivery.", "/admin/delivery?state=dead")
		case store.EntityWaiting:
			bad("Delivered to Jira", "Jira knows none of the keys yet.", "It is sent again when the issue exists.", "/admin/delivery?state=waiting")
		default:
			why := "It is queued and was not sent yet."
			if d.Attempts > 0 {
				why = strings.TrimSpace(fmt.Sprintf("It waits to be sent again after %s. %s", plural(d.Attempts, "attempt", "attempts"), d.Problem))
			}
			bad("Delivered to Jira", why, "See whether deliveries are paused or Jira is down.", "/admin/delivery")
		}
		return nil
	}
	_, err = s.Store.JiraSite(ctx)
	if errors.Is(err, ferry.ErrNotFound) {
		bad("Delivered to Jira", "No Jira site is connected.", "Connect Jira.", "/admin/jira")
		return nil
	}
	bad("Delivered to Jira", "Nothing is queued for this commit.", "Reindex the repository.", repositoryAdminPath(repo.ID))
	return err
}

// findCommit looks for the commit in the mirrors; a zero repository means that
// none has it.
func (s *Server) findCommit(ctx context.Context, v *doctorView) (ferry.Repository, ferry.OID, error) {
	for _, repo := range v.Repos[:min(len(v.Repos), 200)] {
		if v.Repo != 0 && repo.ID != v.Repo {
			continue
		}
		oids, err := s.Git.Abbreviated(ctx, s.Mirror.Path(repo.ID), v.Commit)
		if ctx.Err() != nil {
			return ferry.Repository{}, ferry.OID{}, err
		}
		if err == nil && len(oids) > 0 {
			return repo, oids[0], nil
		}
	}
	return ferry.Repository{}, ferry.OID{}, nil
}

// staleRemedy says what may be behind a commit that no mirror has.
func (s *Server) staleRemedy(ctx context.Context, v *doctorView) string {
	for _, repo := range v.Repos {
		if view, err := s.Mirror.View(ctx, repo); err == nil && (view.Failure != nil || !view.Copied) {
			return "Was it pushed? " + repo.Path() + " is not up to date: see its log."
		}
	}
	return "Was it pushed, and to a connected repository? Connect the repository, or push the commit."
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}
