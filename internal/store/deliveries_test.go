package store

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gitferry/internal/ferry"
)

func TestRetryAndDiscard(t *testing.T) {
	s, c := testStore(t)
	ctx := t.Context()
	r := testRepository(t, s)
	queueActions(t, s, r.ID, testAction("a1", "A-1"), testAction("a2", "A-1"))
	must(s.AddCommits(ctx, r.ID, nil, []Entity{commitEntity("a", "A-1")}))(t)
	claimed(t, s, "boot")
	wantErr(t, "discarding what is being sent", s.DiscardDelivery(ctx, "a1", "root"), ferry.ErrConflict)
	check(t, s.SaveAction(ctx, 1, ActionResult{State: ActionDead}))
	check(t, s.RetryDelivery(ctx, "a1"))
	wantClaimed(t, "a dead one retried goes before later ones", s, "a1:pending")
	check(t, s.SaveAction(ctx, 1, ActionResult{State: ActionRetry, NextAt: c.t.Add(time.Hour)}))
	check(t, s.DiscardDelivery(ctx, "a1", "root"))
	wantErr(t, "retrying what was discarded", s.RetryDelivery(ctx, "a1"), ferry.ErrConflict)
	wantClaimed(t, "after the discarded one", s, "a2:pending")
	check(t, s.DiscardDelivery(ctx, "e1", "root"))
	wantErr(t, "discarding again", s.DiscardDelivery(ctx, "e1", "root"), ferry.ErrConflict)
	if list := must(s.ClaimEntities(ctx, "boot", lease, 1))(t); len(list) != 0 {
		t.Error("a discarded entity is given out")
	}
	for _, id := range []string{"", "a", "x1", "a-1", "a1x"} {
		wantErr(t, "id "+id, s.RetryDelivery(ctx, id), ferry.ErrInvalid)
	}
	wantErr(t, "unknown id", s.RetryDelivery(ctx, "e99"), ferry.ErrNotFound)
	got := must(s.Deliveries(ctx, DeliveryFilter{State: "skipped"}))(t)
	if len(got) != 1 || got[0].Problem != "discarded by root" {
		t.Errorf("skipped: %+v", got)
	}
}

func TestDeliveriesInPages(t *testing.T) {
	s, c := testStore(t)
	ctx := t.Context()
	r := testRepository(t, s)
	for i := range 12 {
		var e []Entity
		if i%3 == 0 {
			e = append(e, commitEntity(fmt.Sprint(i), "A-1"), commitEntity(fmt.Sprint(i, "b"), "B-1"))
		}
		must(s.Apply(ctx, Change{Repository: r.ID, Actions: []Action{testAction(fmt.Sprint(i), "A-1")}, Entities: e}))(t)
		if i%2 == 0 {
			c.advance(time.Second)
		}
	}
	all := must(s.Deliveries(ctx, DeliveryFilter{}))(t)
	if len(all) != 20 {
		t.Fatalf("%d deliveries, want 20", len(all))
	}
	var paged []Delivery
	f := DeliveryFilter{Limit: 3}
	for {
		list := must(s.Deliveries(ctx, f))(t)
		if len(list) == 0 {
			break
		}
		paged = append(paged, list...)
		f.Before = list[len(list)-1].Cursor
	}
	if diff := cmp.Diff(all, paged); diff != "" {
		t.Errorf("pages: %s", diff)
	}
	if list := must(s.Deliveries(ctx, DeliveryFilter{Key: "B-1"}))(t); len(list) != 4 {
		t.Errorf("%d deliveries of B-1, want 4", len(list))
	}
	for _, cursor := range []string{"x", "1", "1.z3", ".a1"} {
		_, err := s.Deliveries(ctx, DeliveryFilter{Before: cursor})
		wantErr(t, "cursor "+cursor, err, ferry.ErrInvalid)
	}
}

func TestPause(t *testing.T) {
	s, c := testStore(t)
	ctx := t.Context()
	r := testRepository(t, s)
	queueActions(t, s, r.ID, testAction("a", "A-1"), testAction("b", "B-1"))
	must(s.AddCommits(ctx, r.ID, nil, []Entity{commitEntity("a", "A-1")}))(t)
	claimed(t, s, "boot")
	check(t, s.SaveAction(ctx, 1, ActionResult{State: ActionPaused, Problem: "401"}))
	check(t, s.SaveAction(ctx, 2, ActionResult{State: ActionRetry}))
	check(t, s.PauseDeliveries(ctx, "401", c.t.Add(time.Minute)))
	p, ok, err := s.Paused(ctx)
	if want := (Pause{"401", c.t, c.t.Add(time.Minute)}); err != nil || !ok || p != want {
		t.Errorf("Paused() = %+v, %v, %v", p, ok, err)
	}
	wantClaimed(t, "paused", s)
	if list := must(s.ClaimEntities(ctx, "boot", lease, 1))(t); len(list) != 0 {
		t.Error("entities are given out during a pause")
	}
	if due, ok, err := s.NextDue(ctx); err != nil || !ok || !due.Equal(p.Until) {
		t.Errorf("NextDue() = %v, %v, %v in a pause", due, ok, err)
	}
	c.advance(time.Minute)
	wantClaimed(t, "after the pause", s, "b:retry")
	check(t, s.PauseDeliveries(ctx, "moved", time.Time{}))
	if _, ok, err := s.NextDue(ctx); err != nil || ok {
		t.Errorf("something is due in a pause without end: %v", err)
	}
	if p, _, _ := s.Paused(ctx); !p.Since.Equal(c.t.Add(-time.Minute)) {
		t.Errorf("the pause began at %v", p.Since)
	}
	check(t, s.ResumeDeliveries(ctx))
	wantClaimed(t, "resumed", s, "a:retry")
}

func TestNextDue(t *testing.T) {
	s, c := testStore(t)
	ctx := t.Context()
	r := testRepository(t, s)
	due := func(what string, want time.Time) {
		t.Helper()
		got, ok, err := s.NextDue(ctx)
		if err != nil || ok == want.IsZero() || !got.Equal(want) {
			t.Errorf("%s: NextDue() = %v, %v, %v, want %v", what, got, ok, err, want)
		}
	}
	due("nothing", time.Time{})
	queueActions(t, s, r.ID, testAction("a1", "A-1"), testAction("a2", "A-1"))
	due("queued", c.t)
	claimed(t, s, "boot")
	due("leased", c.t.Add(lease))
	check(t, s.SaveAction(ctx, 1, ActionResult{State: ActionRetry, NextAt: c.t.Add(time.Minute)}))
	due("head waits, the one behind is due", c.t.Add(time.Minute))
	must(s.AddCommits(ctx, r.ID, nil, []Entity{{Kind: EntityCommit, EntityID: "x", Keys: []ferry.IssueKey{"A-1"}, Backfill: true}}))(t)
	due("a backfill", c.t)
}
