package web

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"gitferry/internal/ferry"
	"gitferry/internal/store"
)

type homeView struct {
	page
	Commits  []commitRow
	Failed   []actionRow // own commands that failed
	Problems []problemRow
	Steps    []step // what an administrator has still to set up
	Repos    int    // repositories that the user may read
}

type problemRow struct{ Name, Href, Text string }

// A step is one part of setting up a server.
type step struct {
	Text, Href, Button string
	Done               bool
}

// home shows what happened last.
func (s *Server) home(r *request) error {
	v := homeView{page: s.page(r, "", "home")}
	repos, err := s.readable(r)
	if err != nil {
		return err
	}
	v.Repos = len(repos)
	list, err := s.Store.RecentCommits(r.ctx(), 200)
	if err != nil {
		return err
	}
	list = slices.DeleteFunc(list, func(c store.IndexedCommit) bool { return !r.can(ferry.ActionRead, c.Repository.Path()) })
	v.Commits = commitRows(list[:min(len(list), 15)], namesOf(repos))
	if v.Failed, err = s.ownFailures(r); err != nil {
		return err
	}
	integrations, err := s.Store.Integrations(r.ctx())
	if err != nil {
		return err
	}
	for _, i := range integrations {
		if i.Problem == "" || i.Disabled {
			continue
		}
		p := problemRow{Name: i.Name, Text: i.Problem}
		if r.admin() {
			p.Href = integrationPath(i.ID) + "/connection"
		}
		v.Problems = append(v.Problems, p)
	}
	if r.admin() {
		if v.Steps, err = s.steps(r, len(integrations)); err != nil {
			return err
		}
	}
	return s.render(r, http.StatusOK, "home", &v)
}

// steps lists what a fresh server still needs; none once all is done.
func (s *Server) steps(r *request, integrations int) ([]step, error) {
	site, connected, err := s.jiraSite(r)
	if err != nil {
		return nil, err
	}
	users, err := s.Store.Users(r.ctx())
	if err != nil {
		return nil, err
	}
	all := []step{
		{"Connect Jira, so that commits appear in issues and smart commits run.", "/admin/jira", "Connect Jira", connected && site.URL != ""},
		{"Add an integration, so that repositories appear here.", "/admin/integrations/new", "Add integration", integrations > 0},
		{"Add the people who work with the repositories.", "/admin/users", "Add people", len(users) > 1},
	}
	if !slices.ContainsFunc(all, func(s step) bool { return !s.Done }) {
		return nil, nil
	}
	return all, nil
}

// ownFailures are commands of the user's that Jira refused within 14 days.
func (s *Server) ownFailures(r *request) ([]actionRow, error) {
	dead, err := s.Store.Deliveries(r.ctx(), store.DeliveryFilter{State: string(store.ActionDead), Limit: 200})
	if err != nil {
		return nil, err
	}
	dead = slices.DeleteFunc(dead, func(d store.Delivery) bool {
		return d.Kind != "action" || d.Actor != r.subject.User.ID || r.now.Sub(d.CreatedAt) > 14*24*time.Hour
	})
	return s.actionRows(r, dead[:min(len(dead), 10)])
}

// readable lists the repositories that the user may read.
func (s *Server) readable(r *request) ([]ferry.Repository, error) {
	all, err := s.Store.Repositories(r.ctx(), store.RepositoryFilter{})
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all, func(repo ferry.Repository) bool { return !r.can(ferry.ActionRead, repo.Path()) }), nil
}

// namesOf gives the names that lists show: the bare name where it is the only
// one, else with its owner in front.
func namesOf(repos []ferry.Repository) map[ferry.RepositoryID]string {
	count := make(map[string]int)
	for _, repo := range repos {
		count[repo.Name]++
	}
	names := make(map[ferry.RepositoryID]string, len(repos))
	for _, repo := range repos {
		names[repo.ID] = repo.Name
		if count[repo.Name] > 1 {
			names[repo.ID] = repo.Path()
		}
	}
	return names
}

// A commitRow is a commit in a list.
type commitRow struct {
	OID      ferry.OID
	Href     string
	Message  string
	Author   store.Person
	At       time.Time
	Keys     []ferry.IssueKey
	RepoName string // "" where the list is one repository's
	RepoHref string
	Merge    bool
	Lost     bool   // no ref leads to it any more
	Link     string // page that changes its issues; empty: the reader may not, or the list does not offer it
}

func commitRows(list []store.IndexedCommit, names map[ferry.RepositoryID]string) []commitRow {
	rows := make([]commitRow, 0, len(list))
	for _, c := range list {
		rows = append(rows, commitRowOf(c, names[c.Repository.ID]))
	}
	return rows
}

func commitRowOf(c store.IndexedCommit, name string) commitRow {
	row := commitRow{OID: c.OID, Href: repoPath(c.Repository) + "/commit/" + c.OID.String(), Message: c.Message, Author: c.Author,
		At: c.CommittedAt, RepoName: name, RepoHref: repoPath(c.Repository), Merge: len(c.Parents) > 1, Lost: !c.Reachable}
	for _, l := range c.Links {
		row.Keys = append(row.Keys, l.Key)
	}
	return row
}

// repoPath is the address of a repository's page.
func repoPath(r ferry.Repository) string {
	return "/" + url.PathEscape(r.Owner) + "/" + url.PathEscape(r.Name)
}

// search leads to an issue, a commit or a list of repositories.
func (s *Server) search(r *request) error {
	q := r.form("q")
	if key, err := ferry.ParseIssueKey(strings.ToUpper(q)); err == nil {
		return r.Redirect(http.StatusSeeOther, "/issues/"+string(key))
	}
	if hex := strings.ToLower(q); len(hex) >= 7 && len(hex) <= 40 && strings.Trim(hex, "0123456789abcdef") == "" {
		repos, err := s.readable(r)
		if err != nil {
			return err
		}
		for _, repo := range repos[:min(len(repos), 50)] {
			if oids, err := s.Git.Abbreviated(r.ctx(), s.Mirror.Path(repo.ID), hex); err == nil && len(oids) > 0 {
				return r.Redirect(http.StatusSeeOther, repoPath(repo)+"/commit/"+oids[0].String())
			}
		}
	}
	return r.Redirect(http.StatusSeeOther, "/repos?q="+url.QueryEscape(q))
}
