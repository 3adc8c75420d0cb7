// Package index keeps the books in step with the mirrors: ref movements become
// commits and branches with their issue keys, and the deliveries to Jira that
// follow from them.
//
// The one idea: nothing but a difference is an event. Whatever the signal was,
// a push, a notification, a poll, a restart, the index compares the mirror's
// refs with the refs in the books and applies the difference once, by
// compare-and-swap, in one transaction with everything that follows from it.
// A lost signal, a crash after a release and a push made behind our back are
// then one case.
//
// cmd wires it: proxy calls Repository after a push, mirror wakes it after a
// refresh, Run works off the queue of jobs. It never talks to Jira; it writes
// rows that the outbox delivers.
package index

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"gitferry/internal/failpoint"
	"gitferry/internal/ferry"
	"gitferry/internal/git"
	"gitferry/internal/smartcommit"
	"gitferry/internal/store"
	"gitferry/mirror"
)

// An Index brings the books up to date. Fill the exported fields before use.
type Index struct {
	Store  *store.Store
	Git    *git.Runner
	Mirror *mirror.Dir
	// Settings are asked at each run.
	Settings func(context.Context) (Settings, error)
	// Queued is called after rows for Jira were written; it must not block.
	Queued func()
	// UnknownProject is called with keys whose project Jira does not know as
	// far as we know; it must not block.
	UnknownProject func()
	// Synced is called after a look at a repository's upstream, and after its
	// refs moved; it must not block. May be nil.
	Synced func(ferry.RepositoryID)
	Log    *slog.Logger
	Now    func() time.Time // nil: time.Now

	// Boot names this run of the process in the leases of jobs.
	Boot string
	// PollMin and PollMax bound the time between looks at one upstream that
	// nobody asked for; PollTriggered is the shortest once triggers come. A
	// PollMin of zero switches such looks off.
	PollMin, PollTriggered, PollMax time.Duration

	// Account carries out the jobs of integrations. Nil: there are none.
	Account func(ctx context.Context, job store.Job) error
	// Describe asks the host for a repository's default branch, writes it, and
	// returns the repository. It may be nil.
	Describe func(ctx context.Context, repo ferry.Repository) (ferry.Repository, error)
	// Pace returns when a look that nobody waits for may begin, or with an
	// error if it has to be put off. It may be nil.
	Pace func(ctx context.Context, repo ferry.Repository) error
	// Looked is told how a look at an upstream ended. It may be nil.
	Looked func(ctx context.Context, repo ferry.Repository, err error)

	mu    sync.Mutex
	locks map[ferry.RepositoryID]*sync.Mutex // guarded by mu; one run a repository
	wake  map[ferry.RepositoryID]bool        // guarded by mu
	bell  chan struct{}                      // guarded by mu; made on first use
}

// Settings say what becomes of commands.
type Settings struct {
	// RunCommands is whether commands become actions of ours.
	RunCommands bool
	// MaxAge is the age of a commit beyond which its commands are not run.
	MaxAge time.Duration
	// Parse says which projects are known and how long a day is.
	Parse smartcommit.Options
}

const (
	// chunk is how many commits are written in one transaction, historyChunk
	// how many of a first index: every transaction touches about as many pages
	// of the indexes by object name as it has commits, until it has many more
	// commits than they have pages. Pushes wait meanwhile, some 0.1 s.
	chunk, historyChunk = 1000, 4000
	// chunkBytes ends a chunk early, in bytes of messages held in memory.
	chunkBytes = 16 << 20
	// pushesLookedAt is how many recent pushes are searched for the one that
	// a movement came from.
	pushesLookedAt = 200
)

func (x *Index) now() time.Time {
	if x.Now != nil {
		return x.Now()
	}
	return time.Now()
}

// lock serialises the runs of one repository.
func (x *Index) lock(id ferry.RepositoryID) (unlock func()) {
	x.mu.Lock()
	if x.locks == nil {
		x.locks = make(map[ferry.RepositoryID]*sync.Mutex)
	}
	l := x.locks[id]
	if l == nil {
		l = new(sync.Mutex)
		x.locks[id] = l
	}
	x.mu.Unlock()
	l.Lock()
	return l.Unlock
}

// Repository applies the difference between the mirror's refs and the books'
// refs. Applying it again does nothing. The first time it indexes the whole
// history, which runs no commands, and goes on where it was stopped.
func (x *Index) Repository(ctx context.Context, repo ferry.Repository) error {
	return x.repository(ctx, repo, nil, nil)
}

// Push is Repository after a push. commits are those that the push brought,
// parents first, as the gate has read them; they spare a look at the mirror
// where they follow on what the books hold.
func (x *Index) Push(ctx context.Context, repo ferry.Repository, commits []git.Commit) error {
	return x.repository(ctx, repo, commits, nil)
}

