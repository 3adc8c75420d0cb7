package store

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gitferry/internal/ferry"
)

func TestJobs(t *testing.T) {
	s, c := testStore(t)
	ctx := t.Context()
	r := testRepository(t, s)
	other := must(s.AddRepository(ctx, ferry.Repository{IntegrationID: r.IntegrationID, Name: "other"}))(t)
	id := must(s.Enqueue(ctx, Job{Repository: r.ID, Op: OpSync, Source: "scheduled", Priority: 20, NotBefore: c.t.Add(time.Hour)}))(t)
	same := must(s.Enqueue(ctx, Job{Repository: r.ID, Op: OpSync, Source: "webhook", Priority: 22, NotBefore: c.t.Add(time.Minute)}))(t)
	if same != id {
		t.Errorf("a second job %d beside %d", same, id)
	}
	must(s.Enqueue(ctx, Job{Repository: r.ID, Op: OpSync, Source: "scheduled", Priority: 20, NotBefore: c.t.Add(3 * time.Hour)}))(t)
	if _, ok, err := s.ClaimJob(ctx, "boot"); ok || err != nil {
		t.Errorf("a job was claimed before its time: %v", err)
	}
	c.advance(time.Minute)
	must(s.Enqueue(ctx, Job{Repository: other.ID, Op: OpSync, Source: "scheduled", Priority: 20}))(t)
	must(s.Enqueue(ctx, Job{Integration: r.IntegrationID, Op: OpIntegration, Source: "manual", Priority: 24}))(t)
	must(s.Enqueue(ctx, Job{Repository: r.ID, Op: OpReindex, Source: "manual", Priority: 21}))(t)
	var order []string
	var ids []int64
	for {
		j, ok, err := s.ClaimJob(ctx, "boot")
		check(t, err)
		if !ok {
			break
		}
		order, ids = append(order, string(j.Op)+" "+j.Source), append(ids, j.ID)
	}
	// The reindex of r waits for the sync of r.
	if want := []string{"integration manual", "sync webhook", "sync scheduled"}; !cmp.Equal(order, want) {
		t.Errorf("claimed %q, want %q", order, want)
	}
	again := must(s.Enqueue(ctx, Job{Repository: r.ID, Op: OpSync, Source: "push", Priority: 24}))(t)
	if again == id {
		t.Error("a job was not queued behind the running one")
	}
	check(t, s.ProgressJob(ctx, id, 5, 10))
	check(t, s.FinishJob(ctx, id, JobEnd{Problem: "upstream away"}))
	got := must(s.Jobs(ctx, JobFilter{Repository: r.ID, State: JobFailed}))(t)
	if len(got) != 1 || got[0].Done != 5 || got[0].Total != 10 || got[0].Problem != "upstream away" || !got[0].FinishedAt.Equal(c.t) {
		t.Errorf("failed: %+v", got)
	}
	check(t, s.CancelJob(ctx, ids[2]))
	wantErr(t, "progress of a canceled job", s.ProgressJob(ctx, ids[2], 1, 1), ferry.ErrConflict)
	check(t, s.FinishJob(ctx, ids[2], JobEnd{}))
	if got := must(s.Jobs(ctx, JobFilter{State: JobCanceled}))(t); len(got) != 1 {
		t.Errorf("canceled: %+v", got)
	}
	wantErr(t, "canceling what ended", s.CancelJob(ctx, id), ferry.ErrConflict)
	if n := must(s.CancelQueued(ctx))(t); n != 2 {
		t.Errorf("cleared %d jobs, want 2", n)
	}
	_, err := s.Enqueue(ctx, Job{Repository: r.ID, Op: "dance"})
	wantErr(t, "unknown operation", err, ferry.ErrInvalid)
}

func TestInterruptedJobs(t *testing.T) {
	s, _ := testStore(t)
	ctx := t.Context()
	r := testRepository(t, s)
	first := must(s.Enqueue(ctx, Job{Repository: r.ID, Op: OpSync}))(t)
	must(s.Enqueue(ctx, Job{Op: OpUpkeep}))(t)
	for range 2 {
		if _, ok, err := s.ClaimJob(ctx, "old"); !ok || err != nil {
			t.Fatal(ok, err)
		}
	}
	second := must(s.Enqueue(ctx, Job{Repository: r.ID, Op: OpSync}))(t)
	check(t, s.RequeueRunning(ctx, "old"))
	if n := len(must(s.Jobs(ctx, JobFilter{State: JobRunning}))(t)); n != 2 {
		t.Errorf("%d of the own jobs run on, want 2", n)
	}
	check(t, s.RequeueRunning(ctx, "new"))
	states := map[int64]JobState{}
	for _, j := range must(s.Jobs(ctx, JobFilter{}))(t) {
		states[j.ID] = j.State
	}
	if states[first] != JobCanceled || states[second] != JobQueued || len(states) != 3 {
		t.Errorf("states %v", states)
	}
	if n := len(must(s.Jobs(ctx, JobFilter{Op: OpUpkeep, State: JobQueued}))(t)); n != 1 {
		t.Errorf("%d upkeep jobs are queued again, want 1", n)
	}
}

