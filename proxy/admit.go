package proxy

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"time"

	"gitferry/internal/ferry"
)

// gates bounds what runs at once, for each key (a user).
type gates struct {
	mu    sync.Mutex
	slots map[any]*gate // guarded by mu
}

type gate struct {
	free  chan struct{}
	users int // guarded by gates.mu; holders and waiters
}

// errBusy is the answer to who waited too long, or would have to.
var errBusy = &ferry.Message{Kind: ferry.ErrUnavailable, Text: "too many git operations are running; try again in a minute"}

// enter waits for one of limit slots of key, at most wait.
func (g *gates) enter(ctx context.Context, key any, limit int, wait time.Duration) (leave func(), err error) {
	g.mu.Lock()
	if g.slots == nil {
		g.slots = make(map[any]*gate)
	}
	slot := g.slots[key]
	if slot == nil {
		slot = &gate{free: make(chan struct{}, limit)}
		g.slots[key] = slot
	}
	slot.users++
	g.mu.Unlock()
	left := func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		if slot.users--; slot.users == 0 {
			delete(g.slots, key)
		}
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case slot.free <- struct{}{}:
		return func() { <-slot.free; left() }, nil
	case <-ctx.Done():
		left()
		return nil, ctx.Err()
	case <-timer.C:
		left()
		return nil, errBusy
	}
}

// A queue says which client read may start git next (security reference,
// GIT-8). So many run at once, so many of them on one repository; the last
// place is kept free of the user, and of the repository, that has all others.
// Who must wait gets the next place in turn: users one after the other, and
// each user's repositories one after the other, so that nobody who asks for
// much keeps others from what little they ask.
//
// Pushes never stand in it: the git that a push needs is bounded by the number
// of operations of its user and cannot wait behind reads.
type queue struct {
	mu      sync.Mutex
	clock   uint64                        // guarded by mu, like all below; counts turns
	running int                           // reads that may run git
	users   map[any]*turns                // those with a read that runs or waits
	repos   map[ferry.RepositoryID]*turns // the same
	waiting []*waiter                     // in order of arrival
}

// turns is what a queue knows of one user or one repository. Its fields are
// guarded by queue.mu.
type turns struct {
	running, waiting int
	last             uint64                         // when it last got a place; of users
	repos            map[ferry.RepositoryID]*uint64 // the same for its repositories; of users
}

type waiter struct {
	user, repo *turns
	last       *uint64 // of user.repos
	admitted   chan struct{}
}

// enter waits for a place for a read of repo by who, within the limits.
func (q *queue) enter(ctx context.Context, who any, repo ferry.RepositoryID, limits Limits) (leave func(), err error) {
	w, err := q.join(who, repo, limits)
	if err != nil {
		return nil, err
	}
	leave = func() { q.leave(w, who, repo, limits) }
	timer := time.NewTimer(limits.QueueWait)
	defer timer.Stop()
	select {
	case <-w.admitted:
		return leave, nil
	case <-ctx.Done():
		err = ctx.Err()
	case <-timer.C:
		err = errBusy
	}
	leave()
	return nil, err
}

// join puts a read at the end of the queue, or lets it in at once.
func (q *queue) join(who any, repo ferry.RepositoryID, limits Limits) (*waiter, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.users == nil {
		q.users, q.repos = make(map[any]*turns), make(map[ferry.RepositoryID]*turns)
	}
	r := q.repos[repo]
	if r == nil {
		r = new(turns)
		q.repos[repo] = r
	}
	if r.waiting >= limits.RepoQueue {
		return nil, errBusy
	}
	u := q.users[who]
	if u == nil {
		q.clock++
		u = &turns{last: q.clock, repos: make(map[ferry.RepositoryID]*uint64)}
		q.users[who] = u
	}
	if u.repos[repo] == nil {
		q.clock++
		last := q.clock
		u.repos[repo] = &last
	}
	w := &waiter{user: u, repo: r, last: u.repos[repo], admitted: make(chan struct{})}
	u.waiting++
	r.waiting++
	q.waiting = append(q.waiting, w)
	q.next(limits)
	return w, nil
}

// leave gives up a place, or the wait for one.
func (q *queue) leave(w *waiter, who any, repo ferry.RepositoryID, limits Limits) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if i := slices.Index(q.waiting, w); i >= 0 {
		q.waiting = slices.Delete(q.waiting, i, i+1)
		w.user.waiting--
		w.repo.waiting--
	} else {
		q.running--
		w.user.running--
		w.repo.running--
	}
	if w.user.running+w.user.waiting == 0 {
		delete(q.users, who)
	}
	if w.repo.running+w.repo.waiting == 0 {
		delete(q.repos, repo)
	}
	q.next(limits)
}

// next lets in whoever may come in now. The caller holds q.mu.
func (q *queue) next(limits Limits) {
	total := limits.Children
	if total == 0 {
		total = 2 * runtime.GOMAXPROCS(0)
	}
	one := max(1, total-1)
	for q.running < total {
		first := -1
		for i, w := range q.waiting {
			if w.user.running >= one || w.repo.running >= min(one, limits.RepoOperations) {
				continue
			}
			if first < 0 || w.before(q.waiting[first]) {
				first = i
			}
		}
		if first < 0 {
			return
		}
		w := q.waiting[first]
		q.waiting = slices.Delete(q.waiting, first, first+1)
		q.clock++
		w.user.last, *w.last = q.clock, q.clock
		q.running++
		for _, t := range []*turns{w.user, w.repo} {
			t.waiting--
			t.running++
		}
		close(w.admitted)
	}
}

// before reports whether it is w's turn rather than that of o, who came first.
func (w *waiter) before(o *waiter) bool {
	if w.user != o.user {
		return w.user.last < o.user.last
	}
	return *w.last < *o.last
}

// admit waits until a read of repo by subject may start git.
func (s *Server) admit(ctx context.Context, subject ferry.Subject, repo ferry.Repository) (leave func(), err error) {
	return s.reads.enter(ctx, userKey(subject), repo.ID, s.Limits)
}

// admitUser waits for a slot of the user's.
func (s *Server) admitUser(ctx context.Context, subject ferry.Subject) (leave func(), err error) {
	return s.gates.enter(ctx, userKey(subject), s.Limits.UserOperations, s.Limits.QueueWait)
}

// userKey is what counts as one user.
func userKey(subject ferry.Subject) any {
	if subject.User.ID == 0 {
		return passName(subject.Credential)
	}
	return subject.User.ID
}
