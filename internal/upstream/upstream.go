// Package upstream holds git sessions with the server that owns a repository:
// over HTTPS with stored credentials or with passwords made from an AWS access
// key, and over SSH with a key.
//
// The one idea is that every connection to an upstream is made here, so that
// every rule about them stands here too: which URLs and addresses may be
// dialled, which host keys are accepted, that no redirect is followed, and how
// long and how much an upstream may talk. A git subprocess that has to fetch
// gets a relay on loopback and never sees a credential or resolves a name.
//
// Package mirror calls Look and Fetch, package proxy calls ReceivePack. Errors
// carry the kinds of package ferry and, where a person can do something about
// them, a *ferry.Message. This package never reads packs, never decides about a
// push, and never logs or returns a secret.
package upstream

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"gitferry/internal/ferry"
	"gitferry/internal/pktline"
)

// A Target is one upstream repository and how to sign in there.
type Target struct {
	// URL is what CheckURL accepts. A user name in it goes before the fields
	// below.
	URL  string
	Auth ferry.GitAuth
	// AccessKeyID goes with Credentials.SecretAccessKey and SessionToken for
	// GitAuthSigV4, GitUsername with GitPassword for GitAuthBasic, SSHKeyID
	// with SSHPrivateKey for GitAuthSSH.
	AccessKeyID, GitUsername, SSHKeyID string
	// Region is what SigV4 signs for; empty: the region in the host name.
	Region      string
	Credentials ferry.Credentials
	// HostKey pins the SSH host key: "ssh-rsa AAAA…". Empty: CodeCommit's
	// published fingerprints decide, and other hosts are refused.
	HostKey string
	// PrivateNetwork allows loopback, private and reserved addresses, and http
	// towards loopback.
	PrivateNetwork bool
}

// bounds limits what an upstream may do (times and bytes).
type bounds struct {
	connect     time.Duration // TCP, TLS and SSH handshakes, each
	firstByte   time.Duration // request sent until the answer begins
	report      time.Duration // push sent until the report is complete
	total       time.Duration // one look or fetch
	stallWindow time.Duration // within this time of waiting ...
	stallBytes  int64         // ... at least so many bytes must come
	idle        time.Duration // connections kept for the next session
	refs        pktline.Limits
	reportBytes int64 // of a report, progress not counted
	answerBytes int64 // of the whole answer to a push
}

var defaultBounds = bounds{
	connect:     10 * time.Second,
	firstByte:   30 * time.Second,
	report:      10 * time.Minute,
	total:       time.Hour,
	stallWindow: 60 * time.Second,
	stallBytes:  1 << 10,
	idle:        60 * time.Second,
	refs:        pktline.Limits{Refs: 1_000_000, Bytes: 256 << 20},
	reportBytes: 16 << 20,
	answerBytes: 64 << 20,
}

// A Dialer opens sessions with upstreams and keeps connections warm between
// them. Its methods may be called concurrently.
type Dialer struct {
	Now func() time.Time // for signatures; time.Now if nil

	log       *slog.Logger
	userAgent string
	bounds    bounds
	lookup    func(ctx context.Context, network, host string) ([]netip.Addr, error) // nil: the system's

	public, private *http.Client // by Target.PrivateNetwork

	mu   sync.Mutex
	skew map[string]time.Duration // by host; server's clock minus ours; guarded by mu
	idle map[string][]*sshConn    // by sshConn.key; guarded by mu
}

// NewDialer returns a Dialer that names itself userAgent, for example
// "gitferry/1.0".
func NewDialer(log *slog.Logger, userAgent string) *Dialer {
	d := &Dialer{
		log:       log,
		userAgent: userAgent,
		bounds:    defaultBounds,
		skew:      make(map[string]time.Duration),
		idle:      make(map[string][]*sshConn),
	}
	d.public, d.private = d.newHTTPClient(false), d.newHTTPClient(true)
	return d
}

// Close closes the connections that wait for a next session. Sessions in use
// go on.
func (d *Dialer) Close() {
	d.public.CloseIdleConnections()
	d.private.CloseIdleConnections()
	d.mu.Lock()
	idle := d.idle
	d.idle = make(map[string][]*sshConn)
	d.mu.Unlock()
	for _, conns := range idle {
		for _, c := range conns {
			c.close()
		}
	}
}

func (d *Dialer) now() time.Time {
	if d.Now != nil {
		return d.Now()
	}
	return time.Now()
}

func (d *Dialer) connectTimeout() time.Duration { return d.bounds.connect }

// Look asks the upstream for its refs. It speaks protocol version 2 where the
// server does and falls back to the advertisement of version 0.
//
// Refs hold HEAD, if it resolves, and every ref in the server's order, peeled
// where they are annotated tags; an empty repository has none. Where the
// server tells what HEAD points to, Capabilities has "symref=HEAD:REF", also
// in version 2; CodeCommit never tells.
//
// It fails with ferry.ErrNotFound if there is no such repository, with
// ferry.ErrDenied if the credentials, the host key or the address are refused,
// with ferry.ErrInvalid if the target is not usable, and with
// ferry.ErrUnavailable for everything that may pass by itself.
func (d *Dialer) Look(ctx context.Context, t Target) (*pktline.Advertisement, error) {
	p, err := parseURL(t.URL, t.PrivateNetwork)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, d.bounds.total)
	defer cancel()
	if p.scheme == "ssh" {
		return d.lookSSH(ctx, t, p)
	}
	return d.lookHTTP(ctx, t, p)
}
