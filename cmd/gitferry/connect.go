package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"gitferry/api"
	"gitferry/internal/discovery"
	"gitferry/internal/ferry"
	"gitferry/internal/store"
	"gitferry/internal/triggers"
	"gitferry/internal/upstream"
	"gitferry/mirror"
)

// connector connects and disconnects upstreams; the API (api.Connections) and
// the command line share it.
type connector struct {
	store     *store.Store
	discovery *discovery.Discovery
	triggers  *triggers.Triggers
	mirror    *mirror.Dir
}

// connector makes one for a command, which closes the dialer when it is done.
func (b *books) connector() (connector, *upstream.Dialer) {
	dialer := upstream.NewDialer(b.log, "gitferry/"+version)
	d := &discovery.Discovery{Store: b.store, Dialer: dialer, Log: b.log}
	return connector{store: b.store, discovery: d, mirror: &mirror.Dir{Root: b.cfg.DataDir, Log: b.log},
		triggers: &triggers.Triggers{Store: b.store, Client: d.Client, PublicURL: strings.TrimSuffix(b.cfg.HTTP.PublicURL, "/"), Log: b.log}}, dialer
}

// Add stores an integration and connects its repositories: the one of a git
// URL, and of an account those in names, or all if the integration says so. An
// account that cannot be read, or lacks a name, is not kept.
func (c connector) Add(ctx context.Context, i ferry.Integration, secrets ferry.Credentials, names []string) (ferry.Integration, discovery.Found, error) {
	if err := checkIntegration(i, secrets, names); err != nil {
		return i, discovery.Found{}, err
	}
	i, err := nameIntegration(i)
	if err != nil {
		return i, discovery.Found{}, err
	}
	if i, err = c.store.AddIntegration(ctx, i, secrets); err != nil {
		return i, discovery.Found{}, err
	}
	var found discovery.Found
	if i.Kind == ferry.KindGit {
		err = c.addGit(ctx, i)
	} else {
		found, err = c.Connect(ctx, i.ID, names)
	}
	if err != nil {
		return i, found, errors.Join(err, c.store.RemoveIntegration(context.WithoutCancel(ctx), i.ID))
	}
	i, err = c.store.Integration(ctx, i.ID)
	return i, found, err
}

// Connect looks at an account and connects the repositories named.
func (c connector) Connect(ctx context.Context, id ferry.IntegrationID, names []string) (discovery.Found, error) {
	found, err := c.discovery.Look(ctx, id, func(name string) bool { return slices.Contains(names, name) })
	if err != nil {
		return found, err
	}
	have, err := c.store.Repositories(ctx, store.RepositoryFilter{Integration: id})
	if err != nil {
		return found, err
	}
	for _, n := range names {
		if !slices.ContainsFunc(have, func(r ferry.Repository) bool { return r.Name == n }) {
			return found, &ferry.Message{Kind: ferry.ErrNotFound, Text: fmt.Sprintf("the account has no repository %q that these credentials can list", n)}
		}
	}
	return found, nil
}

// Disconnect removes a repository from gitferry: what Jira shows of it is
// withdrawn first. It returns how many withdrawals still wait; while there are
// any the repository stays, disabled, and Disconnect is to be called again.
// force does not wait for Jira.
func (c connector) Disconnect(ctx context.Context, repo ferry.Repository, force bool) (waiting int, err error) {
	if repo.State != ferry.RepositoryDisabled {
		repo.State = ferry.RepositoryDisabled
		if err := c.store.UpdateRepository(ctx, repo); err != nil {
			return 0, err
		}
	}
	_, err = c.store.JiraSite(ctx)
	switch {
	case errors.Is(err, ferry.ErrNotFound):
	case err != nil:
		return 0, err
	case !force:
		if waiting, err = c.withdraw(ctx, repo.ID); err != nil || waiting > 0 {
			return waiting, err
		}
	}
	if err := c.triggers.RemoveFrom(ctx, repo); err != nil {
		return 0, err
	}
	// It must not come back by itself at the next look.
	if repo.HostID != "" {
		if err := c.store.Untick(ctx, repo.IntegrationID, repo.HostID); err != nil {
			return 0, err
		}
	}
	if err := c.store.RemoveRepository(ctx, repo.ID); err != nil {
		return 0, err
	}
	return 0, c.mirror.Remove(repo.ID)
}

