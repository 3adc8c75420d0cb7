package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gitferry/internal/discovery"
	"gitferry/internal/ferry"
	"gitferry/internal/store"
	"gitferry/internal/upstream"
)

// The functions that the index asks cmd for.

// account carries out a job of an integration.
func (a *app) account(ctx context.Context, job store.Job) error {
	asked := job.Source == "manual"
	switch job.Op {
	case store.OpIntegration:
		return a.discovery.Check(ctx, job.Integration, asked || job.Source == "initial")
	case store.OpTriggers:
		more, err := a.triggers.Run(ctx, job.Integration, asked)
		again := store.Job{Integration: job.Integration, Op: store.OpTriggers, Source: "scheduled", Priority: 10}
		switch {
		case errors.Is(err, ferry.ErrUnavailable) && ctx.Err() == nil:
			again.NotBefore = time.Now().Add(triggersAgain)
		case err != nil || !more:
			return err
		}
		_, queueErr := a.store.Enqueue(ctx, again)
		return errors.Join(err, queueErr)
	}
	return fmt.Errorf("job %s of an integration: %w", job.Op, ferry.ErrInvalid)
}

// triggersAgain is when the set-up of triggers goes on after AWS could not be
// asked.
const triggersAgain = time.Minute

// pruneEvery is how often records whose time is over are removed.
const pruneEvery = time.Hour

// prune removes records whose time is over, until ctx ends.
func (a *app) prune(ctx context.Context) error {
	ticker := time.NewTicker(pruneEvery)
	defer ticker.Stop()
	for {
		if err := a.store.Prune(ctx); err != nil && ctx.Err() == nil {
			a.log.Error("removing old records", "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// looked keeps what a look at an upstream said about permissions.
func (a *app) looked(ctx context.Context, repo ferry.Repository, err error) {
	a.discovery.Git(ctx, repo, discovery.GitPull, err)
}

// degraded writes down that git refuses an object of a repository's upstream,
// or no longer does.
func (a *app) degraded(ctx context.Context, repo ferry.Repository, problem string) {
	line := store.LogLine{Repository: repo.ID, Level: "info", Text: "git accepts the upstream's objects again"}
	if problem != "" {
		line.Level, line.Text = "error", "git refuses an object of the upstream: "+problem
		a.log.Error("git refuses an object of an upstream", "repo", repo.Path(), "problem", problem)
	}
	if err := errors.Join(a.store.SetDegraded(ctx, repo.ID, problem), a.store.AddLog(ctx, line)); err != nil {
		a.log.Error("recording the state of a repository", "repo", repo.Path(), "err", err)
	}
}

// pushOpened keeps what the beginning of a push said about permissions.
func (a *app) pushOpened(ctx context.Context, repo ferry.Repository, err error) {
	a.discovery.Git(ctx, repo, discovery.GitPush, err)
}

// disconnectGone disconnects a repository that is gone at the host.
func (a *app) disconnectGone(ctx context.Context, repo ferry.Repository) (int, error) {
	return a.connector().Disconnect(ctx, repo, false)
}

// pullRequestHint has the pull requests of a repository looked at.
func (a *app) pullRequestHint(_ context.Context, id ferry.RepositoryID) { a.pulls.Wake(id) }

// withHostKey adds to an error about an SSH host key what an administrator
// needs to confirm it.
func withHostKey(err error) error {
	var e *upstream.HostKeyError
	if !errors.As(err, &e) {
		return err
	}
	return &ferry.Message{Kind: ferry.ErrDenied, Cause: err, Text: fmt.Sprintf(
		"%s. If %s is the fingerprint that the host's operator publishes, connect again with this host key: %s", err.Error(), e.Fingerprint, e.Presented)}
}

// addGit tries a single repository before it is connected. What the upstream
// says to that, such as the host key that it shows, is the answer.
func (c connector) addGit(ctx context.Context, i ferry.Integration) error {
	r, err := gitRepository(i)
	if err != nil {
		return err
	}
	target, err := c.discovery.Target(ctx, r)
	if err != nil {
		return err
	}
	ctx2, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if _, err := c.discovery.Dialer.Look(ctx2, target); err != nil {
		return withHostKey(err)
	}
	return connectGit(ctx, c.store, i)
}
