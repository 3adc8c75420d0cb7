package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/labstack/echo/v4"

	"gitferry/internal/ferry"
	"gitferry/internal/sns"
	"gitferry/internal/store"
	"gitferry/internal/triggers"
)

// How far the time of a message may be from ours. SNS gives up after an hour.
const (
	oldMessage   = 2 * time.Hour
	aheadMessage = 15 * time.Minute
)

// takeMessage judges a message of SNS, in the order of SNS-1: what costs
// nothing first, and no request to anybody before the topic is known.
func (h *hooks) takeMessage(k *hook) error {
	if k.req.Method != http.MethodPost {
		return h.refuse(k, "", http.StatusForbidden, "a message comes by POST")
	}
	if k.req.Header.Get("X-Amz-Sns-Rawdelivery") == "true" {
		return h.refuse(k, "", http.StatusForbidden, "raw message delivery carries no signature; switch it off at the subscription")
	}
	if !plainText(k.req) {
		return h.refuse(k, "", http.StatusUnsupportedMediaType, "the content type is neither text/plain nor application/json")
	}
	body, err := io.ReadAll(io.LimitReader(k.req.Body, sns.MaxBody+1))
	if err != nil {
		return err
	}
	m, err := sns.Decode(body)
	if err != nil {
		return h.refuse(k, "", http.StatusForbidden, err.Error())
	}
	owner, err := h.ownerOf(k, m.TopicARN)
	if err != nil {
		return err
	}
	rules := sns.Rules{SHA1: owner.TopicSHA1, StandIn: triggers.StandIn(owner)}
	if owner.ID != 0 {
		rules.Topics = []string{m.TopicARN}
	}
	switch err := h.verifier.Verify(k.ctx, m, rules); {
	case errors.Is(err, sns.ErrUnavailable):
		return err // answered 503, so SNS sends it again
	case err != nil:
		return h.refuse(k, m.ID, http.StatusForbidden, err.Error())
	case k.req.Header.Get("X-Amz-Sns-Message-Type") != m.Type:
		return h.refuse(k, m.ID, http.StatusForbidden, "the header names another type than the message")
	}
	k.integration = owner
	switch m.Type {
	case sns.TypeSubscription:
		return h.confirm(k, m)
	case sns.TypeUnsubscribe:
		if first, err := h.take1(k, m, "ended", "the subscription was ended at AWS", nil); err != nil || !first {
			return err
		}
		return h.Triggers.Ended(k.ctx, owner.ID)
	}
	return h.takeNotification(k, m)
}

// refuse logs why a call has no effect and answers it.
func (h *hooks) refuse(k *hook, message string, status int, why string) error {
	call := k.call("refused", why)
	call.MessageID = message
	if err := h.Store.AddTriggerCall(k.ctx, call); err != nil {
		return err
	}
	h.Log.Warn("a trigger was refused", "route", k.route.Route, "integration_id", k.integration.ID, "why", why)
	return echo.NewHTTPError(status, why)
}

// ownerOf returns the integration that registered a topic, among those that
// the address covers; a zero one if none did.
func (h *hooks) ownerOf(k *hook, topic string) (ferry.Integration, error) {
	covered := []ferry.Integration{k.integration}
	if k.integration.ID == 0 {
		var err error
		if covered, err = h.Store.Integrations(k.ctx); err != nil {
			return ferry.Integration{}, err
		}
	}
	for _, i := range covered {
		topics, err := h.Triggers.Topics(k.ctx, i)
		if err != nil {
			return ferry.Integration{}, err
		}
		if slices.Contains(topics, topic) {
			return i, nil
		}
	}
	return ferry.Integration{}, nil
}

// take1 records a genuine message with what it causes, once.
func (h *hooks) take1(k *hook, m *sns.Message, result, detail string, jobs []store.Job) (first bool, err error) {
	call := k.call(result, detail)
	call.MessageID = m.ID
	return h.Store.TakeTrigger(k.ctx, store.Taken{Call: call, Topic: m.TopicARN, Jobs: jobs, Proof: m.Type == sns.TypeNotification})
}

