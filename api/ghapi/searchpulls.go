package ghapi

import (
	"errors"
	"net/http"
	"slices"
	"strings"

	"gitferry/internal/ferry"
	"gitferry/internal/ghshape"
	"gitferry/internal/store"
)

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
