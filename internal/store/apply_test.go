package store

import (
	"crypto/sha1"
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"gitferry/internal/ferry"
)

// oid makes an object name out of a word.
func oid(word string) ferry.OID { return sha1.Sum([]byte(word)) }

func testCommit(word string, at time.Time, keys ...ferry.IssueKey) Commit {
	c := Commit{
		OID: oid(word), Parents: []ferry.OID{oid(word + "^1"), oid(word + "^2")},
		Author: Person{"Alice", "alice@x.org"}, AuthoredAt: at.Add(-time.Hour),
		Committer: Person{"Bob", "bob@x.org"}, CommittedAt: at, Message: word,
	}
	for _, k := range keys {
		c.Links = append(c.Links, Link{k, "message"})
	}
	return c
}

func testAction(identity string, key ferry.IssueKey) Action {
	return Action{
		Identity: identity, OID: oid(identity), Key: key, Command: json.RawMessage(`{"command":"comment"}`),
		Author: Person{"Alice", "alice@x.org"}, AuthoredAt: time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC),
	}
}

func commitEntity(word string, keys ...ferry.IssueKey) Entity {
	return Entity{Kind: EntityCommit, EntityID: oid(word).String(), Keys: keys}
}

const main, topic = ferry.RefName("refs/heads/main"), ferry.RefName("refs/heads/DEMO-1-topic")

