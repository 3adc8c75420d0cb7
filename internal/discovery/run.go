package discovery

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"gitferry/internal/ferry"
	"gitferry/internal/store"
)

// probeEvery is how often permissions and triggers are looked over.
const probeEvery = 24 * time.Hour

// Check is the job that looks at an account: its list, and at start, once a
// day and when somebody asked for it its permissions and triggers.
func (d *Discovery) Check(ctx context.Context, id ferry.IntegrationID, asked bool) error {
	i, err := d.Store.Integration(ctx, id)
	if err != nil || i.Disabled || i.Kind != ferry.KindCodeCommit {
		return err
	}
	if _, err := d.Look(ctx, id, nil); err != nil {
		return err
	}
	d.mu.Lock()
	due := asked || d.probed[id].IsZero() || d.now().Sub(d.probed[id]) >= probeEvery
	if due {
		if d.probed == nil {
			d.probed = make(map[ferry.IntegrationID]time.Time)
		}
		d.probed[id] = d.now()
	}
	d.mu.Unlock()
	if !due {
		return nil
	}
	if err := d.Probe(ctx, i); err != nil {
		return err
	}
	_, err = d.Store.Enqueue(ctx, store.Job{Integration: id, Op: store.OpTriggers, Source: "scheduled", Priority: 20})
	d.queued()
	return err
}

// nextCheck is the time to the next look at an account: ListEvery, with a
// fifth of jitter, where new repositories connect by themselves, else some
// time within 19.2 and 24 hours (product-behaviour.md 8.2).
func (d *Discovery) nextCheck(i ferry.Integration) time.Duration {
	longest := 24 * time.Hour
	if i.ConnectAll {
		longest = d.ListEvery
		if longest <= 0 {
			longest = time.Hour
		}
	}
	return longest - time.Duration(rand.Int64N(int64(longest)/5+1))
}

// Run queues a look at every account at start and then by the timetable,
// until ctx ends.
func (d *Discovery) Run(ctx context.Context) error {
	next := make(map[ferry.IntegrationID]time.Time)
	for {
		all, err := d.Store.Integrations(ctx)
		if err != nil && ctx.Err() == nil {
			d.Log.Error("listing integrations", "err", err)
		}
		now, wait := d.now(), time.Minute
		for _, i := range all {
			if i.Disabled || i.Kind != ferry.KindCodeCommit {
				continue
			}
			if at, ok := next[i.ID]; !ok || !now.Before(at) {
				_, err := d.Store.Enqueue(ctx, store.Job{Integration: i.ID, Op: store.OpIntegration, Source: "scheduled", Priority: 20})
				if err != nil && !errors.Is(err, ferry.ErrNotFound) && ctx.Err() == nil {
					d.Log.Error("planning a look at an account", "integration", i.Slug, "err", err)
				}
				d.queued()
				next[i.ID] = now.Add(d.nextCheck(i))
			}
			wait = min(wait, next[i.ID].Sub(now))
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(max(wait, 100*time.Millisecond)):
		}
	}
}
