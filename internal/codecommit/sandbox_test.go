package codecommit_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awscodecommit "github.com/aws/aws-sdk-go-v2/service/codecommit"
	"github.com/aws/aws-sdk-go-v2/service/codecommit/types"

	"gitferry/internal/codecommit"
	"gitferry/internal/ferry"
	"gitferry/internal/git"
	sandbox "gitferry/internal/sandbox/codecommit"
)

// TestAgainstTheStandIn goes through the operations as the product uses them.
func TestAgainstTheStandIn(t *testing.T) {
	ctx := t.Context()
	runner, err := git.New(ctx, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	s, err := sandbox.New(sandbox.Config{Dir: t.TempDir(), Git: runner})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(s.Handler())
	defer srv.Close()
	for _, name := range []string{"demo", "empty"} {
		if err := s.CreateRepository(ctx, "us-west-2", name, "made for a test"); err != nil {
			t.Fatal(err)
		}
	}
	cred := s.Credentials()
	config := codecommit.Config{
		Integration: ferry.Integration{Slug: "us-west-2", Region: "us-west-2", AccessKeyID: cred.AccessKeyID, APIEndpoint: srv.URL, PrivateNetwork: true},
		Credentials: ferry.Credentials{SecretAccessKey: ferry.NewSecret(cred.SecretAccessKey)},
		HTTP:        &http.Client{},
	}
	c, err := codecommit.New(ctx, config)
	if err != nil {
		t.Fatal(err)
	}
	if who, err := c.Identity(ctx); err != nil || who.Account != "123456789012" || who.ARN != cred.ARN {
		t.Errorf("Identity = %+v, %v", who, err)
	}
	list, err := c.ListRepositories(ctx)
	if err != nil || len(list) != 2 || list[0].Name != "demo" {
		t.Errorf("ListRepositories = %+v, %v", list, err)
	}
	found, faults, err := c.BatchGetRepositories(ctx, []string{"demo", "nothing"})
	if err != nil || len(found) != 1 || found[0].Account != "123456789012" || len(faults) != 1 || faults[0].Name != "nothing" {
		t.Errorf("BatchGetRepositories = %+v, %+v, %v", found, faults, err)
	}
	if _, err := c.Triggers(ctx, "nothing"); !errors.Is(err, ferry.ErrNotFound) || codecommit.Code(err) != "RepositoryDoesNotExistException" {
		t.Errorf("Triggers of a missing repository = %v", err)
	}
	var absent ferry.OID
	absent[0] = 1
	if err := c.CreateBranch(ctx, "demo", "x", absent); !errors.Is(err, ferry.ErrNotFound) {
		t.Errorf("CreateBranch at a missing commit = %v", err)
	}
	if err := c.CreateBranch(ctx, "demo", "a..b", absent); !errors.Is(err, ferry.ErrInvalid) {
		t.Errorf("CreateBranch with a bad name = %v", err)
	}
	for id, err := range c.PullRequestIDs(ctx, "demo", true) {
		t.Errorf("pull request %q, %v in an empty repository", id, err)
	}
	_, err = c.CreatePullRequest(ctx, codecommit.NewPullRequest{Repository: "demo", Source: "a", Target: "b", Title: "t", Token: "1"})
	if !errors.Is(err, ferry.ErrNotFound) {
		t.Errorf("CreatePullRequest from a missing branch = %v", err)
	}
	topic, err := c.CreateTopic(ctx, codecommit.TopicPrefix+"-gitferry-1")
	if err != nil {
		t.Fatalf("CreateTopic: %v", err)
	}
	if err := c.SetTopicAttribute(ctx, topic, "SignatureVersion", "2"); err != nil {
		t.Errorf("SetTopicAttribute: %v", err)
	}
	if _, err := c.Subscribe(ctx, topic, "http://127.0.0.1:1/hooks/x"); err != nil {
		t.Errorf("Subscribe: %v", err)
	}
	if _, err := c.ConfirmSubscription(ctx, topic, "another token"); !errors.Is(err, ferry.ErrInvalid) {
		t.Errorf("ConfirmSubscription with another token = %v", err)
	}
	if subs, err := c.ListSubscriptions(ctx, topic); err != nil || len(subs) != 1 {
		t.Errorf("ListSubscriptions = %+v, %v", subs, err)
	}
	trigger := codecommit.Trigger{Name: "gitferry", Destination: topic, Events: []string{"all"}}
	for _, want := range []bool{true, false} {
		if wrote, err := c.ChangeTriggers(ctx, "demo", func(list []codecommit.Trigger) ([]codecommit.Trigger, error) {
			return codecommit.WithTrigger("demo", list, trigger)
		}); err != nil || wrote != want {
			t.Errorf("ChangeTriggers = %t, %v, want %t", wrote, err, want)
		}
	}
	if err := c.TestTrigger(ctx, "demo", trigger); err != nil {
		t.Errorf("TestTrigger: %v", err)
	}
	if err := c.PutTriggers(ctx, "demo", nil); err != nil {
		t.Errorf("PutTriggers: %v", err)
	}
	if list, err := c.Triggers(ctx, "demo"); err != nil || len(list) != 0 {
		t.Errorf("Triggers = %+v, %v, want none", list, err)
	}
	if err := c.Unsubscribe(ctx, topic+":00000000-0000-0000-0000-000000000000"); err != nil && !errors.Is(err, ferry.ErrNotFound) {
		t.Errorf("Unsubscribe of none: %v", err)
	}
	if err := c.DeleteTopic(ctx, topic); err != nil {
		t.Errorf("DeleteTopic: %v", err)
	}

	req, err := http.NewRequestWithContext(ctx, http.MethodPut, srv.URL+"/_sandbox/deny", strings.NewReader(`["codecommit:ListPullRequests","sns:CreateTopic"]`))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if got := c.Probe(ctx, "demo"); got["codecommit:ListPullRequests"] != codecommit.StateMissing || got["codecommit:ListRepositories"] != codecommit.StateOK {
		t.Errorf("Probe = %v", got)
	}
	if _, err := c.CreateTopic(ctx, "codecommit-y"); codecommit.MissingAction(err) != "sns:CreateTopic" || !strings.Contains(err.Error(), cred.ARN) {
		t.Errorf("CreateTopic without the permission = %v", err)
	}
	config.Credentials.SecretAccessKey = ferry.NewSecret("wrong")
	if c, err = codecommit.New(ctx, config); err != nil {
		t.Fatal(err)
	}
	if _, err := c.ListRepositories(ctx); !errors.Is(err, ferry.ErrDenied) || !strings.Contains(err.Error(), "secret is wrong") {
		t.Errorf("ListRepositories with a wrong secret = %v", err)
	}
}

// TestPullRequestsAgainstTheStandIn goes through branches and pull requests,
// over several pages of both lists, with stock calls of the SDK for what the
// product leaves to others.
func TestPullRequestsAgainstTheStandIn(t *testing.T) {
	ctx := t.Context()
	runner, err := git.New(ctx, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	s, err := sandbox.New(sandbox.Config{Dir: t.TempDir(), Git: runner, Users: []string{"ann", "bo"}})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(s.Handler())
	defer srv.Close()
	names := make([]string, 1001)
	for i := range names {
		names[i] = fmt.Sprintf("r%04d", i)
	}
	if err := s.CreateRepositories("us-west-2", names[:1]); err != nil {
		t.Fatal(err)
	}
	ann, _ := s.CredentialsOf("ann")
	bo, _ := s.CredentialsOf("bo")
	c, err := codecommit.New(ctx, codecommit.Config{
		Integration: ferry.Integration{Slug: "us-west-2", Region: "us-west-2", AccessKeyID: ann.AccessKeyID, APIEndpoint: srv.URL, PrivateNetwork: true},
		Credentials: ferry.Credentials{SecretAccessKey: ferry.NewSecret(ann.SecretAccessKey)}, HTTP: &http.Client{}})
	if err != nil {
		t.Fatal(err)
	}
	other := awscodecommit.New(awscodecommit.Options{Region: "us-west-2", BaseEndpoint: aws.String(srv.URL),
		Credentials: credentials.NewStaticCredentialsProvider(bo.AccessKeyID, bo.SecretAccessKey, "")})
	repo := aws.String("r0000")
	put := func(branch string, parent *string) *string {
		t.Helper()
		out, err := other.PutFile(ctx, &awscodecommit.PutFileInput{RepositoryName: repo, BranchName: aws.String(branch), FilePath: aws.String(branch), FileContent: []byte("x"), ParentCommitId: parent})
		if err != nil {
			t.Fatal(err)
		}
		return out.CommitId
	}
	base := put("main", nil)
	at, err := ferry.ParseOID(*base)
	if err != nil {
		t.Fatal(err)
	}
	for _, branch := range []string{"one", "two"} {
		if err := c.CreateBranch(ctx, "r0000", branch, at); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.CreateBranch(ctx, "r0000", "one", at); !errors.Is(err, ferry.ErrConflict) || codecommit.Code(err) != "BranchNameExistsException" {
		t.Errorf("CreateBranch again = %v", err)
	}
	if _, err := c.DeleteBranch(ctx, "r0000", "main"); codecommit.Code(err) != "DefaultBranchCannotBeDeletedException" {
		t.Errorf("DeleteBranch of the default branch = %v", err)
	}
	put("one", base)
	open := codecommit.NewPullRequest{Repository: "r0000", Source: "one", Target: "main", Title: "t", Description: "d", Token: "tok"}
	p, err := c.CreatePullRequest(ctx, open)
	if err != nil || p.State != codecommit.PullRequestOpen || p.AuthorARN != ann.ARN {
		t.Fatalf("CreatePullRequest = %+v, %v", p, err)
	}
	if again, err := c.CreatePullRequest(ctx, open); err != nil || again.ID != p.ID {
		t.Errorf("CreatePullRequest with the same token = %+v, %v", again, err)
	}
	open.Title = "other"
	if _, err := c.CreatePullRequest(ctx, open); codecommit.Code(err) != "IdempotencyParameterMismatchException" {
		t.Errorf("CreatePullRequest with the token of another = %v", err)
	}
	if _, err := other.UpdatePullRequestApprovalState(ctx, &awscodecommit.UpdatePullRequestApprovalStateInput{
		PullRequestId: aws.String(p.ID), RevisionId: aws.String(p.Revision), ApprovalState: types.ApprovalStateApprove}); err != nil {
		t.Fatal(err)
	}
	if list, err := c.Approvals(ctx, p.ID, p.Revision); err != nil || len(list) != 1 || list[0] != (codecommit.Approval{ARN: bo.ARN, Approved: true}) {
		t.Errorf("Approvals = %+v, %v", list, err)
	}
	const n = 100 // with the first more than a page
	for i := range n {
		if _, err := c.CreatePullRequest(ctx, codecommit.NewPullRequest{Repository: "r0000", Source: "one", Target: "two", Title: fmt.Sprint(i)}); err != nil {
			t.Fatal(err)
		}
	}
	var ids []string
	for id, err := range c.AllPullRequestIDs(ctx, "r0000") {
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	if len(ids) != n+1 || ids[n] != p.ID {
		t.Errorf("%d pull requests, the last is %s; want %d, the first one last", len(ids), ids[len(ids)-1], n+1)
	}
	if _, err := other.MergePullRequestBySquash(ctx, &awscodecommit.MergePullRequestBySquashInput{PullRequestId: aws.String(p.ID), RepositoryName: repo}); err != nil {
		t.Fatal(err)
	}
	if p, err = c.PullRequest(ctx, p.ID); err != nil || p.State != codecommit.PullRequestMerged || p.MergedByARN != bo.ARN || p.MergeOption != "SQUASH_MERGE" {
		t.Errorf("the merged pull request is %+v, %v", p, err)
	}
	if _, err := c.PullRequest(ctx, "999"); codecommit.Code(err) != "PullRequestDoesNotExistException" {
		t.Errorf("PullRequest of a missing one = %v", err)
	}
	if tip, err := c.DeleteBranch(ctx, "r0000", "two"); err != nil || tip != at {
		t.Errorf("DeleteBranch = %s, %v", tip, err)
	}
	if err := s.CreateRepositories("us-west-2", names[1:]); err != nil {
		t.Fatal(err)
	}
	if list, err := c.ListRepositories(ctx); err != nil || len(list) != len(names) || list[1000].Name != "r1000" {
		t.Errorf("ListRepositories = %d, %v, want %d on two pages", len(list), err, len(names))
	}
	found, faults, err := c.BatchGetRepositories(ctx, names[:101])
	if err != nil || len(found) != 101 || len(faults) != 0 {
		t.Errorf("BatchGetRepositories of 101 = %d, %d, %v", len(found), len(faults), err)
	}
}
