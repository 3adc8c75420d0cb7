package web

import (
	"context"
	"strconv"
	"time"

	"gitferry/internal/ferry"
	"gitferry/internal/store"
)

// PreferenceTheme is the preference that holds how the pages look: light, dark,
// or empty for what the browser says.
const PreferenceTheme = "theme"

func integrationPath(id ferry.IntegrationID) string {
	return "/admin/integrations/" + strconv.FormatInt(int64(id), 10)
}

func repositoryAdminPath(id ferry.RepositoryID) string {
	return "/admin/repositories/" + strconv.FormatInt(int64(id), 10)
}

// A jobRow is a piece of background work.
type jobRow struct {
	ID          int64
	What        string
	On, OnHref  string
	Source      string
	State       lozenge
	Queued      time.Time
	Took        time.Duration
	Done, Total int64
	Problem     string
	MayCancel   bool
}

func jobRowOf(j store.Job, now time.Time) jobRow {
	row := jobRow{ID: j.ID, What: jobWords(j.Op), Source: sourceWords(j.Source), State: jobState(j.State), Queued: j.QueuedAt,
		Done: j.Done, Total: j.Total, Problem: j.Problem, MayCancel: j.State == store.JobQueued || j.State == store.JobRunning}
	if !j.StartedAt.IsZero() {
		end := j.FinishedAt
		if end.IsZero() {
			end = now
		}
		row.Took = end.Sub(j.StartedAt)
	}
	return row
}

func jobWords(op store.JobOp) string {
	switch op {
	case store.OpSync:
		return "Look for changes"
	case store.OpReindex:
		return "Reindex"
	case store.OpCopy:
		return "First copy and index"
	case store.OpPurge:
		return "Purge"
	case store.OpWithdraw:
		return "Withdraw from Jira"
	case store.OpHistory:
		return "Send history"
	case store.OpUpkeep:
		return "Upkeep"
	case store.OpIntegration:
		return "Look at the account"
	case store.OpTriggers:
		return "Set up triggers"
	}
	return string(op)
}

func sourceWords(source string) string {
	switch source {
	case "manual":
		return "Manual"
	case "webhook":
		return "Webhook"
	case "scheduled":
		return "Scheduled"
	case "push":
		return "App activity"
	case "initial":
		return "Initial indexing"
	}
	return source
}

// deliveryWords says what the state of a command or of development
// information means to who looks for it.
func deliveryWords(state string) string {
	switch state {
	case "pending":
		return "Due now"
	case "retry":
		return "To be tried again"
	case "waiting":
		return "Waiting for the issue"
	case "verify":
		return "Outcome not known yet"
	case "paused":
		return "Held while paused"
	case "dead":
		return "Failed"
	case "done":
		return "Delivered"
	case "skipped":
		return "Not run"
	}
	return state
}

func jobState(st store.JobState) lozenge {
	switch st {
	case store.JobQueued:
		return lozenge{"warn", "QUEUED"}
	case store.JobRunning:
		return lozenge{"info", "RUNNING"}
	case store.JobDone:
		return lozenge{"ok", "DONE"}
	case store.JobFailed:
		return lozenge{"bad", "FAILED"}
	}
	return lozenge{"neutral", "CANCELED"}
}

// runningJob returns what is being done with a repository, nil if nothing is.
func (s *Server) runningJob(ctx context.Context, repo ferry.RepositoryID) (*jobRow, error) {
	for _, st := range []store.JobState{store.JobRunning, store.JobQueued} {
		jobs, err := s.Store.Jobs(ctx, store.JobFilter{Repository: repo, State: st, Limit: 1})
		if err != nil {
			return nil, err
		}
		if len(jobs) > 0 {
			row := jobRowOf(jobs[0], s.Now())
			return &row, nil
		}
	}
	return nil, nil
}
