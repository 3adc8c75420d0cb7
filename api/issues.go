package api

import (
	"slices"
	"strings"
	"time"

	"gitferry/internal/ferry"
	"gitferry/internal/store"
)

// issue is what the index knows of an issue, of what the subject may see.
type issue struct {
	Key          ferry.IssueKey `json:"key"`
	Exists       *bool          `json:"exists"` // null: Jira was not asked lately
	Summary      string         `json:"summary,omitempty"`
	Status       string         `json:"status,omitempty"`
	MovedTo      ferry.IssueKey `json:"moved_to,omitempty"`
	CheckedAt    time.Time      `json:"checked_at,omitzero"`
	Branches     []branch       `json:"branches"`
	PullRequests []pullRequest  `json:"pull_requests"`
}

// branch is a branch whose name holds an issue key.
type branch struct {
	Repository string        `json:"repository"`
	Name       ferry.RefName `json:"name"`
	OID        ferry.OID     `json:"oid"`
}

// maxShown is how many branches and pull requests an issue shows.
const maxShown = 100

// issueMemory is how old an answer of Jira may be to be shown.
const issueMemory = 7 * 24 * time.Hour

func (c *call) issueKey() (ferry.IssueKey, error) {
	key, err := ferry.ParseIssueKey(strings.ToUpper(c.param("key")))
	if err != nil {
		return "", &ferry.Message{Kind: ferry.ErrNotFound, Text: "want an issue key such as DEMO-1", Cause: err}
	}
	return key, nil
}

// visibleKey is issueKey for an issue whose development information Jira does
// not hide from the subject.
func (s *Server) visibleKey(c *call) (ferry.IssueKey, error) {
	key, err := c.issueKey()
	if err != nil {
		return "", err
	}
	if _, hidden := s.Issues.Hides(c.ctx, c.subject, key); hidden {
		return "", &ferry.Message{Kind: ferry.ErrNotFound, Text: "nothing that you may see names this issue"}
	}
	return key, nil
}

func (s *Server) getIssue(c *call) (issue, error) {
	key, err := s.visibleKey(c)
	if err != nil {
		return issue{}, err
	}
	out := issue{Key: key, Branches: []branch{}, PullRequests: []pullRequest{}}
	// What Jira said of the issue is for those who may see a repository that
	// names it; others learn nothing that way.
	branches, err := s.Store.BranchesByKey(c.ctx, key)
	if err != nil {
		return out, err
	}
	for _, b := range branches {
		if c.may(ferry.ActionRead, b.Repository.Path()) && len(out.Branches) < maxShown {
			out.Branches = append(out.Branches, branch{b.Repository.Path(), b.Name, b.OID})
		}
	}
	prs, err := s.Store.PullRequests(c.ctx, store.PullRequestFilter{Key: key})
	if err != nil {
		return out, err
	}
	for _, p := range prs {
		r, err := s.Store.Repository(c.ctx, p.Repository)
		if err != nil {
			return out, err
		}
		if c.may(ferry.ActionRead, r.Path()) && len(out.PullRequests) < maxShown {
			out.PullRequests = append(out.PullRequests, pullRequestOf(p, r.Path()))
		}
	}
	sees := len(out.Branches)+len(out.PullRequests) > 0
	if !sees {
		if sees, err = s.seesCommits(c, key); err != nil {
			return out, err
		}
	}
	if !sees {
		return out, &ferry.Message{Kind: ferry.ErrNotFound, Text: "nothing that you may see names this issue"}
	}
	known, err := s.Store.IssuesCached(c.ctx, []ferry.IssueKey{key}, issueMemory)
	if i, ok := known[key]; ok && s.Issues.Knows(c.ctx, c.subject, key) {
		out.Exists, out.Summary, out.Status, out.MovedTo, out.CheckedAt = &i.Exists, i.Summary, i.Status, i.MovedTo, i.CheckedAt
	}
	return out, err
}

// seesCommits reports whether a commit that the subject may see names key.
func (s *Server) seesCommits(c *call, key ferry.IssueKey) (bool, error) {
	before := ""
	for range maxReads {
		part, err := s.Store.CommitsByKey(c.ctx, key, store.Page{Limit: maxPage, Before: before})
		if err != nil || len(part) == 0 {
			return false, err
		}
		if slices.ContainsFunc(part, func(i store.IndexedCommit) bool { return c.may(ferry.ActionRead, i.Repository.Path()) }) {
			return true, nil
		}
		before = part[len(part)-1].Cursor
	}
	return false, nil
}

func (s *Server) listIssueCommits(c *call) (page[commit], error) {
	key, err := s.visibleKey(c)
	if err != nil {
		return page[commit]{}, err
	}
	return walk(c, func(before string, limit int) ([]store.IndexedCommit, error) {
		return s.Store.CommitsByKey(c.ctx, key, store.Page{Limit: limit, Before: before})
	}, commitCursor, func(i store.IndexedCommit) bool { return c.may(ferry.ActionRead, i.Repository.Path()) }, commitOf)
}

func (s *Server) listIssueDeliveries(c *call) (page[Delivery], error) {
	key, err := c.issueKey()
	if err != nil {
		return page[Delivery]{}, err
	}
	return s.deliveries(c, store.DeliveryFilter{Key: key, State: c.value("state")})
}

// hits are what a search found.
type hits struct {
	Issues       []ferry.IssueKey `json:"issues"`
	Commits      []commit         `json:"commits"`
	Repositories []Repository     `json:"repositories"`
}

// search finds an issue key, a full commit id, or a part of a repository's
// path.
func (s *Server) search(c *call) (hits, error) {
	out := hits{Issues: []ferry.IssueKey{}, Commits: []commit{}, Repositories: []Repository{}}
	q := strings.TrimSpace(c.value("q"))
	if q == "" || len(q) > 256 {
		return out, badRequest("q: want an issue key, a commit id or a part of a repository's path")
	}
	all, err := s.Store.Repositories(c.ctx, store.RepositoryFilter{})
	if err != nil {
		return out, err
	}
	oid, oidErr := ferry.ParseOID(q)
	for _, r := range all {
		if !c.may(ferry.ActionRead, r.Path()) {
			continue
		}
		if strings.Contains(strings.ToLower(r.Path()), strings.ToLower(q)) && len(out.Repositories) < maxShown {
			out.Repositories = append(out.Repositories, RepositoryOf(r))
		}
		if oidErr == nil && len(out.Commits) < maxShown {
			known, err := s.Store.KnownCommits(c.ctx, r.ID, []ferry.OID{oid})
			if err != nil {
				return out, err
			}
			if known[oid] {
				found, err := s.Store.CommitByOID(c.ctx, r.ID, oid)
				if err != nil {
					return out, err
				}
				out.Commits = append(out.Commits, commitOf(found))
			}
		}
	}
	if key, err := ferry.ParseIssueKey(strings.ToUpper(q)); err == nil {
		found, err := s.seesCommits(c, key)
		if err != nil {
			return out, err
		}
		if found {
			out.Issues = append(out.Issues, key)
		}
	}
	return out, nil
}