func TestApply(t *testing.T) {
	s, c := testStore(t)
	ctx := t.Context()
	r := testRepository(t, s)
	u := must(s.AddUser(ctx, ferry.User{Name: "alice"}))(t)
	updates := []ferry.RefUpdate{{Name: main, New: oid("b")}, {Name: topic, New: oid("b")}}
	push := must(s.ReleasePush(ctx, Push{Repository: r.ID, User: u.ID, Updates: updates}))(t)
	check(t, s.ResolvePush(ctx, push, []PushResult{{Name: main, Outcome: OutcomeOK}, {Name: topic, Outcome: OutcomeOK}}))
	action := testAction("one", "DEMO-1")
	action.Push, action.Actor = push, u.ID
	change := Change{
		Repository: r.ID, Updates: updates, Push: push, Indexed: true,
		Commits:  []Commit{testCommit("a", c.t), testCommit("b", c.t, "DEMO-1", "OPS-2")},
		RefLinks: map[ferry.RefName][]ferry.IssueKey{topic: {"DEMO-1", "DEMO-1"}},
		Actions:  []Action{action},
		Entities: []Entity{commitEntity("b", "OPS-2", "DEMO-1"), {Kind: EntityBranch, EntityID: string(topic), Keys: []ferry.IssueKey{"DEMO-1"}}},
	}
	got := must(s.Apply(ctx, change))(t)
	want := Applied{Commits: 2, Actions: 1, Entities: 2, Movements: []Movement{
		{Seq: 1, Repository: r.ID, Ref: main, New: oid("b"), At: c.t, Push: push},
		{Seq: 2, Repository: r.ID, Ref: topic, New: oid("b"), At: c.t, Push: push},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("first time: %s", diff)
	}
	// A repetition, as after a crash before the caller heard of the first.
	again := must(s.Apply(ctx, change))(t)
	if diff := cmp.Diff(Applied{Entities: 1}, again); diff != "" {
		t.Errorf("second time: %s", diff)
	}
	if log := must(s.Movements(ctx, r.ID, 0, 0))(t); !cmp.Equal(log, want.Movements) {
		t.Errorf("movement log: %s", cmp.Diff(want.Movements, log))
	}
	if p := must(s.Push(ctx, push))(t); p.State != PushDone || !p.DoneAt.Equal(c.t) {
		t.Errorf("push is %s at %v", p.State, p.DoneAt)
	}
	r = must(s.Repository(ctx, r.ID))(t)
	if !r.IndexedAt.Equal(c.t) {
		t.Errorf("indexed at %v", r.IndexedAt)
	}
	b := must(s.CommitByOID(ctx, r.ID, oid("b")))(t)
	wantCommit := IndexedCommit{Commit: testCommit("b", c.t, "DEMO-1", "OPS-2"), Repository: r, Reachable: true, SeenAt: c.t}
	if diff := cmp.Diff(wantCommit, b, cmpopts.IgnoreFields(IndexedCommit{}, "Cursor"), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("commit read back: %s", diff)
	}
	branches := must(s.BranchesByKey(ctx, "DEMO-1"))(t)
	if diff := cmp.Diff([]Branch{{Repository: r, Name: topic, OID: oid("b")}}, branches); diff != "" {
		t.Errorf("branches: %s", diff)
	}
	sum := must(s.IssueSummary(ctx, "DEMO-1"))(t)
	if diff := cmp.Diff(IssueSummary{Commits: 1, Branches: 1, LastCommitAt: c.t}, sum); diff != "" {
		t.Errorf("summary: %s", diff)
	}
	actions := must(s.ClaimActions(ctx, "boot", time.Minute, 10))(t)
	action.ID, action.Seq, action.State, action.Repository = 1, 1, ActionPending, r.ID
	action.NextAt, action.CreatedAt = c.t, c.t
	if diff := cmp.Diff([]Action{action}, actions); diff != "" {
		t.Errorf("action read back: %s", diff)
	}
}

func TestApplyComparesRefs(t *testing.T) {
	s, c := testStore(t)
	ctx := t.Context()
	r := testRepository(t, s)
	must(s.Apply(ctx, Change{Repository: r.ID, Updates: []ferry.RefUpdate{{Name: main, New: oid("1")}}}))(t)
	for _, tt := range []struct {
		name     string
		old, new string
		conflict bool
	}{
		{"create what exists", "", "2", true},
		{"create what stands there", "", "1", false},
		{"move from elsewhere", "0", "2", true},
		{"move to where it stands", "0", "1", false},
		{"stay", "1", "1", false},
		{"stay elsewhere", "2", "2", true},
		{"delete from elsewhere", "2", "", true},
		{"move", "1", "2", false},
		{"delete", "2", "", false},
		{"delete again", "2", "", false},
		{"move what is not there", "2", "3", true},
	} {
		named := func(word string) ferry.OID {
			if word == "" {
				return ferry.OID{}
			}
			return oid(word)
		}
		before := must(s.Refs(ctx, r.ID))(t)
		_, err := s.Apply(ctx, Change{
			Repository: r.ID,
			Commits:    []Commit{testCommit(tt.name, c.t)},
			Updates:    []ferry.RefUpdate{{Name: topic, New: oid("x"), Old: before[topic]}, {Name: main, Old: named(tt.old), New: named(tt.new)}},
		})
		known := must(s.KnownCommits(ctx, r.ID, []ferry.OID{oid(tt.name)}))(t)
		if !tt.conflict {
			if err != nil || len(known) != 1 {
				t.Errorf("%s: %v, %d commits", tt.name, err, len(known))
			}
			continue
		}
		wantErr(t, tt.name, err, ferry.ErrConflict)
		if after := must(s.Refs(ctx, r.ID))(t); !cmp.Equal(before, after) || len(known) != 0 {
			t.Errorf("%s: the conflict left traces: refs %v, %d commits", tt.name, after, len(known))
		}
	}
}

func TestDeletedBranchLosesItsKeys(t *testing.T) {
	s, c := testStore(t)
	ctx := t.Context()
	r := testRepository(t, s)
	must(s.Apply(ctx, Change{
		Repository: r.ID, Updates: []ferry.RefUpdate{{Name: topic, New: oid("a")}},
		Commits:  []Commit{testCommit("a", c.t, "DEMO-1")},
		RefLinks: map[ferry.RefName][]ferry.IssueKey{topic: {"DEMO-1"}},
	}))(t)
	must(s.Apply(ctx, Change{
		Repository: r.ID, Updates: []ferry.RefUpdate{{Name: topic, Old: oid("a")}}, Lost: []ferry.OID{oid("a")},
	}))(t)
	if b := must(s.BranchesByKey(ctx, "DEMO-1"))(t); len(b) != 0 {
		t.Errorf("branches %v", b)
	}
	list := must(s.CommitsByKey(ctx, "DEMO-1", Page{}))(t)
	if len(list) != 1 || list[0].Reachable {
		t.Errorf("commits after the deletion: %+v", list)
	}
	must(s.Apply(ctx, Change{Repository: r.ID, Found: []ferry.OID{oid("a")}}))(t)
	if list := must(s.CommitsByKey(ctx, "DEMO-1", Page{}))(t); !list[0].Reachable {
		t.Error("a commit found again is still unreachable")
	}
}

// Actions outlive their repository, so that nothing runs again when it is
// connected anew.
func TestRemovedRepositoryLeavesActions(t *testing.T) {
	s, c := testStore(t)
	ctx := t.Context()
	r := testRepository(t, s)
	change := Change{
		Repository: r.ID, Commits: []Commit{testCommit("a", c.t, "DEMO-1")}, Actions: []Action{testAction("one", "DEMO-1")},
		Entities: []Entity{commitEntity("a", "DEMO-1")}, Updates: []ferry.RefUpdate{{Name: main, New: oid("a")}},
	}
	must(s.Apply(ctx, change))(t)
	must(s.Enqueue(ctx, Job{Repository: r.ID, Op: OpSync}))(t)
	check(t, s.RemoveRepository(ctx, r.ID))
	again := must(s.AddRepository(ctx, ferry.Repository{IntegrationID: r.IntegrationID, Name: "demo"}))(t)
	if again.ID == r.ID {
		t.Errorf("id %d was given before", r.ID)
	}
	change.Repository = again.ID
	got := must(s.Apply(ctx, change))(t)
	if got.Actions != 0 || got.Commits != 1 || got.Entities != 1 {
		t.Errorf("connected again: %+v", got)
	}
	list := must(s.Deliveries(ctx, DeliveryFilter{Key: "DEMO-1"}))(t)
	if len(list) != 2 || list[1].Kind != "action" || list[1].Repository != 0 {
		t.Errorf("deliveries: %+v", list)
	}
}
