package triggers

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"gitferry/internal/codecommit"
	"gitferry/internal/ferry"
	"gitferry/internal/store"
)

// repositories puts our trigger into the lists of those repositories where it
// is missing, or was not looked at for a day, a slice at a time.
func (t *Triggers) repositories(ctx context.Context, c *codecommit.Client, i ferry.Integration, s store.TriggerSetup) (more bool, err error) {
	repos, err := t.Store.Repositories(ctx, store.RepositoryFilter{Integration: i.ID, State: ferry.RepositoryEnabled})
	if err != nil {
		return false, err
	}
	known, err := t.Store.RepositoryTriggers(ctx, i.ID)
	if err != nil {
		return false, err
	}
	done := 0
	for _, r := range repos {
		k, ok := known[r.ID]
		if ok && (k.Topic == s.Topic || k.Problem != "") && t.now().Sub(k.CheckedAt) < recheck {
			continue
		}
		if done == slice {
			return true, nil
		}
		done++
		if known[r.ID], err = t.set(ctx, c, r, s.Topic, k.Topic); err != nil {
			return false, err
		}
	}
	return false, t.conclude(ctx, i.ID, repos, known)
}

// set puts our trigger into one repository's list. What concerns only that
// repository, such as a full list, is written down; it fails if the next one
// would fare no better.
func (t *Triggers) set(ctx context.Context, c *codecommit.Client, r ferry.Repository, topic, former string) (store.RepositoryTrigger, error) {
	out := store.RepositoryTrigger{Repository: r.ID, CheckedAt: t.now()}
	_, err := c.ChangeTriggers(ctx, r.Name, func(list []codecommit.Trigger) ([]codecommit.Trigger, error) {
		ours := codecommit.Trigger{Name: t.ownName(list, topic, former), Destination: topic, Events: []string{"all"}}
		return codecommit.WithTrigger(r.Name, list, ours)
	})
	switch {
	case err == nil:
		out.Topic = topic
	case errors.Is(err, ferry.ErrConflict), errors.Is(err, ferry.ErrNotFound), errors.Is(err, ferry.ErrInvalid):
		out.Problem = err.Error()
		if logErr := t.Store.AddLog(ctx, store.LogLine{Repository: r.ID, Level: "warning", Text: "polling only: " + out.Problem}); logErr != nil {
			return out, logErr
		}
	default:
		return out, err
	}
	return out, t.Store.SetRepositoryTrigger(ctx, out)
}

// ownName is the name of our trigger in a list: another installation may have
// taken the usual one in this repository.
func (t *Triggers) ownName(list []codecommit.Trigger, topic, former string) string {
	for _, other := range list {
		if other.Name == name && other.Destination != topic && (former == "" || other.Destination != former) {
			return t.secondName()
		}
	}
	return name
}

func (t *Triggers) secondName() string { return name + "-" + t.Store.InstanceID()[:8] }

// conclude writes the set-up's notice once all repositories were looked at.
func (t *Triggers) conclude(ctx context.Context, id ferry.IntegrationID, repos []ferry.Repository, known map[ferry.RepositoryID]store.RepositoryTrigger) error {
	s, err := t.Store.TriggerSetup(ctx, id)
	if err != nil {
		return err
	}
	first, n := "", 0
	for _, r := range repos {
		if p := known[r.ID].Problem; p != "" {
			if n++; first == "" {
				first = p
			}
		}
	}
	s.Problem, s.Missing, s.CheckedAt = "", nil, t.now()
	switch {
	case n == 1:
		s.Problem = first
	case n > 1:
		s.Problem = fmt.Sprintf("%d of %d repositories are polled only; the first: %s", n, len(repos), first)
	}
	return t.Store.SetTriggerSetup(ctx, s)
}

