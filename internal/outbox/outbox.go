// Package outbox delivers to Jira what the index queued: development
// information (commits, branches, pull requests) and the commands of smart
// commits.
//
// The idea is that nothing happens twice and nothing is lost, although any
// call may fail, and may fail after it took effect. So each attempt at a
// command is written down before the call, in the books and in a journal file
// beside them, and every comment, worklog and transition carries a mark by
// which a lost answer is resolved: look first, send again only if the effect
// is not there. Development information needs no look: Jira keeps the greater
// number. Commands to one issue run strictly one after the other, in the
// order of the commits; a command that must wait holds up its issue only.
//
// What an answer means is decided in judge.go, how much may be in flight in
// gate.go, what a command does in command.go, transition.go and edit.go, and
// what Jira is shown in entities.go (Cloud) and links.go (Data Center).
//
// cmd runs it; index, api and the command line wake it. It never reads git
// itself and never waits for Jira inside a transaction of the books.
package outbox

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"gitferry/internal/ferry"
	"gitferry/internal/jira"
	"gitferry/internal/store"
)

// An Outbox delivers queued rows. All fields but Log and Now are needed.
type Outbox struct {
	Store *store.Store
	Sites *Sites
	// Files tells the files that a commit changed against its first parent:
	// at least the first ten, and how many there are in all.
	Files func(context.Context, ferry.RepositoryID, ferry.OID) ([]FileChange, int, error)
	Links Links
	// Journal is the path of the delivery journal, beside the database.
	Journal string
	// Boot names this run of the process; leases of other boots are void.
	Boot string
	Log  *slog.Logger     // nil: no log
	Now  func() time.Time // nil: time.Now

	once sync.Once
	wake chan struct{} // holds one signal; made by once
}

// A FileChange is one file of a commit.
type FileChange struct {
	Path           string
	Change         string // "added", "copied", "deleted", "modified", "moved"; anything else is unknown
	Added, Removed int    // lines
}

// Times of the worker.
const (
	leaseTime   = 2 * time.Minute   // longer than any delivery
	deliverTime = 100 * time.Second // one action with all its calls
	stopTime    = 15 * time.Second  // for requests in flight when the run ends
	idleLook    = time.Second       // between looks when nothing wakes us: other processes queue too
)

// Wake makes Run look for work at once. It never blocks.
func (o *Outbox) Wake() {
	select {
	case o.signal() <- struct{}{}:
	default: // a look is due already
	}
}

func (o *Outbox) signal() chan struct{} {
	o.once.Do(func() { o.wake = make(chan struct{}, 1) })
	return o.wake
}

// Run delivers until ctx ends; requests in flight then get 15 s to finish. It
// fails only if the journal or the books cannot be opened for work.
func (o *Outbox) Run(ctx context.Context) error {
	w, err := o.start(ctx)
	if err != nil {
		return err
	}
	for ctx.Err() == nil {
		wait, err := w.round(ctx)
		if err != nil && ctx.Err() == nil {
			w.Log.Error("delivering", "err", err)
		}
		t := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-o.signal():
		case <-t.C:
		}
		t.Stop()
	}
	w.running.Wait()
	return w.journal.close()
}

// A worker is one run of an outbox.
type worker struct {
	*Outbox
	journal *journal
	rest    gate // of calls to the REST API
	devinfo gate // of calls to the development information API
	running sync.WaitGroup
	health  health

	mu      sync.Mutex
	tries   map[int64]int              // guarded by mu; failed tries by action since the start
	waits   map[int64]int              // guarded by mu; failed tries by entity since the start
	refused map[ferry.UserID]time.Time // guarded by mu; personal tokens that Jira refused
	batch   bool                       // guarded by mu; development information is being sent
	numbers map[string]int64           // guarded by mu; greatest number sent, by repository and commit
}

// start opens the journal and frees what an earlier run held.
func (o *Outbox) start(ctx context.Context) (*worker, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	j, err := openJournal(o.Journal, o.Now())
	if err != nil {
		return nil, err
	}
	if err := o.Store.ReleaseLeases(ctx, o.Boot); err != nil {
		return nil, fmt.Errorf("freeing the deliveries of an earlier run: %w", err)
	}
	return &worker{
		Outbox: o, journal: j,
		tries: make(map[int64]int), waits: make(map[int64]int),
		refused: make(map[ferry.UserID]time.Time), numbers: make(map[string]int64),
	}, nil
}

// round starts what is due and may be sent now, and returns how long to wait
// for the next look. Finished deliveries wake the loop themselves.
func (w *worker) round(ctx context.Context) (time.Duration, error) {
	client, site, ok, err := w.ready(ctx)
	if err != nil || !ok {
		return idleLook, err
	}
	// Development information first: where both share the places, a long
	// queue of actions would keep it waiting, and not the other way round.
	started, err := w.startEntities(ctx, client, site)
	if err != nil {
		return idleLook, err
	}
	more, err := w.startActions(ctx, client, site)
	if err != nil {
		return idleLook, err
	}
	if started+more > 0 {
		return idleLook, nil
	}
	now := w.Now()
	wait := idleLook
	if at, ok, err := w.Store.NextDue(ctx); err != nil {
		return wait, fmt.Errorf("looking for the next delivery: %w", err)
	} else if ok && at.After(now) { // what is due already waits for a place or a gate
		wait = min(wait, at.Sub(now))
	}
	for _, g := range []*gate{&w.rest, &w.devinfo} {
		if _, shut := g.free(now); shut > 0 {
			wait = min(wait, shut)
		}
	}
	return max(wait, 10*time.Millisecond), nil
}

// startActions claims as many actions as there are places and carries each
// out in a goroutine of its own, which ends with the delivery.
func (w *worker) startActions(ctx context.Context, client *jira.Client, site store.JiraSite) (int, error) {
	free, _ := w.rest.free(w.Now())
	if free == 0 {
		return 0, nil
	}
	actions, err := w.Store.ClaimActions(ctx, w.Boot, leaseTime, free)
	if err != nil {
		return 0, fmt.Errorf("claiming actions: %w", err)
	}
	for _, a := range actions {
		if !w.rest.enter(w.Now()) { // closed meanwhile
			w.save(ctx, a, store.ActionResult{State: back(a), Problem: a.Problem})
			continue
		}
		w.running.Go(func() {
			defer w.Wake()
			defer w.rest.leave()
			dctx, cancel := outlive(ctx, deliverTime)
			defer cancel()
			w.carryOut(dctx, client, site, a)
		})
	}
	return len(actions), nil
}

// outlive returns a context that lasts for at most d, and for stopTime after
// the end of ctx: what was sent shall learn its answer.
func outlive(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	out, cancel := context.WithTimeout(context.WithoutCancel(ctx), d)
	stop := context.AfterFunc(ctx, func() {
		t := time.AfterFunc(stopTime, cancel)
		context.AfterFunc(out, func() { t.Stop() })
	})
	return out, func() { stop(); cancel() }
}
