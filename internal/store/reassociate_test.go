package store

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gitferry/internal/ferry"
)

// A repository that belongs to some projects only is shown with, and heard of
// by, their issues alone; a change of the list withdraws and sends what it
// means, and nothing else.
func TestProjectsOfARepository(t *testing.T) {
	s, c := testStore(t)
	ctx := t.Context()
	r := testRepository(t, s)
	feature := ferry.RefName("refs/heads/OPS-4-x")
	must(s.Apply(ctx, Change{Repository: r.ID,
		Updates:  []ferry.RefUpdate{{Name: main, New: oid("a")}, {Name: feature, New: oid("c")}},
		Commits:  []Commit{testCommit("a", c.t, "DEMO-1", "OPS-2"), testCommit("b", c.t.Add(time.Second), "OPS-2"), testCommit("c", c.t.Add(2*time.Second), "DEMO-3")},
		RefLinks: map[ferry.RefName][]ferry.IssueKey{feature: {"OPS-4"}},
		Entities: []Entity{commitEntity("a", "DEMO-1", "OPS-2"), commitEntity("b", "OPS-2"), commitEntity("c", "DEMO-3"),
			{Kind: EntityBranch, EntityID: string(main), Keys: []ferry.IssueKey{"DEMO-1", "OPS-2"}}, {Kind: EntityBranch, EntityID: string(feature), Keys: []ferry.IssueKey{"OPS-4", "DEMO-3"}}},
	}))(t)
	check(t, s.PutPullRequests(ctx, r.ID, []PullRequest{{Repository: r.ID, Number: 7, Status: "open", Source: feature, Destination: main, Keys: []ferry.IssueKey{"OPS-4"}}},
		[]Entity{{Kind: EntityPullRequest, EntityID: "7", Keys: []ferry.IssueKey{"OPS-4"}}}))
	deliver := func() map[string][]ferry.IssueKey {
		t.Helper()
		got := make(map[string][]ferry.IssueKey)
		var results []EntityResult
		for _, e := range must(s.ClaimEntities(ctx, "boot", time.Minute, 100))(t) {
			got[e.EntityID] = e.Keys
			results = append(results, EntityResult{ID: e.ID, Version: e.Version, State: EntityDone, DeliveredKeys: e.Keys})
		}
		check(t, s.SaveEntities(ctx, results))
		return got
	}
	deliver()
	set := func(projects string) {
		t.Helper()
		r = must(s.Repository(ctx, r.ID))(t)
		r.Projects = projects
		check(t, s.UpdateRepository(ctx, r))
	}
	set("DEMO ZED")
	want := map[string][]ferry.IssueKey{oid("a").String(): {"DEMO-1"}, oid("b").String(): {}, string(main): {"DEMO-1"}, string(feature): {"DEMO-3"}, "7": {}}
	if diff := cmp.Diff(want, deliver()); diff != "" {
		t.Errorf("restricted (-want +got):\n%s", diff)
	}
	shown := func(key ferry.IssueKey) [4]int {
		t.Helper()
		sum := must(s.IssueSummary(ctx, key))(t)
		if got := (IssueSummary{Commits: len(must(s.CommitsByKey(ctx, key, Page{}))(t)), Branches: len(must(s.BranchesByKey(ctx, key))(t)),
			PullRequests: len(must(s.PullRequests(ctx, PullRequestFilter{Key: key}))(t)), LastCommitAt: sum.LastCommitAt}); got != sum {
			t.Errorf("%s: summary %+v, lists %+v", key, sum, got)
		}
		return [4]int{sum.Commits, sum.Branches, sum.PullRequests, len(must(s.CommitByOID(ctx, r.ID, oid("a")))(t).Links)}
	}
	for key, want := range map[ferry.IssueKey][4]int{"DEMO-1": {1, 0, 0, 1}, "OPS-2": {0, 0, 0, 1}, "OPS-4": {0, 0, 0, 1}} {
		if got := shown(key); got != want {
			t.Errorf("%s is shown with %v, want %v", key, got, want)
		}
	}
	if got := must(s.KeysOf(ctx, r.ID, []ferry.OID{oid("a"), oid("b")}))(t); !cmp.Equal(got, map[ferry.OID][]ferry.IssueKey{oid("a"): {"DEMO-1"}}) {
		t.Errorf("KeysOf = %v", got)
	}
	// What comes while it is restricted.
	done := must(s.Apply(ctx, Change{Repository: r.ID, Commits: []Commit{testCommit("d", c.t, "OPS-9")}, Entities: []Entity{commitEntity("d", "OPS-9")},
		Actions: []Action{testAction("ops", "OPS-9"), testAction("demo", "DEMO-9")}}))(t)
	if done.Actions != 1 || done.Entities != 0 {
		t.Errorf("while restricted: %+v", done)
	}
	set("DEMO ZED")
	if got := deliver(); len(got) != 0 {
		t.Errorf("set to what it is: %v", got)
	}
	set("")
	want = map[string][]ferry.IssueKey{oid("a").String(): {"DEMO-1", "OPS-2"}, oid("b").String(): {"OPS-2"}, oid("d").String(): {"OPS-9"},
		string(main): {"DEMO-1", "OPS-2"}, string(feature): {"DEMO-3", "OPS-4"}, "7": {"OPS-4"}}
	if diff := cmp.Diff(want, deliver()); diff != "" {
		t.Errorf("free again (-want +got):\n%s", diff)
	}
	// The history goes once more, whole or since a time; what waits does not go twice.
	check(t, s.SendHistory(ctx, r.ID, c.t.Add(time.Second)))
	check(t, s.SendHistory(ctx, r.ID, c.t.Add(time.Second)))
	want = map[string][]ferry.IssueKey{oid("b").String(): {"OPS-2"}, oid("c").String(): {"DEMO-3"}, string(main): {"DEMO-1", "OPS-2"}, string(feature): {"DEMO-3", "OPS-4"}}
	if diff := cmp.Diff(want, deliver()); diff != "" {
		t.Errorf("history since a time (-want +got):\n%s", diff)
	}
	check(t, s.SendHistory(ctx, r.ID, time.Time{}))
	if got := deliver(); len(got) != 7 {
		t.Errorf("the whole history: %v, want 7 objects", got)
	}
	for _, bad := range []string{"demo", "OPS DEMO", "DEMO,OPS", "DEMO  OPS", "1X"} {
		r.Projects = bad
		wantErr(t, bad, s.UpdateRepository(ctx, r), ferry.ErrInvalid)
	}
	r.Projects, r.TagFilter = "", "("
	wantErr(t, "a filter that is none", s.UpdateRepository(ctx, r), ferry.ErrInvalid)
	// New repositories begin with those of their integration.
	i := must(s.Integration(ctx, r.IntegrationID))(t)
	i.Projects = "OPS"
	check(t, s.UpdateIntegration(ctx, i, nil))
	if later := must(s.AddRepository(ctx, ferry.Repository{IntegrationID: i.ID, Name: "later"}))(t); later.Projects != "OPS" {
		t.Errorf("a later repository has the projects %q", later.Projects)
	}
	list := must(s.ConnectRepositories(ctx, []ferry.Repository{{IntegrationID: i.ID, Name: "more", State: ferry.RepositoryEnabled}}))(t)
	if list[0].Projects != "OPS" {
		t.Errorf("a connected repository has the projects %q", list[0].Projects)
	}
}

