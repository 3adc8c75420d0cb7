package ghapi

import (
	"regexp"
	"slices"
	"strings"

	"gitferry/internal/ghshape"
	"gitferry/internal/store"
)

// graphQL answers the few questions that gh asks before it goes on with REST:
// who one is, which members Repository has, what a repository is called, and
// which pull requests it has. Whatever else is asked gets an error that says so.
func (s *Server) graphQL(c *call) (any, error) {
	var body struct {
		Query     string         `json:"query"`
		Variables map[string]any `json:"variables"`
	}
	if err := c.decode(&body); err != nil {
		return nil, err
	}
	variable := func(name string) string { v, _ := body.Variables[name].(string); return v }
	q := strings.Join(strings.Fields(body.Query), " ")
	switch {
	case viewerQuery.MatchString(q):
		return object{"data": object{"viewer": object{"login": c.subject.User.Name}}}, nil
	case strings.Contains(q, `__type(name:`), strings.Contains(q, `__type(name: `):
		return object{"data": object{"Repository": object{"fields": []object{}}}}, nil
	case strings.Contains(q, "query RepositoryInfo"):
		return s.graphRepository(c, variable("owner"), variable("name"))
	case strings.Contains(q, "query PullRequestList"):
		return s.graphPulls(c, variable, body.Variables["state"])
	}
	return graphError("NOT_IMPLEMENTED", "This server answers GitHub's REST API; of GraphQL only what gh auth status, repo view, repo clone and pr list ask."), nil
}

// graphPulls lists pull requests as gh pr list asks for them.
func (s *Server) graphPulls(c *call, variable func(string) string, state any) (any, error) {
	owner, name := variable("owner"), variable("repo")
	r, err := s.Store.RepositoryByPath(c.ctx, owner, name)
	if err != nil || !c.sees(r) {
		return graphNotFound(owner, name), nil
	}
	all, err := s.Store.PullRequests(c.ctx, store.PullRequestFilter{Repository: r.ID})
	if err != nil {
		return nil, err
	}
	var states []string
	switch v := state.(type) {
	case string:
		states = []string{v}
	case []any:
		for _, one := range v {
			text, _ := one.(string)
			states = append(states, text)
		}
	}
	nodes, total := []object{}, 0
	for _, p := range all {
		is := strings.ToUpper(p.Status)
		if p.Merged {
			is = "MERGED"
		}
		if !slices.Contains(states, is) || variable("baseBranch") != "" && p.Destination.Short() != variable("baseBranch") ||
			variable("headBranch") != "" && p.Source.Short() != variable("headBranch") {
			continue
		}
		if total++; len(nodes) == 100 {
			continue
		}
		author, err := s.stranger(c, p.Author)
		if err != nil {
			return nil, err
		}
		nodes = append(nodes, object{"number": p.Number, "title": p.Title, "state": is, "url": s.shape.Page(r) + "/pull/" + itoa(p.Number), "body": p.Description,
			"headRefName": p.Source.Short(), "baseRefName": p.Destination.Short(), "headRefOid": p.SourceOID.String(), "isCrossRepository": false, "isDraft": false,
			"headRepositoryOwner": object{"id": ghshape.NodeID("Organization", r.IntegrationID), "login": r.Owner},
			"createdAt":           date(p.CreatedAt), "updatedAt": date(p.UpdatedAt), "author": object{"id": author["node_id"], "login": author["login"]}})
	}
	return object{"data": object{"repository": object{"pullRequests": object{"totalCount": total, "nodes": nodes,
		"pageInfo": object{"hasNextPage": false, "endCursor": ""}}}}}, nil
}

// viewerQuery asks for nothing but the login.
var viewerQuery = regexp.MustCompile(`^(query( \w+)?)? ?\{ ?viewer ?\{ ?login ?\} ?\}$`)

func (s *Server) graphRepository(c *call, owner, name string) (any, error) {
	r, err := s.Store.RepositoryByPath(c.ctx, owner, name)
	if err != nil || !c.sees(r) {
		return graphNotFound(owner, name), nil
	}
	permission := "READ"
	if rights := c.rights(r); rights.Admin {
		permission = "ADMIN"
	} else if rights.Push {
		permission = "WRITE"
	}
	branch := r.DefaultBranch
	if branch == "" {
		branch = "main"
	}
	page := s.shape.Page(r)
	return object{"data": object{"repository": object{
		"id": ghshape.NodeID("Repository", r.ID), "name": r.Name, "nameWithOwner": r.Path(), "description": "", "url": page, "sshUrl": s.shape.SSHURL(r),
		"owner":            object{"id": ghshape.NodeID("Organization", r.IntegrationID), "login": r.Owner},
		"hasIssuesEnabled": false, "hasWikiEnabled": false, "viewerPermission": permission, "defaultBranchRef": object{"name": branch}, "parent": nil,
		"mergeCommitAllowed": true, "rebaseMergeAllowed": false, "squashMergeAllowed": true, "isPrivate": true, "isFork": false, "isArchived": false,
	}}}, nil
}

func graphError(kind, message string) object {
	return object{"data": nil, "errors": []object{{"type": kind, "message": message, "path": []string{}}}}
}

func graphNotFound(owner, name string) object {
	return graphError("NOT_FOUND", "Could not resolve to a Repository with the name '"+owner+"/"+name+"'.")
}
