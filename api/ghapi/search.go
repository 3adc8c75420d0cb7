package ghapi

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"gitferry/internal/ferry"
	"gitferry/internal/ghshape"
	"gitferry/internal/store"
)

const (
	maxFound    = 1000   // results of one search
	maxSearched = 20_000 // commits looked at without an issue key to go by
)

// A search is what a query asks for.
type search struct {
	words      []string // lower case, all must be there
	keys       []ferry.IssueKey
	qualifiers []qualifier
}

type qualifier struct{ name, value string }

// parseSearch splits a query into words, phrases in quotes and qualifiers.
// Only the qualifiers named may be used.
func parseSearch(q string, allowed ...string) (search, error) {
	var out search
	if len(q) > 256 {
		return out, invalid("Search", "q", "is longer than 256 characters")
	}
	for q = strings.TrimSpace(q); q != ""; q = strings.TrimSpace(q) {
		name, value := "", ""
		if i := strings.IndexAny(q, ": \""); i > 0 && q[i] == ':' {
			name, q = strings.ToLower(q[:i]), q[i+1:]
		}
		if strings.HasPrefix(q, `"`) {
			value, q, _ = strings.Cut(q[1:], `"`)
		} else {
			value, q, _ = strings.Cut(q, " ")
		}
		switch {
		case name == "":
			out.words = append(out.words, strings.ToLower(value))
			if key, err := ferry.ParseIssueKey(strings.ToUpper(value)); err == nil {
				out.keys = append(out.keys, key)
			}
		case !slices.Contains(allowed, name):
			return out, invalid("Search", "q", "the qualifier "+name+" is not known here")
		default:
			out.qualifiers = append(out.qualifiers, qualifier{name, value})
		}
	}
	return out, nil
}

// among keeps the repositories that the query names, of those that the
// subject may read.
func (q search) among(all []ferry.Repository) []ferry.Repository {
	return slices.DeleteFunc(all, func(r ferry.Repository) bool {
		for _, f := range q.qualifiers {
			switch f.name {
			case "repo":
				if !strings.EqualFold(f.value, r.Path()) {
					return true
				}
			case "org", "user":
				if !strings.EqualFold(f.value, r.Owner) {
					return true
				}
			}
		}
		return false
	})
}

// results frames what a search found.
func results(total int, incomplete bool, items []object) object {
	return object{"total_count": total, "incomplete_results": incomplete, "items": items}
}

var commitQualifiers = []string{"repo", "org", "user", "author", "author-email", "author-name", "committer", "committer-email", "committer-name",
	"hash", "parent", "merge", "author-date", "committer-date", "is"}

// searchCommits finds commits by words of their messages. An issue key is
// looked up as such, so that PROJ-1 does not find PROJ-10.
func (s *Server) searchCommits(c *call) (any, error) {
	q, err := parseSearch(c.query("q"), commitQualifiers...)
	if err != nil {
		return nil, err
	}
	all, err := s.readable(c)
	if err != nil {
		return nil, err
	}
	all = q.among(all)
	want, err := s.filters(c, q)
	if err != nil {
		return nil, err
	}
	var found []store.IndexedCommit
	incomplete := false
	read := func(list []store.IndexedCommit) {
		for _, row := range list {
			if len(found) < maxFound && slices.ContainsFunc(all, func(r ferry.Repository) bool { return r.ID == row.Repository.ID }) && want(row) {
				found = append(found, row)
			}
		}
	}
	if len(q.keys) > 0 {
		err = s.walk(func(before string) ([]store.IndexedCommit, error) {
			return s.Store.CommitsByKey(c.ctx, q.keys[0], store.Page{Limit: 1000, Before: before})
		}, maxSearched, read)
	} else {
		for _, r := range all {
			err = errors.Join(err, s.walk(func(before string) ([]store.IndexedCommit, error) {
				return s.Store.LinkedCommits(c.ctx, r.ID, store.AllCommits, store.Page{Limit: 1000, Before: before})
			}, maxSearched/len(all), read))
		}
		incomplete = true // older commits were not looked at
	}
	if err != nil {
		return nil, err
	}
	when := func(row store.IndexedCommit) time.Time { return row.CommittedAt }
	if c.query("sort") == "author-date" {
		when = func(row store.IndexedCommit) time.Time { return row.AuthoredAt }
	}
	slices.SortStableFunc(found, func(a, b store.IndexedCommit) int { return when(b).Compare(when(a)) })
	if c.query("order") == "asc" {
		slices.Reverse(found)
	}
	var failure error
	items := cut(s, c, found, func(row store.IndexedCommit) object {
		o, err := s.foundCommit(c, row, q)
		failure = errors.Join(failure, err)
		return o
	})
	return results(len(found), incomplete && len(found) < maxFound && len(all) > 0, items), failure
}

