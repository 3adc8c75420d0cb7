package api

import (
	"context"
	"errors"
	"time"

	"gitferry/internal/ferry"
	"gitferry/internal/store"
)

// stateJSON is the answer of GET /api/v1/admin/state.
type stateJSON struct {
	// Idle: nothing is pending but future retries.
	Idle             bool                 `json:"idle"`
	Counts           map[string]int       `json:"counts"`
	Oldest           map[string]time.Time `json:"oldest"`
	UnresolvedPushes int                  `json:"unresolved_pushes"`
	Repositories     []repositoryState    `json:"repositories"`
	Integrations     []integrationState   `json:"integrations"`
}

type repositoryState struct {
	ID        ferry.RepositoryID    `json:"id"`
	Path      string                `json:"path"`
	State     ferry.RepositoryState `json:"state"`
	Status    string                `json:"status"` // QUEUED, INDEXING, INDEXED, ERROR, CANCELED, DISABLED, MISSING or EMPTY
	Copied    bool                  `json:"copied"`
	Indexed   bool                  `json:"indexed"`
	LookedAt  *time.Time            `json:"looked_at,omitempty"`
	NextLook  *time.Time            `json:"next_look_at,omitempty"`
	ChangedAt *time.Time            `json:"changed_at,omitempty"`
	Notified  *time.Time            `json:"notified_at,omitempty"` // last trigger that came for it
	Problem   string                `json:"problem,omitempty"`
	Commits   int                   `json:"commits"`
	IssueKeys int                   `json:"issue_keys"`
}

// adminState tells what is waiting, so that scripts can wait for quiet.
func (s *Server) adminState(c *call) (stateJSON, error) {
	counts, err := s.Store.Counts(c.ctx)
	if err != nil {
		return stateJSON{}, err
	}
	out := stateFromCounts(counts)
	repos, err := s.Store.Repositories(c.ctx, store.RepositoryFilter{})
	if err != nil {
		return out, err
	}
	st, err := s.statuses(c.ctx)
	if err != nil {
		return out, err
	}
	of := make(map[ferry.IntegrationID][]string)
	for _, r := range repos {
		state, err := s.repositoryState(c.ctx, st, r)
		if errors.Is(err, ferry.ErrNotFound) {
			continue // removed meanwhile
		}
		if err != nil {
			return out, err
		}
		of[r.IntegrationID] = append(of[r.IntegrationID], state.Status)
		if r.State == ferry.RepositoryEnabled && !state.Indexed && state.Problem == "" {
			out.Idle = false
		}
		out.Repositories = append(out.Repositories, state)
	}
	out.Integrations, err = s.integrationStates(c.ctx, st, of)
	return out, err
}

func stateFromCounts(n store.Counts) stateJSON {
	out := stateJSON{Idle: n.Due == 0 && n.UnresolvedPushes == 0, UnresolvedPushes: n.UnresolvedPushes,
		Counts: make(map[string]int), Oldest: make(map[string]time.Time), Repositories: []repositoryState{}}
	for state, count := range n.Actions {
		out.Counts["action_"+string(state)] = count
	}
	for state, count := range n.Entities {
		out.Counts["entity_"+string(state)] = count
	}
	for state, count := range n.Jobs {
		out.Counts["job_"+string(state)] = count
	}
	for name, at := range map[string]time.Time{"action": n.OldestAction, "entity": n.OldestEntity, "job": n.OldestJob} {
		if !at.IsZero() {
			out.Oldest[name] = at
		}
	}
	return out
}

func (s *Server) repositoryState(ctx context.Context, st *statuses, r ferry.Repository) (repositoryState, error) {
	state := repositoryState{ID: r.ID, Path: r.Path(), State: r.State, Indexed: !r.IndexedAt.IsZero()}
	view, err := s.Mirror.View(ctx, r)
	if err != nil {
		return state, err
	}
	state.Copied = view.Copied
	if !view.LookedAt.IsZero() {
		state.LookedAt = &view.LookedAt
	}
	if view.Failure != nil {
		state.Problem = view.Failure.Error()
	}
	t := st.tables[r.ID]
	if state.Problem == "" {
		state.Problem = t.Problem
	}
	state.Status, state.NextLook = st.of(r, view), nextLook(t, r)
	state.ChangedAt, state.Notified = timeOf(t.ChangedAt), timeOf(t.NotifiedAt)
	if state.Commits, err = s.Store.CommitCount(ctx, r.ID); err != nil {
		return state, err
	}
	state.IssueKeys, err = s.Store.KeyCount(ctx, r.ID)
	return state, err
}
