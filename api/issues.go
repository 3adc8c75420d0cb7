package api

import (
	"errors"
	"slices"
	"strings"
	"time"

	"gitferry/internal/ferry"
	"gitferry/internal/git"
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
	prs, err := s.pullsOf(c, key)
	if err != nil {
		return out, err
	}
	out.PullRequests = append(out.PullRequests, prs[:min(len(prs), maxShown)]...)
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

// commitsOf are commits that name key, lie on some ref and may be seen, at
// most 100 of a repository, by repository in the order they are met.
func (s *Server) commitsOf(c *call, key ferry.IssueKey) (repos []ferry.Repository, oids map[ferry.RepositoryID][]ferry.OID, err error) {
	oids = make(map[ferry.RepositoryID][]ferry.OID)
	before := ""
	for range maxReads {
		part, err := s.Store.CommitsByKey(c.ctx, key, store.Page{Limit: 1000, Before: before})
		if err != nil {
			return nil, nil, err
		}
		for _, i := range part {
			before = i.Cursor
			if !i.Reachable || !c.may(ferry.ActionRead, i.Repository.Path()) {
				continue
			}
			if oids[i.Repository.ID] == nil {
				repos = append(repos, i.Repository)
			}
			if len(oids[i.Repository.ID]) < 100 { // as many as one command line takes
				oids[i.Repository.ID] = append(oids[i.Repository.ID], i.OID)
			}
		}
		if len(part) < 1000 {
			break
		}
	}
	return repos, oids, nil
}

// heldBranch is a branch that belongs to an issue, and why.
type heldBranch struct {
	branch
	Reason string `json:"reason"` // name: its name holds the key; commit: it holds a commit that does
}

// listIssueBranches lists branches whose names hold a key, and those that hold
// a commit that names it.
func (s *Server) listIssueBranches(c *call) (page[heldBranch], error) {
	key, err := s.visibleKey(c)
	if err != nil {
		return page[heldBranch]{}, err
	}
	named, err := s.Store.BranchesByKey(c.ctx, key)
	if err != nil {
		return page[heldBranch]{}, err
	}
	var all []heldBranch
	seen := make(map[branch]bool)
	for _, b := range named {
		if c.may(ferry.ActionRead, b.Repository.Path()) {
			one := branch{b.Repository.Path(), b.Name, b.OID}
			seen[one] = true
			all = append(all, heldBranch{one, "name"})
		}
	}
	repos, oids, err := s.commitsOf(c, key)
	if err != nil {
		return page[heldBranch]{}, err
	}
	for _, r := range repos {
		names, _, err := s.Git.RefsContaining(c.ctx, s.Mirror.Path(r.ID), oids[r.ID], maxShown)
		if notThere(err) {
			continue
		}
		if err != nil {
			return page[heldBranch]{}, err
		}
		refs, err := s.Store.Refs(c.ctx, r.ID)
		if err != nil {
			return page[heldBranch]{}, err
		}
		for _, n := range names {
			if one := (branch{r.Path(), n, refs[n]}); n.IsBranch() && !seen[one] {
				all = append(all, heldBranch{one, "commit"})
			}
		}
	}
	return cut(c, all, func(b heldBranch) heldBranch { return b })
}

// notThere reports that git could not read a mirror, as before its first copy.
func notThere(err error) bool {
	gone := new(git.ExitError)
	return errors.As(err, &gone)
}

func (s *Server) listIssuePulls(c *call) (page[pullRequest], error) {
	key, err := s.visibleKey(c)
	if err != nil {
		return page[pullRequest]{}, err
	}
	found, err := s.pullsOf(c, key)
	if err != nil {
		return page[pullRequest]{}, err
	}
	return cut(c, found, func(p pullRequest) pullRequest { return p })
}

// pullsOf are the pull requests of an issue that the subject may see.
func (s *Server) pullsOf(c *call, key ferry.IssueKey) ([]pullRequest, error) {
	prs, err := s.Store.PullRequests(c.ctx, store.PullRequestFilter{Key: key})
	if err != nil {
		return nil, err
	}
	paths, err := s.paths(c.ctx)
	if err != nil {
		return nil, err
	}
	var found []pullRequest
	for _, p := range prs {
		if path := paths[p.Repository]; path != "" && c.may(ferry.ActionRead, path) {
			found = append(found, pullRequestOf(p, path))
		}
	}
	return found, nil
}

// tag is a tag that holds a commit of an issue.
type tag struct {
	Repository string        `json:"repository"`
	Name       ferry.RefName `json:"name"`
	OID        ferry.OID     `json:"oid"` // the commit
	By         string        `json:"by"`  // name of the tagger, or of the committer
	At         time.Time     `json:"at"`
	Message    string        `json:"message"` // first line
}

// listIssueTags lists tags that hold a commit that names the issue, newest
// first, at most 100 of a repository.
func (s *Server) listIssueTags(c *call) (page[tag], error) {
	key, err := s.visibleKey(c)
	if err != nil {
		return page[tag]{}, err
	}
	repos, oids, err := s.commitsOf(c, key)
	if err != nil {
		return page[tag]{}, err
	}
	var all []tag
	for _, r := range repos {
		tags, _, err := s.Git.Tags(c.ctx, s.Mirror.Path(r.ID), oids[r.ID], maxShown)
		if notThere(err) {
			continue
		}
		if err != nil {
			return page[tag]{}, err
		}
		for _, t := range tags {
			all = append(all, tag{r.Path(), t.Name, t.Commit, t.Who, time.Unix(t.At, 0).UTC(), t.Subject})
		}
	}
	slices.SortStableFunc(all, func(a, b tag) int { return b.At.Compare(a.At) })
	return cut(c, all, func(t tag) tag { return t })
}

// project reads the key of a project in the path.
func (c *call) project() (string, error) {
	key := strings.ToUpper(c.param("project"))
	if _, err := ferry.ParseIssueKey(key + "-1"); err != nil {
		return "", &ferry.Message{Kind: ferry.ErrNotFound, Text: "want the key of a project such as DEMO", Cause: err}
	}
	return key, nil
}

// projects are the project keys that Jira listed.
type projects struct {
	Known    bool      `json:"known"` // Jira was asked
	ListedAt time.Time `json:"listed_at,omitzero"`
	Keys     []string  `json:"keys"`
}

func (s *Server) listProjects(c *call) (projects, error) {
	keys, known, listed, err := s.Store.Projects(c.ctx)
	return projects{known, listed, list(keys)}, err
}

// projectCommits are the newest commits that name an issue of a project.
type projectCommits struct {
	Items []commit `json:"items"`
	Older bool     `json:"older"` // there may be older ones
}

var projectLimit = param{"limit", "how many, 1 to 100; 50 if it is left out"}

func (s *Server) listProjectCommits(c *call) (projectCommits, error) {
	out := projectCommits{Items: []commit{}}
	key, err := c.project()
	if err != nil {
		return out, err
	}
	limit, err := c.limit()
	if err != nil {
		return out, err
	}
	repos, err := s.Store.Repositories(c.ctx, store.RepositoryFilter{})
	if err != nil {
		return out, err
	}
	repos = slices.DeleteFunc(repos, func(r ferry.Repository) bool { return !c.may(ferry.ActionRead, r.Path()) })
	found, err := s.pages.ProjectCommits(c.ctx, key, repos)
	if err != nil {
		return out, err
	}
	for _, i := range found.Commits[:min(limit, len(found.Commits))] {
		out.Items = append(out.Items, commitOf(i))
	}
	out.Older = found.Older || len(found.Commits) > limit
	return out, nil
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