// repository is Push; progress, if not nil, is told how many commits were
// read.
func (x *Index) repository(ctx context.Context, repo ferry.Repository, brought []git.Commit, progress func(done int)) error {
	defer x.lock(repo.ID)()
	repo, err := x.Store.Repository(ctx, repo.ID) // what another run wrote
	if err != nil {
		return err
	}
	settings, err := x.Settings(ctx)
	if err != nil {
		return fmt.Errorf("reading settings: %w", err)
	}
	r := &run{x: x, repo: repo, settings: settings, initial: repo.IndexedAt.IsZero(), brought: brought, progress: progress}
	if err := r.apply(ctx); err != nil {
		return fmt.Errorf("indexing %s: %w", repo.Path(), err)
	}
	if r.queued && x.Queued != nil {
		x.Queued()
	}
	if r.unknown && x.UnknownProject != nil {
		x.UnknownProject()
	}
	if r.moved {
		x.synced(repo.ID)
		if err := x.planUpkeep(ctx, repo); err != nil {
			return err
		}
	}
	return nil
}

// planUpkeep queues the upkeep of a mirror that needs it.
func (x *Index) planUpkeep(ctx context.Context, repo ferry.Repository) error {
	if !x.Mirror.NeedsUpkeep(ctx, repo) {
		return nil
	}
	_, err := x.Store.Enqueue(ctx, store.Job{Op: store.OpUpkeep, Repository: repo.ID, Source: "scheduled"})
	x.Ring()
	return err
}

func (x *Index) synced(id ferry.RepositoryID) {
	if x.Synced != nil {
		x.Synced(id)
	}
}

// run is one application of a difference.
type run struct {
	x        *Index
	repo     ferry.Repository
	settings Settings
	initial  bool
	queued   bool
	unknown  bool
	moved    bool         // refs moved
	brought  []git.Commit // by the push that is indexed, if that is known
	// progress is told how many commits a first index has read.
	progress func(done int)

	tips map[ferry.OID]*store.Commit // branch tips met in this run
}

// group is what one push, or none, moved.
type group struct {
	push    store.Push // zero: found by looking
	updates []ferry.RefUpdate
	history bool // part of a first index: runs no commands
}

func (r *run) apply(ctx context.Context) error {
	view, err := r.x.Mirror.View(ctx, r.repo)
	if err != nil {
		return err
	}
	if !view.Copied {
		return nil
	}
	now, err := r.x.Mirror.Refs(ctx, r.repo)
	if err != nil {
		return err
	}
	stored, err := r.x.Store.Refs(ctx, r.repo.ID)
	if err != nil {
		return err
	}
	updates := difference(stored, now)
	if len(updates) == 0 && !r.initial {
		return nil
	}
	groups, err := r.split(ctx, updates)
	if err != nil {
		return err
	}
	for i, g := range groups {
		last := i == len(groups)-1
		if err := r.applyGroup(ctx, g, stored, now, r.initial && last); err != nil {
			return err
		}
		for _, u := range g.updates {
			if u.IsDelete() {
				delete(stored, u.Name)
			} else {
				stored[u.Name] = u.New
			}
		}
	}
	return nil
}

// difference lists the updates that turn stored into now, ordered by name.
func difference(stored, now map[ferry.RefName]ferry.OID) []ferry.RefUpdate {
	var updates []ferry.RefUpdate
	for name, oid := range now {
		if stored[name] != oid {
			updates = append(updates, ferry.RefUpdate{Name: name, Old: stored[name], New: oid})
		}
	}
	for name, oid := range stored {
		if _, ok := now[name]; !ok {
			updates = append(updates, ferry.RefUpdate{Name: name, Old: oid})
		}
	}
	slices.SortFunc(updates, func(a, b ferry.RefUpdate) int { return strings.Compare(string(a.Name), string(b.Name)) })
	return updates
}

// split attributes updates to the pushes through us that made them. There is
// always at least one group, so that a first index of nothing completes.
func (r *run) split(ctx context.Context, updates []ferry.RefUpdate) ([]group, error) {
	pushes, err := r.x.Store.Pushes(ctx, r.repo.ID, pushesLookedAt)
	if err != nil {
		return nil, err
	}
	var groups []group
	rest := group{}
	byPush := make(map[ferry.PushID]int)
	for _, u := range updates {
		p, ok := pushOf(pushes, u)
		if ok && r.initial && p.State != store.PushReleased && p.State != store.PushResolved {
			ok = false // its end was booked before: history by now
		}
		if !ok {
			rest.updates = append(rest.updates, u)
			continue
		}
		if before := oldOf(p, u.Name); r.initial && u.Old.IsZero() && !before.IsZero() {
			// A push came before the first index: what it found is history, what
			// it brought is not.
			rest.updates = append(rest.updates, ferry.RefUpdate{Name: u.Name, New: before})
			u.Old = before
		}
		i, ok := byPush[p.ID]
		if !ok {
			i = len(groups)
			byPush[p.ID] = i
			groups = append(groups, group{push: p})
		}
		groups[i].updates = append(groups[i].updates, u)
	}
	slices.SortFunc(groups, func(a, b group) int { return int(a.push.ID - b.push.ID) })
	rest.history = r.initial
	if len(rest.updates) > 0 || len(groups) == 0 {
		groups = append([]group{rest}, groups...)
	}
	return groups, nil
}

