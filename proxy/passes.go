package proxy

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"sync"
	"time"

	"gitferry/internal/ferry"
)

// maxPassed bounds the answers and the names that are remembered.
const maxPassed = 20_000

// passes remembers upstream's answers.
type passes struct {
	once sync.Once
	key  [32]byte // of this process

	mu     sync.Mutex
	good   map[[32]byte]time.Time // guarded by mu; when upstream said yes
	failed map[string][]time.Time // guarded by mu; refused tries of the last minute
}

// id is what an answer is remembered by. It cannot be turned back.
func (p *passes) id(user, password string, repo ferry.RepositoryID, service string) (sum [32]byte) {
	p.once.Do(func() { rand.Read(p.key[:]) }) // never fails (crypto/rand)
	mac := hmac.New(sha256.New, p.key[:])
	for _, part := range []string{user, password, fmt.Sprint(repo), service} {
		var n [8]byte
		binary.BigEndian.PutUint64(n[:], uint64(len(part)))
		mac.Write(n[:])
		mac.Write([]byte(part))
	}
	mac.Sum(sum[:0])
	return sum
}

func (p *passes) known(id [32]byte, now time.Time) bool { return p.within(id, now, passKept) }

// within reports whether upstream said yes less than a time ago, and not no
// since.
func (p *passes) within(id [32]byte, now time.Time, kept time.Duration) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	at, ok := p.good[id]
	return ok && now.Before(at.Add(kept))
}

// forget drops a yes, since upstream says no now.
func (p *passes) forget(id [32]byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.good, id)
}

func (p *passes) remember(id [32]byte, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.good == nil || len(p.good) >= maxPassed {
		p.good = make(map[[32]byte]time.Time)
	}
	p.good[id] = now
}

// recent returns the refused tries under a name in the last minute. The
// caller holds p.mu.
func (p *passes) recent(name string, now time.Time) []time.Time {
	var left []time.Time
	for _, at := range p.failed[name] {
		if now.Sub(at) < time.Minute {
			left = append(left, at)
		}
	}
	return left
}

// mayTry reports whether none of the names has failed too often.
func (p *passes) mayTry(names []string, now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, n := range names {
		if len(p.recent(n, now)) >= passFailed {
			return false
		}
	}
	return true
}

func (p *passes) fail(names []string, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.failed == nil {
		p.failed = make(map[string][]time.Time)
	}
	if len(p.failed) >= maxPassed {
		for n := range p.failed {
			if len(p.recent(n, now)) == 0 {
				delete(p.failed, n)
			}
		}
	}
	for _, n := range names {
		p.failed[n] = append(p.recent(n, now), now)
	}
}
