package pulls

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awscodecommit "github.com/aws/aws-sdk-go-v2/service/codecommit"
	"github.com/aws/aws-sdk-go-v2/service/codecommit/types"
	"github.com/google/go-cmp/cmp"

	"gitferry/internal/ferry"
	"gitferry/internal/smartcommit"
	"gitferry/internal/store"
)

// row is what the tests compare of a pull request.
type row struct {
	Title, Status string
	Merged        bool
	Author        string
	Keys          []ferry.IssueKey
	Reviewers     []store.Reviewer
}

func (w *world) rows() map[int64]row {
	m := make(map[int64]row)
	for _, p := range w.pulls() {
		m[p.Number] = row{p.Title, p.Status, p.Merged, p.Author, p.Keys, p.Reviewers}
	}
	return m
}

// A pull request is followed from its opening to its merge, with the issues
// that its title, its description, its branch and its commits name.
func TestSyncFollows(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	w.commit("feature/DEMO-3-x", "OPS-7 work", "a")
	w.sync() // an empty list is complete: what comes later is no history
	id := w.pull("alice", "feature/DEMO-3-x", "DEMO-1: title", "for DEMO-2\n\nand more")
	w.sync()
	number, _ := strconv.ParseInt(id, 10, 64)
	want := map[int64]row{number: {"DEMO-1: title", "open", false, "alice", []ferry.IssueKey{"DEMO-1", "DEMO-2", "DEMO-3", "OPS-7"}, []store.Reviewer{}}}
	if diff := cmp.Diff(want, w.rows()); diff != "" {
		t.Fatalf("after opening (-want +got):\n%s", diff)
	}
	p := w.pulls()[0]
	if want := "https://us-east-1.console.aws.amazon.com/codesuite/codecommit/repositories/demo/pull-requests/" + id + "/details?region=us-east-1"; p.URL != want {
		t.Errorf("URL = %s, want %s", p.URL, want)
	}
	if w.queued.Load() == 0 {
		t.Error("nothing was queued for Jira")
	}
	entities, err := w.store.ClaimEntities(ctx, "test", 1, 100)
	check(t, err)
	if len(entities) != 1 || entities[0].Kind != store.EntityPullRequest || entities[0].EntityID != id || entities[0].Backfill {
		t.Errorf("entities = %+v, want one for %s", entities, id)
	}

	_, err = w.sdk("bob").UpdatePullRequestApprovalState(ctx, &awscodecommit.UpdatePullRequestApprovalStateInput{
		PullRequestId: aws.String(id), RevisionId: aws.String(p.Revision), ApprovalState: types.ApprovalStateApprove})
	check(t, err)
	w.sync()
	w.sync()
	if diff := cmp.Diff([]store.Reviewer{{Name: "bob", ARN: "arn:aws:iam::123456789012:user/bob", Approved: true}}, w.rows()[number].Reviewers); diff != "" {
		t.Errorf("reviewers (-want +got):\n%s", diff)
	}

	_, err = w.sdk("bob").MergePullRequestByThreeWay(ctx, &awscodecommit.MergePullRequestByThreeWayInput{PullRequestId: aws.String(id), RepositoryName: aws.String("demo")})
	check(t, err)
	w.sync()
	if got := w.rows()[number]; got.Status != "closed" || !got.Merged || len(got.Keys) != 4 || len(got.Reviewers) != 1 {
		t.Errorf("after the merge = %+v", got)
	}
	if got := w.pulls()[0].MergedBy; got != "bob" {
		t.Errorf("merged by %q, want bob", got)
	}
}