// confirm confirms a subscription that we asked for. The call to AWS may take
// longer than the answer may wait; it then goes on.
func (h *hooks) confirm(k *hook, m *sns.Message) error {
	done := make(chan error, 1)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(k.ctx), 30*time.Second)
	go func() { // ends within 30 s
		defer cancel()
		err := h.Triggers.Confirm(ctx, k.integration.ID, m.TopicARN, m.Token)
		result, detail := "confirmed", m.TopicARN
		if err != nil {
			result, detail = "refused", err.Error()
			h.Log.Warn("a subscription was not confirmed", "integration_id", k.integration.ID, "topic", m.TopicARN, "err", err)
		}
		call := k.call(result, detail)
		call.MessageID = m.ID
		done <- errors.Join(err, h.Store.AddTriggerCall(ctx, call))
	}()
	select {
	case err := <-done:
		if errors.Is(err, ferry.ErrDenied) {
			return echo.NewHTTPError(http.StatusForbidden, "this subscription is not confirmed")
		}
		return err
	case <-k.ctx.Done():
		return nil // AWS asks again when the subscription is asked for again
	}
}

// takeNotification queues looks at the repositories that a message names.
func (h *hooks) takeNotification(k *hook, m *sns.Message) error {
	e, err := readEvents([]byte(m.Message))
	if err != nil {
		_, err := h.take1(k, m, "ignored", err.Error(), nil)
		return err
	}
	if e.test {
		_, err := h.take1(k, m, "test", "a test message", nil)
		return err
	}
	var moved, pulls []ferry.RepositoryID
	for _, a := range e.about {
		found, err := h.repositoriesOf(k, a)
		if err != nil {
			return err
		}
		if a.pullRequest {
			pulls = append(pulls, found...)
		} else {
			moved = append(moved, found...)
		}
	}
	if h.PullRequestHint == nil {
		moved, pulls = append(moved, pulls...), nil
	}
	slices.Sort(moved)
	var jobs []store.Job
	for _, id := range slices.Compact(moved) {
		jobs = append(jobs, h.job(id))
	}
	result, detail := "accepted", fmt.Sprintf("%s: %d looks", e.kind, len(jobs)+len(pulls))
	at, _ := m.Time() // Decode checked it
	switch age := time.Since(at); {
	case len(jobs)+len(pulls) == 0:
		// Perhaps it was renamed, or is new: the list will tell.
		result, detail = "unmatched", e.kind+" about "+e.names()
		jobs = []store.Job{{Integration: k.integration.ID, Op: store.OpIntegration, Source: "webhook", Priority: 20}}
	case age > oldMessage || age < -aheadMessage:
		result = "late"
		for i := range jobs {
			jobs[i].Source, jobs[i].Priority = "scheduled", 20
		}
	}
	first, err := h.take1(k, m, result, detail, jobs)
	if err != nil || !first {
		return err
	}
	h.ring(jobs)
	slices.Sort(pulls)
	for _, id := range slices.Compact(pulls) {
		h.PullRequestHint(k.ctx, id)
	}
	return nil
}

// repositoriesOf finds what an event is about, among what the address covers.
func (h *hooks) repositoriesOf(k *hook, a eventAbout) ([]ferry.RepositoryID, error) {
	if a.account != "" && k.integration.Account != "" && a.account != k.integration.Account || a.region != "" && a.region != k.integration.Region {
		return nil, nil
	}
	found, err := h.Store.RepositoriesByName(k.ctx, k.integration.Region, a.name)
	if err != nil {
		return nil, err
	}
	var ids []ferry.RepositoryID
	for _, r := range found {
		if r.IntegrationID == k.integration.ID && r.State == ferry.RepositoryEnabled && (k.route.Repository == 0 || r.ID == k.route.Repository) {
			ids = append(ids, r.ID)
		}
	}
	return ids, nil
}
