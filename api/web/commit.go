package web

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"time"

	"gitferry/internal/ferry"
	"gitferry/internal/git"
	"gitferry/internal/smartcommit"
	"gitferry/internal/store"
)

type commitView struct {
	page
	repoHead
	Commit   git.Commit
	Links    []store.Link // with reasons
	Keys     []ferry.IssueKey
	Parents  []parentRow
	Refs     []refRow
	MoreRefs bool
	Actions  []actionRow
	Delivery []deliveryRow
	Diff     diffView
	Back     string
	Lost     bool
	HostHref string
}

type parentRow struct {
	OID     ferry.OID
	Href    string
	Against string // address of the difference to this parent
	Current bool
}

type refRow struct {
	Name, Href string
	Tag        bool
}

// commit shows a commit with its difference.
func (s *Server) commit(r *request) error {
	h, err := s.repoHead(r, "commits")
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(r.ctx(), viewTime)
	defer cancel()
	oid, err := s.commitNamed(ctx, r.repo, param(r, "sha"))
	if err != nil {
		return err
	}
	if param(r, "sha") != oid.String() {
		return r.Redirect(http.StatusSeeOther, h.Base+"/commit/"+oid.String())
	}
	c, err := s.Git.CommitByOID(ctx, s.Mirror.Path(r.repo.ID), oid)
	if err != nil {
		return notCopied(err)
	}
	v := commitView{page: s.page(r, subjectLine(c.Message)+" · "+h.Name, "repos"), repoHead: h, Commit: c, HostHref: console(r.repo).Commit(oid.String())}
	indexed, err := s.Store.CommitByOID(ctx, r.repo.ID, oid)
	if err != nil && !errors.Is(err, ferry.ErrNotFound) {
		return err
	}
	if err == nil {
		v.Links, v.Lost = indexed.Links, !indexed.Reachable
	}
	for _, l := range v.Links {
		v.Keys = append(v.Keys, l.Key)
	}
	if err := s.commitDelivery(r, &v); err != nil {
		return err
	}
	var from ferry.OID
	chosen, _ := strconv.Atoi(r.QueryParam("parent")) // 1 is the first; zero if it is no number
	for i, p := range c.Parents {
		row := parentRow{OID: p, Href: h.Base + "/commit/" + p.String(), Against: h.Base + "/commit/" + oid.String() + "?parent=" + strconv.Itoa(i+1)}
		if row.Current = i+1 == chosen || i == 0 && (chosen < 1 || chosen > len(c.Parents)); row.Current {
			from = p
		}
		v.Parents = append(v.Parents, row)
	}
	if v.Diff, err = s.diff(ctx, newDiffRequest(r, from, oid, oid.String())); err != nil {
		return err
	}
	s.commitRefs(ctx, &v)
	return s.render(r, http.StatusOK, "commit", &v)
}

// commitRefs adds the branches and tags that hold the commit, if git can tell
// within two seconds; the page is complete without them.
func (s *Server) commitRefs(ctx context.Context, v *commitView) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	refs, more, err := s.Git.RefsContaining(ctx, s.Mirror.Path(v.Repo.ID), []ferry.OID{v.Commit.OID}, 10)
	if err != nil {
		v.MoreRefs = true
		return
	}
	v.MoreRefs = more
	for _, n := range refs {
		v.Refs = append(v.Refs, refRow{Name: n.Short(), Href: v.Base + "/tree/" + escapePath(n.Short()), Tag: n.IsTag()})
	}
	slices.SortStableFunc(v.Refs, func(a, b refRow) int { // main first
		switch {
		case a.Name == v.Default && !a.Tag:
			return -1
		case b.Name == v.Default && !b.Tag:
			return 1
		}
		return 0
	})
}

// commitDelivery adds what Jira was told of the commit and what its commands did.
func (s *Server) commitDelivery(r *request, v *commitView) error {
	seen := make(map[string]bool)
	for _, k := range v.Keys[:min(len(v.Keys), 20)] {
		list, err := s.Store.Deliveries(r.ctx(), store.DeliveryFilter{Key: k, Limit: 1000})
		if err != nil {
			return err
		}
		var actions []store.Delivery
		for _, d := range list {
			if d.Repository != v.Repo.ID || d.EntityID != v.Commit.OID.String() || seen[d.ID] {
				continue
			}
			seen[d.ID] = true
			if d.Kind == "action" {
				actions = append(actions, d)
			} else {
				v.Delivery = append(v.Delivery, s.deliveryRow(d, v.Repo))
			}
		}
		slices.Reverse(actions) // in the order of the text
		rows, err := s.actionRows(r, actions)
		if err != nil {
			return err
		}
		v.Actions = append(v.Actions, rows...)
	}
	return nil
}

// An actionRow is a command of a smart commit and what became of it.
type actionRow struct {
	ID       string
	At       time.Time
	RepoName string
	Commit   ferry.OID
	Href     string // of the commit; empty if the reader may not see it
	Key      ferry.IssueKey
	What     string
	Actor    string
	State    lozenge
	Reason   string
	Attempts int
	NextAt   time.Time
	Open     bool // may be discarded
	Retry    bool // may be retried
}

