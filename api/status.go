package api

import (
	"context"
	"fmt"
	"time"

	"gitferry/internal/ferry"
	"gitferry/internal/store"
	"gitferry/mirror"
)

// integrationState is what scripts may wait for of an integration.
type integrationState struct {
	Slug     string `json:"slug"`
	Status   string `json:"status"`
	Problem  string `json:"problem,omitempty"`
	Triggers string `json:"triggers"` // none, pending, confirmed, polling or ended
	Notice   string `json:"notice,omitempty"`
}

// statuses works out the words of product-behaviour.md 8.5.
type statuses struct {
	running, queued map[ferry.RepositoryID]bool
	accounts        map[ferry.IntegrationID]string // "INDEXING" or "QUEUED", of an integration's own jobs
	tables          map[ferry.RepositoryID]store.Timetable
}

func (s *Server) statuses(ctx context.Context) (*statuses, error) {
	st := &statuses{running: make(map[ferry.RepositoryID]bool), queued: make(map[ferry.RepositoryID]bool), accounts: make(map[ferry.IntegrationID]string)}
	for _, state := range []store.JobState{store.JobQueued, store.JobRunning} {
		for before := int64(0); ; {
			jobs, err := s.Store.Jobs(ctx, store.JobFilter{State: state, Limit: 1000, Before: before})
			if err != nil {
				return nil, err
			}
			for _, j := range jobs {
				before = j.ID
				switch {
				case j.Repository == 0 && state == store.JobRunning:
					st.accounts[j.Integration] = "INDEXING"
				case j.Repository == 0:
					st.accounts[j.Integration] = "QUEUED"
				case state == store.JobRunning:
					st.running[j.Repository] = true
				default:
					st.queued[j.Repository] = true
				}
			}
			if len(jobs) < 1000 {
				break
			}
		}
	}
	var err error
	st.tables, err = s.Store.Timetables(ctx)
	return st, err
}

// of is the status of a repository.
func (st *statuses) of(r ferry.Repository, view mirror.View) string {
	switch {
	case r.State == ferry.RepositoryDisabled:
		return "DISABLED"
	case r.State == ferry.RepositoryMissing:
		return "MISSING"
	case st.running[r.ID]:
		return "INDEXING"
	case st.queued[r.ID]:
		return "QUEUED"
	case st.tables[r.ID].Problem != "" || view.Failure != nil:
		return "ERROR"
	case r.IndexedAt.IsZero():
		return "CANCELED" // neither done, nor failed, nor to be done
	case view.Copied && len(view.Refs) == 0:
		return "EMPTY"
	}
	return "INDEXED"
}

// fold is the status of an integration from those of its repositories.
func (st *statuses) fold(i ferry.Integration, of []string) (status, problem string) {
	count := make(map[string]int)
	for _, s := range of {
		count[s]++
	}
	switch {
	case i.Disabled:
		return "DISABLED", i.Problem
	case i.Problem != "":
		return "ERROR", i.Problem
	case count["INDEXING"] > 0 || st.accounts[i.ID] == "INDEXING":
		return "INDEXING", ""
	case count["QUEUED"] > 0 || st.accounts[i.ID] == "QUEUED":
		return "QUEUED", ""
	case count["ERROR"] > 0:
		return "ERROR", fmt.Sprintf("%d of %d repositories", count["ERROR"], len(of))
	}
	return "INDEXED", ""
}

// integrationStates returns the states of all integrations; of holds the
// statuses of their repositories.
func (s *Server) integrationStates(ctx context.Context, st *statuses, of map[ferry.IntegrationID][]string) ([]integrationState, error) {
	all, err := s.Store.Integrations(ctx)
	if err != nil {
		return nil, err
	}
	setups, err := s.Store.TriggerSetups(ctx)
	if err != nil {
		return nil, err
	}
	byID := make(map[ferry.IntegrationID]store.TriggerSetup, len(setups))
	for _, t := range setups {
		byID[t.Integration] = t
	}
	out := []integrationState{}
	for _, i := range all {
		state := integrationState{Slug: i.Slug, Triggers: "none"}
		state.Status, state.Problem = st.fold(i, of[i.ID])
		if t, ok := byID[i.ID]; ok {
			state.Triggers, state.Notice = string(t.State), t.Problem
		}
		out = append(out, state)
	}
	return out, nil
}

// nextLook is when a repository is looked at next without being asked; nil
// where never.
func nextLook(t store.Timetable, r ferry.Repository) *time.Time {
	if r.State != ferry.RepositoryEnabled || time.Until(t.NextAt) > 48*time.Hour {
		return nil
	}
	return timeOf(t.NextAt)
}
