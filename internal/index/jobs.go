package index

import (
	"context"
	"fmt"
	"sync"
	"time"

	"gitferry/internal/ferry"
	"gitferry/internal/store"
)

const (
	// workers is how many repositories and accounts are worked on at once.
	workers = 4
	// tick is how often due looks and queued jobs are searched for without a
	// signal; another process may have queued one.
	tick = time.Second
	// firstLooks is the time within which everything is looked at after a start.
	firstLooks = 2 * time.Minute
	// dueAtOnce is how many due looks are queued at a time.
	dueAtOnce = 100
)

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
	if err := x.Store.SpreadLooks(ctx, firstLooks); err != nil {
		return err
	}
	var running sync.WaitGroup
	defer running.Wait()
	slots := make(chan struct{}, workers)
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for {
		if _, err := x.Store.QueueDue(ctx, dueAtOnce); err != nil && ctx.Err() == nil {
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
			defer func() { <-slots; x.Ring() }()
			work()
		}()
	}
}

// Ring tells the index that a job was queued. It does not block.
func (x *Index) Ring() {
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
