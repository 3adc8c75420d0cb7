package outbox

import (
	"context"
	"errors"
	"time"

	"gitferry/internal/ferry"
	"gitferry/internal/jira"
	"gitferry/internal/store"
)

// A refusal is a permanent failure that we found out ourselves, in words for
// people.
type refusal string

func (r refusal) Error() string { return string(r) }

// partial is the error of a command of two calls whose first took effect.
type partial struct{ error }

func (p partial) Unwrap() error { return p.error }

// missingOnce is the problem of an action whose issue was not found at the
// first look. Keys can be created right after a push, so there is a second.
func missingOnce(key ferry.IssueKey) string {
	return string(key) + ": no such issue; one more look after 10 minutes"
}

// judge decides what becomes of an action after a failed attempt; the table
// of reliability.md 6.2. safe says that the command may be repeated without
// harm. The second result is the event for the journal, empty while the
// outcome is open.
func (t *attempt) judge(ctx context.Context, err error, safe bool) (store.ActionResult, string) {
	w, now := t.w, t.w.Now()
	try := w.tried(t.action.ID)
	var e *jira.Error
	var part partial
	open := !safe && errors.As(err, &part) // something may be done and something is not
	again := func(wait time.Duration) (store.ActionResult, string) {
		return t.again(wait, err.Error(), open)
	}
	dead := func() (store.ActionResult, string) {
		return store.ActionResult{State: store.ActionDead, Problem: err.Error()}, eventDead
	}
	switch {
	case isPermanent(err):
		return dead()
	case !errors.As(err, &e): // the books or the journal
		open = open || t.sent && !safe
		return again(backoff(try))
	}
	switch e.Class {
	case jira.Permanent, jira.TooLarge:
		w.rest.succeeded()
		return dead()
	case jira.NotFound, jira.Forbidden:
		w.rest.succeeded()
		return t.judgeRefused(ctx, e, open)
	case jira.Credentials, jira.Moved:
		if e.Class == jira.Credentials && !t.named {
			w.refuseToken(t.action.Actor) // the service account goes on
		} else {
			w.stop(ctx, t.service, err.Error())
		}
		open = open || e.Effect && t.sent && !safe
		return again(0)
	case jira.RateLimited:
		return again(w.slowDown(e, now).Sub(now))
	case jira.Conflict:
		w.rest.succeeded()
		if err.Error() == t.action.Problem && t.action.Attempts >= 2 {
			return dead() // no passing change by somebody else
		}
		return again(time.Second)
	case jira.Unknown:
		w.rest.failed(now)
		if e.Shape && t.action.Attempts+1 >= shapeAttempts {
			return dead()
		}
		if t.sent && !safe {
			open = true
			return again(verifyFirst)
		}
	case jira.Temporary:
		if ctx.Err() == nil {
			w.rest.failed(now)
		}
		if e.Shape && try >= shapeAttempts {
			return dead()
		}
	}
	return again(backoff(try))
}

// again puts the action back for another attempt after wait: for a look at
// Jira first if open, else to be sent.
func (t *attempt) again(wait time.Duration, problem string, open bool) (store.ActionResult, string) {
	t.w.mu.Lock()
	t.w.tries[t.action.ID]++
	t.w.mu.Unlock()
	r := store.ActionResult{State: store.ActionRetry, NextAt: t.w.Now().Add(wait), Problem: problem}
	event := eventNone
	if open {
		r.State, event = store.ActionVerify, ""
	}
	return t.w.orTooOld(t.action, r), event
}

// isPermanent reports whether we refuse an action ourselves.
func isPermanent(err error) bool {
	var r refusal
	var m *ferry.Message
	return errors.As(err, &r) || errors.As(err, &m)
}

// judgeRefused handles 404 and 403, which may be about the item or about the
// account: a bad token can be served as nobody, who sees no issue.
func (t *attempt) judgeRefused(ctx context.Context, e *jira.Error, open bool) (store.ActionResult, string) {
	w := t.w
	if _, err := t.client.Myself(ctx); err != nil {
		var me *jira.Error
		if errors.As(err, &me) && (me.Class == jira.Credentials || me.Class == jira.Moved) {
			if t.named {
				w.stop(ctx, t.service, err.Error())
			} else {
				w.refuseToken(t.action.Actor)
			}
		}
		return t.again(backoff(w.tried(t.action.ID)), e.Error(), open)
	}
	dead := store.ActionResult{State: store.ActionDead, Problem: e.Error()}
	switch {
	case e.Class == jira.Forbidden:
		if t.named && w.deniedAgain() {
			w.stop(ctx, t.service, "Jira refuses every call: "+e.Error())
		}
		return dead, eventDead
	case t.action.Problem != missingOnce(t.action.Key):
		return t.again(missingAgain, missingOnce(t.action.Key), open)
	}
	return dead, eventDead
}

// slowDown obeys a rate limit and returns when the item may be tried again.
func (w *worker) slowDown(e *jira.Error, now time.Time) time.Time {
	if e.Scope == jira.ScopeIssue {
		if e.Until.IsZero() {
			return now.Add(2 * time.Second) // the window of 20 writes; jira.md 1.9
		}
		return e.Until
	}
	// Limits of one end point last for about a second, so it does no harm to
	// hold the others as well.
	until := w.rest.limited(now, e.Until)
	w.devinfo.limited(now, until)
	return until
}

// orTooOld gives up what has been tried for longer than maxAge.
func (w *worker) orTooOld(a store.Action, r store.ActionResult) store.ActionResult {
	if w.Now().Sub(a.CreatedAt) <= maxAge {
		return r
	}
	problem := "given up after 7 days: " + r.Problem
	if r.State == store.ActionVerify {
		problem = "outcome unknown after 7 days: " + r.Problem
	}
	return store.ActionResult{State: store.ActionDead, Problem: problem}
}

// tried returns how many tries of an action failed since the start, at least 1.
func (w *worker) tried(id int64) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return max(w.tries[id], 1)
}
