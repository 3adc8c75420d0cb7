// Package discovery keeps the connected repositories in step with the accounts
// they live in, and knows how to reach each upstream.
//
// The idea: a repository is known by its id at AWS, not by its name. One look
// at an account's list tells what is new, renamed or gone; a failed look
// changes nothing, since a slip of permissions must not disconnect anybody.
// What AWS allows and refuses along the way is kept as a table of
// permissions, so that a missing one costs its feature only and can be named.
//
// cmd, the pages and the queue of jobs call it. It opens no git session itself.
package discovery

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"gitferry/internal/codecommit"
	"gitferry/internal/ferry"
	"gitferry/internal/store"
	"gitferry/internal/upstream"
)

// A Discovery looks at accounts. Fill the exported fields before use; it may
// then be used concurrently.
type Discovery struct {
	Store  *store.Store
	Dialer *upstream.Dialer
	Log    *slog.Logger
	Now    func() time.Time // nil: time.Now
	// Queued is called after jobs were queued; it must not block. It may be nil.
	Queued func()
	// Disconnect removes a repository that is gone at the host, and returns how
	// many withdrawals Jira has yet to take; it is called again at the next
	// look while there are any. Nil leaves such repositories missing.
	Disconnect func(ctx context.Context, r ferry.Repository) (waiting int, err error)
	// ListEvery is the time between looks at an account that connects all
	// repositories; zero: an hour (product-behaviour.md 8.2).
	ListEvery time.Duration

	mu       sync.Mutex
	clients  map[ferry.IntegrationID]*client             // guarded by mu
	limiters map[string]*codecommit.Limiter              // guarded by mu; by account's end point and region
	turns    map[ferry.IntegrationID]chan struct{}       // guarded by mu; each holds one token while nobody looks
	probed   map[ferry.IntegrationID]time.Time           // guarded by mu
	observed map[observation]seen                        // guarded by mu
	denied   map[observation]map[ferry.RepositoryID]bool // guarded by mu; of git's actions
}

// client is an API client with what it was made of.
type client struct {
	*codecommit.Client
	integration ferry.Integration
	secrets     ferry.Credentials
}

func (d *Discovery) now() time.Time {
	if d.Now != nil {
		return d.Now()
	}
	return time.Now()
}

func (d *Discovery) queued() {
	if d.Queued != nil {
		d.Queued()
	}
}

// Client returns a client for the account of an integration. It is kept until
// the integration or its secrets change; all clients of one account in one
// region share the pace that AWS allows.
func (d *Discovery) Client(ctx context.Context, i ferry.Integration) (*codecommit.Client, error) {
	secrets, err := d.Store.Credentials(ctx, i.ID)
	if err != nil {
		return nil, fmt.Errorf("opening the credentials of %s: %w", i.Slug, err)
	}
	i.Problem, i.Name, i.Account, i.ConnectAll, i.Disabled = "", "", "", false, false // not part of what a client is made of
	d.mu.Lock()
	defer d.mu.Unlock()
	if c := d.clients[i.ID]; c != nil && c.integration == i && c.secrets == secrets {
		return c.Client, nil
	}
	id := i.ID
	made, err := codecommit.New(ctx, codecommit.Config{Integration: i, Credentials: secrets,
		Source: source(i), Profile: i.Profile, RoleARN: i.RoleARN, ExternalID: i.ExternalID,
		HTTP: d.Dialer.HTTPClient(i.PrivateNetwork), Limiter: d.limiter(i),
		Observe: func(ctx context.Context, action string, denied error) { d.observe(ctx, id, action, denied) }})
	if err != nil {
		return nil, err
	}
	if d.clients == nil {
		d.clients = make(map[ferry.IntegrationID]*client)
	}
	d.clients[i.ID] = &client{made, i, secrets}
	return made, nil
}

func source(i ferry.Integration) codecommit.Source {
	if i.CredentialSource == "" {
		return codecommit.SourceStatic
	}
	return codecommit.Source(i.CredentialSource)
}

// limiter returns the pace of an account in a region. Who the key belongs to
// is not known before the first call, so the key stands for the account. The
// caller holds d.mu.
func (d *Discovery) limiter(i ferry.Integration) *codecommit.Limiter {
	key := fmt.Sprintf("%s|%s|%s|%s|%s", i.Region, i.APIEndpoint, i.AccessKeyID, i.Profile, i.RoleARN)
	l := d.limiters[key]
	if l == nil {
		l = codecommit.NewLimiter()
		if d.limiters == nil {
			d.limiters = make(map[string]*codecommit.Limiter)
		}
		d.limiters[key] = l
	}
	return l
}

// turn waits until nobody looks at an account and returns the end of the
// caller's own turn: two looks at once would both connect what is new.
func (d *Discovery) turn(ctx context.Context, id ferry.IntegrationID) (done func(), err error) {
	d.mu.Lock()
	if d.turns == nil {
		d.turns = make(map[ferry.IntegrationID]chan struct{})
	}
	t := d.turns[id]
	if t == nil {
		t = make(chan struct{}, 1)
		t <- struct{}{}
		d.turns[id] = t
	}
	d.mu.Unlock()
	select {
	case <-t:
		return func() { t <- struct{}{} }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Target tells how to reach the upstream of a repository.
func (d *Discovery) Target(ctx context.Context, repo ferry.Repository) (upstream.Target, error) {
	i, err := d.Store.Integration(ctx, repo.IntegrationID)
	if err != nil {
		return upstream.Target{}, err
	}
	if i.Disabled {
		return upstream.Target{}, &ferry.Message{Kind: ferry.ErrUnavailable, Text: "the integration " + i.Slug + " is disabled; ask an administrator"}
	}
	t := upstream.Target{URL: repo.CloneURL, Auth: i.GitAuth, AccessKeyID: i.AccessKeyID, GitUsername: i.GitUsername,
		SSHKeyID: i.SSHKeyID, Region: i.Region, HostKey: i.HostKey, PrivateNetwork: i.PrivateNetwork}
	if i.GitAuth != ferry.GitAuthSigV4 {
		t.Credentials, err = d.Store.Credentials(ctx, i.ID)
		return t, err
	}
	c, err := d.Client(ctx, i)
	if err != nil {
		return t, err
	}
	t.AccessKeyID, t.Credentials, err = c.SigningCredentials(ctx)
	return t, err
}

// logIntegration adds a line to the log that people read of an account.
func (d *Discovery) logIntegration(ctx context.Context, id ferry.IntegrationID, level, format string, args ...any) {
	if err := d.Store.AddLog(ctx, store.LogLine{Integration: id, Level: level, Text: fmt.Sprintf(format, args...)}); err != nil && ctx.Err() == nil {
		d.Log.Error("adding to the log of an integration", "err", err)
	}
}
