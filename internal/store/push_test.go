package store

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"gitferry/internal/ferry"
)

func TestPushes(t *testing.T) {
	s, c := testStore(t)
	ctx := t.Context()
	r := testRepository(t, s)
	u := must(s.AddUser(ctx, ferry.User{Name: "alice"}))(t)
	p := Push{
		Repository: r.ID, User: u.ID, Credential: "SHA256:x", Address: "10.0.0.1", Quarantine: "quarantine/1", NoSmartCommits: true,
		Updates: []ferry.RefUpdate{{Name: main, Old: oid("1"), New: oid("2")}}, ReceivedAt: c.t.Add(-time.Second),
	}
	p.ID = must(s.ReleasePush(ctx, p))(t)
	p.State, p.ReleasedAt = PushReleased, c.t
	if diff := cmp.Diff([]Push{p}, must(s.UnresolvedPushes(ctx))(t), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("released: %s", diff)
	}
	p.Results = []PushResult{{main, OutcomeUnknown, "connection lost"}}
	check(t, s.ResolvePush(ctx, p.ID, p.Results))
	p.State = PushResolved
	if diff := cmp.Diff([]Push{p}, must(s.UnresolvedPushes(ctx))(t)); diff != "" {
		t.Errorf("resolved: %s", diff)
	}
	check(t, s.FinishPush(ctx, p.ID))
	check(t, s.FinishPush(ctx, p.ID))
	if got := must(s.Push(ctx, p.ID))(t); got.State != PushUnknown || got.Quarantine != "" {
		t.Errorf("finished with an unknown ref: %+v", got)
	}
	wantErr(t, "resolving what is finished", s.ResolvePush(ctx, p.ID, nil), ferry.ErrConflict)

	second := must(s.ReleasePush(ctx, p))(t)
	check(t, s.AbortPush(ctx, second, "cut"))
	wantErr(t, "finishing what was aborted", s.FinishPush(ctx, second), ferry.ErrConflict)
	_, err := s.Apply(ctx, Change{Repository: r.ID, Push: second})
	wantErr(t, "applying what was aborted", err, ferry.ErrConflict)
	refused := must(s.RecordRefusedPush(ctx, Push{Repository: r.ID, Reason: "no key"}))(t)
	if n := len(must(s.UnresolvedPushes(ctx))(t)); n != 0 {
		t.Errorf("%d unresolved", n)
	}
	list := must(s.Pushes(ctx, r.ID, 2))(t)
	if len(list) != 2 || list[0].ID != refused || list[0].State != PushRefused || list[1].State != PushAborted {
		t.Errorf("latest pushes: %+v", list)
	}
	check(t, s.RemoveUser(ctx, u.ID))
	if got := must(s.Push(ctx, p.ID))(t); got.User != 0 {
		t.Errorf("push names removed user %d", got.User)
	}
}

func TestPullRequests(t *testing.T) {
	s, c := testStore(t)
	ctx := t.Context()
	r := testRepository(t, s)
	p := PullRequest{
		Repository: r.ID, Number: 3, Title: "DEMO-1", Source: topic, Destination: main, SourceOID: oid("a"), DestinationOID: oid("b"),
		Status: "open", Author: "alice", CreatedAt: c.t, UpdatedAt: c.t, Keys: []ferry.IssueKey{"DEMO-1", "OPS-2"},
	}
	entity := Entity{Kind: EntityPullRequest, EntityID: "3", Keys: p.Keys}
	check(t, s.PutPullRequests(ctx, r.ID, []PullRequest{p}, []Entity{entity}))
	p.Status, p.Merged, p.MergeOID, p.Keys = "closed", true, oid("m"), []ferry.IssueKey{"DEMO-1"}
	other := PullRequest{Repository: r.ID, Number: 4, Status: "open", CreatedAt: c.t, UpdatedAt: c.t}
	check(t, s.PutPullRequests(ctx, r.ID, []PullRequest{p, other}, nil))
	for _, tt := range []struct {
		f    PullRequestFilter
		want []PullRequest
	}{
		{PullRequestFilter{Repository: r.ID}, []PullRequest{other, p}},
		{PullRequestFilter{Key: "DEMO-1"}, []PullRequest{p}},
		{PullRequestFilter{Key: "OPS-2"}, nil},
		{PullRequestFilter{Repository: r.ID, Status: "open"}, []PullRequest{other}},
		{PullRequestFilter{Repository: r.ID, Number: 3}, []PullRequest{p}},
	} {
		if diff := cmp.Diff(tt.want, must(s.PullRequests(ctx, tt.f))(t), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%+v: %s", tt.f, diff)
		}
	}
	_, err := s.PullRequests(ctx, PullRequestFilter{})
	wantErr(t, "no filter", err, ferry.ErrInvalid)
}
