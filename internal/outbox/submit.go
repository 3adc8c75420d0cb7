package outbox

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"gitferry/internal/ferry"
	"gitferry/internal/jira"
	"gitferry/internal/store"
)

// A group is what may go in one submission: its properties and flags hold
// for all of it.
type group struct {
	integration ferry.IntegrationID
	backfill    bool
}

// submit sends items in as many calls as the limits need. A refused or too
// large call is halved until the culprit stands alone, so that one bad item
// does not hold up the others.
func (b *batch) submit(ctx context.Context, g group, items []item) {
	if len(items) > jira.MaxEntityPerKind {
		b.submit(ctx, g, items[:jira.MaxEntityPerKind])
		b.submit(ctx, g, items[jira.MaxEntityPerKind:])
		return
	}
	answer, err := b.client.Submit(ctx, b.submission(g, items))
	if err == nil {
		b.gate.succeeded()
		b.w.allowDevinfo(ctx)
		b.accepted(ctx, items, answer)
		return
	}
	var e *jira.Error
	split := errors.As(err, &e) && (e.Class == jira.Permanent || e.Class == jira.TooLarge)
	switch {
	case split && len(items) > 1:
		half := len(items) / 2
		b.submit(ctx, g, items[:half])
		b.submit(ctx, g, items[half:])
	case split && e.Class == jira.TooLarge && items[0].trim():
		b.submit(ctx, g, items)
	default:
		b.failed(ctx, entitiesOf(items), err)
	}
}

// submission puts the items together. A commit may be there twice, on its
// own and as the tip of a branch: it is one entity and gets one number.
func (b *batch) submission(g group, items []item) jira.Submission {
	s := jira.Submission{
		PreventTransitions: g.backfill || b.prevent,
		Backfill:           g.backfill,
		Properties: map[string]string{
			"instance": b.w.Store.InstanceID(), "integration": fmt.Sprint(g.integration)},
	}
	at := map[ferry.RepositoryID]int{}
	b.number(items)
	for _, it := range items {
		i, ok := at[it.repository.ID]
		if !ok {
			i = len(s.Repositories)
			at[it.repository.ID] = i
			s.Repositories = append(s.Repositories, jira.DevRepository{
				ID: b.repositoryID(it.repository.ID), Name: it.repository.Path(), URL: b.w.Links.Repository(it.repository)})
		}
		r := &s.Repositories[i]
		r.Sequence = max(r.Sequence, it.Version)
		switch {
		case it.commit != nil:
			r.Commits = append(r.Commits, *it.commit)
		case it.branch != nil:
			r.Branches = append(r.Branches, *it.branch)
		case it.pull != nil:
			r.PullRequests = append(r.PullRequests, *it.pull)
		}
	}
	return s
}

// maxNumbers bounds the memory of numbers; what is forgotten costs nothing but
// a copy that Jira drops.
const maxNumbers = 50_000

// number gives each commit one number wherever it stands, the greatest of the
// items it is in, and never a smaller one than it was sent with before.
func (b *batch) number(items []item) {
	b.w.mu.Lock()
	defer b.w.mu.Unlock()
	numbers := b.w.numbers
	if len(numbers) > maxNumbers {
		clear(numbers)
	}
	for _, last := range []bool{false, true} {
		for _, it := range items {
			for _, c := range it.commits() {
				k := fmt.Sprint(it.Repository, " ", c.ID)
				numbers[k] = max(numbers[k], c.Sequence)
				if last {
					c.Sequence = numbers[k]
				}
			}
		}
	}
}

// repositoryID is a repository's id at Jira, the same for good.
func (b *batch) repositoryID(id ferry.RepositoryID) string {
	return fmt.Sprintf("gitferry-%s-%d", jira.EntityID(b.w.Store.InstanceID()), id)
}

// accepted saves the items of a submission that was taken: each may have been
// refused on its own, and keys that Jira does not know are waited for.
func (b *batch) accepted(ctx context.Context, items []item, a jira.Submitted) {
	results := make([]store.EntityResult, 0, len(items))
	for _, it := range items {
		r := store.EntityResult{ID: it.ID, Version: it.Version, State: store.EntityDone}
		ref := it.ref(b)
		problem, failed := a.Failed[ref]
		if why, ok := a.Refused[ref.Repository]; ok && !failed {
			problem, failed = why, true
		}
		if failed {
			r.State, r.Problem, r.DeliveredKeys = store.EntityDead, problem, it.DeliveredKeys
			results = append(results, r)
			continue
		}
		var unknown []ferry.IssueKey
		for _, k := range it.keys {
			if a.Unknown[k] {
				unknown = append(unknown, k)
			} else {
				r.DeliveredKeys = append(r.DeliveredKeys, k)
			}
		}
		b.waitFor(&r, unknown)
		results = append(results, r)
	}
	b.save(ctx, results...)
}

// waitFor has an entity sent again if Jira knows none of its keys; it then
// kept nothing of it. After the last look the entity waits for RequeueKey.
func (b *batch) waitFor(r *store.EntityResult, unknown []ferry.IssueKey) {
	if len(unknown) == 0 {
		return
	}
	slices.Sort(unknown)
	r.Problem = fmt.Sprintf("Jira does not know %v", unknown)
	if len(r.DeliveredKeys) > 0 {
		return
	}
	b.w.mu.Lock()
	n := b.w.waits[r.ID]
	b.w.mu.Unlock()
	if n >= len(waitingTimes) {
		r.State = store.EntityWaiting
		return
	}
	r.State, r.NextAt = store.EntityRetry, b.w.Now().Add(waitingTimes[n])
}

func entitiesOf(items []item) []store.Entity {
	out := make([]store.Entity, len(items))
	for i, it := range items {
		out[i] = it.Entity
	}
	return out
}
