package triggers

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"gitferry/internal/codecommit"
	"gitferry/internal/ferry"
	"gitferry/internal/store"
)

// topicName is that of our own topic. Managed policies grant SNS actions only
// on names that begin with "codecommit".
func topicName(id ferry.IntegrationID) string {
	return fmt.Sprintf("%s-gitferry-%d", codecommit.TopicPrefix, id)
}

// subscribe makes sure of topic and subscription and returns the set-up as it
// is then.
func (t *Triggers) subscribe(ctx context.Context, c *codecommit.Client, i ferry.Integration, s store.TriggerSetup) (store.TriggerSetup, error) {
	address, err := t.Address(ctx, i.ID)
	if err != nil {
		return s, err
	}
	topic, own, err := t.topic(ctx, c, i, s)
	if err != nil {
		return s, err
	}
	mark, now := fingerprint(address), t.now()
	current := s.Topic == topic && s.Endpoint == mark && (s.State == store.TriggersConfirmed || s.State == store.TriggersPending)
	if current && s.State == store.TriggersConfirmed && now.Sub(s.CheckedAt) < recheck {
		return s, nil
	}
	if current {
		switch there, confirmed := t.subscribed(ctx, c, topic, address); {
		case confirmed != "":
			return s, t.Store.ConfirmTriggers(ctx, i.ID, topic, confirmed)
		case there && now.Sub(s.AskedAt) < askAgain:
			return s, nil
		}
	}
	before := s
	// The confirmation may come before Subscribe has answered, so it must be
	// expected before.
	s.State, s.Topic, s.Own, s.Endpoint, s.AskedAt, s.Problem, s.Missing = store.TriggersPending, topic, own, mark, now, "", nil
	if err := t.Store.SetTriggerSetup(ctx, s); err != nil {
		return s, err
	}
	if s.Subscription, err = c.Subscribe(ctx, topic, address.Reveal()); err != nil {
		return s, err
	}
	if err := t.Store.SetTriggerSetup(ctx, s); err != nil {
		return s, err
	}
	if err := t.leave(ctx, c, before, topic); err != nil {
		return s, err
	}
	// An address that is subscribed and confirmed already gets no confirmation.
	if _, confirmed := t.subscribed(ctx, c, topic, address); confirmed != "" {
		if err := t.Store.ConfirmTriggers(ctx, i.ID, topic, confirmed); err != nil {
			return s, err
		}
	}
	return t.Store.TriggerSetup(ctx, i.ID)
}

// leave takes our things away from a topic that is not used any more.
func (t *Triggers) leave(ctx context.Context, c *codecommit.Client, before store.TriggerSetup, topic string) error {
	if before.Topic == "" || before.Topic == topic {
		return nil
	}
	if strings.HasPrefix(before.Subscription, "arn:") {
		if err := c.Unsubscribe(ctx, before.Subscription); err != nil {
			if err := t.refused(ctx, before.Integration, "the subscription of "+before.Topic, err); err != nil {
				return err
			}
		}
	}
	if before.Own {
		if err := c.DeleteTopic(ctx, before.Topic); err != nil {
			return t.refused(ctx, before.Integration, "the topic "+before.Topic, err)
		}
	}
	return nil
}

// subscribed looks for our address among a topic's subscriptions. Not being
// allowed to look tells nothing.
func (t *Triggers) subscribed(ctx context.Context, c *codecommit.Client, topic string, address ferry.Secret) (there bool, confirmed string) {
	list, err := c.ListSubscriptions(ctx, topic)
	if err != nil {
		return !errors.Is(err, ferry.ErrNotFound), ""
	}
	for _, sub := range list {
		if sub.Endpoint == address.Reveal() {
			if strings.HasPrefix(sub.ARN, "arn:") {
				return true, sub.ARN
			}
			return true, ""
		}
	}
	return false, ""
}

