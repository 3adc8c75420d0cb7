package store

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"gitferry/internal/ferry"
)

const lease = 2 * time.Minute

// queueActions queues actions, named by their identity, for the issues.
func queueActions(t *testing.T, s *Store, repo ferry.RepositoryID, list ...Action) {
	t.Helper()
	must(s.Apply(t.Context(), Change{Repository: repo, Actions: list}))(t)
}

// claimed returns "identity:state" of what is claimed.
func claimed(t *testing.T, s *Store, boot string) []string {
	t.Helper()
	var names []string
	for _, a := range must(s.ClaimActions(t.Context(), boot, lease, 100))(t) {
		names = append(names, a.Identity+":"+string(a.State))
	}
	return names
}

func wantClaimed(t *testing.T, what string, s *Store, want ...string) {
	t.Helper()
	if got := claimed(t, s, "boot"); !slices.Equal(got, want) {
		t.Errorf("%s: claimed %q, want %q", what, got, want)
	}
}

func TestActionsOfAnIssueKeepTheirOrder(t *testing.T) {
	s, c := testStore(t)
	ctx := t.Context()
	r := testRepository(t, s)
	queueActions(t, s, r.ID, testAction("a1", "A-1"), testAction("a2", "A-1"), testAction("b1", "B-1"), testAction("a3", "A-1"))
	wantClaimed(t, "at first", s, "a1:pending", "b1:pending")
	wantClaimed(t, "while both are leased", s)
	check(t, s.MarkSending(ctx, 1))
	check(t, s.SaveAction(ctx, 1, ActionResult{State: ActionRetry, NextAt: c.t.Add(time.Minute), Problem: "503"}))
	wantClaimed(t, "while the head waits", s)
	c.advance(time.Minute)
	wantClaimed(t, "when the head is due", s, "a1:retry")
	check(t, s.MarkSending(ctx, 1))
	check(t, s.SaveAction(ctx, 1, ActionResult{State: ActionDone, JiraID: "10001"}))
	wantClaimed(t, "after the head is done", s, "a2:pending")
	check(t, s.SaveAction(ctx, 2, ActionResult{State: ActionDead, Problem: "400"}))
	wantClaimed(t, "after the head died", s, "a3:pending")
	list := must(s.Deliveries(ctx, DeliveryFilter{Key: "A-1", State: "done"}))(t)
	if len(list) != 1 || list[0].Attempts != 2 || list[0].JiraID != "10001" || !list[0].DoneAt.Equal(c.t) || !list[0].SentAt.Equal(c.t) {
		t.Errorf("the first action: %+v", list)
	}
	wantErr(t, "a late result for what is done", s.SaveAction(ctx, 1, ActionResult{State: ActionRetry}), ferry.ErrConflict)
	wantErr(t, "leased as a result", s.SaveAction(ctx, 3, ActionResult{State: ActionLeased}), ferry.ErrInvalid)
}

func TestLeasesEnd(t *testing.T) {
	s, c := testStore(t)
	ctx := t.Context()
	r := testRepository(t, s)
	queueActions(t, s, r.ID, testAction("idle", "A-1"), testAction("sent", "B-1"), testAction("looked", "C-1"))
	claimed(t, s, "boot")
	check(t, s.MarkSending(ctx, 2))
	check(t, s.MarkSending(ctx, 3))
	check(t, s.SaveAction(ctx, 3, ActionResult{State: ActionVerify}))
	wantClaimed(t, "the doubtful one", s, "looked:verify")
	c.advance(lease - time.Millisecond)
	wantClaimed(t, "before the leases end", s)
	c.advance(time.Millisecond)
	wantErr(t, "sending when the lease is over", s.MarkSending(ctx, 1), ferry.ErrConflict)
	wantClaimed(t, "after the leases ended", s, "idle:pending", "sent:verify", "looked:verify")
	// The first sender comes back late with proof of success.
	check(t, s.SaveAction(ctx, 2, ActionResult{State: ActionDone}))
	if st := must(s.Deliveries(ctx, DeliveryFilter{Key: "B-1"}))(t)[0].State; st != "done" {
		t.Errorf("a late success left %s", st)
	}
}

