package web

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"gitferry/internal/ferry"
	"gitferry/internal/store"
)

// issueAge is how old what we know of an issue may be on a page.
const issueAge = 24 * time.Hour

// Bounds of an issue's page.
const (
	issueCommits   = 50  // on one page of the tab
	maxIssueRollup = 250 // commits counted together
	maxIssueFiles  = 50  // files shown of one commit
	maxPanel       = 50  // branches measured
)

type issueView struct {
	page
	Key      ferry.IssueKey
	Issue    store.Issue
	JiraHref string
	Tab      string // "commits", "rollup" or "delivery"
	Counts   store.IssueSummary
	Groups   []commitGroup
	Next     string
	Rollup   rollup
	Delivery []deliveryRow
	Actions  []actionRow
	Branches []branchRow
	Pulls    []pullRow
	Tags     []tagRow
	MoreTags bool
	Failing  []problemRow // repositories whose index is not up to date
	Unknown  bool         // Jira says that there is no such issue
	MayMake  bool         // branches and pull requests
	G        general
}

// A commitGroup is the commits of one repository.
type commitGroup struct {
	Name, Href, Origin string
	IndexedAt          time.Time
	Rows               []issueCommit
}

// An issueCommit is a commit on an issue's page.
type issueCommit struct {
	commitRow
	Reason   string // why it belongs to the issue
	Smart    *lozenge
	SmartTip string
	State    *lozenge // delivery to Jira
	StateAt  time.Time
	Files    []fileStat
	Counted  bool
	MoreOf   int
}

// issue shows what belongs to an issue.
func (s *Server) issue(r *request) error {
	raw := param(r, "key")
	key, err := ferry.ParseIssueKey(strings.ToUpper(raw))
	if err != nil {
		return ferry.ErrNotFound
	}
	if string(key) != raw {
		return r.Redirect(http.StatusSeeOther, "/issues/"+string(key))
	}
	ctx, cancel := context.WithTimeout(r.ctx(), viewTime)
	defer cancel()
	v := issueView{page: s.page(r, string(key), "issues"), Key: key, Tab: "commits"}
	switch t := r.QueryParam("tab"); t {
	case "rollup", "delivery":
		v.Tab = t
	}
	if err := s.issueHead(ctx, r, &v); err != nil {
		return err
	}
	if v.Issue.MovedTo != "" && v.Issue.MovedTo != key {
		return r.Redirect(http.StatusSeeOther, "/issues/"+string(v.Issue.MovedTo))
	}
	if v.G, err = s.general(r); err != nil {
		return err
	}
	repos, err := s.readable(r)
	if err != nil {
		return err
	}
	v.MayMake = slices.ContainsFunc(repos, func(repo ferry.Repository) bool { return repo.Region != "" && r.can(ferry.ActionPush, repo.Path()) })
	names := namesOf(repos)
	limit := issueCommits
	if v.Tab == "rollup" {
		limit = maxIssueRollup
	}
	list, err := s.Store.CommitsByKey(ctx, key, store.Page{Limit: limit + 1, Before: r.QueryParam("before")})
	if err != nil {
		return err
	}
	if len(list) > limit {
		list = list[:limit]
		v.Next = withQuery(r.Request().URL, "before", list[len(list)-1].Cursor)
	}
	list = slices.DeleteFunc(list, func(c store.IndexedCommit) bool { return names[c.Repository.ID] == "" })
	deliveries, err := s.Store.Deliveries(ctx, store.DeliveryFilter{Key: key, Limit: 1000})
	if err != nil {
		return err
	}
	switch v.Tab {
	case "commits":
		err = s.issueGroups(ctx, &v, list, names, deliveries)
	case "rollup":
		v.Rollup, err = s.rollup(ctx, rollupParts(list, names), r.QueryParam("sort"))
	case "delivery":
		err = s.issueDelivery(r, &v, deliveries, repos)
	}
	if err != nil {
		return notCopied(err)
	}
	if err := s.panel(ctx, r, &v, list, repos, names); err != nil {
		return err
	}
	return s.render(r, http.StatusOK, "issue", &v)
}

