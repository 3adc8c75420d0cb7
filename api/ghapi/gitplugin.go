package ghapi

import (
	"errors"
	"slices"
	"strings"

	"gitferry/internal/ferry"
	"gitferry/internal/git"
	"gitferry/internal/store"
)

// The read paths of the reference product, so that scripts made for it go on
// working (product-behaviour.md, 27). Every answer begins with success.

// A pluginAnswer is a struct, as all these answers are, to keep success first.
type pluginAnswer struct {
	Success bool           `json:"success"`
	Commits []pluginCommit `json:"commits"`
}

type pluginCommit struct {
	Author        string            `json:"author"` // "Name <mail>"
	CommitID      string            `json:"commitId"`
	IsMergeCommit bool              `json:"isMergeCommit"`
	Date          string            `json:"date"` // with offset
	Message       string            `json:"message"`
	Repository    pluginRepository  `json:"repository"`
	Notes         map[string]string `json:"notes"`
	Branches      []string          `json:"branches"`
	Files         []pluginFile      `json:"files,omitempty"`
}

type pluginRepository struct {
	ID   ferry.RepositoryID `json:"id"`
	Name string             `json:"name"`
}

type pluginFile struct {
	Path       string `json:"path"`
	ChangeType string `json:"changeType"`
}

var changeTypes = map[string]string{"A": "ADDED", "M": "MODIFIED", "D": "DELETED", "R": "RENAMED", "C": "COPIED", "T": "MODIFIED"}

// maxPluginCommits is how many commits of an issue are named.
const maxPluginCommits = 1000

// issueKey reads the key of an issue that Jira does not hide from the subject.
func (s *Server) issueKey(c *call, text string) (ferry.IssueKey, error) {
	key, err := ferry.ParseIssueKey(strings.ToUpper(text))
	if err != nil {
		return key, ferry.ErrNotFound
	}
	if _, hidden := s.Issues.Hides(c.ctx, c.subject, key); hidden {
		return key, ferry.ErrNotFound
	}
	return key, nil
}

// commitsOf returns the commits of an issue that the subject may see, newest
// first.
func (s *Server) commitsOf(c *call, key ferry.IssueKey) ([]store.IndexedCommit, error) {
	var found []store.IndexedCommit
	err := s.walk(func(before string) ([]store.IndexedCommit, error) {
		return s.Store.CommitsByKey(c.ctx, key, store.Page{Limit: 1000, Before: before})
	}, maxSearched, func(list []store.IndexedCommit) {
		for _, row := range list {
			if len(found) < maxPluginCommits && row.Reachable && c.sees(row.Repository) {
				found = append(found, row)
			}
		}
	})
	return found, err
}

func (s *Server) issueCommits(c *call) (any, error) {
	key, err := s.issueKey(c, c.param("key"))
	if err != nil {
		return nil, err
	}
	found, err := s.commitsOf(c, key)
	if err != nil {
		return nil, err
	}
	out := pluginAnswer{Success: true, Commits: []pluginCommit{}}
	branches, err := s.branchesHolding(c, found)
	if err != nil {
		return nil, err
	}
	for _, row := range found {
		p := pluginCommit{Author: row.Author.Name + " <" + row.Author.Email + ">", CommitID: row.OID.String(), IsMergeCommit: len(row.Parents) > 1,
			Date: row.CommittedAt.Format("2006-01-02T15:04:05-07:00"), Message: row.Message, Notes: map[string]string{},
			Repository: pluginRepository{row.Repository.ID, row.Repository.Path()}, Branches: []string{}}
		p.Branches = append(p.Branches, branches[row.Repository.ID][row.OID]...)
		if c.query("showFiles") == "true" {
			files, err := s.Lists.Of(c.ctx, row.Repository.ID, row.OID)
			if err != nil && !errors.Is(err, ferry.ErrNotFound) {
				return nil, err
			}
			for _, f := range files.Files {
				p.Files = append(p.Files, pluginFile{f.Path, changeTypes[f.Status]})
			}
		}
		out.Commits = append(out.Commits, p)
	}
	return out, nil
}

// branchesHolding names, by repository and commit, the branches that hold the
// commits, at most 50 of a repository. It starts git once for a hundred
// commits and once for a branch, not for every commit.
func (s *Server) branchesHolding(c *call, found []store.IndexedCommit) (map[ferry.RepositoryID]map[ferry.OID][]string, error) {
	oids := make(map[ferry.RepositoryID][]ferry.OID)
	for _, row := range found {
		oids[row.Repository.ID] = append(oids[row.Repository.ID], row.OID)
	}
	all := make(map[ferry.RepositoryID]map[ferry.OID][]string)
	for id, list := range oids {
		on, err := s.holding(c, id, list)
		if gone := new(git.ExitError); err != nil && !errors.As(err, &gone) {
			return nil, err
		}
		all[id] = on
	}
	return all, nil
}

