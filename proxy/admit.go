package proxy

import (
	"context"
	"sync"
	"time"

	"gitferry/internal/ferry"
)

// gates bounds what runs at once, for each key (a user, a repository).
type gates struct {
	mu    sync.Mutex
	slots map[any]*gate // guarded by mu
}

type gate struct {
	free  chan struct{}
	users int // guarded by gates.mu; holders and waiters
}

// errBusy is the answer to who waited too long.
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

// admit waits for a slot to run git on repo.
func (s *Server) admit(ctx context.Context, repo ferry.Repository) (leave func(), err error) {
	return s.gates.enter(ctx, repo.ID, s.Limits.RepoOperations, s.Limits.QueueWait)
}

// admitUser waits for a slot of the user's.
func (s *Server) admitUser(ctx context.Context, subject ferry.Subject) (leave func(), err error) {
	var who any = subject.User.ID
	if subject.User.ID == 0 {
		who = passName(subject.Credential)
	}
	return s.gates.enter(ctx, who, s.Limits.UserOperations, s.Limits.QueueWait)
}
