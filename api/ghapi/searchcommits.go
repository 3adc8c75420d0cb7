package ghapi

import (
	"errors"
	"slices"
	"strings"
	"time"

	"gitferry/internal/ferry"
	"gitferry/internal/store"
)

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