// walk reads a list part by part, at most max rows of it.
func (s *Server) walk(part func(before string) ([]store.IndexedCommit, error), max int, each func([]store.IndexedCommit)) error {
	before := ""
	for n := 0; n < max; n += 1000 {
		list, err := part(before)
		if err != nil {
			return err
		}
		each(list)
		if len(list) < 1000 {
			return nil
		}
		before = list[len(list)-1].Cursor
	}
	return nil
}

// foundCommit writes one result.
func (s *Server) foundCommit(c *call, row store.IndexedCommit, q search) (object, error) {
	c.repo = row.Repository
	files, err := s.Lists.Of(c.ctx, row.Repository.ID, row.OID)
	if err != nil && !errors.Is(err, ferry.ErrNotFound) {
		return nil, err
	}
	shown, err := s.shown(c, row.Commit, files.Tree)
	if err != nil {
		return nil, err
	}
	o := s.shape.Commit(row.Repository, shown)
	o["repository"] = s.shape.Repository(row.Repository, row.Repository.IndexedAt, c.rights(row.Repository))
	o["score"] = 1
	if c.format == "text-match" {
		matches := []object{}
		for _, w := range q.words {
			if i := strings.Index(strings.ToLower(shown.Message), w); i >= 0 {
				matches = append(matches, object{"text": w, "indices": []int{i, i + len(w)}})
			}
		}
		o["text_matches"] = []object{{"object_url": o["url"], "object_type": "Commit", "property": "message", "fragment": shown.Message, "matches": matches}}
	}
	return o, nil
}

// filters makes one test of all that the query asks of a commit.
func (s *Server) filters(c *call, q search) (func(store.IndexedCommit) bool, error) {
	var tests []func(store.IndexedCommit) bool
	add := func(f func(store.IndexedCommit) bool) { tests = append(tests, f) }
	for _, w := range q.words {
		if key, err := ferry.ParseIssueKey(strings.ToUpper(w)); err == nil {
			add(func(r store.IndexedCommit) bool {
				return slices.ContainsFunc(r.Links, func(l store.Link) bool { return l.Key == key })
			})
			continue
		}
		add(func(r store.IndexedCommit) bool { return strings.Contains(strings.ToLower(r.Message), w) })
	}
	for _, f := range q.qualifiers {
		f.value = strings.ToLower(f.value)
		switch f.name {
		case "author", "committer":
			email, err := s.address(c, f.value)
			if err != nil {
				return nil, err
			}
			add(func(r store.IndexedCommit) bool {
				return "<"+strings.ToLower(side(r, f.name).Email)+">" == strings.ToLower(email)
			})
		case "author-email", "committer-email":
			add(func(r store.IndexedCommit) bool { return strings.ToLower(side(r, f.name).Email) == f.value })
		case "author-name", "committer-name":
			add(func(r store.IndexedCommit) bool {
				return strings.Contains(strings.ToLower(side(r, f.name).Name), f.value)
			})
		case "hash":
			add(func(r store.IndexedCommit) bool { return f.value != "" && strings.HasPrefix(r.OID.String(), f.value) })
		case "parent":
			add(func(r store.IndexedCommit) bool {
				return slices.ContainsFunc(r.Parents, func(o ferry.OID) bool { return f.value != "" && strings.HasPrefix(o.String(), f.value) })
			})
		case "merge":
			add(func(r store.IndexedCommit) bool { return (len(r.Parents) > 1) == (f.value == "true") })
		case "author-date", "committer-date":
			in, err := span(f.value)
			if err != nil {
				return nil, err
			}
			add(func(r store.IndexedCommit) bool {
				if f.name == "author-date" {
					return in(r.AuthoredAt)
				}
				return in(r.CommittedAt)
			})
		}
	}
	return func(r store.IndexedCommit) bool {
		for _, t := range tests {
			if !t(r) {
				return false
			}
		}
		return true
	}, nil
}

func side(r store.IndexedCommit, name string) store.Person {
	if strings.HasPrefix(name, "author") {
		return r.Author
	}
	return r.Committer
}

// span reads >T, >=T, <T, <=T, A..B or a day.
func span(v string) (func(time.Time) bool, error) {
	moment := func(v string) (from, to time.Time, err error) {
		if from, err = time.Parse(time.DateOnly, v); err == nil {
			return from, from.AddDate(0, 0, 1), nil
		}
		from, err = time.Parse(time.RFC3339, strings.ToUpper(v))
		return from, from.Add(time.Second), err
	}
	bad := invalid("Search", "q", fmt.Sprintf("%.40q is no time such as 2026-01-02, >2026-01-02 or 2026-01-02..2026-02-03", v))
	if a, b, ok := strings.Cut(v, ".."); ok {
		from, _, err := moment(a)
		if a == "*" {
			from, err = time.Time{}, nil
		}
		if err != nil {
			return nil, bad
		}
		_, to, err := moment(b)
		if b == "*" {
			to, err = time.Unix(1<<40, 0), nil
		}
		if err != nil {
			return nil, bad
		}
		return func(t time.Time) bool { return !t.Before(from) && t.Before(to) }, nil
	}
	for _, op := range []string{">=", "<=", ">", "<", ""} {
		rest, ok := strings.CutPrefix(v, op)
		if !ok {
			continue
		}
		from, to, err := moment(rest)
		if err != nil {
			return nil, bad
		}
		switch op {
		case ">=":
			return func(t time.Time) bool { return !t.Before(from) }, nil
		case "<=":
			return func(t time.Time) bool { return t.Before(to) }, nil
		case ">":
			return func(t time.Time) bool { return !t.Before(to) }, nil
		case "<":
			return func(t time.Time) bool { return t.Before(from) }, nil
		}
		return func(t time.Time) bool { return !t.Before(from) && t.Before(to) }, nil
	}
	return nil, bad
}

