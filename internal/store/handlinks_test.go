package store

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"gitferry/internal/ferry"
)

// What people decide on the issues of a commit, a branch and a pull request
// holds at once, is delivered once, and outlives every new reading.
func TestLinksByHand(t *testing.T) {
	s, c := testStore(t)
	ctx := t.Context()
	r := testRepository(t, s)
	alice := must(s.AddUser(ctx, ferry.User{Name: "alice"}))(t)
	feature := ferry.RefName("refs/heads/feature")
	change := Change{Repository: r.ID,
		Updates:  []ferry.RefUpdate{{Name: main, New: oid("a")}, {Name: feature, New: oid("b")}},
		Commits:  []Commit{testCommit("a", c.t, "DEMO-1"), testCommit("b", c.t.Add(time.Second))},
		RefLinks: map[ferry.RefName][]ferry.IssueKey{main: nil, feature: nil},
		Entities: []Entity{commitEntity("a", "DEMO-1"), {Kind: EntityBranch, EntityID: string(main), Keys: []ferry.IssueKey{"DEMO-1"}}, {Kind: EntityBranch, EntityID: string(feature)}},
	}
	must(s.Apply(ctx, change))(t)
	pull := PullRequest{Repository: r.ID, Number: 7, Title: "x", Status: "open", Source: feature, Destination: main}
	check(t, s.PutPullRequests(ctx, r.ID, []PullRequest{pull}, nil))
	// deliver takes what waits and returns it as "kind id keys".
	deliver := func() map[string]string {
		t.Helper()
		got := make(map[string]string)
		list := must(s.ClaimEntities(ctx, "boot", time.Minute, 100))(t)
		var results []EntityResult
		for _, e := range list {
			got[string(e.Kind)+" "+e.EntityID] = fmt.Sprint(e.Keys)
			results = append(results, EntityResult{ID: e.ID, Version: e.Version, State: EntityDone, DeliveredKeys: e.Keys})
		}
		check(t, s.SaveEntities(ctx, results))
		return got
	}
	deliver()
	name := func(word string) string { return "commit " + oid(word).String() }
	link := func(o Object, add, remove ferry.IssueKey) bool {
		t.Helper()
		o.Repository = r.ID
		var adds, removes []ferry.IssueKey
		if add != "" {
			adds = append(adds, add)
		}
		if remove != "" {
			removes = append(removes, remove)
		}
		return must(s.LinkByHand(ctx, o, alice, adds, removes))(t)
	}
	a, b := Object{Kind: EntityCommit, ID: oid("a").String()}, Object{Kind: EntityCommit, ID: oid("b").String()}
	onFeature, on7 := Object{Kind: EntityBranch, ID: string(feature)}, Object{Kind: EntityPullRequest, ID: "7"}
	for _, step := range []struct {
		what        string
		object      Object
		add, remove ferry.IssueKey
		want        map[string]string
	}{
		{"a commit without key, with the branch whose tip it is", b, "OPS-2", "", map[string]string{name("b"): "[OPS-2]", "branch refs/heads/feature": "[OPS-2]"}},
		{"the same again", b, "OPS-2", "", map[string]string{}},
		{"a key of the message", a, "", "DEMO-1", map[string]string{name("a"): "[]", "branch refs/heads/main": "[]"}},
		{"what is not there", a, "", "DEMO-9", map[string]string{}},
		{"a branch", onFeature, "DEMO-3", "", map[string]string{"branch refs/heads/feature": "[DEMO-3 OPS-2]"}},
		{"what a branch has of its tip", onFeature, "", "OPS-2", map[string]string{"branch refs/heads/feature": "[DEMO-3]"}},
		{"a pull request", on7, "DEMO-4", "", map[string]string{"pull_request 7": "[DEMO-4]"}},
	} {
		changed := link(step.object, step.add, step.remove)
		if got := deliver(); !cmp.Equal(got, step.want) || changed != (len(step.want) > 0) {
			t.Errorf("%s: changed %v, delivered %v, want %v", step.what, changed, got, step.want)
		}
	}
	links := func(word string) []Link { return must(s.CommitByOID(ctx, r.ID, oid(word)))(t).Links }
	judge := func(when string) {
		t.Helper()
		if got := links("b"); !cmp.Equal(got, []Link{{"OPS-2", ReasonManual}}) {
			t.Errorf("%s: links of b: %v", when, got)
		}
		if got := links("a"); len(got) != 0 {
			t.Errorf("%s: links of a: %v", when, got)
		}
		if got := must(s.LinkedCommits(ctx, r.ID, OnlyLinked, Page{}))(t); len(got) != 1 || got[0].OID != oid("b") {
			t.Errorf("%s: linked commits: %v", when, got)
		}
		if got := must(s.CommitsByKey(ctx, "OPS-2", Page{}))(t); len(got) != 1 {
			t.Errorf("%s: commits of OPS-2: %v", when, got)
		}
		if got := must(s.BranchesByKey(ctx, "DEMO-3"))(t); len(got) != 1 || !got[0].ByHand || got[0].Name != feature {
			t.Errorf("%s: branches of DEMO-3: %v", when, got)
		}
		if got := must(s.PullRequests(ctx, PullRequestFilter{Key: "DEMO-4"}))(t); len(got) != 1 {
			t.Errorf("%s: pull requests of DEMO-4: %v", when, got)
		}
	}
	judge("at first")
	// Everything is read once more, and nothing is news to Jira that was not
	// before: branches and pull requests go again, as they do at every reading.
	change.Entities[1].Keys = nil // as the index asks for them
	must(s.Apply(ctx, change))(t)
	must(s.AddCommits(ctx, r.ID, change.Commits, []Entity{commitEntity("b")}))(t)
	pull.Keys = must(s.WithHand(ctx, Object{Repository: r.ID, Kind: EntityPullRequest, ID: "7"}, nil))(t)
	check(t, s.PutPullRequests(ctx, r.ID, []PullRequest{pull}, nil))
	judge("read again")
	for what, keys := range deliver() {
		want := map[string]string{name("a"): "[]", name("b"): "[OPS-2]", "branch refs/heads/main": "[]", "branch refs/heads/feature": "[DEMO-3]"}
		if want[what] != keys {
			t.Errorf("read again: %s is delivered with %s", what, keys)
		}
	}
	// Who, when and which way is kept.
	want := []HandLink{{Object{r.ID, EntityBranch, string(feature)}, "DEMO-3", true, "alice", c.t}, {Object{r.ID, EntityBranch, string(feature)}, "OPS-2", false, "alice", c.t}}
	if diff := cmp.Diff(want, must(s.HandLinks(ctx, Object{r.ID, EntityBranch, string(feature)}))(t)); diff != "" {
		t.Errorf("HandLinks (-want +got):\n%s", diff)
	}
	check(t, s.RemoveUser(ctx, alice.ID))
	if got := must(s.HandLinksOf(ctx, "DEMO-4"))(t); len(got) != 1 || got[0].By != "alice" {
		t.Errorf("HandLinksOf after the user went: %+v", got)
	}
	// What is gone is withdrawn in spite of its link, and a later branch of
	// the name is another one.
	must(s.Apply(ctx, Change{Repository: r.ID, Updates: []ferry.RefUpdate{{Name: feature, Old: oid("b")}}, Lost: []ferry.OID{oid("b")},
		Entities: []Entity{commitEntity("b"), {Kind: EntityBranch, EntityID: string(feature)}}}))(t)
	if got, want := deliver(), map[string]string{name("b"): "[]", "branch refs/heads/feature": "[]"}; !cmp.Equal(got, want) {
		t.Errorf("after the deletion: %v, want %v", got, want)
	}
	if got := must(s.HandLinks(ctx, Object{r.ID, EntityBranch, string(feature)}))(t); len(got) != 0 {
		t.Errorf("links of the deleted branch: %v", got)
	}
	must(s.Apply(ctx, Change{Repository: r.ID, Found: []ferry.OID{oid("b")}, Updates: []ferry.RefUpdate{{Name: feature, New: oid("b")}}, Entities: []Entity{commitEntity("b")}}))(t)
	if got, want := deliver(), map[string]string{name("b"): "[OPS-2]"}; !cmp.Equal(got, want) {
		t.Errorf("found again: %v, want %v", got, want)
	}
	for what, o := range map[string]Object{"commit": {Kind: EntityCommit, ID: oid("none").String()}, "no id": {Kind: EntityCommit, ID: "x"},
		"branch": {Kind: EntityBranch, ID: "refs/heads/none"}, "tag": {Kind: EntityBranch, ID: "refs/tags/v1"}, "pull request": {Kind: EntityPullRequest, ID: "8"}, "07": {Kind: EntityPullRequest, ID: "07"}} {
		o.Repository = r.ID
		_, err := s.LinkByHand(ctx, o, alice, []ferry.IssueKey{"DEMO-1"}, nil)
		wantErr(t, what, err, ferry.ErrNotFound)
	}
}