// issueHead asks what Jira says of the issue, from the books if they are
// fresh enough.
func (s *Server) issueHead(ctx context.Context, r *request, v *issueView) error {
	cached, err := s.Store.IssuesCached(ctx, []ferry.IssueKey{v.Key}, 10*time.Minute)
	if err != nil {
		return err
	}
	issue, ok := cached[v.Key]
	if !ok && s.Issues != nil {
		issue, ok = s.Issues.States(ctx, []ferry.IssueKey{v.Key})[v.Key]
	}
	if !ok {
		older, err := s.Store.IssuesCached(ctx, []ferry.IssueKey{v.Key}, 7*24*time.Hour)
		if err != nil {
			return err
		}
		issue, ok = older[v.Key]
	}
	v.Issue, v.Unknown = issue, ok && !issue.Exists
	if issue.Summary != "" {
		v.Title = string(v.Key) + " " + issue.Summary
	}
	if v.Counts, err = s.Store.IssueSummary(ctx, v.Key); err != nil {
		return err
	}
	site, connected, err := s.jiraSite(r)
	if connected {
		v.JiraHref = site.URL + "/browse/" + string(v.Key)
	}
	return err
}

// jiraSite returns the Jira site; ok is false while none is connected.
func (s *Server) jiraSite(r *request) (site store.JiraSite, ok bool, err error) {
	site, err = s.Store.JiraSite(r.ctx())
	if errors.Is(err, ferry.ErrNotFound) {
		return site, false, nil
	}
	if safeURL(site.URL) == "" {
		return site, false, err
	}
	return site, err == nil, err
}

// safeURL returns an address that may stand in a link, else "".
func safeURL(raw string) string {
	u, err := url.Parse(raw)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil {
		return ""
	}
	return u.String()
}

// issueGroups fills the tab Git Commits.
func (s *Server) issueGroups(ctx context.Context, v *issueView, list []store.IndexedCommit, names map[ferry.RepositoryID]string, deliveries []store.Delivery) error {
	byRepo := make(map[ferry.RepositoryID][]ferry.OID)
	for _, c := range list {
		byRepo[c.Repository.ID] = append(byRepo[c.Repository.ID], c.OID)
	}
	stats := make(map[objectKey][]fileStat)
	for id, oids := range byRepo {
		st, err := s.fileStats(ctx, id, oids)
		if err != nil {
			s.Log.Debug("counting changed lines", "repo", id, "err", err)
		}
		for o, files := range st {
			stats[objectKey{id, o}] = files
		}
	}
	groups := make(map[ferry.RepositoryID]int)
	for _, c := range list { // newest first, so groups come in the order of their newest commit
		i, ok := groups[c.Repository.ID]
		if !ok {
			i = len(v.Groups)
			groups[c.Repository.ID] = i
			g := commitGroup{Name: names[c.Repository.ID], Href: repoPath(c.Repository), Origin: c.Repository.CloneURL, IndexedAt: c.Repository.IndexedAt}
			if view, err := s.Mirror.View(ctx, c.Repository); err == nil && !view.LookedAt.IsZero() {
				g.IndexedAt = view.LookedAt
			}
			v.Groups = append(v.Groups, g)
		}
		row := issueCommit{commitRow: commitRowOf(c, ""), Reason: reasonOf(c.Links, v.Key)}
		row.Files, row.Counted = stats[objectKey{c.Repository.ID, c.OID}], stats[objectKey{c.Repository.ID, c.OID}] != nil
		if n := len(row.Files); n > maxIssueFiles {
			row.Files, row.MoreOf = row.Files[:maxIssueFiles], n-maxIssueFiles
		}
		smartState(&row, c, deliveries)
		v.Groups[i].Rows = append(v.Groups[i].Rows, row)
	}
	return nil
}

// reasonOf says in words why a commit belongs to an issue.
func reasonOf(links []store.Link, key ferry.IssueKey) string {
	for _, l := range links {
		if l.Key == key {
			return reasonWords(l.Reason)
		}
	}
	return ""
}

func reasonWords(reason string) string {
	words := map[string]string{"message": "in the message", "branch": "in the branch name", "manual": "linked by hand", "note": "in a note",
		"pr-title": "in the title", "pr-description": "in the description", "pr-branch": "in the branch name", "pr-commit": "in a commit", "tag-commit": "in a commit"}
	return display(words[reason], reason)
}

