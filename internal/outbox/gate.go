package outbox

import (
	"math/rand/v2"
	"sync"
	"time"
)

// Numbers of reliability.md 6.2.
const (
	// maxInFlight is how many calls of the REST API are made at a time; with
	// the one of the development information API there are 8.
	maxInFlight   = 7
	circuitAfter  = 10               // temporary failures in a row that open the circuit
	circuitPause  = 30 * time.Second // between probes of an open circuit
	limitedFirst  = 10 * time.Second // wait of a 429 that names none
	limitedMost   = 5 * time.Minute
	backoffFirst  = 2 * time.Second
	backoffMost   = 15 * time.Minute
	maxAge        = 7 * 24 * time.Hour // of trying, after which an item is dead
	verifyFirst   = 30 * time.Second   // after sending, before looking for the effect
	verifyAgain   = 120 * time.Second  // after sending; not found then: send again
	missingAgain  = 10 * time.Minute   // before the second look for an issue
	shapeAttempts = 5                  // odd answers to one item, after which it is dead
)

// A gate says how much may be sent to a site right now. After a rate limit or
// too many failures it closes for a while, then lets one request through, and
// opens when that succeeds.
type gate struct {
	mu       sync.Mutex
	inFlight int       // guarded by mu
	closed   time.Time // guarded by mu; nothing before this
	narrow   bool      // guarded by mu; one at a time until a success
	failures int       // guarded by mu; temporary ones in a row
	limits   int       // guarded by mu; rate limits without a time in a row
}

// enter takes one place if there is one.
func (g *gate) enter(now time.Time) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.room(now) < 1 {
		return false
	}
	g.inFlight++
	return true
}

// free returns how many places there are and, if none for a reason that time
// heals, how long that takes.
func (g *gate) free(now time.Time) (int, time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	// The clock may have been set back meanwhile: never wait for more than
	// the longest pause.
	if g.closed.Sub(now) > time.Hour {
		g.closed = now.Add(time.Hour)
	}
	return g.room(now), max(g.closed.Sub(now), 0)
}

func (g *gate) room(now time.Time) int {
	switch {
	case now.Before(g.closed):
		return 0
	case g.narrow:
		return max(1-g.inFlight, 0)
	}
	return max(maxInFlight-g.inFlight, 0)
}

// leave gives the place back.
func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inFlight--
}

// succeeded opens the gate.
func (g *gate) succeeded() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.narrow, g.failures, g.limits = false, 0, 0
}

// failed counts a temporary failure.
func (g *gate) failed(now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.failures++
	if g.failures >= circuitAfter {
		g.narrow, g.closed = true, now.Add(circuitPause)
	}
}

// limited closes the gate until the time the server gave; if it gave none,
// for 10 s, and twice as long each further time, up to 5 min. It returns when
// the gate opens.
func (g *gate) limited(now, until time.Time) time.Time {
	g.mu.Lock()
	defer g.mu.Unlock()
	if until.IsZero() {
		if !now.Before(g.closed) { // not another answer to the same burst
			g.limits++
		}
		until = now.Add(min(limitedFirst<<min(max(g.limits-1, 0), 10), limitedMost))
	}
	g.narrow = true
	if until.After(g.closed) {
		g.closed = until
	}
	return g.closed
}

// backoff is the wait before attempt n+1 after attempt n, n from 1: up to
// 2 s × 2^n, at most 15 min, with full jitter but never less than 1 s.
func backoff(n int) time.Duration {
	most := backoffMost
	if n < 10 {
		most = min(backoffFirst<<max(n-1, 0), backoffMost)
	}
	return time.Second + rand.N(most)
}