// withdraw queues the withdrawal of all that Jira shows of a repository and
// returns how many withdrawals are not done yet.
func (c connector) withdraw(ctx context.Context, id ferry.RepositoryID) (waiting int, err error) {
	for before := ""; ; {
		page, err := c.store.Deliveries(ctx, store.DeliveryFilter{Repository: id, Limit: 1000, Before: before})
		if err != nil || len(page) == 0 {
			return waiting, err
		}
		before = page[len(page)-1].Cursor
		change := store.Change{Repository: id}
		for _, d := range page {
			switch {
			case d.Kind == "action":
			case len(d.Keys) > 0:
				change.Entities = append(change.Entities, store.Entity{Repository: id, Kind: store.EntityKind(d.Kind), EntityID: d.EntityID, Gone: true})
				waiting++
			case d.State != string(store.EntityDone) && d.State != string(store.EntityDead):
				waiting++
			}
		}
		if len(change.Entities) > 0 {
			if _, err := c.store.Apply(ctx, change); err != nil {
				return waiting, fmt.Errorf("queueing withdrawals: %w", err)
			}
		}
	}
}

// removeWithin is how long one call of DisconnectAll takes triggers away.
const removeWithin = 10 * time.Second

// DisconnectAll removes an integration with all its repositories, like
// Disconnect.
func (c connector) DisconnectAll(ctx context.Context, i ferry.Integration, force bool) (waiting int, err error) {
	if !i.Disabled {
		i.Disabled = true
		if err := c.store.UpdateIntegration(ctx, i, nil); err != nil {
			return 0, err
		}
	}
	// What is ours at AWS goes first, while the repositories are known. The
	// queue of jobs goes on with it where a server runs.
	left, err := c.triggers.Remove(ctx, i, removeWithin)
	if err != nil {
		return 0, err
	}
	if left > 0 {
		_, err := c.store.Enqueue(ctx, store.Job{Integration: i.ID, Op: store.OpTriggers, Source: "manual", Priority: 10})
		return left, err
	}
	repos, err := c.store.Repositories(ctx, store.RepositoryFilter{Integration: i.ID})
	if err != nil {
		return 0, err
	}
	for _, r := range repos {
		n, err := c.Disconnect(ctx, r, force)
		if err != nil {
			return waiting, err
		}
		waiting += n
	}
	if waiting > 0 {
		return waiting, nil
	}
	return 0, c.store.RemoveIntegration(ctx, i.ID)
}

// untilRemoved repeats a removal for as long as Jira takes withdrawals, at
// most for patience. Who delivers is the running server, or without one the
// command itself.
func (b *books) untilRemoved(ctx context.Context, what string, patience time.Duration, remove func() (int, error)) error {
	waiting, err := remove()
	if err != nil {
		return err
	}
	if waiting > 0 && patience > 0 {
		stop, err := b.deliverMeanwhile(ctx)
		if err != nil {
			return err
		}
		for end := time.Now().Add(patience); waiting > 0 && time.Now().Before(end) && err == nil; {
			if err = sleep(ctx, 250*time.Millisecond); err == nil {
				waiting, err = remove()
			}
		}
		if err = errors.Join(err, stop()); err != nil {
			return err
		}
	}
	if waiting > 0 {
		return &ferry.Message{Kind: ferry.ErrUnavailable, Text: fmt.Sprintf(
			"%s is disabled; Jira has yet to take %d withdrawals. Run the command again later, or with --force to leave them at Jira", what, waiting)}
	}
	return b.done(api.Removal{Removed: true}, "%s removed", what)
}

// deliverMeanwhile delivers to Jira until stop is called, if no server does.
func (b *books) deliverMeanwhile(ctx context.Context) (stop func() error, err error) {
	lock, err := lockInstance(b.cfg)
	if errors.Is(err, errRunning) {
		return func() error { return nil }, nil
	}
	if err != nil {
		return nil, err
	}
	a, err := newApp(ctx, b.cfg, b.store, b.cfg.HTTP.PublicURL, b.log)
	if err != nil {
		lock.Close()
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- a.outbox.Run(ctx) }() // ends with stop
	return func() error {
		cancel()
		err := <-ended
		a.dialer.Close()
		return errors.Join(err, lock.Close())
	}, nil
}

// sleep waits for d, or fails when ctx ends.
func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
