package outbox

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gitferry/internal/ferry"
	"gitferry/internal/jira"
	"gitferry/internal/store"
)

// How much development information is claimed at a time. On Data Center each
// issue key of each entity is a call of its own.
const (
	claimCloud      = 300
	claimDataCenter = 40
)

// waitingTimes are the looks for issues that Jira did not know; jira.md 1.6.
// After the last one an entity is sent again when its issue turns up or it changes.
var waitingTimes = []time.Duration{time.Minute, 10 * time.Minute, time.Hour, 24 * time.Hour}

// SettingPreventTransitions is the name of the setting, a bool, that makes
// everything go to Jira with its triggers muted. It is the fall-back where
// defused messages are found to run commands all the same.
const SettingPreventTransitions = "jira.prevent_transitions"

// startEntities claims a batch and delivers it in a goroutine, which ends
// with the batch. There is one batch at a time.
func (w *worker) startEntities(ctx context.Context, client *jira.Client, site store.JiraSite) (int, error) {
	g, limit := &w.devinfo, claimCloud
	if client.Kind() == jira.DataCenter {
		g, limit = &w.rest, claimDataCenter
	} else if site.ClientID == "" {
		return 0, nil // nothing to send it with; it stays queued until there is
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	places := 0
	for !w.batch && places < linkers && (places == 0 || g == &w.rest) && g.enter(w.Now()) {
		places++
	}
	if places == 0 {
		return 0, nil
	}
	leave := func() {
		for range places {
			g.leave()
		}
	}
	entities, err := w.Store.ClaimEntities(ctx, w.Boot, leaseTime, limit)
	if err != nil || len(entities) == 0 {
		leave()
		if err != nil {
			return 0, fmt.Errorf("claiming development information: %w", err)
		}
		return 0, nil
	}
	w.batch = true
	w.running.Go(func() {
		defer w.Wake()
		defer func() {
			leave()
			w.mu.Lock()
			w.batch = false
			w.mu.Unlock()
		}()
		dctx, cancel := outlive(ctx, deliverTime)
		defer cancel()
		b := &batch{w: w, client: client, site: site, gate: g, places: places, repositories: make(map[ferry.RepositoryID]ferry.Repository)}
		b.deliver(dctx, entities)
	})
	return len(entities), nil
}

// A batch is a number of entities on their way.
type batch struct {
	w            *worker
	client       *jira.Client
	site         store.JiraSite
	gate         *gate
	places       int  // of the gate that the batch holds
	prevent      bool // triggers are muted by the setting
	repositories map[ferry.RepositoryID]ferry.Repository
}

// deliver sends the entities and saves what became of them.
func (b *batch) deliver(ctx context.Context, entities []store.Entity) {
	err := b.w.Store.Setting(ctx, SettingPreventTransitions, &b.prevent)
	if err != nil && !isNotFound(err) {
		b.failed(ctx, entities, err)
		return
	}
	if b.client.Kind() == jira.DataCenter {
		b.link(ctx, entities)
		return
	}
	groups := map[group][]item{}
	var order []group
	for _, e := range entities {
		it, err := b.item(ctx, e)
		switch {
		case err != nil:
			b.failed(ctx, []store.Entity{e}, err)
			continue
		case it.withdraw:
			b.withdraw(ctx, it)
			continue
		}
		k := group{it.repository.IntegrationID, e.Backfill}
		if groups[k] == nil {
			order = append(order, k)
		}
		groups[k] = append(groups[k], it)
	}
	for _, k := range order {
		b.submit(ctx, k, groups[k])
	}
}

// repository returns a repository of the batch, read once.
func (b *batch) repository(ctx context.Context, id ferry.RepositoryID) (ferry.Repository, error) {
	if r, ok := b.repositories[id]; ok {
		return r, nil
	}
	r, err := b.w.Store.Repository(ctx, id)
	if err == nil {
		b.repositories[id] = r
	}
	return r, err
}

// save stores the results even if ctx has ended.
func (b *batch) save(ctx context.Context, results ...store.EntityResult) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTime)
	defer cancel()
	b.w.mu.Lock()
	for _, r := range results {
		switch r.State {
		case store.EntityDone, store.EntityDead, store.EntityWaiting:
			delete(b.w.waits, r.ID)
		default:
			b.w.waits[r.ID]++
		}
	}
	b.w.mu.Unlock()
	if err := b.w.Store.SaveEntities(ctx, results); err != nil {
		b.w.Log.Error("saving deliveries", "count", len(results), "err", err)
	}
}

// failed saves entities whose call failed as a whole; the classes of
// reliability.md 6.2 for state.
func (b *batch) failed(ctx context.Context, entities []store.Entity, err error) {
	now := b.w.Now()
	results := make([]store.EntityResult, 0, len(entities))
	var e *jira.Error
	errors.As(err, &e)
	for i, en := range entities {
		r := store.EntityResult{ID: en.ID, Version: en.Version, State: store.EntityRetry,
			DeliveredKeys: en.DeliveredKeys, Problem: err.Error(), NextAt: now.Add(backoff(b.tries(en.ID)))}
		if e != nil {
			switch e.Class {
			case jira.Permanent, jira.TooLarge:
				r.State = store.EntityDead
			case jira.Forbidden:
				if b.client.Kind() == jira.DataCenter { // about this issue
					r.State = store.EntityDead
				} else if r.State, r.NextAt = store.EntityPending, now.Add(devinfoRest); i == 0 {
					b.w.refuseDevinfo(ctx, err.Error())
				}
			case jira.Credentials, jira.Moved:
				r.State, r.NextAt = store.EntityPending, time.Time{}
				if i == 0 {
					b.w.stop(ctx, b.client, err.Error())
				}
			case jira.RateLimited:
				if i == 0 {
					b.w.slowDown(e, now)
				}
				r.State, r.NextAt = store.EntityPending, e.Until
			default:
				if i == 0 && ctx.Err() == nil {
					b.gate.failed(now)
				}
				if e.Shape && b.tries(en.ID) >= shapeAttempts {
					r.State = store.EntityDead
				}
			}
		} else if isPermanent(err) {
			r.State = store.EntityDead
		}
		results = append(results, r)
	}
	b.save(ctx, results...)
}

func (b *batch) tries(id int64) int {
	b.w.mu.Lock()
	defer b.w.mu.Unlock()
	return max(b.w.waits[id], 1)
}

// withdraw removes from Jira what was delivered of an entity.
func (b *batch) withdraw(ctx context.Context, it item) {
	// Also what was never seen to arrive: an answer may have been lost.
	err := b.client.DeleteEntity(ctx, it.ref(b), it.Version)
	if err != nil {
		b.failed(ctx, []store.Entity{it.Entity}, err)
		return
	}
	b.gate.succeeded()
	b.w.allowDevinfo(ctx)
	b.save(ctx, store.EntityResult{ID: it.ID, Version: it.Version, State: store.EntityDone})
}
