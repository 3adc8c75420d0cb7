package web

import (
	"context"
	"strings"
	"time"

	"gitferry/internal/ferry"
	"gitferry/internal/store"
)

// A commitGroup is the commits of one repository.
type commitGroup struct {
	Name, Href, Origin string
	IndexedAt          time.Time
	Rows               []issueCommit
}

// An issueCommit is a commit on an issue's page.
type issueCommit struct {
	commitRow
	Reason   string // why it belongs to the issue
	ByHand   *store.HandLink
	Smart    *lozenge
	SmartTip string
	State    *lozenge // delivery to Jira
	StateAt  time.Time
	Files    []fileStat
	Counted  bool
	MoreOf   int
	Branches []string // that hold it, the main one first
	TreeHref string   // of the first of them
}

// issueGroups fills the tab Git Commits.
func (s *Server) issueGroups(ctx context.Context, v *issueView, list []store.IndexedCommit, names map[ferry.RepositoryID]string, deliveries []store.Delivery) error {
	byRepo := make(map[ferry.RepositoryID][]ferry.OID)
	for _, c := range list {
		byRepo[c.Repository.ID] = append(byRepo[c.Repository.ID], c.OID)
	}
	stats := make(map[objectKey][]fileStat)
	for id, oids := range byRepo {
		st, err := s.fileStats(ctx, id, oids)
		if err != nil {
			s.Log.Debug("counting changed lines", "repo", id, "err", err)
		}
		for o, files := range st {
			stats[objectKey{id, o}] = files
		}
	}
	groups, room := make(map[ferry.RepositoryID]int), maxPageFiles
	on := make(map[ferry.RepositoryID]map[ferry.OID][]string)
	for _, c := range list { // newest first, so groups come in the order of their newest commit
		i, ok := groups[c.Repository.ID]
		if !ok {
			i = len(v.Groups)
			groups[c.Repository.ID] = i
			g := commitGroup{Name: names[c.Repository.ID], Href: repoPath(c.Repository), Origin: c.Repository.CloneURL, IndexedAt: c.Repository.IndexedAt}
			if view, err := s.Mirror.View(ctx, c.Repository); err == nil && !view.LookedAt.IsZero() {
				g.IndexedAt = view.LookedAt
			}
			v.Groups = append(v.Groups, g)
			h, err := s.holdersOf(ctx, c.Repository, reachableOf(list, c.Repository.ID))
			if err != nil {
				s.Log.Debug("looking for branches", "repo", c.Repository.ID, "err", err)
			}
			on[c.Repository.ID] = h.on
		}
		row := issueCommit{commitRow: commitRowOf(c, ""), Reason: reasonOf(c.Links, v.Key)}
		row.Files, row.Counted = stats[objectKey{c.Repository.ID, c.OID}], stats[objectKey{c.Repository.ID, c.OID}] != nil
		if n, most := len(row.Files), min(maxIssueFiles, room); n > most {
			row.Files, row.MoreOf = row.Files[:most], n-most
		}
		room -= len(row.Files)
		if row.Branches = on[c.Repository.ID][c.OID]; len(row.Branches) > 0 {
			row.TreeHref = repoPath(c.Repository) + "/tree/" + escapePath(row.Branches[0])
		}
		row.ByHand = byHand(v.ByHand, c.Repository.ID, store.EntityCommit, c.OID.String())
		smartState(&row, c, deliveries)
		v.Groups[i].Rows = append(v.Groups[i].Rows, row)
	}
	return nil
}

// byHand returns who made a link and when, nil if it is not by hand.
func byHand(list []store.HandLink, repo ferry.RepositoryID, kind store.EntityKind, id string) *store.HandLink {
	for i, h := range list {
		if h.Linked && h.Object == (store.Object{Repository: repo, Kind: kind, ID: id}) {
			return &list[i]
		}
	}
	return nil
}

// reasonOf says in words why a commit belongs to an issue.
func reasonOf(links []store.Link, key ferry.IssueKey) string {
	for _, l := range links {
		if l.Key == key {
			return reasonWords(l.Reason)
		}
	}
	return ""
}

func reasonWords(reason string) string {
	words := map[string]string{"message": "in the message", "branch": "in the branch name", "manual": "linked by hand", "note": "in a note",
		"tip": "in its latest commit", "pull": "in the title, description, branch or commits", "pr-title": "in the title", "pr-description": "in the description", "pr-branch": "in the branch name", "pr-commit": "in a commit", "tag-commit": "in a commit"}
	return display(words[reason], reason)
}

// smartState adds how the commit's commands for the issue, and its delivery,
// stand.
func smartState(row *issueCommit, c store.IndexedCommit, deliveries []store.Delivery) {
	failed, waiting, ran := 0, 0, 0
	var tips []string
	for _, d := range deliveries {
		if d.Repository != c.Repository.ID || d.EntityID != c.OID.String() {
			continue
		}
		if d.Kind != "action" {
			st := entityState(d.State)
			row.State, row.StateAt = &st, d.SentAt
			continue
		}
		switch store.ActionState(d.State) {
		case store.ActionDead:
			failed++
			tips = append(tips, commandText(d.Command)+": "+d.Problem)
		case store.ActionDone, store.ActionSkipped:
			ran++
		default:
			waiting++
		}
	}
	switch {
	case failed > 0:
		row.Smart, row.SmartTip = &lozenge{"bad", "SMART COMMIT ERROR"}, strings.Join(tips, "\n")
	case waiting > 0:
		row.Smart = &lozenge{"warn", "SMART COMMIT PENDING"}
	case ran > 0:
		row.Smart = &lozenge{"ok", "SMART COMMIT"}
	}
}

// maxHolders bounds the commits whose branches and tags are looked for.
const maxHolders = 50

// reachableOf picks the commits of one repository that some ref leads to.
func reachableOf(list []store.IndexedCommit, repo ferry.RepositoryID) []ferry.OID {
	var oids []ferry.OID
	for _, c := range list {
		if c.Repository.ID == repo && c.Reachable && len(oids) < maxHolders {
			oids = append(oids, c.OID)
		}
	}
	return oids
}
