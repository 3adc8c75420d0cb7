package store

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gitferry/internal/ferry"
)

func TestVersionsGrowWhateverTheClockDoes(t *testing.T) {
	s, c := testStore(t)
	ctx := t.Context()
	r := testRepository(t, s)
	var last int64
	for i, step := range []time.Duration{0, 0, time.Hour, -2 * time.Hour, -10 * 365 * 24 * time.Hour, time.Second} {
		c.advance(step)
		must(s.AddCommits(ctx, r.ID, nil, []Entity{{Kind: EntityBranch, EntityID: "refs/heads/x", Keys: []ferry.IssueKey{"A-1"}}}))(t)
		list := must(s.Deliveries(ctx, DeliveryFilter{Repository: r.ID}))(t)
		if len(list) != 1 || list[0].Version <= last {
			t.Errorf("step %d: versions %+v after %d", i, list, last)
		}
		if want := c.t.UnixMilli() * 1000; list[0].Version < want {
			t.Errorf("step %d: version %d is below the clock's %d", i, list[0].Version, want)
		}
		last = list[0].Version
	}
}

func TestEntities(t *testing.T) {
	s, c := testStore(t)
	ctx := t.Context()
	r := testRepository(t, s)
	queue := func(e Entity) Applied {
		t.Helper()
		return must(s.Apply(ctx, Change{Repository: r.ID, Entities: []Entity{e}}))(t)
	}
	claim := func() Entity {
		t.Helper()
		list := must(s.ClaimEntities(ctx, "boot", lease, 10))(t)
		if len(list) != 1 {
			t.Fatalf("claimed %d entities, want 1", len(list))
		}
		return list[0]
	}
	if n := queue(commitEntity("x")).Entities; n != 0 {
		t.Error("what Jira never had is withdrawn")
	}
	queue(commitEntity("a", "B-2", "A-1", "B-2"))
	if n := queue(commitEntity("a", "A-1", "B-2")).Entities; n != 0 {
		t.Error("a commit that waits with the same keys is queued again")
	}
	first := claim()
	if diff := cmp.Diff([]ferry.IssueKey{"A-1", "B-2"}, first.Keys); diff != "" {
		t.Errorf("keys: %s", diff)
	}
	// While it is being sent, a newer version comes.
	queue(commitEntity("a", "A-1"))
	if list := must(s.ClaimEntities(ctx, "boot", lease, 10))(t); len(list) != 0 {
		t.Error("a leased entity was given out again")
	}
	check(t, s.SaveEntities(ctx, []EntityResult{{ID: first.ID, Version: first.Version, State: EntityDone, DeliveredKeys: first.Keys}, {ID: 999, State: EntityDone}}))
	second := claim()
	if second.Version <= first.Version || second.DeliveredVersion != first.Version || !cmp.Equal(second.DeliveredKeys, first.Keys) {
		t.Errorf("after the first version was taken: %+v", second)
	}
	check(t, s.SaveEntities(ctx, []EntityResult{{ID: second.ID, Version: second.Version, State: EntityWaiting, Problem: "unknown keys"}}))
	c.advance(time.Hour)
	if list := must(s.ClaimEntities(ctx, "boot", lease, 10))(t); len(list) != 0 {
		t.Error("an entity that waits for a key was given out")
	}
	check(t, s.RequeueKey(ctx, "B-2")) // not its key any more
	check(t, s.RequeueKey(ctx, "A-1"))
	third := claim()
	check(t, s.SaveEntities(ctx, []EntityResult{{ID: third.ID, Version: third.Version, State: EntityDone, DeliveredKeys: third.Keys}}))
	// Withdrawn.
	if n := queue(commitEntity("a")).Entities; n != 1 {
		t.Error("the withdrawal is not queued")
	}
	last := claim()
	if len(last.Keys) != 0 || len(last.DeliveredKeys) != 1 {
		t.Errorf("withdrawal %+v", last)
	}
	_, err := s.Apply(ctx, Change{Repository: r.ID, Entities: []Entity{{Kind: "tag", EntityID: "x", Keys: last.DeliveredKeys}}})
	wantErr(t, "a tag as entity", err, ferry.ErrInvalid)
}

func TestBackfillComesLast(t *testing.T) {
	s, c := testStore(t)
	ctx := t.Context()
	r := testRepository(t, s)
	var old []Entity
	for i := range 5 {
		e := commitEntity(fmt.Sprint(i), "A-1")
		e.Backfill = true
		old = append(old, e)
	}
	must(s.AddCommits(ctx, r.ID, nil, old))(t)
	c.advance(time.Minute)
	must(s.Apply(ctx, Change{Repository: r.ID, Entities: []Entity{commitEntity("live", "A-1")}}))(t)
	list := must(s.ClaimEntities(ctx, "boot", lease, 3))(t)
	if len(list) != 3 || list[0].EntityID != oid("live").String() || !list[1].Backfill {
		t.Errorf("claimed %+v", list)
	}
	// A backfill does not turn live information that waits into backfill.
	live := commitEntity("live2", "A-1")
	must(s.Apply(ctx, Change{Repository: r.ID, Entities: []Entity{live}}))(t)
	live.Backfill, live.Keys = true, []ferry.IssueKey{"A-1", "B-1"}
	must(s.AddCommits(ctx, r.ID, nil, []Entity{live}))(t)
	if list := must(s.ClaimEntities(ctx, "boot", lease, 1))(t); list[0].EntityID != live.EntityID || list[0].Backfill {
		t.Errorf("claimed %+v", list)
	}
}