// searchRepositories finds repositories by parts of their paths.
func (s *Server) searchRepositories(c *call) (any, error) {
	q, err := parseSearch(c.query("q"), "repo", "org", "user", "fork", "in", "is", "archived")
	if err != nil {
		return nil, err
	}
	all, err := s.readable(c)
	if err != nil {
		return nil, err
	}
	all = slices.DeleteFunc(q.among(all), func(r ferry.Repository) bool {
		return slices.ContainsFunc(q.words, func(w string) bool { return !strings.Contains(strings.ToLower(r.Path()), w) })
	})
	items := cut(s, c, all, func(r ferry.Repository) object {
		o := s.shape.Repository(r, r.IndexedAt, c.rights(r))
		o["score"] = 1
		return o
	})
	return results(len(all), false, items), nil
}

// searchPulls finds pull requests by words of their titles; there are no
// other issues here.
func (s *Server) searchPulls(c *call) (any, error) {
	q, err := parseSearch(c.query("q"), "repo", "org", "user", "is", "type", "state", "head", "base", "in")
	if err != nil {
		return nil, err
	}
	if c.query("q") == "" {
		return nil, problem(http.StatusUnprocessableEntity, "Validation Failed")
	}
	all, err := s.readable(c)
	if err != nil {
		return nil, err
	}
	type hit struct {
		repo ferry.Repository
		pull store.PullRequest
	}
	var found []hit
	for _, r := range q.among(all) {
		pulls, err := s.Store.PullRequests(c.ctx, store.PullRequestFilter{Repository: r.ID})
		if err != nil {
			return nil, err
		}
		for _, p := range pulls {
			if q.fits(p) && len(found) < maxFound {
				found = append(found, hit{r, p})
			}
		}
	}
	slices.SortStableFunc(found, func(a, b hit) int { return b.pull.UpdatedAt.Compare(a.pull.UpdatedAt) })
	var failure error
	items := cut(s, c, found, func(h hit) object {
		author, err := s.stranger(c, h.pull.Author)
		failure = errors.Join(failure, err)
		return s.foundPull(h.repo, h.pull, author)
	})
	o := results(len(found), false, items)
	o["search_type"] = "lexical"
	return o, failure
}

func (q search) fits(p store.PullRequest) bool {
	for _, w := range q.words {
		key, err := ferry.ParseIssueKey(strings.ToUpper(w))
		if err == nil && slices.Contains(p.Keys, key) {
			continue
		}
		if err == nil || !strings.Contains(strings.ToLower(p.Title), w) {
			return false
		}
	}
	for _, f := range q.qualifiers {
		v := strings.ToLower(f.value)
		ok := true
		switch f.name + ":" + v {
		case "is:open", "is:closed", "state:open", "state:closed":
			ok = p.Status == v
		case "is:merged":
			ok = p.Merged
		case "is:unmerged":
			ok = !p.Merged
		case "is:issue", "type:issue":
			ok = false
		}
		if f.name == "head" {
			ok = p.Source.Short() == f.value
		}
		if f.name == "base" {
			ok = p.Destination.Short() == f.value
		}
		if !ok {
			return false
		}
	}
	return true
}

// foundPull writes a pull request in the shape of an issue.
func (s *Server) foundPull(r ferry.Repository, p store.PullRequest, author object) object {
	shown := s.shape.Pull(r, p, nil, author)
	issue := shown["issue_url"].(string)
	o := object{"url": issue, "repository_url": s.shape.Repo(r), "labels_url": issue + "/labels{/name}", "comments_url": issue + "/comments",
		"events_url": issue + "/events", "comments": 0, "score": 1, "labels": []object{}, "milestone": nil, "assignee": nil,
		"node_id": ghshape.NodeID("Issue", shown["id"]),
		"pull_request": object{"url": shown["url"], "html_url": shown["html_url"], "diff_url": shown["diff_url"], "patch_url": shown["patch_url"],
			"merged_at": shown["merged_at"]}}
	for _, name := range []string{"html_url", "id", "number", "title", "user", "state", "locked", "created_at", "updated_at", "closed_at", "author_association"} {
		o[name] = shown[name]
	}
	o["body"] = p.Description
	return o
}