// All that Jira shows of a repository is withdrawn, also what is there by
// hand alone, and comes back when the history is sent.
func TestWithdraw(t *testing.T) {
	s, c := testStore(t)
	ctx := t.Context()
	r := testRepository(t, s)
	must(s.Apply(ctx, Change{Repository: r.ID, Updates: []ferry.RefUpdate{{Name: main, New: oid("b")}},
		Commits: []Commit{testCommit("a", c.t, "DEMO-1"), testCommit("b", c.t)}, Entities: []Entity{commitEntity("a", "DEMO-1")}}))(t)
	must(s.LinkByHand(ctx, Object{Repository: r.ID, Kind: EntityCommit, ID: oid("b").String()}, ferry.User{Name: "root"}, []ferry.IssueKey{"DEMO-2"}, nil))(t)
	deliver := func() map[string]int {
		t.Helper()
		got := make(map[string]int)
		var results []EntityResult
		for _, e := range must(s.ClaimEntities(ctx, "boot", time.Minute, 100))(t) {
			got[e.EntityID] = len(e.Keys)
			results = append(results, EntityResult{ID: e.ID, Version: e.Version, State: EntityDone, DeliveredKeys: e.Keys})
		}
		check(t, s.SaveEntities(ctx, results))
		return got
	}
	all := map[string]int{oid("a").String(): 1, oid("b").String(): 1, string(main): 1}
	if diff := cmp.Diff(all, deliver()); diff != "" {
		t.Fatalf("at first (-want +got):\n%s", diff)
	}
	check(t, s.Withdraw(ctx, r.ID))
	check(t, s.Withdraw(ctx, r.ID)) // nothing is left
	if diff := cmp.Diff(map[string]int{oid("a").String(): 0, oid("b").String(): 0, string(main): 0}, deliver()); diff != "" {
		t.Errorf("withdrawn (-want +got):\n%s", diff)
	}
	check(t, s.SendHistory(ctx, r.ID, time.Time{}))
	if diff := cmp.Diff(all, deliver()); diff != "" {
		t.Errorf("sent once more (-want +got):\n%s", diff)
	}
}
