// Package triggers has AWS tell gitferry when refs move: one topic for each
// account in a region, one subscription of our address to it, and one trigger
// in each repository's list.
//
// The idea: what is wanted is compared with what is there, again and again, in
// small slices that the queue of jobs runs. Whatever fails leaves polling,
// which works without any of it, and a notice that names what is missing.
// Triggers, subscriptions and topics of others are never touched.
//
// cmd wires it: the queue of jobs calls Run, the receiver in package api calls
// Confirm and Ended, and whoever disconnects calls Remove. It takes no message
// itself.
package triggers

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"gitferry/internal/codecommit"
	"gitferry/internal/ferry"
	"gitferry/internal/store"
)

// Triggers sets up and takes away. Fill the exported fields before use; it may
// then be used concurrently.
type Triggers struct {
	Store *store.Store
	// Client returns the client of an account.
	Client func(context.Context, ferry.Integration) (*codecommit.Client, error)
	// PublicURL is where AWS reaches this server, without a slash at the end.
	// It works with https and a host name; with http only towards a stand-in on
	// this machine. Anything else means polling.
	PublicURL string
	Log       *slog.Logger
	Now       func() time.Time // nil: time.Now
}

const (
	// name is that of our trigger in a repository's list.
	name = "gitferry"
	// slice is how many repositories one job looks at, so that other jobs get
	// their turn.
	slice = 50
	// recheck is how old the look at a trigger may get.
	recheck = 24 * time.Hour
	// TokenLife is how long a subscription may be confirmed after it was asked
	// for; AWS says two days, the reference product three.
	TokenLife = 3 * 24 * time.Hour
	// askAgain is the time after which an unconfirmed subscription is asked
	// for again, which sends the confirmation anew.
	askAgain = time.Hour
)

func (t *Triggers) now() time.Time {
	if t.Now != nil {
		return t.Now().Truncate(time.Millisecond)
	}
	return time.Now().Truncate(time.Millisecond) // as the books keep it
}

// Address returns the address that AWS calls for an integration. It holds a
// secret.
func (t *Triggers) Address(ctx context.Context, id ferry.IntegrationID) (ferry.Secret, error) {
	secret, err := t.Store.TriggerSecret(ctx, store.TriggerRoute{Route: "integration", Integration: id})
	if err != nil {
		return secret, err
	}
	return ferry.NewSecret(fmt.Sprintf("%s/hooks/integration/%d/%s", t.PublicURL, id, secret.Reveal())), nil
}

// fingerprint tells whether an address is the one that was subscribed.
func fingerprint(address ferry.Secret) string {
	sum := sha256.Sum256([]byte(address.Reveal()))
	return hex.EncodeToString(sum[:8])
}

// StandIn returns the base URL of the stand-in that plays SNS for an
// integration on this machine, or "" where it is AWS.
func StandIn(i ferry.Integration) string {
	base := i.SNSEndpoint
	if base == "" || !i.PrivateNetwork {
		return ""
	}
	if u, err := url.Parse(base); err != nil || !isLoopback(u.Hostname()) {
		return ""
	}
	return strings.TrimSuffix(base, "/")
}

func isLoopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.IsLoopback()
}

// reachable says why AWS could not call the public URL, or "".
func (t *Triggers) reachable(i ferry.Integration) string {
	const ask = "; set http.public_url to the https address under which AWS reaches gitferry"
	u, err := url.Parse(t.PublicURL)
	if err != nil || u.Host == "" {
		return "there is no public address" + ask
	}
	if StandIn(i) != "" && isLoopback(u.Hostname()) {
		return ""
	}
	_, numeric := netip.ParseAddr(u.Hostname())
	switch {
	case u.Scheme != "https":
		return "the public address is not https" + ask
	case numeric == nil || u.Hostname() == "localhost" || !strings.Contains(u.Hostname(), "."):
		return "the public address has no host name that AWS can find" + ask
	}
	return ""
}

// Run is the job that brings the triggers of an integration one step nearer
// to what is wanted. asked says that a person wants it: everything is then
// looked at again, and a subscription that somebody ended is made anew. more
// says that the job should run again soon, as one that nobody asked for.
//
// That triggers cannot be set up is no failure of the job: the notice is in
// the books. It fails with ferry.ErrUnavailable if AWS cannot be asked now.
func (t *Triggers) Run(ctx context.Context, id ferry.IntegrationID, asked bool) (more bool, err error) {
	i, err := t.Store.Integration(ctx, id)
	if err != nil || i.Kind != ferry.KindCodeCommit {
		return false, err
	}
	if i.Disabled {
		left, err := t.Remove(ctx, i, 20*time.Second)
		return left > 0, err
	}
	if asked {
		if err := t.Store.RecheckTriggers(ctx, id); err != nil {
			return false, err
		}
	}
	s, err := t.Store.TriggerSetup(ctx, id)
	if err != nil && !errors.Is(err, ferry.ErrNotFound) {
		return false, err
	}
	s.Integration = id
	if s.State == store.TriggersEnded && !asked {
		return false, nil
	}
	if why := t.reachable(i); why != "" {
		return false, t.poll(ctx, s, &ferry.Message{Kind: ferry.ErrInvalid, Text: why})
	}
	c, err := t.Client(ctx, i)
	if err != nil {
		return false, err
	}
	if s, err = t.subscribe(ctx, c, i, s); err == nil {
		more, err = t.repositories(ctx, c, i, s)
	}
	switch {
	case err == nil:
		return more, nil
	case errors.Is(err, ferry.ErrUnavailable) || ctx.Err() != nil:
		return false, err
	}
	return false, t.poll(ctx, s, err)
}

// poll writes the notice that there is polling only.
func (t *Triggers) poll(ctx context.Context, s store.TriggerSetup, why error) error {
	before := s.Problem
	text := why.Error()
	var m *ferry.Message
	if errors.As(why, &m) {
		text = m.Text
	}
	s.State, s.Problem, s.CheckedAt, s.Missing = store.TriggersPolling, "polling only: triggers could not be set up: "+text, t.now(), nil
	if action := codecommit.MissingAction(why); action != "" {
		missing, err := t.missing(ctx, s.Integration, action)
		if err != nil {
			return err
		}
		s.Missing = missing
	}
	if err := t.Store.SetTriggerSetup(ctx, s); err != nil {
		return err
	}
	if s.Problem != before {
		t.Log.Warn("triggers are not set up", "integration_id", s.Integration, "why", text)
		return t.Store.AddLog(ctx, store.LogLine{Integration: s.Integration, Level: "warning", Text: s.Problem})
	}
	return nil
}

// missing returns the actions of set-up that are known to be missing.
func (t *Triggers) missing(ctx context.Context, id ferry.IntegrationID, action string) ([]string, error) {
	known, err := t.Store.Permissions(ctx, id)
	if err != nil {
		return nil, err
	}
	list := []string{action}
	for _, f := range codecommit.Features() {
		if f.ID != "triggers" && f.ID != "test-triggers" {
			continue
		}
		for _, a := range f.Actions {
			if a != action && known[a].State == "missing" {
				list = append(list, a)
			}
		}
	}
	return list, nil
}

// SettingEnabled is the setting, a bool, that switches taking triggers off for
// the whole installation. It is on unless it says otherwise.
const SettingEnabled = "triggers.enabled"

// Enabled reports whether triggers are taken.
func Enabled(ctx context.Context, st *store.Store) (bool, error) {
	on := true
	if err := st.Setting(ctx, SettingEnabled, &on); err != nil && !errors.Is(err, ferry.ErrNotFound) {
		return false, err
	}
	return on, nil
}
