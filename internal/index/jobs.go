package index

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"gitferry/internal/ferry"
	"gitferry/internal/store"
)

const (
	// workers is how many repositories are worked on at once.
	workers = 2
	// tick is how often due looks and queued jobs are searched for without a
	// signal; another process may have queued one.
	tick = time.Second
)

// timetable is when a repository is looked at next.
type timetable struct {
	at      time.Time
	changed time.Time // when it last moved
}

// Wake tells the index that the refs of a mirror moved. It does not block.
func (x *Index) Wake(id ferry.RepositoryID) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.wake == nil {
		x.wake = make(map[ferry.RepositoryID]bool)
	}
	x.wake[id] = true
	select {
	case x.bells() <- struct{}{}:
	default:
	}
}

// bells returns the channel that rings after Wake. The caller holds x.mu.
func (x *Index) bells() chan struct{} {
	if x.bell == nil {
		x.bell = make(chan struct{}, 1)
	}
	return x.bell
}

// Run works off what was woken, what is queued as a job and what the timetable
// says, until ctx ends.
func (x *Index) Run(ctx context.Context) error {
	if err := x.Store.RequeueRunning(ctx, x.Boot); err != nil {
		return err
	}
	x.mu.Lock()
	bell := x.bells()
	x.mu.Unlock()
	x.next = make(map[ferry.RepositoryID]*timetable)
	var running sync.WaitGroup
	defer running.Wait()
	slots := make(chan struct{}, workers)
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for {
		if err := x.schedule(ctx); err != nil && ctx.Err() == nil {
			x.Log.Error("planning looks at upstreams", "err", err)
		}
		x.startDue(ctx, slots, &running)
		select {
		case <-ctx.Done():
			return nil
		case <-bell:
		case <-ticker.C:
		}
	}
}

// startDue starts as much of the waiting work as there are free workers.
func (x *Index) startDue(ctx context.Context, slots chan struct{}, running *sync.WaitGroup) {
	for ctx.Err() == nil {
		select {
		case slots <- struct{}{}:
		default:
			return
		}
		work := x.nextWork(ctx)
		if work == nil {
			<-slots
			return
		}
		running.Add(1)
		go func() {
			defer running.Done()
			defer func() { <-slots; x.ring() }()
			work()
		}()
	}
}

func (x *Index) ring() {
	x.mu.Lock()
	defer x.mu.Unlock()
	select {
	case x.bells() <- struct{}{}:
	default:
	}
}

// nextWork returns the next piece of work, or nil.
func (x *Index) nextWork(ctx context.Context) func() {
	x.mu.Lock()
	for id := range x.wake {
		delete(x.wake, id)
		x.mu.Unlock()
		return func() { x.indexWoken(ctx, id) }
	}
	x.mu.Unlock()
	job, ok, err := x.Store.ClaimJob(ctx, x.Boot)
	if err != nil {
		if ctx.Err() == nil {
			x.Log.Error("claiming a job", "err", err)
		}
		return nil
	}
	if !ok {
		return nil
	}
	return func() { x.work(ctx, job) }
}

func (x *Index) indexWoken(ctx context.Context, id ferry.RepositoryID) {
	repo, err := x.Store.Repository(ctx, id)
	if err == nil {
		err = x.Repository(ctx, repo)
	}
	if err != nil && ctx.Err() == nil {
		x.Log.Error("indexing after a refresh", "repo_id", id, "err", err)
	}
}

// work carries out one job and notes its end. A job cut short by the end of
// the process is queued again at the next start.
func (x *Index) work(ctx context.Context, job store.Job) {
	err := x.do(ctx, job)
	if ctx.Err() != nil {
		return
	}
	problem := ""
	if err != nil {
		problem = err.Error()
		x.Log.Warn("job failed", "op", job.Op, "repo_id", job.Repository, "err", err)
	}
	if err := x.Store.FinishJob(ctx, job.ID, problem); err != nil {
		x.Log.Error("finishing a job", "op", job.Op, "err", err)
	}
}

func (x *Index) do(ctx context.Context, job store.Job) error {
	repo, err := x.Store.Repository(ctx, job.Repository)
	if err != nil {
		return err
	}
	if repo.State == ferry.RepositoryDisabled {
		return &ferry.Message{Kind: ferry.ErrDenied, Text: repo.Path() + " is disabled"}
	}
	switch job.Op {
	case store.OpCopy, store.OpSync, store.OpReindex:
		return x.sync(ctx, repo, job)
	case store.OpPurge:
		return x.Mirror.Purge(ctx, repo)
	case store.OpUpkeep:
		return x.Mirror.Upkeep(ctx, repo)
	}
	return fmt.Errorf("job %s is not one of the index: %w", job.Op, ferry.ErrInvalid)
}