// actionRows makes rows of commands; those of repositories that the reader
// may not see are left out unless an administrator asks.
func (s *Server) actionRows(r *request, list []store.Delivery) ([]actionRow, error) {
	rows := make([]actionRow, 0, len(list))
	people := make(map[ferry.UserID]string)
	for _, d := range list {
		row := actionRow{ID: d.ID, At: d.CreatedAt, What: commandText(d.Command), State: actionState(d.State), Reason: d.Problem, Attempts: d.Attempts, NextAt: d.NextAt,
			Open: openDelivery(d.State), Retry: retryable(d.State), Actor: "service account"}
		if len(d.Keys) > 0 {
			row.Key = d.Keys[0]
		}
		if d.Repository != 0 {
			repo, err := s.Store.Repository(r.ctx(), d.Repository)
			if err != nil && !errors.Is(err, ferry.ErrNotFound) {
				return nil, err
			}
			readable := err == nil && r.can(ferry.ActionRead, repo.Path())
			if !readable && !r.admin() {
				continue
			}
			row.RepoName = repo.Path()
			if oid, err := ferry.ParseOID(d.EntityID); err == nil {
				row.Commit = oid
				if readable {
					row.Href = repoPath(repo) + "/commit/" + oid.String()
				}
			}
		} else if !r.admin() {
			continue
		}
		if d.Actor != 0 {
			if people[d.Actor] == "" {
				u, err := s.Store.User(r.ctx(), d.Actor)
				if err != nil && !errors.Is(err, ferry.ErrNotFound) {
					return nil, err
				}
				people[d.Actor] = display(display(u.Display, u.Name), "removed user")
			}
			row.Actor = people[d.Actor]
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// commandText says in one line what a command does.
func commandText(raw json.RawMessage) string {
	var a smartcommit.Action
	if err := json.Unmarshal(raw, &a); err != nil {
		return "command not understood"
	}
	return cut(a.Describe(), 200)
}

func actionState(state string) lozenge {
	switch store.ActionState(state) {
	case store.ActionDone:
		return lozenge{"ok", "DONE"}
	case store.ActionDead:
		return lozenge{"bad", "FAILED"}
	case store.ActionSkipped:
		return lozenge{"neutral", "NOT RUN"}
	}
	return lozenge{"warn", "WAITING"}
}

func entityState(state string) lozenge {
	switch store.EntityState(state) {
	case store.EntityDone:
		return lozenge{"ok", "DELIVERED"}
	case store.EntityDead:
		return lozenge{"bad", "FAILED"}
	}
	return lozenge{"warn", "WAITING"}
}

func openDelivery(state string) bool {
	return !slices.Contains([]string{"done", "skipped", "leased"}, state)
}

func retryable(state string) bool {
	return slices.Contains([]string{"dead", "retry", "waiting", "verify"}, state)
}

// A deliveryRow is one piece of development information.
type deliveryRow struct {
	ID, Kind string
	Object   string
	Href     string
	Keys     []ferry.IssueKey
	State    lozenge
	Raw      string
	Queued   time.Time
	Sent     time.Time
	Next     time.Time
	Attempts int
	Problem  string
	Open     bool
	Retry    bool
}

func (s *Server) deliveryRow(d store.Delivery, repo ferry.Repository) deliveryRow {
	row := deliveryRow{ID: d.ID, Kind: kindWord(d.Kind), Keys: d.Keys, State: entityState(d.State), Raw: d.State, Queued: d.CreatedAt, Sent: d.SentAt, Next: d.NextAt,
		Attempts: d.Attempts, Problem: d.Problem, Object: d.EntityID, Open: openDelivery(d.State), Retry: retryable(d.State)}
	if len(d.Keys) == 0 {
		row.Kind += ", withdrawn"
	}
	base := repoPath(repo)
	switch store.EntityKind(d.Kind) {
	case store.EntityCommit:
		if oid, err := ferry.ParseOID(d.EntityID); err == nil {
			row.Object, row.Href = oid.Short(), base+"/commit/"+oid.String()
		}
	case store.EntityBranch:
		name := ferry.RefName(d.EntityID).Short()
		row.Object, row.Href = name, base+"/tree/"+escapePath(name)
	case store.EntityPullRequest:
		row.Object, row.Href = "#"+d.EntityID, base+"/pull/"+escapePath(d.EntityID)
	default:
		row.State = actionState(d.State)
		row.Object = commandText(d.Command)
		if oid, err := ferry.ParseOID(d.EntityID); err == nil {
			row.Href = base + "/commit/" + oid.String()
		}
	}
	if repo.ID == 0 {
		row.Href = ""
	}
	return row
}

func kindWord(kind string) string {
	switch kind {
	case string(store.EntityPullRequest):
		return "pull request"
	case "action":
		return "command"
	}
	return kind
}
