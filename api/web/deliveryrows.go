package web

import (
	"encoding/json"
	"errors"
	"slices"
	"time"

	"gitferry/internal/ferry"
	"gitferry/internal/smartcommit"
	"gitferry/internal/store"
)

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
	Open     bool // may be discarded
	Retry    bool // may be retried
}

// actionRows makes rows of commands; those of repositories that the reader
// may not see are left out unless an administrator asks.
func (s *Server) actionRows(r *request, list []store.Delivery) ([]actionRow, error) {
	rows := make([]actionRow, 0, len(list))
	people := make(map[ferry.UserID]string)
	for _, d := range list {
		row := actionRow{ID: d.ID, At: d.CreatedAt, What: commandText(d.Command), State: actionState(d.State), Reason: d.Problem, Attempts: d.Attempts,
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
	Queued   time.Time
	Sent     time.Time
	Attempts int
	Problem  string
	Open     bool
	Retry    bool
}

func (s *Server) deliveryRow(d store.Delivery, repo ferry.Repository) deliveryRow {
	row := deliveryRow{ID: d.ID, Kind: kindWord(d.Kind), Keys: d.Keys, State: entityState(d.State), Queued: d.CreatedAt, Sent: d.SentAt,
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