// Remove takes away what was made at AWS for an integration that is being
// disconnected: our trigger out of each list, then subscription and topic. It
// works for at most about the time given and returns how many repositories are
// left; call it again while there are any. What AWS refuses is logged and does
// not stop the rest. A topic that others subscribed too is left to them, as
// are its triggers.
func (t *Triggers) Remove(ctx context.Context, i ferry.Integration, within time.Duration) (left int, err error) {
	s, err := t.Store.TriggerSetup(ctx, i.ID)
	if errors.Is(err, ferry.ErrNotFound) || err == nil && s.Topic == "" {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	c, err := t.Client(ctx, i)
	if err != nil {
		return 0, t.refused(ctx, i.ID, "the triggers", err) // without credentials nothing can be removed
	}
	shared := t.shared(ctx, c, i, s)
	if !shared {
		if left, err = t.clear(ctx, c, i, t.now().Add(within)); err != nil || left > 0 {
			return left, err
		}
	}
	if strings.HasPrefix(s.Subscription, "arn:") {
		if err := c.Unsubscribe(ctx, s.Subscription); err != nil {
			if err := t.refused(ctx, i.ID, "the subscription", err); err != nil {
				return 0, err
			}
		}
	}
	if s.Own && !shared {
		if err := c.DeleteTopic(ctx, s.Topic); err != nil {
			if err := t.refused(ctx, i.ID, "the topic "+s.Topic, err); err != nil {
				return 0, err
			}
		}
	}
	s.State, s.Topic, s.Subscription, s.Endpoint, s.Own, s.AskedAt = store.TriggersPolling, "", "", "", false, time.Time{}
	s.Problem = "the triggers were taken away"
	if err := t.Store.SetTriggerSetup(ctx, s); err != nil {
		return 0, err
	}
	return 0, t.Store.EndTriggers(ctx, i.ID, store.TriggersPolling, s.Problem)
}

// shared reports whether others subscribed our topic.
func (t *Triggers) shared(ctx context.Context, c *codecommit.Client, i ferry.Integration, s store.TriggerSetup) bool {
	if !s.Own {
		return false
	}
	list, err := c.ListSubscriptions(ctx, s.Topic)
	if err != nil {
		return false
	}
	for _, sub := range list {
		if sub.ARN != s.Subscription && fingerprint(ferry.NewSecret(sub.Endpoint)) != s.Endpoint {
			return true
		}
	}
	return false
}

// clear takes our trigger out of the repositories' lists.
func (t *Triggers) clear(ctx context.Context, c *codecommit.Client, i ferry.Integration, until time.Time) (left int, err error) {
	known, err := t.Store.RepositoryTriggers(ctx, i.ID)
	if err != nil {
		return 0, err
	}
	repos, err := t.Store.Repositories(ctx, store.RepositoryFilter{Integration: i.ID})
	if err != nil {
		return 0, err
	}
	for _, r := range repos {
		k := known[r.ID]
		if k.Topic == "" {
			continue
		}
		if !t.now().Before(until) {
			left++
			continue
		}
		if err := t.clearOne(ctx, c, r, k); err != nil {
			return 0, err
		}
	}
	return left, nil
}

// clearOne takes our trigger out of one repository's list.
func (t *Triggers) clearOne(ctx context.Context, c *codecommit.Client, r ferry.Repository, k store.RepositoryTrigger) error {
	_, err := c.ChangeTriggers(ctx, r.Name, func(list []codecommit.Trigger) ([]codecommit.Trigger, error) {
		return slices.DeleteFunc(list, func(o codecommit.Trigger) bool {
			return o.Destination == k.Topic && (o.Name == name || o.Name == t.secondName())
		}), nil
	})
	if err != nil && !errors.Is(err, ferry.ErrNotFound) {
		if err := t.refused(ctx, r.IntegrationID, "the trigger of "+r.Path(), err); err != nil {
			return err
		}
	}
	k.Topic, k.Problem, k.CheckedAt = "", "", t.now()
	return t.Store.SetRepositoryTrigger(ctx, k)
}

// RemoveFrom takes our trigger out of one repository that is being
// disconnected. What AWS refuses is logged only.
func (t *Triggers) RemoveFrom(ctx context.Context, r ferry.Repository) error {
	known, err := t.Store.RepositoryTriggers(ctx, r.IntegrationID)
	if err != nil || known[r.ID].Topic == "" {
		return err
	}
	i, err := t.Store.Integration(ctx, r.IntegrationID)
	if err != nil {
		return err
	}
	c, err := t.Client(ctx, i)
	if err != nil {
		return t.refused(ctx, i.ID, "the trigger of "+r.Path(), err)
	}
	return t.clearOne(ctx, c, r, known[r.ID])
}

// Test has AWS send a test message through our trigger of a repository, which
// the log of trigger calls then shows. It fails with ferry.ErrConflict if
// there is no such trigger, here or in the repository's list, and in AWS's
// words if AWS cannot send.
func (t *Triggers) Test(ctx context.Context, r ferry.Repository) error {
	known, err := t.Store.RepositoryTriggers(ctx, r.IntegrationID)
	if err != nil {
		return err
	}
	k := known[r.ID]
	if k.Topic == "" {
		return &ferry.Message{Kind: ferry.ErrConflict, Text: orText(k.Problem, r.Path()+" has no trigger of ours; set the triggers of its integration up first")}
	}
	i, err := t.Store.Integration(ctx, r.IntegrationID)
	if err != nil {
		return err
	}
	c, err := t.Client(ctx, i)
	if err != nil {
		return err
	}
	list, err := c.Triggers(ctx, r.Name)
	if err != nil {
		return err
	}
	for _, o := range list {
		if o.Destination == k.Topic && (o.Name == name || o.Name == t.secondName()) {
			return c.TestTrigger(ctx, r.Name, o)
		}
	}
	return &ferry.Message{Kind: ferry.ErrConflict, Text: "our trigger is not in the list of " + r.Path() + " any more; set the triggers of its integration up again"}
}

func orText(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// refused logs what could not be removed.
func (t *Triggers) refused(ctx context.Context, id ferry.IntegrationID, what string, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	t.Log.Warn("something of ours stays at AWS", "integration_id", id, "what", what, "err", err)
	return t.Store.AddLog(ctx, store.LogLine{Integration: id, Level: "warning", Text: what + " could not be removed at AWS: " + err.Error()})
}
