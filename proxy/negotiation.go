package proxy

import (
	"bytes"
	"fmt"
	"io"
	"strconv"
	"sync"
	"time"

	"gitferry/internal/ferry"
)

// Bounds of what a client says before it gets objects (security reference,
// GIT-9).
const (
	maxWants        = 100_000 // a whole clone names each tag
	maxHaves        = 65_536
	maxShallow      = 100_000
	negotiationTime = 10 * time.Minute // of waiting for the client
)

// A negotiation reads what a client says to upload-pack, in any version of the
// protocol, and fails with a *ferry.Message once that is too much or takes too
// long. It looks at the first word of each packet and changes nothing; what is
// not made of packets is left for git to refuse.
type negotiation struct {
	r      io.Reader
	limits negotiationLimits

	// Owned by whoever reads: where in the packets the stream stands.
	head                  []byte // of a packet's length
	left                  int    // bytes of the packet still to come
	word                  []byte // what it begins with
	broken                bool   // not packets
	wants, haves, shallow int
	waited                time.Duration

	mu     sync.Mutex
	failed error // guarded by mu
}

type negotiationLimits struct {
	wants, haves, shallow int
	time                  time.Duration
}

func newNegotiation(r io.Reader) *negotiation {
	return &negotiation{r: r, limits: negotiationLimits{maxWants, maxHaves, maxShallow, negotiationTime}}
}

// again counts anew, for the next request of a session.
func (n *negotiation) again() { n.wants, n.haves, n.shallow = 0, 0, 0 }

// failure returns why reading failed, if the client said too much.
func (n *negotiation) failure() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.failed
}

func (n *negotiation) Read(p []byte) (int, error) {
	if err := n.failure(); err != nil {
		return 0, err
	}
	start := time.Now()
	m, err := n.r.Read(p)
	n.waited += time.Since(start)
	bad := n.feed(p[:m])
	if n.waited > n.limits.time {
		bad = &ferry.Message{Kind: ferry.ErrInvalid, Text: fmt.Sprintf("no agreement on what to send within %s", n.limits.time)}
	}
	if bad != nil {
		n.mu.Lock()
		n.failed = bad
		n.mu.Unlock()
		return 0, bad
	}
	return m, err
}

// feed follows the packets in p.
func (n *negotiation) feed(p []byte) error {
	for len(p) > 0 && !n.broken {
		if n.left > 0 {
			m := min(n.left, len(p))
			n.word = append(n.word, p[:min(m, len("shallow ")-len(n.word))]...)
			n.left -= m
			p = p[m:]
			if n.left == 0 {
				if err := n.line(); err != nil {
					return err
				}
			}
			continue
		}
		m := min(4-len(n.head), len(p))
		n.head = append(n.head, p[:m]...)
		p = p[m:]
		if len(n.head) < 4 {
			return nil
		}
		size, err := strconv.ParseUint(string(n.head), 16, 16)
		n.head, n.word, n.broken = n.head[:0], n.word[:0], err != nil
		n.left = max(0, int(size)-4) // 0: a packet that only marks something
	}
	return nil
}

// line counts a packet that has come.
func (n *negotiation) line() error {
	count, limit, what := &n.shallow, n.limits.shallow, "boundaries of a shallow clone"
	switch {
	case bytes.HasPrefix(n.word, []byte("want")):
		count, limit, what = &n.wants, n.limits.wants, "wanted objects; fetch fewer refs at a time"
	case bytes.HasPrefix(n.word, []byte("have")):
		count, limit, what = &n.haves, n.limits.haves, "objects that are there; fetch into a clone of this repository"
	case bytes.HasPrefix(n.word, []byte("done")):
		n.waited = 0 // what follows is another one
		return nil
	case !bytes.HasPrefix(n.word, []byte("shallow ")) && !bytes.HasPrefix(n.word, []byte("deepen-n")):
		return nil
	}
	if *count++; *count > limit {
		return &ferry.Message{Kind: ferry.ErrInvalid, Text: fmt.Sprintf("the request names more than %d %s", limit, what)}
	}
	return nil
}
