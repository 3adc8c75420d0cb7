package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gitferry/internal/ferry"
	"gitferry/internal/store"
)

// priorityManual is the priority of work that a person asked for
// (product-behaviour, 8.4).
const priorityManual = 24

// workDone is what became of one piece of work.
type workDone struct {
	Repository string         `json:"repository"`
	Op         store.JobOp    `json:"op"`
	Job        int64          `json:"job,omitempty"` // 0: the command did it itself
	State      store.JobState `json:"state"`
	Problem    string         `json:"problem,omitempty"`
}

// work has op done on repositories: as jobs of the running server, whose end
// is waited for up to wait, or by this process.
func (b *books) work(ctx context.Context, repos []ferry.Repository, op store.JobOp, wait time.Duration) error {
	lock, err := lockInstance(b.cfg)
	var results []workDone
	switch {
	case errors.Is(err, errRunning):
		results, err = b.queueWork(ctx, repos, op, wait)
	case err != nil:
	default:
		results, err = b.workHere(ctx, repos, op)
		err = errors.Join(err, lock.Close())
	}
	if err != nil {
		return err
	}
	failed := false
	var rows [][]string
	for _, r := range results {
		failed = failed || r.State == store.JobFailed || r.State == store.JobCanceled
		rows = append(rows, []string{r.Repository, string(r.Op), string(r.State), orDash(r.Problem)})
	}
	if err := b.show(results, "REPOSITORY,WORK,STATE,PROBLEM", rows); err != nil {
		return err
	}
	if failed {
		return errSilent
	}
	return nil
}

// queueWork leaves the work to the running server.
func (b *books) queueWork(ctx context.Context, repos []ferry.Repository, op store.JobOp, wait time.Duration) ([]workDone, error) {
	results := make([]workDone, 0, len(repos))
	for _, r := range repos {
		id, err := b.store.Enqueue(ctx, store.Job{Repository: r.ID, Op: op, Source: "manual", Priority: priorityManual})
		if err != nil {
			return nil, fmt.Errorf("queueing work on %s: %w", r.Path(), err)
		}
		results = append(results, workDone{Repository: r.Path(), Op: op, Job: id, State: store.JobQueued})
	}
	for end := time.Now().Add(wait); time.Now().Before(end); {
		open := false
		for i := range results {
			job, err := b.job(ctx, repos[i].ID, results[i].Job)
			if err != nil {
				return nil, err
			}
			results[i].State, results[i].Problem = job.State, job.Problem
			open = open || job.State == store.JobQueued || job.State == store.JobRunning
		}
		if !open {
			break
		}
		if err := sleep(ctx, 200*time.Millisecond); err != nil {
			return nil, err
		}
	}
	return results, nil
}

func (b *books) job(ctx context.Context, repo ferry.RepositoryID, id int64) (store.Job, error) {
	jobs, err := b.store.Jobs(ctx, store.JobFilter{Repository: repo, Before: id + 1, Limit: 1})
	if err != nil {
		return store.Job{}, err
	}
	if len(jobs) == 0 || jobs[0].ID != id {
		return store.Job{}, fmt.Errorf("job %d: %w", id, ferry.ErrNotFound)
	}
	return jobs[0], nil
}

// workHere does the work in this process, which holds the instance lock.
func (b *books) workHere(ctx context.Context, repos []ferry.Repository, op store.JobOp) ([]workDone, error) {
	unresolved, err := b.store.UnresolvedPushes(ctx)
	if err != nil {
		return nil, err
	}
	if len(unresolved) > 0 {
		return nil, &ferry.Message{Kind: ferry.ErrUnavailable, Text: fmt.Sprintf(
			"%d pushes were cut short and their outcome is not known; start the server, which settles them first", len(unresolved))}
	}
	a, err := newApp(ctx, b.cfg, b.store, b.cfg.HTTP.PublicURL, b.log)
	if err != nil {
		return nil, err
	}
	defer a.dialer.Close()
	results := make([]workDone, 0, len(repos))
	for _, r := range repos {
		done := workDone{Repository: r.Path(), Op: op, State: store.JobDone}
		if err := a.workOn(ctx, r, op); err != nil {
			if ctx.Err() != nil {
				return results, err
			}
			done.State, done.Problem = store.JobFailed, err.Error()
		}
		results = append(results, done)
	}
	return results, nil
}

// workOn does one piece of work. What Jira must hear waits for a server.
func (a *app) workOn(ctx context.Context, r ferry.Repository, op store.JobOp) error {
	if err := a.mirror.Copy(ctx, r, nil); err != nil {
		return err
	}
	if op == store.OpPurge {
		return a.mirror.Purge(ctx, r)
	}
	if _, err := a.mirror.Refresh(ctx, r, 0); err != nil {
		return err
	}
	if err := a.index.Repository(ctx, r); err != nil {
		return err
	}
	if op == store.OpReindex {
		return a.index.Reconsider(ctx)
	}
	return nil
}
