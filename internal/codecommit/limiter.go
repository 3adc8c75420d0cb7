package codecommit

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// A Limiter keeps all requests of one account and region within the rate that
// AWS allows. AWS publishes no number: the limiter begins with firstRate,
// halves it when AWS throttles, and gives it back step by step. It may be
// used concurrently; share one among the clients of an account and region.
type Limiter struct {
	mu        sync.Mutex
	bucket    *rate.Limiter
	pause     time.Time // no request before this; guarded by mu
	throttled time.Time // last throttling; guarded by mu
}

const (
	firstRate = 20  // requests a second
	lastRate  = 0.5 // never slower
	// recovery is how long after a throttling the rate begins to grow again.
	recovery = 10 * time.Second
)

// NewLimiter returns a limiter at its first rate.
func NewLimiter() *Limiter { return &Limiter{bucket: rate.NewLimiter(firstRate, firstRate)} }

// wait returns when a request may go out, or with the context's error.
func (l *Limiter) wait(ctx context.Context) error {
	l.mu.Lock()
	pause := time.Until(l.pause)
	l.mu.Unlock()
	if pause > 0 {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
	return l.bucket.Wait(ctx)
}

// Wait returns when a request that does not go through a Client, such as one
// of git, may go out. It fails if that is later than ctx allows.
func (l *Limiter) Wait(ctx context.Context) error { return l.wait(ctx) }

// Answered tells the limiter how such a request went.
func (l *Limiter) Answered(throttled bool) {
	if throttled {
		l.slow()
	} else {
		l.succeed()
	}
}

// slow reacts to a throttling: half the rate, and a pause with jitter.
// Several answers to requests of the same moment count once.
func (l *Limiter) slow() {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if now.Sub(l.throttled) > time.Second/2 {
		l.bucket.SetLimit(max(l.bucket.Limit()/2, lastRate))
	}
	l.throttled = now
	l.pause = now.Add(time.Duration(200+rand.IntN(600)) * time.Millisecond)
}

// succeed gives a twentieth of the first rate back for each request that went
// well, once the last throttling is long enough ago.
func (l *Limiter) succeed() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.bucket.Limit() < firstRate && time.Since(l.throttled) > recovery {
		l.bucket.SetLimit(min(l.bucket.Limit()+firstRate/20.0, firstRate))
	}
}

// A transport paces, times and bounds each request of the SDK, retries too.
type transport struct {
	next    http.RoundTripper
	limiter *Limiter
}

func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	if err := t.limiter.wait(req.Context()); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(req.Context(), attemptTimeout)
	resp, err := t.next.RoundTrip(req.WithContext(ctx))
	if err != nil {
		cancel()
		return nil, err
	}
	switch {
	case t.isThrottled(resp):
		t.limiter.slow()
	case resp.StatusCode < 300:
		t.limiter.succeed()
	}
	resp.Body = &limitedBody{Reader: io.LimitReader(resp.Body, maxAnswer), Closer: resp.Body, done: cancel}
	return resp, nil
}

// isThrottled reports whether an answer asks to slow down. CodeCommit says it
// with status 400 and the name of the error in the body.
func (t *transport) isThrottled(resp *http.Response) bool {
	switch {
	case resp.StatusCode == http.StatusTooManyRequests:
		return true
	case resp.StatusCode != http.StatusBadRequest:
		return false
	case strings.Contains(resp.Header.Get("X-Amzn-Errortype"), "Throttl"):
		return true
	}
	head, err := io.ReadAll(io.LimitReader(resp.Body, 4<<10))
	rest := io.Reader(resp.Body)
	if err != nil {
		rest = errorReader{err}
	}
	resp.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(head), rest), resp.Body}
	return bytes.Contains(head, []byte("ThrottlingException")) || bytes.Contains(head, []byte("TooManyRequestsException"))
}

type errorReader struct{ err error }

func (r errorReader) Read([]byte) (int, error) { return 0, r.err }
