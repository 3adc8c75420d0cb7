// Package discovery keeps the connected repositories in step with the accounts
// they live in, and knows how to reach each upstream.
//
// The idea: a repository is known by its id at AWS, not by its name. One look
// at an account's list tells what is new, renamed or gone; a failed look
// changes nothing, since a slip of permissions must not disconnect anybody.
//
// cmd and the pages call it. It opens no git session itself.
package discovery

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"gitferry/internal/codecommit"
	"gitferry/internal/ferry"
	"gitferry/internal/store"
	"gitferry/internal/upstream"
)

// A Discovery looks at accounts. Fill the exported fields before use.
type Discovery struct {
	Store  *store.Store
	Dialer *upstream.Dialer
	Log    *slog.Logger

	mu      sync.Mutex
	clients map[ferry.IntegrationID]*client // guarded by mu
}

// client is an API client with what it was made of.
type client struct {
	*codecommit.Client
	integration ferry.Integration
	secrets     ferry.Credentials
}

// Client returns a client for the account of an integration. It is kept until
// the integration or its secrets change.
func (d *Discovery) Client(ctx context.Context, i ferry.Integration) (*codecommit.Client, error) {
	secrets, err := d.Store.Credentials(ctx, i.ID)
	if err != nil {
		return nil, fmt.Errorf("opening the credentials of %s: %w", i.Slug, err)
	}
	i.Problem = "" // not part of what a client is made of
	d.mu.Lock()
	defer d.mu.Unlock()
	if c := d.clients[i.ID]; c != nil && c.integration == i && c.secrets == secrets {
		return c.Client, nil
	}
	made, err := codecommit.New(ctx, codecommit.Config{Integration: i, Credentials: secrets,
		HTTP: d.Dialer.HTTPClient(i.PrivateNetwork)})
	if err != nil {
		return nil, err
	}
	if d.clients == nil {
		d.clients = make(map[ferry.IntegrationID]*client)
	}
	d.clients[i.ID] = &client{made, i, secrets}
	return made, nil
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

// Found is what one look at an account brought.
type Found struct {
	Added   []ferry.Repository
	Renamed []ferry.Repository
	Missing []ferry.Repository
	// Unconnected are the names that are there and not connected.
	Unconnected []string
}

// Look reads the account's list of repositories. New ones are connected if the
// integration connects all, or if connect says so; renamed ones follow; ones
// that are gone are marked missing, and come back when they are seen again. A
// failed look changes nothing but the integration's problem.
func (d *Discovery) Look(ctx context.Context, id ferry.IntegrationID, connect func(name string) bool) (Found, error) {
	i, err := d.Store.Integration(ctx, id)
	if err != nil {
		return Found{}, err
	}
	found, err := d.look(ctx, i, connect)
	problem := ""
	if err != nil {
		problem = "reading the list of repositories: " + text(err)
	}
	if problem != i.Problem {
		if i, getErr := d.Store.Integration(ctx, id); getErr == nil {
			i.Problem = problem
			if updateErr := d.Store.UpdateIntegration(ctx, i, nil); updateErr != nil {
				err = errors.Join(err, updateErr)
			}
		}
	}
	return found, err
}

func text(err error) string {
	var m *ferry.Message
	if errors.As(err, &m) {
		return m.Text
	}
	return err.Error()
}

func (d *Discovery) look(ctx context.Context, i ferry.Integration, connect func(string) bool) (Found, error) {
	var f Found
	if i.Kind != ferry.KindCodeCommit {
		return f, nil
	}
	c, err := d.Client(ctx, i)
	if err != nil {
		return f, err
	}
	if i.Account == "" {
		if who, err := c.Identity(ctx); err == nil {
			i.Account = who.Account
			if err := d.Store.UpdateIntegration(ctx, i, nil); err != nil {
				return f, err
			}
		}
	}
	listed, err := d.list(ctx, c)
	if err != nil {
		return f, err
	}
	known, err := d.Store.Repositories(ctx, store.RepositoryFilter{Integration: i.ID})
	if err != nil {
		return f, err
	}
	byHost := make(map[string]ferry.Repository, len(known))
	for _, r := range known {
		byHost[r.HostID] = r
	}
	for _, l := range listed {
		r, ok := byHost[l.ID]
		delete(byHost, l.ID)
		if !ok {
			if !i.ConnectAll && (connect == nil || !connect(l.Name)) {
				f.Unconnected = append(f.Unconnected, l.Name)
				continue
			}
			if r, err = d.add(ctx, i, l); err != nil {
				return f, err
			}
			f.Added = append(f.Added, r)
			continue
		}
		if err := d.follow(ctx, i, r, l, &f); err != nil {
			return f, err
		}
	}
	for _, r := range byHost {
		if r.State == ferry.RepositoryMissing {
			continue
		}
		r.State = ferry.RepositoryMissing
		if err := d.Store.UpdateRepository(ctx, r); err != nil {
			return f, err
		}
		f.Missing = append(f.Missing, r)
	}
	return f, nil
}

// list reads the whole list with what is known of each repository. Without
// the right to read details, names and ids must do.
func (d *Discovery) list(ctx context.Context, c *codecommit.Client) ([]codecommit.Repository, error) {
	names, err := c.ListRepositories(ctx)
	if err != nil {
		return nil, err
	}
	all := make([]string, len(names))
	for i, n := range names {
		all[i] = n.Name
	}
	details, _, err := c.BatchGetRepositories(ctx, all)
	if err != nil {
		if !errors.Is(err, ferry.ErrDenied) {
			return nil, err
		}
		d.Log.Warn("repository details cannot be read; default branches are taken from git", "err", err)
	}
	byID := make(map[string]codecommit.Repository, len(details))
	for _, r := range details {
		byID[r.ID] = r
	}
	listed := make([]codecommit.Repository, len(names))
	for i, n := range names {
		r, ok := byID[n.ID]
		if !ok {
			r = codecommit.Repository{ID: n.ID, Name: n.Name}
		}
		listed[i] = r
	}
	return listed, nil
}

// add connects a repository.
func (d *Discovery) add(ctx context.Context, i ferry.Integration, l codecommit.Repository) (ferry.Repository, error) {
	name, err := ferry.ParseRepositoryName(l.Name)
	if err != nil {
		return ferry.Repository{}, err
	}
	r, err := d.Store.AddRepository(ctx, ferry.Repository{IntegrationID: i.ID, Owner: i.Slug, Name: name, Region: i.Region, HostID: l.ID,
		CloneURL: cloneURL(i, name), DefaultBranch: l.DefaultBranch, State: ferry.RepositoryEnabled, SmartCommits: true})
	if err != nil {
		return r, fmt.Errorf("connecting %s: %w", l.Name, err)
	}
	_, err = d.Store.Enqueue(ctx, store.Job{Repository: r.ID, Op: store.OpCopy, Source: "initial", Priority: 20})
	return r, err
}

// follow takes over what changed of a known repository.
func (d *Discovery) follow(ctx context.Context, i ferry.Integration, r ferry.Repository, l codecommit.Repository, f *Found) error {
	before := r
	r.Name, r.CloneURL = l.Name, cloneURL(i, l.Name)
	if l.DefaultBranch != "" {
		r.DefaultBranch = l.DefaultBranch
	}
	if r.State == ferry.RepositoryMissing {
		r.State = ferry.RepositoryEnabled
	}
	if r == before {
		return nil
	}
	if r.Name != before.Name {
		f.Renamed = append(f.Renamed, r)
	}
	return d.Store.UpdateRepository(ctx, r)
}

func cloneURL(i ferry.Integration, name string) string {
	url := codecommit.CloneURL(i.Region, i.GitEndpoint, name)
	if i.GitAuth == ferry.GitAuthSSH {
		return codecommit.WithSSHKeyID(url, i.SSHKeyID)
	}
	return url
}

// every is how often the lists of accounts are read.
const every = 15 * time.Minute

// Run reads the lists of all accounts at start and then every 15 minutes,
// until ctx ends.
func (d *Discovery) Run(ctx context.Context) error {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		all, err := d.Store.Integrations(ctx)
		if err != nil && ctx.Err() == nil {
			d.Log.Error("listing integrations", "err", err)
		}
		for _, i := range all {
			if i.Disabled || ctx.Err() != nil {
				continue
			}
			if _, err := d.Look(ctx, i.ID, nil); err != nil && ctx.Err() == nil {
				d.Log.Warn("looking at an account", "integration", i.Slug, "err", err)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}
