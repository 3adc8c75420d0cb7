package ghapi

import (
	"errors"
	"slices"
	"strconv"
	"time"

	"gitferry/internal/ferry"
	"gitferry/internal/git"
)

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
	key, err := s.issueKey(c, c.param("key"))
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
	key, err := s.issueKey(c, c.param("key"))
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
				Formatted: at.Format("2006-01-02 15:04"), Created: at.UnixMilli(), Who: t.Who, Email: t.Email, Message: t.Subject})
		}
	}
	slices.SortStableFunc(out.Tags, func(a, b pluginTag) int { return int(b.Created - a.Created) })
	if n := len(out.Tags); n > 0 {
		out.FirstTag = out.Tags[n-1].Name
	}
	return out, nil
}
