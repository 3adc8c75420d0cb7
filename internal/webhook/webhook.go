// Package webhook tells other servers what moved, in GitHub's form.
//
// The one idea is the outbox's: nothing is sent that was not first a row.
// What a webhook must hear is the difference between the log of ref movements
// and the last movement it was told of; rows for that difference and the new
// "told" are written in one transaction, so that a crash neither loses nor
// doubles an event. Each row is then sent until its receiver answers with a
// 2xx status, at growing distances, and stays in a log from which it can be
// sent again. A request that may have arrived is repeated with the same
// X-GitHub-Delivery.
//
// Receivers are strangers: calls go through a client that guards addresses and
// follows no redirect, each takes at most ten seconds and 64 KiB of answer,
// and each webhook has at most one call under way, so that one that stalls
// holds up only itself. Jira's DVCS connector is a receiver like any other.
//
// cmd runs Run. The API in GitHub's shape keeps the rows of webhooks and asks
// CheckURL. The package asks git what a movement brought and never an
// upstream.
package webhook

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"

	"gitferry/internal/ferry"
	"gitferry/internal/filelist"
	"gitferry/internal/ghshape"
	"gitferry/internal/git"
	"gitferry/internal/store"
	"gitferry/mirror"
)

// A Sender makes deliveries and sends them. Fill the exported fields.
type Sender struct {
	Store *store.Store
	// Client returns a client that does not follow redirects and refuses
	// private addresses unless it may use them.
	Client func(privateNetwork bool) *http.Client
	// Git, Mirror and Lists tell what a movement brought.
	Git    *git.Runner
	Mirror *mirror.Dir
	Lists  *filelist.Lists
	Shape  ghshape.Shape
	// PrivateNetwork lets every webhook call private addresses, as does
	// SettingPrivateNetwork. The connected Jira's connector may be called there
	// in any case.
	PrivateNetwork bool
	UserAgent      string // such as "gitferry/1.0"
	Log            *slog.Logger
	Now            func() time.Time // nil: time.Now

	// Tick is how often work is looked for; 0: a second.
	Tick time.Duration
	// Timeout bounds one call; 0: ten seconds.
	Timeout time.Duration
}

// Retries is how long after a failed attempt the next one is made; after the
// last one a delivery is given up.
var Retries = []time.Duration{
	5 * time.Second, 30 * time.Second, 2 * time.Minute, 10 * time.Minute, 30 * time.Minute,
	time.Hour, 2 * time.Hour, 4 * time.Hour, 8 * time.Hour, 12 * time.Hour, 24 * time.Hour,
}

const (
	maxCalls  = 64                  // under way at once
	lease     = time.Minute         // longer than any call
	keep      = 30 * 24 * time.Hour // of ended deliveries in the log
	pruneEach = time.Hour
	pullsEach = 5 * time.Second // between comparisons of pull requests
)

func (s *Sender) now() time.Time {
	if s.Now != nil {
		return s.Now()
	}
	return time.Now()
}

// Run makes and sends deliveries until ctx ends.
func (s *Sender) Run(ctx context.Context) error {
	every := s.Tick
	if every == 0 {
		every = time.Second
	}
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	var calls sync.WaitGroup
	defer calls.Wait()
	slots := make(chan struct{}, maxCalls)
	var pruned, compared time.Time
	for {
		now := s.now()
		pulls := now.Sub(compared) >= pullsEach
		if pulls {
			compared = now
		}
		if err := s.tellAll(ctx, pulls); err != nil && ctx.Err() == nil {
			s.Log.Error("making deliveries of webhooks", "err", err)
		}
		if err := s.sendDue(ctx, slots, &calls); err != nil && ctx.Err() == nil {
			s.Log.Error("sending deliveries of webhooks", "err", err)
		}
		if now.Sub(pruned) > pruneEach {
			pruned = now
			if err := s.Store.PruneWebhooks(ctx, now.Add(-keep)); err != nil && ctx.Err() == nil {
				s.Log.Error("pruning the log of webhooks", "err", err)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// sendDue starts a call for each webhook that has a delivery due. Run waits
// for the calls at its end.
func (s *Sender) sendDue(ctx context.Context, slots chan struct{}, calls *sync.WaitGroup) error {
	free := cap(slots) - len(slots)
	if free == 0 {
		return nil
	}
	due, err := s.Store.ClaimWebhookDeliveries(ctx, lease, free)
	if err != nil {
		return err
	}
	for _, d := range due {
		slots <- struct{}{} // only Run's goroutine takes slots, so there is one
		calls.Go(func() {
			defer func() { <-slots }()
			s.deliver(ctx, d)
		})
	}
	return nil
}

// Tell makes deliveries for everything that webhooks were not told of.
func (s *Sender) Tell(ctx context.Context) error { return s.tellAll(ctx, true) }

// tellAll looks at pull requests only with pulls: it takes longer.
func (s *Sender) tellAll(ctx context.Context, pulls bool) error {
	behind, err := s.Store.WebhooksBehind(ctx)
	if err == nil && pulls {
		var more []store.Webhook
		more, err = s.Store.WebhooksBehindPulls(ctx)
		for _, h := range more {
			if !slices.ContainsFunc(behind, func(b store.Webhook) bool { return b.ID == h.ID }) {
				behind = append(behind, h)
			}
		}
	}
	if err != nil {
		return err
	}
	var failures error
	for _, h := range behind {
		if err := s.tell(ctx, h); err != nil && !errors.Is(err, ferry.ErrConflict) && !errors.Is(err, ferry.ErrNotFound) {
			failures = errors.Join(failures, fmt.Errorf("webhook %d: %w", h.ID, err))
		}
	}
	return failures
}

// movementsAtOnce is how many movements become deliveries in one transaction.
const movementsAtOnce = 100

func (s *Sender) tell(ctx context.Context, h store.Webhook) error {
	repo, err := s.Store.Repository(ctx, h.Repository)
	if err != nil {
		return err
	}
	w := writer{Sender: s, repo: repo}
	moved, err := s.Store.Movements(ctx, repo.ID, h.Upto, movementsAtOnce)
	if err != nil {
		return err
	}
	upto := h.Upto
	var rows []store.WebhookDelivery
	for _, m := range moved {
		upto = m.Seq
		made, err := w.movement(ctx, h, m)
		if err != nil {
			return err
		}
		rows = append(rows, made...)
	}
	told, made, err := w.pulls(ctx, h)
	if err != nil {
		return err
	}
	return s.Store.TellWebhook(ctx, h, upto, told, append(rows, made...))
}

// Ping makes the delivery that GitHub sends to a new webhook.
func (s *Sender) Ping(ctx context.Context, h store.Webhook) error {
	repo, err := s.Store.Repository(ctx, h.Repository)
	if err != nil {
		return err
	}
	w := writer{Sender: s, repo: repo}
	payload, err := w.ping(h)
	if err != nil {
		return err
	}
	return s.Store.AddWebhookDelivery(ctx, store.WebhookDelivery{Hook: h.ID, GUID: newGUID(), Event: "ping", Payload: payload})
}

// newGUID makes a random UUID, version 4 (RFC 9562).
func newGUID() string {
	b := make([]byte, 16)
	rand.Read(b) // never fails (crypto/rand)
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
