package ghapi

import (
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"gitferry/internal/ferry"
	"gitferry/internal/git"
	"gitferry/internal/store"
)

// The read paths of the reference product, so that scripts made for it go on
// working (product-behaviour.md, 27). Every answer begins with success.

// An answer keeps success first, which a map would not.
type pluginAnswer struct {
	Success bool `json:"success"`
	pluginCommits
}

type pluginCommits struct {
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

func (c *call) issueKey(text string) (ferry.IssueKey, error) {
	key, err := ferry.ParseIssueKey(strings.ToUpper(text))
	if err != nil {
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
			if len(found) < maxPluginCommits && row.Reachable && c.may(ferry.ActionRead, row.Repository.Path()) {
				found = append(found, row)
			}
		}
	})
	return found, err
}

func (s *Server) issueCommits(c *call) (any, error) {
	key, err := c.issueKey(c.param("key"))
	if err != nil {
		return nil, err
	}
	found, err := s.commitsOf(c, key)
	if err != nil {
		return nil, err
	}
	out := pluginAnswer{Success: true, pluginCommits: pluginCommits{Commits: []pluginCommit{}}}
	for _, row := range found {
		p := pluginCommit{Author: row.Author.Name + " <" + row.Author.Email + ">", CommitID: row.OID.String(), IsMergeCommit: len(row.Parents) > 1,
			Date: row.CommittedAt.Format("2006-01-02T15:04:05-07:00"), Message: row.Message, Notes: map[string]string{},
			Repository: pluginRepository{row.Repository.ID, row.Repository.Path()}, Branches: []string{}}
		names, _, err := s.Git.RefsContaining(c.ctx, s.Mirror.Path(row.Repository.ID), []ferry.OID{row.OID}, 50)
		if gone := new(git.ExitError); err != nil && !errors.As(err, &gone) {
			return nil, err
		}
		for _, n := range names {
			if n.IsBranch() {
				p.Branches = append(p.Branches, n.Short())
			}
		}
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
		if !c.may(ferry.ActionRead, b.Repository.Path()) {
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
		key, err := c.issueKey(text)
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

type pluginBranch struct {
	Name        string `json:"name"`
	IsPresented bool   `json:"isAheadBehindPresented"`
	Ahead       int    `json:"ahead"`
	Behind      int    `json:"behind"`
	ExternalURL string `json:"externalUrl"`
}

type pluginDetails struct {
	RepoID   ferry.RepositoryID `json:"repoId"`
	RepoName string             `json:"repoName"`
	Viewer   bool               `json:"isGitViewerEnabled"`
	API      bool               `json:"isRepoApiEnabled"`
	Branches []pluginBranch     `json:"branches"`
}

func (s *Server) issueDetails(c *call) (any, error) {
	key, err := c.issueKey(c.param("key"))
	if err != nil {
		return nil, err
	}
	repos, names, n, err := s.branchesOf(c, key)
	if err != nil {
		return nil, err
	}
	list := []pluginDetails{}
	for _, r := range repos {
		c.repo = r
		refs, err := s.refs(c)
		if err != nil {
			return nil, err
		}
		main := s.mainBranch(c, refs)
		d := pluginDetails{RepoID: r.ID, RepoName: r.Path(), Viewer: true, API: r.Region != "", Branches: []pluginBranch{}}
		for i, name := range names[r.ID] {
			b := pluginBranch{Name: name.Short(), ExternalURL: s.shape.Page(r) + "/tree/" + name.Short()}
			tip, base := refs[name], refs[ferry.RefName("refs/heads/"+main)]
			if i < 20 && name.Short() != main && !tip.OID.IsZero() && !base.OID.IsZero() {
				if b.Ahead, b.Behind, err = s.Git.AheadBehind(c.ctx, s.dir(c), base.OID, tip.OID); err == nil {
					b.IsPresented = true
				}
			}
			d.Branches = append(d.Branches, b)
		}
		list = append(list, d)
	}
	return struct {
		Success      bool            `json:"success"`
		CommitCount  int             `json:"commitCount"`
		Repositories []pluginDetails `json:"repositories"`
	}{true, n, list}, nil
}

type pluginTag struct {
	Name      string             `json:"name"`
	CommitID  string             `json:"commitId"`
	RepoID    ferry.RepositoryID `json:"repoId"`
	RepoName  string             `json:"repoName"`
	Formatted string             `json:"creationDateFormatted"`
	Created   int64              `json:"creationDate"` // ms
	Who       string             `json:"committerName"`
	Email     string             `json:"committerEmail"`
	Message   string             `json:"message"`
}

// issueTags lists the tags that hold a commit of an issue.
func (s *Server) issueTags(c *call) (any, error) {
	key, err := c.issueKey(c.param("key"))
	if err != nil {
		return nil, err
	}
	most := 10
	if n, err := strconv.Atoi(c.query("tagsPerRepository")); err == nil && n > 0 {
		most = min(n, 100)
	}
	found, err := s.commitsOf(c, key)
	if err != nil {
		return nil, err
	}
	repos, oids := byRepository(found)
	out := struct {
		Success  bool        `json:"success"`
		Tags     []pluginTag `json:"tags"`
		HasMore  bool        `json:"hasMore"`
		FirstTag string      `json:"firstTag"`
		Enabled  bool        `json:"isTagsFeatureEnabled"`
		Problem  string      `json:"calculationError"`
	}{Success: true, Tags: []pluginTag{}, Enabled: true}
	for _, r := range repos {
		tags, more, err := s.Git.Tags(c.ctx, s.Mirror.Path(r.ID), oids[r.ID], most)
		if gone := new(git.ExitError); errors.As(err, &gone) {
			out.Problem = "the repository cannot be read now: " + r.Path()
			continue
		}
		if err != nil {
			return nil, err
		}
		out.HasMore = out.HasMore || more
		for _, t := range tags {
			at := time.Unix(t.At, 0).UTC()
			out.Tags = append(out.Tags, pluginTag{Name: t.Name.Short(), CommitID: t.Commit.String(), RepoID: r.ID, RepoName: r.Path(),
				Formatted: at.Format("2006-01-02 15:04"), Created: at.UnixMilli(), Who: t.Who, Message: t.Subject})
		}
	}
	slices.SortStableFunc(out.Tags, func(a, b pluginTag) int { return int(b.Created - a.Created) })
	if n := len(out.Tags); n > 0 {
		out.FirstTag = out.Tags[n-1].Name
	}
	return out, nil
}

func (s *Server) gitRepositories(c *call) (any, error) {
	all, err := s.readable(c)
	if err != nil {
		return nil, err
	}
	list := []object{}
	for _, r := range all {
		list = append(list, object{"id": r.ID, "name": r.Path(), "displayName": r.Name, "integrationId": r.IntegrationID, "region": r.Region,
			"origin": r.CloneURL, "enabled": r.State == ferry.RepositoryEnabled, "mainBranch": r.DefaultBranch})
	}
	return struct {
		Success      bool     `json:"success"`
		Repositories []object `json:"repositories"`
	}{true, list}, nil
}

func (s *Server) gitIntegrations(c *call) (any, error) {
	n, err := s.owners(c)
	if err != nil {
		return nil, err
	}
	all, err := s.Store.Integrations(c.ctx)
	if err != nil {
		return nil, err
	}
	list := []object{}
	for _, i := range all {
		if n[i.ID] == 0 && !c.may(ferry.ActionAdmin, "") {
			continue
		}
		kind := "AWS"
		if i.Kind == ferry.KindGit {
			kind = "GIT"
		}
		list = append(list, object{"id": i.ID, "name": i.Slug, "type": kind, "awsRegion": i.Region, "disabled": i.Disabled, "repositories": n[i.ID]})
	}
	return struct {
		Success      bool     `json:"success"`
		Integrations []object `json:"integrations"`
	}{true, list}, nil
}

// commitIssues lists the issues that a commit names.
func (s *Server) commitIssues(c *call) (any, error) {
	id, err := c.number("id")
	if err != nil {
		return nil, err
	}
	r, err := s.Store.Repository(c.ctx, ferry.RepositoryID(id))
	if err != nil {
		return nil, err
	}
	if !c.may(ferry.ActionRead, r.Path()) {
		return nil, ferry.ErrNotFound
	}
	oid, err := ferry.ParseOID(c.param("sha"))
	if err != nil {
		return nil, ferry.ErrNotFound
	}
	row, err := s.Store.CommitByOID(c.ctx, r.ID, oid)
	if err != nil {
		return nil, err
	}
	keys := []ferry.IssueKey{}
	for _, l := range row.Links {
		if !slices.Contains(keys, l.Key) {
			keys = append(keys, l.Key)
		}
	}
	slices.Sort(keys)
	return struct {
		Success bool             `json:"success"`
		Keys    []ferry.IssueKey `json:"issueKeys"`
	}{true, keys}, nil
}

// reindex queues the index of one repository, or of all.
func (s *Server) reindex(c *call) (any, error) {
	var body struct {
		RepoID   ferry.RepositoryID `json:"repoId"`
		Priority int                `json:"priority"`
	}
	body.Priority = 24
	if err := c.decode(&body); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if body.Priority < 0 || body.Priority > 100 {
		return nil, problem(http.StatusUnprocessableEntity, "priority: want a number from 0 to 100")
	}
	var repos []ferry.Repository
	if body.RepoID != 0 {
		r, err := s.Store.Repository(c.ctx, body.RepoID)
		if err != nil {
			return nil, err
		}
		if !c.may(ferry.ActionRead, r.Path()) {
			return nil, ferry.ErrNotFound
		}
		if !c.may(ferry.ActionMaintain, r.Path()) {
			return nil, ferry.ErrDenied
		}
		repos = append(repos, r)
	} else {
		if !c.may(ferry.ActionAdmin, "") {
			return nil, ferry.ErrDenied
		}
		var err error
		if repos, err = s.Store.Repositories(c.ctx, store.RepositoryFilter{State: ferry.RepositoryEnabled}); err != nil {
			return nil, err
		}
	}
	job := int64(0)
	for _, r := range repos {
		id, err := s.Store.Enqueue(c.ctx, store.Job{Repository: r.ID, Op: store.OpReindex, Source: "manual", Priority: body.Priority})
		if err != nil {
			return nil, err
		}
		job = id
	}
	return struct {
		Success  bool  `json:"success"`
		Finished bool  `json:"finished"`
		ThreadID int64 `json:"threadId"`
	}{true, len(repos) == 0, job}, s.audit(c, "repository.reindex", "", nil)
}
