package store

import (
	"context"
	"sync"
	"time"
)

// Another process, such as the command line beside the server, waits for the
// write lock by looking at it every millisecond. While this process writes
// without a pause the lock is free for an instant only, and the other would
// hardly ever find it so. So after a stretch of work the lock is left alone for
// a moment.
const (
	stretch = 50 * time.Millisecond
	rest    = 5 * time.Millisecond
)

// turns lets writers of this process in one after the other.
type turns struct {
	place chan struct{} // holds one token while nobody writes

	mu    sync.Mutex
	since time.Time // when the present stretch began; guarded by mu
	ended time.Time // when the last write ended; guarded by mu
}

func newTurns() *turns {
	t := &turns{place: make(chan struct{}, 1)}
	t.place <- struct{}{}
	return t
}

// enter waits for the caller's turn, which ends with leave.
func (t *turns) enter(ctx context.Context) error {
	select {
	case <-t.place:
	case <-ctx.Done():
		return ctx.Err()
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if now := time.Now(); now.Sub(t.ended) >= rest {
		t.since = now
	}
	return nil
}

func (t *turns) leave() {
	t.mu.Lock()
	t.ended = time.Now()
	tired := t.ended.Sub(t.since) >= stretch
	t.mu.Unlock()
	if tired {
		time.AfterFunc(rest, func() { t.place <- struct{}{} })
		return
	}
	t.place <- struct{}{}
}
