package codecommit_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

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
	if _, err := c.Repository(ctx, "nothing"); !errors.Is(err, ferry.ErrNotFound) || codecommit.Code(err) != "RepositoryDoesNotExistException" {
		t.Errorf("Repository of a missing one = %v", err)
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
	if subs, err := c.ListSubscriptions(ctx, topic); err != nil || len(subs) != 1 {
		t.Errorf("ListSubscriptions = %+v, %v", subs, err)
	}
	trigger := codecommit.Trigger{Name: "gitferry", Destination: topic, Events: []string{"all"}}
	for _, want := range []bool{true, false} {
		if wrote, err := c.SetTrigger(ctx, "demo", trigger); err != nil || wrote != want {
			t.Errorf("SetTrigger = %t, %v, want %t", wrote, err, want)
		}
	}
	if err := c.TestTrigger(ctx, "demo", trigger); err != nil {
		t.Errorf("TestTrigger: %v", err)
	}
	if wrote, err := c.RemoveTrigger(ctx, "demo", "gitferry"); err != nil || !wrote {
		t.Errorf("RemoveTrigger = %t, %v", wrote, err)
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