// topic returns the topic to use: the one that an administrator named, or our
// own, which is made if it is missing.
func (t *Triggers) topic(ctx context.Context, c *codecommit.Client, i ferry.Integration, s store.TriggerSetup) (arn string, own bool, err error) {
	if i.TopicARN != "" {
		part := strings.Split(i.TopicARN, ":")
		if len(part) != 6 || part[2] != "sns" || part[3] != i.Region || strings.HasSuffix(i.TopicARN, ".fifo") {
			return "", false, &ferry.Message{Kind: ferry.ErrInvalid, Text: fmt.Sprintf("the topic %.120s is not a standard topic in %s", i.TopicARN, i.Region)}
		}
		return i.TopicARN, false, nil
	}
	if s.Own && s.Topic != "" && s.State == store.TriggersConfirmed && t.now().Sub(s.CheckedAt) < recheck {
		return s.Topic, true, nil
	}
	if arn, err = c.CreateTopic(ctx, topicName(i.ID)); err != nil {
		return "", false, err
	}
	policy, err := codecommit.TopicPolicy(arn)
	if err != nil {
		return "", false, err
	}
	for _, a := range []struct{ name, value string }{{"SignatureVersion", "2"}, {"Policy", policy}} {
		err := c.SetTopicAttribute(ctx, arn, a.name, a.value)
		// In one account CodeCommit may publish without a policy, and with the
		// old signature allowed the topic works as it was made.
		if err != nil && !(errors.Is(err, ferry.ErrDenied) && (i.TopicSHA1 || a.name == "Policy")) {
			return "", false, err
		}
	}
	return arn, true, nil
}

// Confirm answers a genuine SubscriptionConfirmation. It does so only for a
// subscription that was asked for and is waiting, by a signed call, so that
// nobody else can end the subscription; it fails with ferry.ErrDenied for any
// other.
func (t *Triggers) Confirm(ctx context.Context, id ferry.IntegrationID, topic, token string) error {
	s, err := t.Store.TriggerSetup(ctx, id)
	if err != nil && !errors.Is(err, ferry.ErrNotFound) {
		return err
	}
	if err != nil || s.Topic != topic || s.AskedAt.IsZero() || t.now().Sub(s.AskedAt) > TokenLife || s.State == store.TriggersEnded {
		return &ferry.Message{Kind: ferry.ErrDenied, Text: "nobody here asked for this subscription; it is not confirmed"}
	}
	i, err := t.Store.Integration(ctx, id)
	if err != nil {
		return err
	}
	c, err := t.Client(ctx, i)
	if err != nil {
		return err
	}
	arn, err := c.ConfirmSubscription(ctx, topic, token)
	if err != nil {
		if errors.Is(err, ferry.ErrDenied) {
			return errors.Join(err, t.poll(ctx, s, err))
		}
		return err
	}
	if err := t.Store.ConfirmTriggers(ctx, id, topic, arn); err != nil {
		return err
	}
	return t.Store.AddLog(ctx, store.LogLine{Integration: id, Level: "info", Text: "AWS confirmed the subscription: movements are told at once"})
}

// Ended records a genuine UnsubscribeConfirmation. It is not reversed: that is
// for a person to decide.
func (t *Triggers) Ended(ctx context.Context, id ferry.IntegrationID) error {
	const text = "polling only: somebody ended the subscription at AWS; set the triggers up again if that was not wanted"
	t.Log.Warn("a subscription was ended at AWS", "integration_id", id)
	if err := t.Store.EndTriggers(ctx, id, store.TriggersEnded, text); err != nil {
		return err
	}
	return t.Store.AddLog(ctx, store.LogLine{Integration: id, Level: "warning", Text: text})
}

// Topics returns the topics whose messages an integration takes.
func (t *Triggers) Topics(ctx context.Context, i ferry.Integration) ([]string, error) {
	var topics []string
	if i.TopicARN != "" {
		topics = append(topics, i.TopicARN)
	}
	s, err := t.Store.TriggerSetup(ctx, i.ID)
	if err != nil && !errors.Is(err, ferry.ErrNotFound) {
		return nil, err
	}
	if s.Topic != "" && !slices.Contains(topics, s.Topic) {
		topics = append(topics, s.Topic)
	}
	return topics, nil
}