// sync copies or refreshes the mirror and indexes what moved.
func (x *Index) sync(ctx context.Context, repo ferry.Repository, job store.Job) error {
	if err := x.Mirror.Copy(ctx, repo, nil); err != nil {
		return err
	}
	if _, err := x.Mirror.Refresh(ctx, repo, 0); err != nil {
		return err
	}
	if err := x.index(ctx, repo, job); err != nil {
		return err
	}
	if job.Op == store.OpReindex {
		return x.Reconsider(ctx)
	}
	return nil
}

// index is Repository with progress told to the job of a first index.
func (x *Index) index(ctx context.Context, repo ferry.Repository, job store.Job) error {
	if repo.IndexedAt.IsZero() {
		if total, err := x.Git.CountCommits(ctx, x.Mirror.Path(repo.ID)); err == nil {
			_ = x.Store.ProgressJob(ctx, job.ID, 0, int64(total))
		}
	}
	return x.Repository(ctx, repo)
}

// schedule queues a look at every repository whose time has come.
func (x *Index) schedule(ctx context.Context) error {
	repos, err := x.Store.Repositories(ctx, store.RepositoryFilter{State: ferry.RepositoryEnabled})
	if err != nil {
		return err
	}
	now := x.now()
	for _, repo := range repos {
		t := x.next[repo.ID]
		if t == nil {
			// Spread over the first two minutes; at once where nothing is yet.
			t = &timetable{at: now, changed: now}
			if !repo.IndexedAt.IsZero() {
				t.at = now.Add(time.Duration(rand.Int64N(int64(2 * x.PollMin))))
			}
			x.next[repo.ID] = t
		}
		if now.Before(t.at) {
			continue
		}
		view, err := x.Mirror.View(ctx, repo)
		if err != nil {
			return err
		}
		wait := min(max(now.Sub(t.changed)/4, x.PollMin), x.PollMax)
		wait += time.Duration(rand.Int64N(int64(wait)/5+1)) - wait/10
		t.at = now.Add(wait)
		if view.Failure == nil && !view.LookedAt.IsZero() && now.Sub(view.LookedAt) < wait/2 {
			continue // somebody's read has looked just now
		}
		op, source := store.OpSync, "scheduled"
		if repo.IndexedAt.IsZero() {
			op, source = store.OpCopy, "initial"
		}
		if _, err := x.Store.Enqueue(ctx, store.Job{Repository: repo.ID, Op: op, Source: source, Priority: 20}); err != nil {
			return err
		}
	}
	return nil
}

// Reconsider links the commits that name keys of projects which Jira did not
// know when they were indexed and knows now. Their commands stay unrun.
func (x *Index) Reconsider(ctx context.Context) error {
	settings, err := x.Settings(ctx)
	if err != nil {
		return err
	}
	for project := range settings.Parse.Projects {
		for {
			found, err := x.Store.Candidates(ctx, project, chunk)
			if err != nil {
				return err
			}
			for _, c := range found {
				if err := x.linkCandidate(ctx, c); err != nil {
					return fmt.Errorf("linking %s to %s: %w", c.OID.Short(), c.Key, err)
				}
			}
			if len(found) < chunk {
				break
			}
		}
	}
	if x.Queued != nil {
		x.Queued()
	}
	return nil
}

// linkCandidate makes a candidate a link and tells Jira.
func (x *Index) linkCandidate(ctx context.Context, c store.Candidate) error {
	known, err := x.Store.CommitByOID(ctx, c.Repository, c.OID)
	if err != nil {
		return err
	}
	row := known.Commit
	row.Links = append(row.Links, store.Link{Key: c.Key, Reason: "message"})
	keys := make([]ferry.IssueKey, len(row.Links))
	for i, l := range row.Links {
		keys[i] = l.Key
	}
	_, err = x.Store.AddCommits(ctx, c.Repository, []store.Commit{row}, []store.Entity{{Repository: c.Repository,
		Kind: store.EntityCommit, EntityID: c.OID.String(), Keys: keys, Backfill: true}})
	return err
}
