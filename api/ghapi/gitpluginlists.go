package ghapi

import (
	"net/http"
	"slices"
	"strings"

	"gitferry/internal/ferry"
	"gitferry/internal/store"
)

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

// commitOfPath finds the repository and commit that a path names.
func (s *Server) commitOfPath(c *call) (ferry.Repository, ferry.OID, error) {
	id, err := c.number("id")
	if err != nil {
		return ferry.Repository{}, ferry.OID{}, err
	}
	r, err := s.Store.Repository(c.ctx, ferry.RepositoryID(id))
	if err != nil {
		return r, ferry.OID{}, err
	}
	if !c.sees(r) {
		return r, ferry.OID{}, ferry.ErrNotFound
	}
	oid, err := ferry.ParseOID(c.param("sha"))
	if err != nil {
		return r, oid, ferry.ErrNotFound
	}
	return r, oid, nil
}

// changeIssues associates issues with a commit by hand, "a:KEY", and takes
// them away, "d:KEY".
func (s *Server) changeIssues(c *call) (any, error) {
	var body struct {
		Changes []string `json:"changeStrs"`
	}
	if err := c.decode(&body); err != nil {
		return nil, err
	}
	r, oid, err := s.commitOfPath(c)
	if err != nil {
		return nil, err
	}
	var add, remove []ferry.IssueKey
	for _, change := range body.Changes {
		way, text, _ := strings.Cut(change, ":")
		key, err := ferry.ParseIssueKey(strings.ToUpper(text))
		switch {
		case err == nil && way == "a":
			add = append(add, key)
		case err == nil && way == "d":
			remove = append(remove, key)
		default:
			return nil, problem(http.StatusUnprocessableEntity, "changeStrs: want a:KEY or d:KEY")
		}
	}
	if _, err := s.Issues.Associate(c.ctx, c.subject, r, store.Object{Kind: store.EntityCommit, ID: oid.String()}, add, remove); err != nil {
		return nil, err
	}
	return s.commitIssues(c)
}

// commitIssues lists the issues that a commit names.
func (s *Server) commitIssues(c *call) (any, error) {
	r, oid, err := s.commitOfPath(c)
	if err != nil {
		return nil, err
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
	if err := c.decode(&body); err != nil {
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
		if !c.sees(r) {
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