// smartState adds how the commit's commands for the issue, and its delivery,
// stand.
func smartState(row *issueCommit, c store.IndexedCommit, deliveries []store.Delivery) {
	failed, waiting, ran := 0, 0, 0
	var tips []string
	for _, d := range deliveries {
		if d.Repository != c.Repository.ID || d.EntityID != c.OID.String() {
			continue
		}
		if d.Kind != "action" {
			st := entityState(d.State)
			row.State, row.StateAt = &st, d.SentAt
			continue
		}
		switch store.ActionState(d.State) {
		case store.ActionDead:
			failed++
			tips = append(tips, commandText(d.Command)+": "+d.Problem)
		case store.ActionDone, store.ActionSkipped:
			ran++
		default:
			waiting++
		}
	}
	switch {
	case failed > 0:
		row.Smart, row.SmartTip = &lozenge{"bad", "SMART COMMIT ERROR"}, strings.Join(tips, "\n")
	case waiting > 0:
		row.Smart = &lozenge{"warn", "SMART COMMIT PENDING"}
	case ran > 0:
		row.Smart = &lozenge{"ok", "SMART COMMIT"}
	}
}

// issueDelivery fills the tab Delivery.
func (s *Server) issueDelivery(r *request, v *issueView, list []store.Delivery, repos []ferry.Repository) error {
	byID := make(map[ferry.RepositoryID]ferry.Repository, len(repos))
	for _, repo := range repos {
		byID[repo.ID] = repo
	}
	var actions []store.Delivery
	for _, d := range list {
		repo, ok := byID[d.Repository]
		switch {
		case d.Kind == "action":
			actions = append(actions, d)
		case ok:
			v.Delivery = append(v.Delivery, s.deliveryRow(d, repo))
		}
	}
	var err error
	v.Actions, err = s.actionRows(r, actions)
	return err
}

// panel fills the side column: branches, pull requests, tags.
func (s *Server) panel(ctx context.Context, r *request, v *issueView, list []store.IndexedCommit, repos []ferry.Repository, names map[ferry.RepositoryID]string) error {
	byID := make(map[ferry.RepositoryID]ferry.Repository)
	involved := make(map[ferry.RepositoryID][]ferry.OID)
	for _, c := range list {
		byID[c.Repository.ID] = c.Repository
		if c.Reachable && len(involved[c.Repository.ID]) < 50 {
			involved[c.Repository.ID] = append(involved[c.Repository.ID], c.OID)
		}
	}
	if err := s.panelBranches(ctx, r, v, byID, involved, names); err != nil {
		return err
	}
	for id, oids := range involved {
		if v.G.HideTags {
			break
		}
		rows, more, err := s.tagRows(ctx, byID[id], oids, 5)
		if err != nil {
			s.Log.Debug("listing tags", "repo", id, "err", err)
			continue
		}
		for i := range rows {
			rows[i].RepoName = names[id]
		}
		v.Tags, v.MoreTags = append(v.Tags, rows...), v.MoreTags || more
	}
	slices.SortStableFunc(v.Tags, func(a, b tagRow) int { return b.At.Compare(a.At) })
	pulls, err := s.Store.PullRequests(ctx, store.PullRequestFilter{Key: v.Key, Limit: 100})
	if err != nil {
		return err
	}
	for _, p := range pulls {
		for _, repo := range repos {
			if repo.ID == p.Repository {
				row := pullRowOf(repo, p)
				row.RepoName = names[repo.ID]
				v.Pulls = append(v.Pulls, row)
			}
		}
	}
	slices.SortStableFunc(v.Pulls, func(a, b pullRow) int {
		if c := cmp.Compare(b.Status, a.Status); c != 0 { // "open" after "closed" in the alphabet
			return c
		}
		return b.UpdatedAt.Compare(a.UpdatedAt)
	})
	s.failing(ctx, r, v, repos, names)
	return nil
}

