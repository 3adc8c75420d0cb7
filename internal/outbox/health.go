package outbox

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"gitferry/internal/ferry"
	"gitferry/internal/jira"
	"gitferry/internal/store"
)

// Waits between probes of a site whose credentials or address are refused;
// reliability.md 6.1.
const (
	probeFirst = 60 * time.Second
	probeMost  = 15 * time.Minute
)

// refusedMost is how many 403 in a row, with no success between them, mean
// that the account lost its permissions and not that one item was refused.
const refusedMost = 10

// health is what the worker knows of the site as a whole.
type health struct {
	mu     sync.Mutex
	broken *jira.Client  // guarded by mu; the client that was refused, nil: none
	wait   time.Duration // guarded by mu; before the next probe
	denied int           // guarded by mu; 403 in a row
	closed bool          // guarded by mu; development information is refused with 403
}

// ready returns the client to deliver with. It is not ok while no site is
// connected and while deliveries are paused. A pause that the worker made
// itself ends by a probe; so does one whose site got new settings.
func (w *worker) ready(ctx context.Context) (*jira.Client, store.JiraSite, bool, error) {
	client, site, err := w.Sites.Client(ctx)
	if isNotFound(err) {
		return nil, site, false, nil
	}
	if err != nil {
		return nil, site, false, err
	}
	pause, paused, err := w.Store.Paused(ctx)
	if err != nil {
		return nil, site, false, fmt.Errorf("reading the pause: %w", err)
	}
	w.health.mu.Lock()
	broken := w.health.broken
	w.health.mu.Unlock()
	if paused && pause.Until.IsZero() {
		return nil, site, false, nil // an operator's
	}
	changed := broken != nil && broken != client
	if paused && w.Now().Before(pause.Until) && !changed {
		return nil, site, false, nil
	}
	if paused || broken != nil || pause.Reason != "" { // its time is over
		return client, site, w.probe(ctx, client), nil
	}
	return client, site, true, nil
}

// probe asks whether the site takes the credentials again, and ends or
// prolongs the pause.
func (w *worker) probe(ctx context.Context, client *jira.Client) bool {
	_, err := client.Myself(ctx)
	if err == nil && client.Kind() == jira.Cloud && client.Site().ClientID != "" {
		err = client.CheckDevinfo(ctx)
	}
	if err != nil {
		w.pause(ctx, client, err.Error())
		return false
	}
	w.health.mu.Lock()
	w.health.broken, w.health.wait, w.health.denied = nil, 0, 0
	w.health.mu.Unlock()
	err = errors.Join(w.Store.ResumeDeliveries(ctx), w.Store.SetJiraProblem(ctx, ""))
	if err != nil {
		w.Log.Error("ending the pause", "err", err)
		return false
	}
	w.Log.Info("Jira takes calls again")
	return true
}

// pause holds all deliveries until a probe succeeds. Nothing is lost: rows
// stay as they are.
func (w *worker) pause(ctx context.Context, client *jira.Client, reason string) {
	w.health.mu.Lock()
	h := &w.health
	h.wait = min(max(h.wait*2, probeFirst), probeMost)
	h.broken = client
	until := w.Now().Add(h.wait)
	w.health.mu.Unlock()
	w.Log.Warn("Jira deliveries are paused", "reason", reason, "until", until)
	err := errors.Join(w.Store.PauseDeliveries(ctx, reason, until), w.Store.SetJiraProblem(ctx, reason))
	if err != nil {
		w.Log.Error("pausing deliveries", "err", err)
	}
}

// stop pauses once for all the calls that fail for the same reason.
func (w *worker) stop(ctx context.Context, client *jira.Client, reason string) {
	w.health.mu.Lock()
	known := w.health.broken == client
	w.health.mu.Unlock()
	if !known {
		w.pause(ctx, client, reason)
	}
}

// allowed counts a success.
func (w *worker) allowed() {
	w.health.mu.Lock()
	defer w.health.mu.Unlock()
	w.health.denied = 0
}

// deniedAgain counts a 403 and reports whether there are too many in a row.
func (w *worker) deniedAgain() bool {
	w.health.mu.Lock()
	defer w.health.mu.Unlock()
	w.health.denied++
	return w.health.denied >= refusedMost
}

// devinfoRest is for how long no development information is sent after a 403:
// the credentials are good but may not do this. Commands go on meanwhile.
const devinfoRest = 5 * time.Minute

// refuseDevinfo notes a 403 on development information.
func (w *worker) refuseDevinfo(ctx context.Context, reason string) {
	w.health.mu.Lock()
	w.health.closed = true
	w.health.mu.Unlock()
	w.devinfo.limited(w.Now(), w.Now().Add(devinfoRest))
	w.Log.Warn("Jira refuses development information", "reason", reason)
	if err := w.Store.SetJiraProblem(ctx, reason); err != nil {
		w.Log.Error("noting a problem of the Jira site", "err", err)
	}
}

// allowDevinfo notes that development information was taken.
func (w *worker) allowDevinfo(ctx context.Context) {
	w.health.mu.Lock()
	was := w.health.closed
	w.health.closed = false
	w.health.mu.Unlock()
	if !was {
		return
	}
	if err := w.Store.SetJiraProblem(ctx, ""); err != nil {
		w.Log.Error("noting a problem of the Jira site", "err", err)
	}
}

func isNotFound(err error) bool { return errors.Is(err, ferry.ErrNotFound) }