func TestTriggers(t *testing.T) {
	s, c := testStore(t)
	ctx := t.Context()
	r := testRepository(t, s)
	for _, want := range []bool{true, false} {
		if first := must(s.SeenMessage(ctx, "arn:t", "m1"))(t); first != want {
			t.Errorf("first = %v, want %v", first, want)
		}
	}
	if !must(s.SeenMessage(ctx, "arn:u", "m1"))(t) {
		t.Error("another topic's message was seen")
	}
	call := TriggerCall{Route: "repo", Integration: r.IntegrationID, Repository: r.ID, Address: "10.0.0.1", MessageID: "m1", Result: "accepted", Detail: string(make([]byte, 5000))}
	check(t, s.AddTriggerCall(ctx, call))
	check(t, s.AddTriggerCall(ctx, TriggerCall{Route: "install", Result: "refused"}))
	got := must(s.TriggerCalls(ctx, r.IntegrationID, 0))(t)
	call.ID, call.At, call.Detail = 1, c.t, call.Detail[:2048]
	if diff := cmp.Diff([]TriggerCall{call}, got); diff != "" {
		t.Errorf("calls: %s", diff)
	}
	if n := len(must(s.TriggerCalls(ctx, 0, 0))(t)); n != 2 {
		t.Errorf("%d calls in all", n)
	}
}

func TestCounts(t *testing.T) {
	s, c := testStore(t)
	ctx := t.Context()
	r := testRepository(t, s)
	wantCounts := func(what string, want Counts) {
		t.Helper()
		want.Repositories = 1
		for _, m := range []any{&want.Actions, &want.Entities, &want.Jobs} {
			switch m := m.(type) {
			case *map[ActionState]int:
				if *m == nil {
					*m = map[ActionState]int{}
				}
			case *map[EntityState]int:
				if *m == nil {
					*m = map[EntityState]int{}
				}
			case *map[JobState]int:
				if *m == nil {
					*m = map[JobState]int{}
				}
			}
		}
		if diff := cmp.Diff(want, must(s.Counts(ctx))(t)); diff != "" {
			t.Errorf("%s: %s", what, diff)
		}
	}
	wantCounts("nothing", Counts{})
	queued := c.t
	queueActions(t, s, r.ID, testAction("a1", "A-1"), testAction("a2", "A-1"), testAction("b1", "B-1"))
	must(s.AddCommits(ctx, r.ID, nil, []Entity{commitEntity("a", "A-1")}))(t)
	must(s.Enqueue(ctx, Job{Repository: r.ID, Op: OpSync}))(t)
	must(s.ReleasePush(ctx, Push{Repository: r.ID}))(t)
	oldest := Counts{OldestAction: queued, OldestEntity: queued, OldestJob: queued, UnresolvedPushes: 1}
	want := oldest
	want.Actions, want.Entities, want.Jobs = map[ActionState]int{ActionPending: 3}, map[EntityState]int{EntityPending: 1}, map[JobState]int{JobQueued: 1}
	want.Due = 4 // a2 stands behind a1
	wantCounts("queued", want)
	claimed(t, s, "boot")
	check(t, s.SaveAction(ctx, 1, ActionResult{State: ActionRetry, NextAt: c.t.Add(time.Minute)}))
	e := must(s.ClaimEntities(ctx, "boot", lease, 1))(t)[0]
	check(t, s.SaveEntities(ctx, []EntityResult{{ID: e.ID, Version: e.Version, State: EntityDone}}))
	j, _, err := s.ClaimJob(ctx, "boot")
	check(t, err)
	check(t, s.FinishJob(ctx, j.ID, JobEnd{}))
	want = oldest
	want.OldestEntity, want.OldestJob = time.Time{}, time.Time{}
	want.Actions = map[ActionState]int{ActionPending: 1, ActionRetry: 1, ActionLeased: 1}
	want.Entities, want.Jobs = map[EntityState]int{EntityDone: 1}, map[JobState]int{JobDone: 1}
	want.Due = 1 // b1 is being sent
	wantCounts("under way", want)
}
