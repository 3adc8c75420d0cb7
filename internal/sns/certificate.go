package sns

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// A Verifier checks messages and keeps the certificates that it met. Fill the
// exported fields before use; it may then be used concurrently.
type Verifier struct {
	// Fetch returns what lies at a URL that passed the rules. It follows no
	// redirect, checks TLS against the system's roots and reads no more than
	// MaxCertificate bytes.
	Fetch func(ctx context.Context, url string) ([]byte, error)
	Log   *slog.Logger     // for oddities; nil: none
	Now   func() time.Time // nil: time.Now

	mu    sync.Mutex
	cache map[string]*entry // guarded by mu; by URL
}

// MaxCertificate is how long a certificate may be, in bytes.
const MaxCertificate = 64 << 10

const (
	fetchTime   = 5 * time.Second
	keepGood    = 24 * time.Hour
	keepFailure = 60 * time.Second
	maxKept     = 16
)

// entry is a certificate, or a failure to get one, or a fetch under way.
type entry struct {
	done chan struct{} // closed when cert or err is set
	cert *x509.Certificate
	err  error
	at   time.Time // when it was set; guarded by Verifier.mu
}

func (v *Verifier) now() time.Time {
	if v.Now != nil {
		return v.Now()
	}
	return time.Now()
}

// certificate returns the certificate at a URL. Concurrent calls share one
// fetch, which goes on when a caller gives up.
func (v *Verifier) certificate(ctx context.Context, url string) (*x509.Certificate, error) {
	v.mu.Lock()
	e := v.cache[url]
	if e != nil && !e.at.IsZero() {
		keep := keepGood
		if e.err != nil {
			keep = keepFailure
		}
		if age := v.now().Sub(e.at); age < 0 || age >= keep {
			delete(v.cache, url)
			e = nil
		}
	}
	if e == nil {
		e = &entry{done: make(chan struct{})}
		v.makeRoom()
		v.cache[url] = e
		go v.fetch(context.WithoutCancel(ctx), url, e) // ends within fetchTime
	}
	v.mu.Unlock()
	select {
	case <-e.done:
		return e.cert, e.err
	case <-ctx.Done():
		return nil, fmt.Errorf("the certificate has not come yet: %w", ErrUnavailable)
	}
}

// makeRoom drops the oldest entries beyond the limit, those under way last.
// The caller holds v.mu.
func (v *Verifier) makeRoom() {
	if v.cache == nil {
		v.cache = make(map[string]*entry)
	}
	for len(v.cache) >= maxKept {
		oldest, when := "", time.Time{}
		for url, e := range v.cache {
			at := e.at
			if at.IsZero() {
				at = v.now()
			}
			if oldest == "" || at.Before(when) {
				oldest, when = url, at
			}
		}
		delete(v.cache, oldest)
	}
}

func (v *Verifier) fetch(ctx context.Context, url string, e *entry) {
	ctx, cancel := context.WithTimeout(ctx, fetchTime)
	defer cancel()
	text, err := v.Fetch(ctx, url)
	if err == nil {
		e.cert, err = parseCertificate(text)
	} else {
		err = fmt.Errorf("fetching the certificate: %v: %w", err, ErrUnavailable)
	}
	e.err = err
	v.mu.Lock()
	e.at = v.now()
	v.mu.Unlock()
	close(e.done)
}

func parseCertificate(text []byte) (*x509.Certificate, error) {
	if len(text) > MaxCertificate {
		return nil, refused("the certificate is longer than %d bytes", MaxCertificate)
	}
	block, _ := pem.Decode(text)
	if block == nil || block.Type != "CERTIFICATE" {
		return nil, refused("there is no certificate at its address")
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, refused("the certificate is not readable")
	}
	return cert, nil
}
