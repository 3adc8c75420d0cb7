package index

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"gitferry/internal/ferry"
	"gitferry/internal/store"
)

// heartbeat is how often a running job says how far it is, and learns that it
// was canceled.
const heartbeat = 2 * time.Second

// work carries out one job and notes its end. A job cut short by the end of
// the process is queued again at the next start.
func (x *Index) work(ctx context.Context, job store.Job) {
	inner, cancel := context.WithCancel(ctx)
	p := &progress{}
	beats := make(chan struct{})
	go func() { // ends with the job
		defer close(beats)
		x.beat(inner, cancel, job.ID, p)
	}()
	err := x.do(inner, job, p)
	canceled := inner.Err() != nil
	cancel()
	<-beats
	if ctx.Err() != nil {
		return
	}
	if canceled {
		p.note("warning", "canceled")
	}
	if err != nil && !canceled {
		p.end.Problem = err.Error()
		x.Log.Warn("job failed", "op", job.Op, "repo_id", job.Repository, "integration_id", job.Integration, "err", err)
		p.note("error", p.end.Problem)
	}
	for i := range p.end.Lines {
		l := &p.end.Lines[i]
		l.Repository, l.Integration, l.Text = job.Repository, job.Integration, string(job.Op)+": "+l.Text
	}
	if err := x.Store.FinishJob(ctx, job.ID, p.end); err != nil {
		x.Log.Error("finishing a job", "op", job.Op, "err", err)
	}
}

// progress is how far a job is, and what is to be written at its end.
type progress struct {
	done, total atomic.Int64
	end         store.JobEnd
}

// note adds a line to the log that people read; it is written with the end of
// the job.
func (p *progress) note(level, text string) {
	p.end.Lines = append(p.end.Lines, store.LogLine{Level: level, Text: text})
}

// beat writes progress until ctx ends, and cancels a job that was canceled.
func (x *Index) beat(ctx context.Context, cancel context.CancelFunc, id int64, p *progress) {
	ticker := time.NewTicker(heartbeat)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if err := x.Store.ProgressJob(ctx, id, p.done.Load(), p.total.Load()); errors.Is(err, ferry.ErrConflict) {
			cancel()
			return
		}
	}
}

func (x *Index) do(ctx context.Context, job store.Job, p *progress) error {
	if job.Repository == 0 {
		if x.Account == nil {
			return fmt.Errorf("job %s is not one of the index: %w", job.Op, ferry.ErrInvalid)
		}
		return x.Account(ctx, job)
	}
	repo, err := x.Store.Repository(ctx, job.Repository)
	if err != nil {
		return err
	}
	switch {
	case repo.State == ferry.RepositoryDisabled:
		return &ferry.Message{Kind: ferry.ErrDenied, Text: repo.Path() + " is disabled"}
	case repo.State == ferry.RepositoryMissing && job.Op != store.OpUpkeep && job.Op != store.OpPurge:
		return &ferry.Message{Kind: ferry.ErrNotFound, Text: repo.Path() + " is gone at the host"}
	}
	switch job.Op {
	case store.OpCopy, store.OpSync, store.OpReindex:
		moved, err := x.sync(ctx, repo, job, p)
		return errors.Join(err, x.plan(ctx, repo, job, p, moved, err))
	case store.OpPurge:
		return x.Mirror.Purge(ctx, repo)
	case store.OpWithdraw:
		err := x.Store.Withdraw(ctx, repo.ID)
		if x.Queued != nil {
			x.Queued()
		}
		return err
	case store.OpHistory:
		return x.sendHistory(ctx, repo)
	case store.OpUpkeep:
		return x.Mirror.Upkeep(ctx, repo)
	}
	return fmt.Errorf("job %s is not one of the index: %w", job.Op, ferry.ErrInvalid)
}

// sendHistory tells Jira once more of what a repository holds.
func (x *Index) sendHistory(ctx context.Context, repo ferry.Repository) error {
	var since time.Time
	if err := x.Store.Setting(ctx, store.SettingHistorySince, &since); err != nil && !errors.Is(err, ferry.ErrNotFound) {
		return err
	}
	err := x.Store.SendHistory(ctx, repo.ID, since)
	if x.Queued != nil {
		x.Queued()
	}
	return err
}

