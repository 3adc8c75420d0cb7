package api

import (
	"slices"
	"time"

	"gitferry/internal/ferry"
	"gitferry/internal/store"
)

// person is an author or committer as git has it.
type person struct {
	Name  string `json:"name"`
	Email string `json:"email"`
}

// commit is an indexed commit.
type commit struct {
	OID         ferry.OID        `json:"oid"`
	Repository  string           `json:"repository"`
	Parents     []ferry.OID      `json:"parents"`
	Author      person           `json:"author"`
	AuthoredAt  time.Time        `json:"authored_at"`
	Committer   person           `json:"committer"`
	CommittedAt time.Time        `json:"committed_at"`
	Message     string           `json:"message"`
	Reachable   bool             `json:"reachable"` // some ref leads to it
	Issues      []ferry.IssueKey `json:"issues"`
	Unknown     []ferry.IssueKey `json:"unknown_issues"` // of projects that Jira does not know yet
}

func commitOf(c store.IndexedCommit) commit {
	out := commit{OID: c.OID, Repository: c.Repository.Path(), Parents: list(c.Parents), Author: person(c.Author), AuthoredAt: c.AuthoredAt,
		Committer: person(c.Committer), CommittedAt: c.CommittedAt, Message: c.Message, Reachable: c.Reachable, Issues: []ferry.IssueKey{}, Unknown: list(c.Unknown)}
	for _, l := range c.Links {
		if !slices.Contains(out.Issues, l.Key) {
			out.Issues = append(out.Issues, l.Key)
		}
	}
	return out
}

func commitCursor(c store.IndexedCommit) string { return c.Cursor }

func (s *Server) listCommits(c *call) (page[commit], error) {
	filter := store.LinkFilter(c.value("filter"))
	switch filter {
	case "":
		filter = store.AllCommits
	case store.AllCommits, store.OnlyLinked, store.OnlyUnlinked:
	default:
		return page[commit]{}, badRequest("filter %.20q: want all, linked or unlinked", filter)
	}
	return walk(c, func(before string, limit int) ([]store.IndexedCommit, error) {
		return s.Store.LinkedCommits(c.ctx, c.repo.ID, filter, store.Page{Limit: limit, Before: before})
	}, commitCursor, func(store.IndexedCommit) bool { return true }, commitOf)
}

// commitDetail is a commit with what Jira heard, and shall hear, of it.
type commitDetail struct {
	commit
	Deliveries []Delivery `json:"deliveries"`
}

func (s *Server) getCommit(c *call) (commitDetail, error) {
	oid, err := ferry.ParseOID(c.param("sha"))
	if err != nil {
		return commitDetail{}, &ferry.Message{Kind: ferry.ErrNotFound, Text: "want the 40 digits of a commit"}
	}
	found, err := s.Store.CommitByOID(c.ctx, c.repo.ID, oid)
	if err != nil {
		return commitDetail{}, err
	}
	out := commitDetail{commit: commitOf(found), Deliveries: []Delivery{}}
	seen := make(map[string]bool)
	for _, key := range out.Issues {
		all, err := s.Store.Deliveries(c.ctx, store.DeliveryFilter{Repository: c.repo.ID, Key: key, Limit: 1000})
		if err != nil {
			return out, err
		}
		for _, d := range all {
			if d.EntityID == oid.String() && !seen[d.ID] {
				seen[d.ID] = true
				out.Deliveries = append(out.Deliveries, DeliveryOf(d, c.repo.Path()))
			}
		}
	}
	return out, nil
}
