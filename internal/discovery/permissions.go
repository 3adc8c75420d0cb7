package discovery

import (
	"context"
	"errors"
	"slices"
	"time"

	"gitferry/internal/codecommit"
	"gitferry/internal/ferry"
	"gitferry/internal/store"
	"gitferry/internal/upstream"
)

// observation names one action of one account.
type observation struct {
	integration ferry.IntegrationID
	action      string
}

// seen is what was last written of an action.
type seen struct {
	state string
	at    time.Time
}

// rewriteAfter is how old the time of an unchanged permission may get.
const rewriteAfter = time.Hour

// The actions of git, which are no calls of the API.
const (
	GitPull = "codecommit:GitPull"
	GitPush = "codecommit:GitPush"
)

// observe keeps what a call said about a permission. It writes when something
// changed, or once an hour.
func (d *Discovery) observe(ctx context.Context, id ferry.IntegrationID, action string, denied error) {
	if !slices.Contains(knownActions, action) {
		return
	}
	state, detail := string(codecommit.StateOK), ""
	if denied != nil {
		state, detail = string(codecommit.StateMissing), text(denied)
	}
	o, now := observation{id, action}, d.now()
	d.mu.Lock()
	before := d.observed[o]
	fresh := before.state == state && now.Sub(before.at) < rewriteAfter
	if !fresh {
		if d.observed == nil {
			d.observed = make(map[observation]seen)
		}
		d.observed[o] = seen{state, now}
	}
	d.mu.Unlock()
	if fresh {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	known, err := d.Store.Permissions(ctx, id)
	if err == nil {
		err = d.Store.SetPermissions(ctx, id, []store.Permission{{Action: action, State: state, Detail: detail}})
	}
	if err != nil {
		if !errors.Is(err, ferry.ErrNotFound) { // an integration that is being tried is removed again
			d.Log.Error("recording a permission", "action", action, "err", err)
		}
		return
	}
	switch was := known[action].State; {
	case state == "missing" && was != state:
		d.logIntegration(ctx, id, "warning", "the permission %s is missing: %s", action, detail)
	case state == "ok" && was == "missing":
		d.logIntegration(ctx, id, "info", "the permission %s is there again", action)
	}
}

// knownActions are those of the matrix, and those of set-up beyond it.
var knownActions = func() []string {
	list := []string{"sns:ConfirmSubscription"}
	for _, f := range codecommit.Features() {
		list = append(list, f.Actions...)
	}
	return list
}()

// Git keeps what a git session said about a permission: action is GitPull or
// GitPush, err what became of the session. A policy may differ from one
// repository to another, so the action is missing while it is for any.
func (d *Discovery) Git(ctx context.Context, repo ferry.Repository, action string, err error) {
	if i, getErr := d.Store.Integration(ctx, repo.IntegrationID); getErr == nil && (err == nil || upstream.IsThrottled(err)) {
		d.mu.Lock()
		l := d.limiter(i)
		d.mu.Unlock()
		l.Answered(err != nil)
	}
	if repo.Region == "" || err != nil && !errors.Is(err, ferry.ErrDenied) {
		return // no account, or nothing learned
	}
	o := observation{repo.IntegrationID, action}
	d.mu.Lock()
	if err != nil {
		if d.denied == nil {
			d.denied = make(map[observation]map[ferry.RepositoryID]bool)
		}
		if d.denied[o] == nil {
			d.denied[o] = make(map[ferry.RepositoryID]bool)
		}
		d.denied[o][repo.ID] = true
	} else {
		delete(d.denied[o], repo.ID)
	}
	others := len(d.denied[o])
	d.mu.Unlock()
	switch {
	case err != nil:
		d.observe(ctx, repo.IntegrationID, action, &ferry.Message{Kind: ferry.ErrDenied, Text: repo.Path() + ": " + text(err)})
	case others == 0:
		d.observe(ctx, repo.IntegrationID, action, nil)
	}
}

// patience is how long a look that nobody waits for waits for its turn.
const patience = 5 * time.Second

// Pace returns when a look at a repository that nobody waits for may begin:
// AWS's limits hold for git and for the API together. It fails with
// ferry.ErrUnavailable if the account is slowed down so much that others
// should have their turn first.
func (d *Discovery) Pace(ctx context.Context, repo ferry.Repository) error {
	i, err := d.Store.Integration(ctx, repo.IntegrationID)
	if err != nil {
		return err
	}
	d.mu.Lock()
	l := d.limiter(i)
	d.mu.Unlock()
	limited, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := l.Wait(limited); err != nil && ctx.Err() == nil {
		return &ferry.Message{Kind: ferry.ErrUnavailable, Text: "the upstream is limiting requests; the look is put off", Cause: err}
	}
	return ctx.Err()
}

// Probe tries what may be tried without a side effect, on one repository of
// the account. What it learns is kept.
func (d *Discovery) Probe(ctx context.Context, i ferry.Integration) error {
	c, err := d.Client(ctx, i)
	if err != nil {
		return err
	}
	repos, err := d.Store.Repositories(ctx, store.RepositoryFilter{Integration: i.ID, State: ferry.RepositoryEnabled, Limit: 1})
	if err != nil {
		return err
	}
	name := ""
	if len(repos) > 0 {
		name = repos[0].Name
	}
	c.Probe(ctx, name)
	return nil
}

// Permissions is the table of what an account's credentials may do.
type Permissions struct {
	Features []Feature
	// Missing are the actions known to be missing, Policy a document that
	// grants exactly these; both empty if none is.
	Missing []string
	Policy  string
}

// A Feature is a line of the table.
type Feature struct {
	codecommit.FeatureState
	CheckedAt time.Time // when the action asked about longest ago was learned; zero: never
	Detail    string    // what AWS said
}

// Permissions returns what is known, from probing and from use.
func (d *Discovery) Permissions(ctx context.Context, i ferry.Integration) (Permissions, error) {
	var p Permissions
	known, err := d.Store.Permissions(ctx, i.ID)
	if err != nil {
		return p, err
	}
	states := make(map[string]codecommit.State, len(known))
	for action, k := range known {
		states[action] = codecommit.State(k.State)
		if k.State == "missing" {
			p.Missing = append(p.Missing, action)
		}
	}
	for _, s := range codecommit.FeatureStates(states) {
		f := Feature{FeatureState: s}
		for _, action := range s.Actions {
			k, ok := known[action]
			if ok && (f.CheckedAt.IsZero() || k.CheckedAt.Before(f.CheckedAt)) {
				f.CheckedAt = k.CheckedAt
			}
			if k.State == "missing" && f.Detail == "" {
				f.Detail = k.Detail
			}
		}
		p.Features = append(p.Features, f)
	}
	if slices.Sort(p.Missing); len(p.Missing) > 0 {
		p.Policy = codecommit.PolicyDocument(p.Missing, i.Region, i.Account)
	}
	return p, nil
}
