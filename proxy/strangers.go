package proxy

import (
	"crypto/sha256"
	"net"
	"net/http"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Bounds of what one address may ask without being signed in (security
// reference, HTTP-11).
const (
	knocksPerSecond = 20
	knocksAtOnce    = 60
	failedPerMinute = 10
	strangersKept   = 10 * time.Minute // how long a quiet address is remembered
	maxStrangers    = 10_000           // addresses
	maxWelcome      = 100              // credentials of one address
)

var errKnocking = &statusError{http.StatusTooManyRequests, "too many requests without valid credentials from your address; try again in a minute"}

// strangers counts requests that are not signed in, by address. Credentials
// that were good from an address lately are looked at there in any case, so
// that one machine with an old token does not lock out all behind its address.
type strangers struct {
	mu sync.Mutex
	by map[string]*stranger // guarded by mu, with all in it
}

type stranger struct {
	knocks, failed *rate.Limiter
	welcome        map[[sha256.Size]byte]time.Time
	last           time.Time
}

// of returns what is known of an address. The caller holds s.mu.
func (s *strangers) of(addr string, now time.Time) *stranger {
	if tcp, err := net.ResolveTCPAddr("tcp", addr); err == nil {
		addr = addressKey(tcp)
	}
	if s.by == nil {
		s.by = make(map[string]*stranger)
	}
	one := s.by[addr]
	if one == nil {
		if len(s.by) >= maxStrangers {
			s.forget(now)
		}
		one = &stranger{knocks: rate.NewLimiter(knocksPerSecond, knocksAtOnce),
			failed: rate.NewLimiter(rate.Every(time.Minute/failedPerMinute), failedPerMinute), welcome: make(map[[sha256.Size]byte]time.Time)}
		s.by[addr] = one
	}
	one.last = now
	return one
}

// forget drops addresses that were quiet; if all are busy, all of them.
func (s *strangers) forget(now time.Time) {
	for addr, one := range s.by {
		if now.Sub(one.last) > strangersKept {
			delete(s.by, addr)
		}
	}
	if len(s.by) >= maxStrangers {
		clear(s.by)
	}
}

// mayTry reports whether credentials from addr are to be looked at.
func (s *strangers) mayTry(addr, credential string, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	one := s.of(addr, now)
	if at, ok := one.welcome[sha256.Sum256([]byte(credential))]; ok && now.Sub(at) < strangersKept {
		return true
	}
	return one.failed.TokensAt(now) >= 1 && one.knocks.TokensAt(now) >= 1
}

// knock counts a request that is not signed in; failed says that it tried. It
// reports whether it may be answered with an invitation to sign in.
func (s *strangers) knock(addr string, failed bool, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	one := s.of(addr, now)
	if failed {
		one.failed.AllowN(now, 1)
	}
	return one.knocks.AllowN(now, 1)
}

// letIn notes credentials that were good.
func (s *strangers) letIn(addr, credential string, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	one := s.of(addr, now)
	if len(one.welcome) >= maxWelcome {
		clear(one.welcome)
	}
	one.welcome[sha256.Sum256([]byte(credential))] = now
}
