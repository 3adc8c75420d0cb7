package api

import (
	"strings"
	"time"

	"gitferry/internal/ferry"
	"gitferry/internal/store"
)

// association is what a person decided on one object and one issue.
type association struct {
	Issue  ferry.IssueKey `json:"issue"`
	Linked bool           `json:"linked"` // false: taken away, whatever the text says
	By     string         `json:"by"`
	At     time.Time      `json:"at"`
}

// associations are the decisions on one object, by issue.
type associations struct {
	Items []association `json:"items"`
}

// associationsIn changes the issues of one object, at most 20 at a time.
type associationsIn struct {
	Kind   store.EntityKind `json:"kind"`
	ID     string           `json:"id"` // full commit id, short branch name or number
	Add    []ferry.IssueKey `json:"add,omitempty"`
	Remove []ferry.IssueKey `json:"remove,omitempty"`
}

// object names a commit, branch or pull request of the route's repository.
func (c *call) object(kind store.EntityKind, id string) (store.Object, error) {
	switch kind {
	case store.EntityCommit, store.EntityPullRequest:
	case store.EntityBranch:
		id = "refs/heads/" + id
	default:
		return store.Object{}, badRequest("kind %.20q: want commit, branch or pull_request", kind)
	}
	return store.Object{Repository: c.repo.ID, Kind: kind, ID: id}, nil
}

func (s *Server) listAssociations(c *call) (associations, error) {
	o, err := c.object(store.EntityKind(c.value("kind")), c.value("id"))
	if err != nil {
		return associations{}, err
	}
	return s.associationsOf(c, o)
}

func (s *Server) associationsOf(c *call, o store.Object) (associations, error) {
	out := associations{Items: []association{}}
	decided, err := s.Store.HandLinks(c.ctx, o)
	for _, d := range decided {
		out.Items = append(out.Items, association{d.Key, d.Linked, d.By, d.At})
	}
	return out, err
}

func (s *Server) changeAssociations(c *call, in associationsIn) (associations, error) {
	o, err := c.object(in.Kind, in.ID)
	if err != nil {
		return associations{}, err
	}
	for _, list := range [][]ferry.IssueKey{in.Add, in.Remove} {
		for i := range list {
			if list[i], err = ferry.ParseIssueKey(strings.ToUpper(string(list[i]))); err != nil {
				return associations{}, &ferry.Message{Kind: ferry.ErrInvalid, Text: "want issue keys such as DEMO-1", Cause: err}
			}
		}
	}
	if _, err := s.Issues.Associate(c.ctx, c.subject, c.repo, o, in.Add, in.Remove); err != nil {
		return associations{}, err
	}
	return s.associationsOf(c, o)
}

// issueHit is an issue that a search at Jira found.
type issueHit struct {
	Key     ferry.IssueKey `json:"key"`
	Summary string         `json:"summary"`
	Status  string         `json:"status"`
}

type issueHits struct {
	Items []issueHit `json:"items"`
}

// searchIssues asks Jira for issues that the person may know of.
func (s *Server) searchIssues(c *call) (issueHits, error) {
	out := issueHits{Items: []issueHit{}}
	q := c.value("q")
	if q == "" || len(q) > 200 {
		return out, badRequest("q: want 1 to 200 characters")
	}
	hits, err := s.Issues.Search(c.ctx, c.subject, q, 10)
	for _, h := range hits {
		out.Items = append(out.Items, issueHit(h))
	}
	return out, err
}
