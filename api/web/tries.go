package web

import (
	"net/netip"
	"sync"
	"time"
)

// How often somebody may try to sign in, in a minute (security.md, UI-9).
const (
	triesPerAccount = 5
	triesPerAddress = 10
	maxTried        = 20_000 // accounts and addresses remembered
)

// tries counts attempts to sign in over the last minute.
type tries struct {
	mu   sync.Mutex
	when map[string][]time.Time // guarded by mu
}

func newTries() *tries { return &tries{when: make(map[string][]time.Time)} }

// allow notes an attempt under key and reports whether it is within limit.
func (t *tries) allow(key string, limit int, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.when) >= maxTried {
		for k, w := range t.when {
			if now.Sub(w[len(w)-1]) > time.Minute {
				delete(t.when, k)
			}
		}
		if len(t.when) >= maxTried {
			return false
		}
	}
	recent := t.when[key][:0]
	for _, w := range t.when[key] {
		if now.Sub(w) < time.Minute {
			recent = append(recent, w)
		}
	}
	if len(recent) >= limit {
		t.when[key] = recent
		return false
	}
	t.when[key] = append(recent, now)
	return true
}

// addressKey groups what one person easily has many of: an IPv6 network.
func addressKey(ip string) string {
	a, err := netip.ParseAddr(ip)
	if err != nil {
		return "address " + ip
	}
	if a = a.Unmap(); a.Is6() {
		p, err := a.WithZone("").Prefix(64)
		if err == nil {
			return "address " + p.String()
		}
	}
	return "address " + a.String()
}