// sync copies or refreshes the mirror and indexes what moved. It returns how
// many refs moved. A look that finds nothing new costs one round trip.
func (x *Index) sync(ctx context.Context, repo ferry.Repository, job store.Job, p *progress) (moved int, err error) {
	if job.Op == store.OpReindex && x.Describe != nil {
		if repo, err = x.Describe(ctx, repo); err != nil {
			return 0, err
		}
	}
	var maxAge time.Duration
	if job.Source == "scheduled" && job.Op == store.OpSync {
		maxAge = x.PollMin / 2 // somebody's read may have looked just now
	}
	if x.Pace != nil && job.Source != "manual" {
		if err := x.Pace(ctx, repo); err != nil {
			return 0, err
		}
	}
	began := time.Now()
	err = x.Mirror.Copy(ctx, repo, nil)
	if err == nil {
		var updates []ferry.RefUpdate
		// A first copy has looked by itself.
		updates, err = x.Mirror.Refresh(ctx, repo, max(maxAge, time.Since(began)))
		moved = len(updates)
	}
	if x.Looked != nil {
		x.Looked(ctx, repo, err)
	}
	if err != nil {
		return moved, err
	}
	first := repo.IndexedAt.IsZero()
	if first {
		if total, err := x.Git.CountCommits(ctx, x.Mirror.Path(repo.ID)); err == nil {
			p.total.Store(int64(total))
		}
	}
	if err := x.repository(ctx, repo, nil, func(done int) { p.done.Store(int64(done)) }); err != nil {
		return moved, err
	}
	switch {
	case first:
		p.note("info", fmt.Sprintf("the first index is complete: %d commits", p.done.Load()))
	case moved > 0:
		p.note("info", fmt.Sprintf("%d refs moved", moved))
	case job.Source == "manual":
		p.note("info", "nothing moved")
	}
	if err := x.nameDefault(ctx, repo); err != nil {
		return moved, err
	}
	x.synced(repo.ID)
	if err := x.planUpkeep(ctx, repo); err != nil {
		return moved, err
	}
	if job.Op == store.OpReindex {
		return moved, errors.Join(x.branchesAnew(ctx, repo), x.Reconsider(ctx))
	}
	return moved, nil
}

// nameDefault gives a repository without a default branch the one that its
// upstream's HEAD names, or main, or master.
func (x *Index) nameDefault(ctx context.Context, repo ferry.Repository) error {
	if repo.DefaultBranch != "" {
		return nil
	}
	view, err := x.Mirror.View(ctx, repo)
	if err != nil {
		return err
	}
	have := make(map[string]bool, len(view.Refs))
	for _, r := range view.Refs {
		have[r.Name] = true
	}
	for _, name := range []ferry.RefName{view.Head, "refs/heads/main", "refs/heads/master"} {
		if name.IsBranch() && have[string(name)] {
			now, err := x.Store.Repository(ctx, repo.ID)
			if err != nil || now.DefaultBranch != "" {
				return err
			}
			now.DefaultBranch = name.Short()
			return x.Store.UpdateRepository(ctx, now)
		}
	}
	return nil
}

// branchesAnew tells Jira of every branch again, since what is merged and
// what is ahead is counted against the default branch.
func (x *Index) branchesAnew(ctx context.Context, repo ferry.Repository) error {
	defer x.lock(repo.ID)()
	settings, err := x.Settings(ctx)
	if err != nil {
		return err
	}
	refs, err := x.Store.Refs(ctx, repo.ID)
	if err != nil {
		return err
	}
	r := &run{x: x, repo: repo, settings: settings}
	c := store.Change{Repository: repo.ID}
	for name, oid := range refs {
		if !name.IsBranch() {
			continue
		}
		keys, err := r.branchKeys(ctx, name, oid)
		if err != nil {
			return err
		}
		if len(keys) > 0 {
			c.Entities = append(c.Entities, store.Entity{Repository: repo.ID, Kind: store.EntityBranch, EntityID: string(name), Keys: keys, Backfill: true})
		}
	}
	if len(c.Entities) == 0 {
		return nil
	}
	if _, err := x.Store.Apply(ctx, c); err != nil {
		return err
	}
	if x.Queued != nil {
		x.Queued()
	}
	return nil
}

// plan says when a repository is looked at next: a quarter of the time since
// its last change, within bounds that are wider once triggers tell of changes
// (product-behaviour.md 8.2).
func (x *Index) plan(ctx context.Context, repo ferry.Repository, job store.Job, p *progress, moved int, failure error) error {
	if ctx.Err() != nil {
		return nil
	}
	t, err := x.Store.Timetable(ctx, repo.ID)
	if errors.Is(err, ferry.ErrNotFound) {
		return nil // removed meanwhile
	}
	if err != nil {
		return err
	}
	now := x.now()
	problem := ""
	if failure != nil {
		problem = failure.Error()
	}
	changed := moved > 0 || job.Op == store.OpCopy && failure == nil
	p.end.Look = &store.Look{Repository: repo.ID, Next: now.Add(x.wait(now, t, changed, failure != nil)), Changed: changed, Problem: problem}
	return nil
}

const (
	firstAgain  = time.Minute      // until a first copy that failed is tried again
	failedAgain = 15 * time.Minute // at most, until a look that failed is
)

// never is further ahead than anybody waits.
const never = 100 * 365 * 24 * time.Hour

func (x *Index) wait(now time.Time, t store.Timetable, changed, failed bool) time.Duration {
	shortest, longest := x.PollMin, max(x.PollMax, x.PollMin)
	if shortest <= 0 {
		return never // polling is switched off
	}
	if !t.NotifiedAt.IsZero() {
		shortest = max(x.PollTriggered, x.PollMin)
		longest = max(longest, shortest)
	}
	var quiet time.Duration
	if !changed && !t.ChangedAt.IsZero() {
		quiet = now.Sub(t.ChangedAt)
	}
	wait := min(max(quiet/4, shortest), longest)
	switch {
	case failed && t.LookedAt.IsZero():
		wait = min(x.PollMin, firstAgain)
	case failed: // what was told meanwhile may be lost, so triggers do not count
		wait = min(max(now.Sub(t.LookedAt)/4, x.PollMin), max(failedAgain, x.PollMin))
	}
	return wait + time.Duration(rand.Int64N(int64(wait)/5+1)) - wait/10
}
