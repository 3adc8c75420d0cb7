package web

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"gitferry/internal/ferry"
	"gitferry/internal/pulls"
	"gitferry/internal/store"
)

// issueAge is how old what we know of an issue may be on a page.
const issueAge = 24 * time.Hour

// Bounds of an issue's page.
const (
	issueCommits   = 50  // on one page of the tab
	maxIssueRollup = 250 // commits counted together
	maxIssueFiles  = 50  // files shown of one commit
	maxPageFiles   = 60  // files shown on one page, for its size (web-ui.md, 13)
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
	AllTags  int          // how many there are
	TagsHref string       // the page with more of them; empty: all are shown
	Failing  []problemRow // repositories whose index is not up to date
	Unknown  bool         // Jira says that there is no such issue
	MayMake  bool         // branches and pull requests
	Off      pulls.Actions
	ByHand   []store.HandLink
	NoDev    bool // Jira does not let the reader see development information
	G        PageSettings
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
	hidden, noDev := s.Issues.Hides(ctx, r.subject, key)
	if hidden {
		return ferry.ErrNotFound
	}
	if err := s.issueHead(ctx, r, &v); err != nil {
		return err
	}
	if v.Issue.MovedTo != "" && v.Issue.MovedTo != key {
		return r.Redirect(http.StatusSeeOther, "/issues/"+string(v.Issue.MovedTo))
	}
	if v.G, err = s.pageSettings(r); err != nil {
		return err
	}
	repos, err := s.readable(r)
	if err != nil {
		return err
	}
	repos = slices.DeleteFunc(repos, func(repo ferry.Repository) bool { return !repo.Allows(key.Project()) })
	if !v.Issue.CheckedAt.IsZero() && !s.Issues.Knows(ctx, r.subject, key) {
		v.Unknown, v.Issue, v.Title = false, store.Issue{}, string(key)
	}
	if noDev {
		v.NoDev = true
		return s.render(r, http.StatusOK, "issue", &v)
	}
	v.MayMake = slices.ContainsFunc(repos, func(repo ferry.Repository) bool { return repo.Region != "" && r.can(ferry.ActionPush, repo.Path()) })
	if v.Off, err = s.Pulls.Actions(ctx); err != nil {
		return err
	}
	names := namesOf(repos)
	if v.ByHand, err = s.Store.HandLinksOf(ctx, key); err != nil {
		return err
	}
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
		v.Rollup, err = s.rollup(ctx, rollupParts(list, names), chosenRollup(r))
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
