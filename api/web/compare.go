package web

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"gitferry/internal/ferry"
	"gitferry/internal/git"
)

// maxCompared bounds the commits of a comparison (security.md, UI-10).
const maxCompared = 250

type compareView struct {
	page
	repoHead
	View      string // "summary", "issues", "commits" or "diff"
	Base2     string // names as given: base …
	Compare   string // … and compare
	Rows      []commitRow
	More      bool
	Issues    []issueRow
	JQL       string // address in Jira of all issues
	Rollup    rollup
	Diff      diffView
	Nothing   string // why there is nothing to show
	Unrelated bool
	TwoDot    bool
	SwapHref  string
}

type issueRow struct {
	Key     ferry.IssueKey
	Summary string
	Status  string
	Commits int
}

// compare shows what one branch, tag or commit has and another has not.
func (s *Server) compare(r *request) error {
	h, err := s.repoHead(r, "compare")
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(r.ctx(), viewTime)
	defer cancel()
	rest, err := wildcard(r)
	if err != nil {
		return err
	}
	v := compareView{page: s.page(r, "Compare · "+h.Name, "repos"), repoHead: h, View: "summary", Base2: h.Default}
	if base, compare, ok := strings.Cut(rest, "..."); ok {
		v.Base2, v.Compare = base, compare
	} else if base, compare, ok := strings.Cut(rest, ".."); ok {
		v.Base2, v.Compare, v.TwoDot = base, compare, true
	}
	if q := r.QueryParam("base"); q != "" {
		v.Base2 = q
	}
	if q := r.QueryParam("compare"); q != "" {
		v.Compare = q
	}
	if view := r.QueryParam("view"); slices.Contains([]string{"issues", "commits", "diff"}, view) {
		v.View = view
	}
	if r.QueryParam("compare") != "" { // from the form: the address people share
		return r.Redirect(http.StatusSeeOther, v.Href("view", v.View))
	}
	v.SwapHref = h.Base + "/compare/" + escapePath(v.Compare) + "..." + escapePath(v.Base2)
	if v.Compare == "" {
		v.Nothing = "Choose two branches, tags or commits."
		return s.render(r, http.StatusOK, "compare", &v)
	}
	if err := s.fillCompare(ctx, r, &v); err != nil {
		return err
	}
	return s.render(r, http.StatusOK, "compare", &v)
}

// Href is the address of the same comparison with another query value.
func (v *compareView) Href(name, value string) string {
	dots := "..."
	if v.TwoDot {
		dots = ".."
	}
	return v.Base + "/compare/" + escapePath(v.Base2) + dots + escapePath(v.Compare) + "?" + url.Values{name: {value}}.Encode()
}

func (s *Server) fillCompare(ctx context.Context, r *request, v *compareView) error {
	var places [2]place
	for i, name := range []string{v.Base2, v.Compare} {
		at, err := s.named(ctx, &v.repoHead, name)
		if errors.Is(err, ferry.ErrNotFound) {
			v.Nothing = "There is no branch, tag or commit " + name + " here."
			return nil
		}
		if err != nil {
			return err
		}
		places[i] = at
	}
	base, tip := places[0], places[1]
	dir := s.Mirror.Path(r.repo.ID)
	list, err := s.Git.History(ctx, dir, git.History{Tips: []ferry.OID{tip.OID}, Not: []ferry.OID{base.OID}, Max: maxCompared + 1})
	if err != nil {
		return notCopied(err)
	}
	if len(list) == 0 {
		v.Nothing = "There is nothing to compare: " + v.Base2 + " has every commit of " + v.Compare + "."
		return nil
	}
	if len(list) > maxCompared {
		list, v.More = list[:maxCompared], true
	}
	if v.Rows, err = s.gitRows(ctx, r.repo, list); err != nil {
		return err
	}
	if err := s.compareIssues(r, v); err != nil {
		return err
	}
	from := base.OID
	if !v.TwoDot {
		ancestor, err := s.Git.MergeBase(ctx, dir, base.OID, tip.OID)
		if err != nil {
			return err
		}
		if v.Unrelated = ancestor.IsZero(); !v.Unrelated {
			from = ancestor
		}
	}
	switch v.View {
	case "summary":
		v.Rollup, err = s.rollup(ctx, []rollupPart{{repo: r.repo, name: v.Name, rows: v.Rows}}, chosenRollup(r))
	case "diff":
		v.Diff, err = s.diff(ctx, newDiffRequest(r, from, tip.OID, tip.Name))
	}
	return err
}

// compareIssues lists the issues that the commits name.
func (s *Server) compareIssues(r *request, v *compareView) error {
	count := make(map[ferry.IssueKey]int)
	var keys []ferry.IssueKey
	for _, row := range v.Rows {
		for _, k := range row.Keys {
			if count[k]++; count[k] == 1 {
				keys = append(keys, k)
			}
		}
	}
	cached, err := s.Store.IssuesCached(r.ctx(), keys, issueAge)
	if err != nil {
		return err
	}
	words := make([]string, 0, len(keys))
	for _, k := range keys {
		row := issueRow{Key: k, Commits: count[k]}
		if of, ok := cached[k]; ok && s.Issues.Knows(r.ctx(), r.subject, k) {
			row.Summary, row.Status = of.Summary, of.Status
		}
		v.Issues = append(v.Issues, row)
		words = append(words, string(k))
	}
	site, ok, err := s.jiraSite(r)
	if err != nil || !ok || len(keys) == 0 {
		return err
	}
	v.JQL = site.URL + "/issues/?jql=" + url.QueryEscape("issuekey in ("+strings.Join(words, ",")+")")
	return nil
}