func (s *Server) holding(c *call, id ferry.RepositoryID, oids []ferry.OID) (map[ferry.OID][]string, error) {
	const most = 50
	dir := s.Mirror.Path(id)
	var branches []ferry.RefName
	for chunk := range slices.Chunk(oids, 100) { // as many as one command line takes
		names, _, err := s.Git.RefsContaining(c.ctx, dir, chunk, most)
		if err != nil {
			return nil, err
		}
		for _, n := range names {
			if n.IsBranch() && len(branches) < most && !slices.Contains(branches, n) {
				branches = append(branches, n)
			}
		}
	}
	slices.Sort(branches)
	tips, err := s.Store.Refs(c.ctx, id)
	if err != nil {
		return nil, err
	}
	on := make(map[ferry.OID][]string)
	for _, n := range branches {
		tip, ok := tips[n]
		if !ok { // it moved into view a moment ago
			continue
		}
		outside := make(map[ferry.OID]bool)
		err := s.Git.Commits(c.ctx, dir, git.Walk{Tips: oids, Not: []ferry.OID{tip}}, func(walked git.Commit) error {
			outside[walked.OID] = true
			return nil
		})
		if err != nil {
			return nil, err
		}
		for _, o := range oids {
			if !outside[o] {
				on[o] = append(on[o], n.Short())
			}
		}
	}
	return on, nil
}

// byRepository groups the commits of an issue.
func byRepository(found []store.IndexedCommit) (repos []ferry.Repository, oids map[ferry.RepositoryID][]ferry.OID) {
	oids = make(map[ferry.RepositoryID][]ferry.OID)
	for _, row := range found {
		if oids[row.Repository.ID] == nil {
			repos = append(repos, row.Repository)
		}
		if len(oids[row.Repository.ID]) < 100 { // as many as one command line takes
			oids[row.Repository.ID] = append(oids[row.Repository.ID], row.OID)
		}
	}
	return repos, oids
}

// branchesOf are the branches that hold a commit of an issue or whose names
// hold its key.
func (s *Server) branchesOf(c *call, key ferry.IssueKey) ([]ferry.Repository, map[ferry.RepositoryID][]ferry.RefName, int, error) {
	found, err := s.commitsOf(c, key)
	if err != nil {
		return nil, nil, 0, err
	}
	repos, oids := byRepository(found)
	names := make(map[ferry.RepositoryID][]ferry.RefName)
	for _, r := range repos {
		all, _, err := s.Git.RefsContaining(c.ctx, s.Mirror.Path(r.ID), oids[r.ID], 200)
		if gone := new(git.ExitError); err != nil && !errors.As(err, &gone) {
			return nil, nil, 0, err
		}
		names[r.ID] = slices.DeleteFunc(all, func(n ferry.RefName) bool { return !n.IsBranch() })
	}
	linked, err := s.Store.BranchesByKey(c.ctx, key)
	if err != nil {
		return nil, nil, 0, err
	}
	for _, b := range linked {
		if !c.sees(b.Repository) {
			continue
		}
		if !slices.ContainsFunc(repos, func(r ferry.Repository) bool { return r.ID == b.Repository.ID }) {
			repos = append(repos, b.Repository)
		}
		if !slices.Contains(names[b.Repository.ID], b.Name) {
			names[b.Repository.ID] = append(names[b.Repository.ID], b.Name)
		}
	}
	return repos, names, len(found), nil
}

func (s *Server) issueBranches(c *call) (any, error) {
	var list []string
	if text := c.query("key"); text != "" {
		key, err := s.issueKey(c, text)
		if err != nil {
			return nil, err
		}
		repos, names, _, err := s.branchesOf(c, key)
		if err != nil {
			return nil, err
		}
		for _, r := range repos {
			for _, n := range names[r.ID] {
				list = append(list, n.Short())
			}
		}
	} else {
		all, err := s.readable(c)
		if err != nil {
			return nil, err
		}
		for _, r := range all {
			refs, err := s.Store.Refs(c.ctx, r.ID)
			if err != nil {
				return nil, err
			}
			for n := range refs {
				if n.IsBranch() {
					list = append(list, n.Short())
				}
			}
		}
	}
	slices.Sort(list)
	return struct {
		Success  bool     `json:"success"`
		Branches []string `json:"branches"`
	}{true, append([]string{}, slices.Compact(list)...)}, nil
}