// A key that was taken away before its project was known does not come back
// as a candidate that is looked at for ever.
func TestRemovedCandidate(t *testing.T) {
	s, c := testStore(t)
	ctx := t.Context()
	r := testRepository(t, s)
	commit := testCommit("a", c.t)
	commit.Unknown = []ferry.IssueKey{"NEW-1"}
	must(s.AddCommits(ctx, r.ID, []Commit{commit}, nil))(t)
	o := Object{Repository: r.ID, Kind: EntityCommit, ID: oid("a").String()}
	must(s.LinkByHand(ctx, o, ferry.User{Name: "root"}, []ferry.IssueKey{"NEW-1"}, nil))(t)
	must(s.LinkByHand(ctx, o, ferry.User{Name: "root"}, nil, []ferry.IssueKey{"NEW-1"}))(t)
	commit.Unknown, commit.Links = nil, []Link{{"NEW-1", "message"}}
	must(s.AddCommits(ctx, r.ID, []Commit{commit}, nil))(t)
	if got := must(s.Candidates(ctx, "NEW", 0))(t); len(got) != 0 {
		t.Errorf("candidates: %v", got)
	}
	if got := must(s.CommitByOID(ctx, r.ID, oid("a")))(t).Links; !cmp.Equal(got, []Link{}, cmpopts.EquateEmpty()) {
		t.Errorf("links: %v", got)
	}
}