func TestReleaseLeases(t *testing.T) {
	s, _ := testStore(t)
	ctx := t.Context()
	r := testRepository(t, s)
	queueActions(t, s, r.ID, testAction("idle", "A-1"), testAction("sent", "B-1"))
	must(s.AddCommits(ctx, r.ID, nil, []Entity{commitEntity("a", "A-1")}))(t)
	claimed(t, s, "old")
	must(s.ClaimEntities(ctx, "old", lease, 10))(t)
	check(t, s.MarkSending(ctx, 2))
	check(t, s.ReleaseLeases(ctx, "old"))
	wantClaimed(t, "the same process", s)
	check(t, s.ReleaseLeases(ctx, "new"))
	wantClaimed(t, "a later process", s, "idle:pending", "sent:verify")
	if list := must(s.ClaimEntities(ctx, "new", lease, 10))(t); len(list) != 1 || list[0].State != EntityRetry || list[0].Attempts != 2 {
		t.Errorf("entities of a later process: %+v", list)
	}
}

// Times that a step of the clock made senseless hold nothing up for long.
func TestClockSteps(t *testing.T) {
	s, c := testStore(t)
	ctx := t.Context()
	r := testRepository(t, s)
	c.advance(10 * 365 * 24 * time.Hour)
	queueActions(t, s, r.ID, testAction("waits", "A-1"), testAction("leased", "B-1"))
	must(s.AddCommits(ctx, r.ID, nil, []Entity{commitEntity("a", "A-1")}))(t)
	claimed(t, s, "boot")
	check(t, s.SaveAction(ctx, 1, ActionResult{State: ActionRetry, NextAt: c.t.Add(time.Hour)}))
	check(t, s.PauseDeliveries(ctx, "401", c.t.Add(time.Hour)))
	must(s.Enqueue(ctx, Job{Repository: r.ID, Op: OpSync, NotBefore: c.t}))(t)
	c.advance(-10 * 365 * 24 * time.Hour)
	if due, ok, err := s.NextDue(ctx); err != nil || !ok || due.After(c.t.Add(lease)) {
		t.Errorf("NextDue() = %v, %v, %v", due, ok, err)
	}
	wantClaimed(t, "after a step back of ten years", s, "waits:retry", "leased:pending")
	if list := must(s.ClaimEntities(ctx, "boot", lease, 10))(t); len(list) != 1 {
		t.Errorf("%d entities", len(list))
	}
	if _, ok, err := s.ClaimJob(ctx, "boot"); !ok || err != nil {
		t.Errorf("job: %v, %v", ok, err)
	}
}

// Two processes never hold the same delivery.
func TestTwoProcessesClaim(t *testing.T) {
	s, c := testStore(t)
	ctx := t.Context()
	r := testRepository(t, s)
	var list []Action
	for i := range 40 {
		list = append(list, testAction(fmt.Sprint(i), ferry.IssueKey(fmt.Sprintf("K-%d", i%20+1))))
	}
	queueActions(t, s, r.ID, list...)
	got := make(chan Action, 100)
	done := make(chan error, 2)
	for p, st := range []*Store{s, openAt(t, s.path, c)} {
		go func() {
			for {
				list, err := st.ClaimActions(ctx, fmt.Sprint("boot", p), lease, 3)
				if err != nil || len(list) == 0 {
					done <- err
					return
				}
				for _, a := range list {
					got <- a
				}
			}
		}()
	}
	for range 2 {
		check(t, <-done)
	}
	close(got)
	seen := map[ferry.IssueKey]bool{}
	for a := range got {
		if seen[a.Key] {
			t.Errorf("%s has two actions under way", a.Key)
		}
		seen[a.Key] = true
	}
	if len(seen) != 20 {
		t.Errorf("%d actions claimed, want one for each of 20 issues", len(seen))
	}
}