// pushOf finds the push that moved a ref to its new value. One whose outcome
// is still being looked up counts: the mirror shows what upstream has, so the
// push did take effect.
func pushOf(pushes []store.Push, u ferry.RefUpdate) (store.Push, bool) {
	for _, p := range pushes {
		for i, pu := range p.Updates {
			if pu.Name != u.Name || pu.New != u.New {
				continue
			}
			if p.State == store.PushReleased || i < len(p.Results) && p.Results[i].Outcome == store.OutcomeOK {
				return p, true
			}
		}
	}
	return store.Push{}, false
}

// oldOf returns what a push says that a ref was before.
func oldOf(p store.Push, name ferry.RefName) ferry.OID {
	for _, u := range p.Updates {
		if u.Name == name {
			return u.Old
		}
	}
	return ferry.OID{}
}

// applyGroup reads the commits that are new with a group and writes them, in
// chunks if they are many; the refs move with the last chunk.
func (r *run) applyGroup(ctx context.Context, g group, stored, now map[ferry.RefName]ferry.OID, indexed bool) error {
	r.tips = make(map[ferry.OID]*store.Commit)
	walk := git.Walk{}
	for _, u := range g.updates {
		if u.Name.IsBranch() && !u.IsDelete() {
			walk.Tips = append(walk.Tips, u.New)
			r.tips[u.New] = nil
		}
	}
	for name, oid := range stored {
		if name.IsBranch() {
			walk.Not = append(walk.Not, oid)
		}
	}
	parents := make(map[ferry.OID]bool)
	var batch []git.Commit
	size, most := 0, chunk // bytes of messages in batch; commits at most
	if g.history {
		most = historyChunk
	}
	done := 0
	flush := func(last bool) error {
		c, err := r.change(ctx, g, batch)
		if err != nil {
			return err
		}
		done += len(batch)
		batch, size = batch[:0], 0
		if last {
			if err := r.finish(ctx, &c, g, now, parents); err != nil {
				return err
			}
			c.Indexed, c.Next = indexed, r.x.now().Add(r.x.PollMin)
		}
		applied, err := r.x.Store.Apply(ctx, c)
		if err != nil {
			return err
		}
		r.queued = r.queued || applied.Actions+applied.Entities > 0
		r.moved = r.moved || len(applied.Movements) > 0
		if applied.Commits > 0 {
			if err := failpoint.Hit("index.after_chunk"); err != nil {
				return err
			}
		}
		if r.progress != nil {
			r.progress(done)
		}
		return nil
	}
	if len(walk.Tips) > 0 {
		err := r.walk(ctx, walk, func(c git.Commit) error {
			for _, p := range c.Parents {
				parents[p] = true
			}
			batch, size = append(batch, c), size+len(c.Message)
			if len(batch) < most && size < chunkBytes {
				return nil
			}
			return flush(false)
		})
		if err != nil {
			return err
		}
	}
	return flush(true)
}

// walk lists the commits of a walk, from those that the push brought if they
// are all there is.
func (r *run) walk(ctx context.Context, w git.Walk, yield func(git.Commit) error) error {
	meets, ok := r.met(w)
	if !ok {
		return r.x.Git.Commits(ctx, r.x.Mirror.Path(r.repo.ID), w, yield)
	}
	for _, c := range r.brought {
		if meets[c.OID] {
			if err := yield(c); err != nil {
				return err
			}
		}
	}
	return nil
}

// met returns which of the commits that the push brought a walk meets. ok is
// false if it may meet others: it has to begin at one of them, and every way
// out has to lead to where the walk ends.
func (r *run) met(w git.Walk) (meets map[ferry.OID]bool, ok bool) {
	meets = make(map[ferry.OID]bool)
	not := make(map[ferry.OID]bool, len(w.Not))
	for _, o := range w.Not {
		not[o] = true
	}
	for _, tip := range w.Tips {
		meets[tip] = true
	}
	left := len(meets) // met, and not among those seen yet
	for _, c := range slices.Backward(r.brought) {
		if !meets[c.OID] {
			continue
		}
		left--
		for _, p := range c.Parents {
			if !meets[p] && !not[p] {
				meets[p] = true
				left++
			}
		}
	}
	return meets, left == 0 && len(r.brought) > 0
}
