package outbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"gitferry/internal/failpoint"
	"gitferry/internal/jira"
	"gitferry/internal/smartcommit"
	"gitferry/internal/store"
)

// An attempt is one try to carry out an action, as one identity.
type attempt struct {
	w       *worker
	client  *jira.Client // of the identity that acts
	service *jira.Client // of the service account
	site    store.JiraSite
	action  store.Action
	smart   smartcommit.Action
	named   bool        // the service account acts, so the text must name the person
	before  journalLine // what the journal knew when the attempt began
	sent    bool        // a call that changes something was noted
}

// carryOut delivers one claimed action and saves what became of it.
func (w *worker) carryOut(ctx context.Context, client *jira.Client, site store.JiraSite, a store.Action) {
	res := w.resolve(ctx, client, site, a)
	switch res.State {
	case store.ActionDone, store.ActionDead, store.ActionSkipped:
		w.mu.Lock()
		delete(w.tries, a.ID)
		w.mu.Unlock()
	}
	w.save(ctx, a, res)
}

// save stores the result even if ctx has ended. If that fails, the lease runs
// out or the next start finds the action as it was and looks at Jira first.
func (w *worker) save(ctx context.Context, a store.Action, res store.ActionResult) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTime)
	defer cancel()
	if err := w.Store.SaveAction(ctx, a.ID, res); err != nil {
		w.Log.Error("saving a delivery", "delivery", a.ID, "issue", a.Key, "err", err)
		return
	}
	if res.State == store.ActionDead {
		w.Log.Warn("a command was refused", "delivery", a.ID, "issue", a.Key, "problem", res.Problem)
	}
}

// back is the state of a claimed action that was not tried after all.
func back(a store.Action) store.ActionState {
	if a.State == store.ActionVerify {
		return store.ActionVerify
	}
	return store.ActionPending
}

// resolve carries out one action, or finds out that it was.
func (w *worker) resolve(ctx context.Context, client *jira.Client, site store.JiraSite, a store.Action) store.ActionResult {
	if known := w.journal.event(a.Identity); known.Event == eventDone {
		return store.ActionResult{State: store.ActionDone, JiraID: known.JiraID}
	}
	if p := Processor(site.Processor); p != ProcessorGitferry && p != "" && a.SentAt.IsZero() {
		return store.ActionResult{State: store.ActionSkipped, Problem: "gitferry's smart commits are switched off"}
	}
	var smart smartcommit.Action
	if err := json.Unmarshal(a.Command, &smart); err != nil {
		return store.ActionResult{State: store.ActionDead, Problem: err.Error()}
	}
	for {
		acting, named, err := w.account(ctx, client, a.Actor)
		if err != nil {
			return w.orTooOld(a, store.ActionResult{State: back(a), NextAt: w.Now().Add(backoff(1)), Problem: err.Error()})
		}
		t := &attempt{w: w, client: acting, service: client, site: site, action: a, smart: smart, named: named, before: w.journal.event(a.Identity)}
		res, refused := t.run(ctx)
		if !refused {
			return res
		}
		// The person's own token is no good any more. The call had no
		// effect, so the service account does it and says for whom.
		w.Log.Warn("Jira refuses a personal token; the service account acts", "user", a.Actor, "issue", a.Key)
		w.refuseToken(a.Actor)
	}
}

// run makes the attempt. refused says that a personal token was not accepted
// and nothing was done.
func (t *attempt) run(ctx context.Context) (res store.ActionResult, refused bool) {
	a, w := t.action, t.w
	cmd := t.command()
	if t.unsure() && !cmd.safe() {
		id, found, err := cmd.find(ctx)
		if err != nil {
			if t.tokenRefused(err) {
				return res, true
			}
			return t.cannotTell(ctx, err), false
		}
		if found {
			w.rest.succeeded()
			t.note(journalLine{Event: eventDone, JiraID: id})
			return store.ActionResult{State: store.ActionDone, JiraID: id}, false
		}
		if wait := t.tooEarly(); wait > 0 {
			return store.ActionResult{State: store.ActionVerify, NextAt: w.Now().Add(wait), Problem: a.Problem}, false
		}
	}
	id, err := cmd.do(ctx)
	if err == nil {
		err = failpoint.Hit("outbox.answered")
	}
	if err == nil {
		w.allowed()
		w.rest.succeeded()
		t.note(journalLine{Event: eventDone, JiraID: id})
		return store.ActionResult{State: store.ActionDone, JiraID: id}, false
	}
	if t.tokenRefused(err) {
		if t.sent {
			t.note(journalLine{Event: eventNone})
		}
		return res, true
	}
	res, event := t.judge(ctx, err, cmd.safe())
	if event != "" && t.sent {
		t.note(journalLine{Event: event})
	}
	return res, false
}

// tokenRefused reports whether err is a refusal of a personal token that had
// no effect.
func (t *attempt) tokenRefused(err error) bool {
	var e *jira.Error
	var part partial
	return !t.named && errors.As(err, &e) && e.Class == jira.Credentials && !e.Effect && !errors.As(err, &part)
}

// unsure reports whether an earlier attempt may have had its effect.
func (t *attempt) unsure() bool {
	switch t.before.Event {
	case eventSend:
		return true
	case eventNone:
		return false
	}
	return !t.action.SentAt.IsZero() || t.action.State == store.ActionVerify
}

// tooEarly returns how long to wait before the absence of the effect means
// that it will not come: the request may still be running at the server.
func (t *attempt) tooEarly() time.Duration {
	switch since := t.w.Now().Sub(t.sentAt()).Abs(); { // whatever the clock did
	case since < verifyFirst:
		return verifyFirst - since
	case since < verifyAgain:
		return verifyAgain - since
	}
	return 0
}

// sentAt is when the latest attempt began, by the books or, if they are older,
// by the journal.
func (t *attempt) sentAt() time.Time {
	if t.before.At.After(t.action.SentAt) {
		return t.before.At
	}
	return t.action.SentAt
}

// cannotTell handles a failed look for an effect: later, or never if Jira
// refuses to show it. It is never assumed that there is none.
func (t *attempt) cannotTell(ctx context.Context, err error) store.ActionResult {
	res, event := t.judge(ctx, partial{err}, false)
	if res.State == store.ActionDead {
		if !strings.HasPrefix(res.Problem, "outcome unknown") {
			res.Problem = "outcome unknown: " + res.Problem
		}
		if event != "" {
			t.note(journalLine{Event: event})
		}
	} else {
		res.State = store.ActionVerify
	}
	return res
}

// sending notes that a call that changes something is about to be made. The
// call must not be made if it fails.
func (t *attempt) sending(ctx context.Context, target string) error {
	if t.sent {
		return nil
	}
	t.sent = true
	line := t.line(journalLine{Event: eventSend, Target: target})
	if err := t.w.journal.note(line); err != nil {
		return err
	}
	t.before = line
	if err := t.w.Store.MarkSending(ctx, t.action.ID); err != nil {
		return fmt.Errorf("marking an action as sent: %w", err)
	}
	return failpoint.Hit("outbox.sending")
}

// note writes a result to the journal. If that fails the action is looked up
// at Jira should it ever come up again.
func (t *attempt) note(l journalLine) {
	if err := t.w.journal.note(t.line(l)); err != nil {
		t.w.Log.Error("noting a delivery", "delivery", t.action.ID, "err", err)
	}
}

func (t *attempt) line(l journalLine) journalLine {
	l.At, l.Identity, l.Issue = t.w.Now(), t.action.Identity, string(t.action.Key)
	return l
}