// A closed pull request whose commits the target has was merged by hand; one
// whose title lost its key is withdrawn.
func TestSyncClosedAndRenamed(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	w.sync()
	w.commit("a", "one", "a")
	w.commit("b", "two", "b")
	byHand, declined := w.pull("alice", "a", "DEMO-1", ""), w.pull("alice", "b", "DEMO-2", "")
	w.sync()
	for _, id := range []string{byHand, declined} {
		_, err := w.sdk("alice").UpdatePullRequestStatus(ctx, &awscodecommit.UpdatePullRequestStatusInput{PullRequestId: aws.String(id), PullRequestStatus: types.PullRequestStatusEnumClosed})
		check(t, err)
	}
	w.work.Run("merge", "--quiet", "a")
	w.work.Run("push", "--quiet", "origin", "main")
	_, err := w.host.Mirror.Refresh(ctx, w.repo, 0)
	check(t, err)
	w.sync()
	got := w.rows()
	for id, merged := range map[string]bool{byHand: true, declined: false} {
		n, _ := strconv.ParseInt(id, 10, 64)
		if r := got[n]; r.Status != "closed" || r.Merged != merged {
			t.Errorf("pull request %s = %+v, want closed, merged %v", id, r, merged)
		}
	}

	w.commit("c", "three", "c")
	id := w.pull("alice", "c", "DEMO-3", "")
	w.sync()
	_, err = w.sdk("alice").UpdatePullRequestTitle(ctx, &awscodecommit.UpdatePullRequestTitleInput{PullRequestId: aws.String(id), Title: aws.String("no key")})
	check(t, err)
	w.sync()
	entities, err := w.store.ClaimEntities(ctx, "test", 1, 100)
	check(t, err)
	if i := slices.IndexFunc(entities, func(e store.Entity) bool { return e.EntityID == id }); i < 0 || len(entities[i].Keys) != 0 {
		t.Errorf("no withdrawal among %+v", entities)
	}
}

// A poll in which nothing changed costs at most three calls, whatever the
// number of pull requests; a changed one costs little more.
func TestSyncCost(t *testing.T) {
	n := 500
	if testing.Short() {
		n = 40
	}
	w := newWorld(t)
	w.commit("topic", "DEMO-1 x", "a")
	for i := range n {
		w.pull("alice", "topic", fmt.Sprintf("DEMO-%d", i%20+1), "")
	}
	w.sync()
	if got := len(w.pulls()); got != n {
		t.Fatalf("%d pull requests in the books, want %d", got, n)
	}
	w.calls()
	for range 4 {
		w.sync()
		if calls := w.calls(); len(calls) > 3 {
			t.Errorf("a poll with nothing changed made %d calls: %v", len(calls), calls)
		}
	}
	_, err := w.sdk("alice").UpdatePullRequestTitle(t.Context(), &awscodecommit.UpdatePullRequestTitleInput{PullRequestId: aws.String("3"), Title: aws.String("changed")})
	check(t, err)
	w.calls()
	w.sync()
	if calls := w.calls(); len(calls) > 5 {
		t.Errorf("a poll with one change made %d calls: %v", len(calls), calls)
	}
	if got := w.rows()[3].Title; got != "changed" {
		t.Errorf("title = %q", got)
	}
	// One in the midst that the list does not show as active is found in turn.
	check(t, w.store.PutPullRequests(t.Context(), w.repo.ID, []store.PullRequest{stale(w.pulls(), 7)}, nil))
	for range 2 {
		w.sync()
	}
	if got := w.rows()[7].Title; got == "stale" {
		t.Error("a stale row was not read in turn")
	}
}

// stale returns a row with another title that looks as if it had not been
// read for the longest.
func stale(list []store.PullRequest, number int64) store.PullRequest {
	for _, p := range list {
		if p.Number == number {
			p.Title, p.LookedAt = "stale", p.CreatedAt.AddDate(-1, 0, 0)
			return p
		}
	}
	panic("no such pull request in the test")
}