// panelBranches lists branches that are not merged and have the key in their
// name or in commits of their own.
func (s *Server) panelBranches(ctx context.Context, r *request, v *issueView, byID map[ferry.RepositoryID]ferry.Repository, involved map[ferry.RepositoryID][]ferry.OID, names map[ferry.RepositoryID]string) error {
	found := make(map[ferry.RepositoryID]map[string]string) // by repository: branch and reason
	note := func(repo ferry.Repository, branch, reason string) {
		if found[repo.ID] == nil {
			found[repo.ID] = make(map[string]string)
		}
		if found[repo.ID][branch] == "" {
			found[repo.ID][branch] = reason
		}
		byID[repo.ID] = repo
	}
	byName, err := s.Store.BranchesByKey(ctx, v.Key)
	if err != nil {
		return err
	}
	for _, b := range byName {
		if names[b.Repository.ID] != "" {
			note(b.Repository, b.Name.Short(), "key in the name")
		}
	}
	for id, oids := range involved {
		refs, _, err := s.Git.RefsContaining(ctx, s.Mirror.Path(id), oids, maxPanel)
		if err != nil {
			s.Log.Debug("looking for branches", "repo", id, "err", err)
			continue
		}
		for _, n := range refs {
			if n.IsBranch() {
				note(byID[id], n.Short(), "key in a commit")
			}
		}
	}
	for id, branches := range found {
		q := *r
		q.repo = byID[id]
		h, err := s.repoHead(&q, "")
		if err != nil {
			return err
		}
		for name, reason := range branches {
			if len(v.Branches) >= maxPanel || name == h.Default && (!v.G.ShowMain || reason != "key in the name") || h.lookup(ferry.RefName("refs/heads/"+name)).IsZero() {
				continue
			}
			row, err := s.branchRow(ctx, &h, name)
			if err != nil {
				s.Log.Debug("measuring a branch", "repo", id, "branch", name, "err", err)
				continue
			}
			if row.Counted && row.Ahead == 0 && reason != "key in the name" { // merged
				continue
			}
			row.Reason, row.RepoName, row.RepoHref = reason, names[id], repoPath(byID[id])
			v.Branches = append(v.Branches, row)
		}
	}
	slices.SortFunc(v.Branches, func(a, b branchRow) int {
		if c := b.At.Compare(a.At); c != 0 {
			return c
		}
		return cmp.Compare(a.RepoName+a.Name, b.RepoName+b.Name)
	})
	return nil
}

// failing lists repositories whose commits may be missing here.
func (s *Server) failing(ctx context.Context, r *request, v *issueView, repos []ferry.Repository, names map[ferry.RepositoryID]string) {
	for _, repo := range repos {
		if repo.State != ferry.RepositoryEnabled {
			continue
		}
		view, err := s.Mirror.View(ctx, repo)
		if err != nil || view.Failure == nil {
			continue
		}
		p := problemRow{Name: names[repo.ID], Text: "its upstream does not answer; ask an administrator"}
		if r.admin() {
			p.Text, p.Href = display(text(view.Failure), "its upstream does not answer"), repositoryAdminPath(repo.ID)+"/log"
		}
		v.Failing = append(v.Failing, p)
	}
}

type projectView struct {
	page
	Key    string
	Rows   []commitRow
	Scan   int // how many commits were looked at
	Older  bool
	Issues int
}

// project lists the newest commits that name an issue of a project.
func (s *Server) project(r *request) error {
	key := strings.ToUpper(param(r, "key"))
	if _, err := ferry.ParseIssueKey(key + "-1"); err != nil {
		return ferry.ErrNotFound
	}
	if key != param(r, "key") {
		return r.Redirect(http.StatusSeeOther, "/projects/"+key)
	}
	v := projectView{page: s.page(r, key, "issues"), Key: key}
	repos, err := s.readable(r)
	if err != nil {
		return err
	}
	names := namesOf(repos)
	var all []commitRow
	for _, repo := range repos[:min(len(repos), 100)] {
		list, err := s.Store.LinkedCommits(r.ctx(), repo.ID, store.OnlyLinked, store.Page{Limit: 200})
		if err != nil {
			return err
		}
		v.Scan += len(list)
		v.Older = v.Older || len(list) == 200
		for _, c := range list {
			if slices.ContainsFunc(c.Links, func(l store.Link) bool { return l.Key.Project() == key }) {
				all = append(all, commitRowOf(c, names[repo.ID]))
			}
		}
	}
	slices.SortStableFunc(all, func(a, b commitRow) int { return b.At.Compare(a.At) })
	seen := make(map[ferry.IssueKey]bool)
	for _, row := range all {
		for _, k := range row.Keys {
			seen[k] = seen[k] || k.Project() == key
		}
	}
	v.Issues = len(seen)
	v.Rows = all[:min(len(all), 100)]
	return s.render(r, http.StatusOK, "project", &v)
}