// A look that is cut goes on at the next, and loses nothing.
func TestSyncCut(t *testing.T) {
	w := newWorld(t)
	w.commit("topic", "x", "a")
	for i := range 60 {
		w.pull("alice", "topic", "DEMO-"+strconv.Itoa(i%9+1), "")
	}
	tries := 0
	for done := false; !done; tries++ {
		w.control("PUT", "faults", `[{"operation":"GetPullRequest","skip":40,"status":400,"content_type":"application/x-amz-json-1.1","body":"{\"__type\":\"SerializationException\"}"}]`)
		before := len(w.pulls())
		done = w.host.Sync(t.Context(), w.repo) == nil
		if after := len(w.pulls()); !done && after <= before {
			t.Fatalf("a cut look brought nothing: %d pull requests before and after", after)
		}
	}
	if tries < 2 {
		t.Errorf("%d looks were needed; want one that is cut", tries)
	}
	w.control("PUT", "faults", `[]`)
	w.sync()
	if got := len(w.pulls()); got != 60 {
		t.Errorf("%d pull requests in the books, want 60", got)
	}
}

// Without permission nothing is asked for again at once, and without that for
// approvals everything else goes on.
func TestSyncDenied(t *testing.T) {
	w := newWorld(t)
	w.sync()
	w.commit("topic", "x", "a")
	w.pull("alice", "topic", "DEMO-1", "")
	w.control("PUT", "deny", `["codecommit:GetPullRequestApprovalStates"]`)
	w.sync()
	if got := w.rows(); len(got) != 1 {
		t.Errorf("rows = %v, want one", got)
	}
	w.control("PUT", "deny", `["codecommit:ListPullRequests"]`)
	err := w.host.Sync(t.Context(), w.repo)
	if err == nil || !strings.Contains(err.Error(), "codecommit:ListPullRequests") {
		t.Errorf("Sync = %v, want the missing permission", err)
	}
	w.calls()
	w.sync()
	if calls := w.calls(); len(calls) != 0 {
		t.Errorf("asked again at once: %v", calls)
	}
}

// A pull request that the host does not have any more is withdrawn.
func TestSyncGone(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	w.sync()
	gone := store.PullRequest{Repository: w.repo.ID, Number: 999, Title: "DEMO-1", Source: "refs/heads/a", Destination: "refs/heads/main", Status: "open",
		Keys: []ferry.IssueKey{"DEMO-1"}}
	check(t, w.store.PutPullRequests(ctx, w.repo.ID, []store.PullRequest{gone},
		[]store.Entity{{Repository: w.repo.ID, Kind: store.EntityPullRequest, EntityID: "999", Keys: gone.Keys}}))
	w.sync()
	if got := w.pulls(); len(got) != 0 {
		t.Errorf("the books still have %+v", got)
	}
	entities, err := w.store.ClaimEntities(ctx, "test", 1, 10)
	check(t, err)
	if len(entities) != 1 || len(entities[0].Keys) != 0 {
		t.Errorf("entities = %+v, want one withdrawal", entities)
	}
}

// Keys of projects that Jira did not know are found once it does.
func TestReconsider(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	w.commit("topic", "x", "a")
	w.sync()
	w.pull("alice", "topic", "NEW-1 and DEMO-1", "")
	w.sync()
	w.host.Parse = func(context.Context) (smartcommit.Options, error) {
		return smartcommit.Options{Projects: map[string]bool{"DEMO": true, "NEW": true}}, nil
	}
	check(t, w.host.Reconsider(ctx))
	if diff := cmp.Diff([]ferry.IssueKey{"DEMO-1", "NEW-1"}, w.rows()[1].Keys); diff != "" {
		t.Errorf("keys (-want +got):\n%s", diff)
	}
}

// Run looks at what is woken, and again after a failure.
func TestRun(t *testing.T) {
	w := newWorld(t)
	w.commit("topic", "x", "a")
	w.pull("alice", "topic", "DEMO-1", "")
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.host.Run(ctx) }()
	w.host.Wake(w.repo.ID)
	for end := time.Now().Add(10 * time.Second); len(w.pulls()) == 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("nothing after 10 s")
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("Run = %v", err)
	}
}
