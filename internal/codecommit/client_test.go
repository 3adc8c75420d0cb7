package codecommit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gitferry/internal/ferry"
)

// An exchange is one request that AWS must get and the answer it plays.
type exchange struct {
	operation string // "GetRepository", or for SNS and STS the Action
	request   string // JSON body, or form fields "A=1&B=2" without Action and Version
	status    int    // 0: 200
	answer    string // body
	header    string // "Name: value" of the answer, if not empty
}

// An awsPlayer plays exchanges in their order and fails the test on anything
// else.
type awsPlayer struct {
	t    *testing.T
	url  string
	mu   sync.Mutex
	left []exchange
}

func play(t *testing.T, script ...exchange) *awsPlayer {
	t.Helper()
	p := &awsPlayer{t: t, left: script}
	srv := httptest.NewServer(p)
	p.url = srv.URL
	t.Cleanup(func() {
		srv.Close()
		if len(p.left) > 0 {
			t.Errorf("%d exchanges were not used, next %s", len(p.left), p.left[0].operation)
		}
	})
	return p
}

func (p *awsPlayer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		p.t.Errorf("reading a request: %v", err)
		return
	}
	if len(p.left) == 0 {
		p.t.Errorf("unexpected request %s %s", r.Header.Get("X-Amz-Target"), body)
		return
	}
	x := p.left[0]
	p.left = p.left[1:]
	if r.Method != http.MethodPost || r.URL.Path != "/" || !strings.HasPrefix(r.Header.Get("Authorization"), "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/") {
		p.t.Errorf("request %s %s, authorization %q", r.Method, r.URL, r.Header.Get("Authorization"))
	}
	contentType := "application/x-amz-json-1.1"
	if target := r.Header.Get("X-Amz-Target"); target != "" {
		if target != "CodeCommit_20150413."+x.operation || r.Header.Get("Content-Type") != contentType {
			p.t.Errorf("target %q with %q, want %s", target, r.Header.Get("Content-Type"), x.operation)
		}
		var got, want any
		if err := json.Unmarshal(body, &got); err != nil {
			p.t.Errorf("request of %s: %v", x.operation, err)
		}
		if err := json.Unmarshal([]byte(x.request), &want); err != nil {
			p.t.Fatalf("script of %s: %v", x.operation, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			p.t.Errorf("request of %s (-want +got):\n%s", x.operation, diff)
		}
	} else {
		contentType = "text/xml"
		got, err := url.ParseQuery(string(body))
		want, _ := url.ParseQuery(x.request)
		want.Set("Action", x.operation)
		got.Del("Version")
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			p.t.Errorf("request of %s, %v (-want +got):\n%s", x.operation, err, diff)
		}
	}
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("X-Amzn-Requestid", "0a1b2c3d")
	if name, value, ok := strings.Cut(x.header, ": "); ok {
		w.Header().Set(name, value)
	}
	if x.status != 0 {
		w.WriteHeader(x.status)
	}
	io.WriteString(w, x.answer)
}

func testConfig(url string) Config {
	return Config{
		Integration: ferry.Integration{Slug: "us-east-1", Region: "us-east-1", AccessKeyID: "AKIDEXAMPLE", APIEndpoint: url, PrivateNetwork: true},
		Credentials: ferry.Credentials{SecretAccessKey: ferry.NewSecret("s3cret")},
		HTTP:        &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
	}
}

func (p *awsPlayer) client() *Client {
	p.t.Helper()
	c, err := New(p.t.Context(), testConfig(p.url))
	if err != nil {
		p.t.Fatal(err)
	}
	return c
}

const (
	oidA = "1111111111111111111111111111111111111111"
	oidB = "2222222222222222222222222222222222222222"
)

func mustOID(s string) ferry.OID {
	o, err := ferry.ParseOID(s)
	if err != nil {
		panic(err)
	}
	return o
}

func TestRepositories(t *testing.T) {
	var names, first, second []string
	for i := range 130 {
		name := fmt.Sprintf("r%03d", i)
		names = append(names, name)
		if i < 100 {
			first = append(first, `"`+name+`"`)
		} else {
			second = append(second, `"`+name+`"`)
		}
	}
	const metadata = `{"accountId":"123456789012","repositoryId":"id-1","repositoryName":"r000","repositoryDescription":"d",
		"defaultBranch":"main","lastModifiedDate":1700000000.5,"creationDate":1600000000,"cloneUrlHttp":"https://h/v1/repos/r000",
		"cloneUrlSsh":"ssh://h/v1/repos/r000","Arn":"arn:aws:codecommit:us-east-1:123456789012:r000","kmsKeyId":"k"}`
	c := play(t,
		exchange{operation: "ListRepositories", request: `{"sortBy":"repositoryName","order":"ascending"}`,
			answer: `{"repositories":[{"repositoryName":"a","repositoryId":"1"}],"nextToken":"t1"}`},
		exchange{operation: "ListRepositories", request: `{"sortBy":"repositoryName","order":"ascending","nextToken":"t1"}`,
			answer: `{"repositories":[{"repositoryName":"b","repositoryId":"2"}],"nextToken":""}`},
		exchange{operation: "BatchGetRepositories", request: `{"repositoryNames":[` + strings.Join(first, ",") + `]}`,
			answer: `{"repositories":[` + metadata + `],"repositoriesNotFound":["r001"],"errors":[
			{"repositoryName":"r001","errorCode":"RepositoryDoesNotExistException","errorMessage":"x"},
			{"repositoryId":"9","repositoryName":"r002","errorCode":"EncryptionKeyDisabledException","errorMessage":"key"}]}`},
		exchange{operation: "BatchGetRepositories", request: `{"repositoryNames":[` + strings.Join(second, ",") + `]}`, answer: `{"repositories":[]}`},
	).client()
	list, err := c.ListRepositories(t.Context())
	if diff := cmp.Diff([]RepositoryName{{"1", "a"}, {"2", "b"}}, list); err != nil || diff != "" {
		t.Errorf("ListRepositories error %v (-want +got):\n%s", err, diff)
	}
	want := Repository{ID: "id-1", Name: "r000", Description: "d", Account: "123456789012",
		ARN: "arn:aws:codecommit:us-east-1:123456789012:r000", DefaultBranch: "main",
		CloneURLHTTP: "https://h/v1/repos/r000", CloneURLSSH: "ssh://h/v1/repos/r000",
		Created: time.Unix(1600000000, 0).UTC(), Modified: time.Unix(1700000000, 5e8).UTC()}
	found, faults, err := c.BatchGetRepositories(t.Context(), names)
	if diff := cmp.Diff([]Repository{want}, found); err != nil || diff != "" {
		t.Errorf("BatchGetRepositories error %v (-want +got):\n%s", err, diff)
	}
	if len(faults) != 2 || faults[0].Name != "r001" || faults[1].Code != "EncryptionKeyDisabledException" {
		t.Errorf("faults %+v", faults)
	}
}

func TestListWithoutEnd(t *testing.T) {
	same := exchange{operation: "ListRepositories", request: `{"sortBy":"repositoryName","order":"ascending","nextToken":"t"}`, answer: `{"repositories":[],"nextToken":"t"}`}
	start := same
	start.request = `{"sortBy":"repositoryName","order":"ascending"}`
	if _, err := play(t, start, same).client().ListRepositories(t.Context()); !errors.Is(err, ferry.ErrUnavailable) {
		t.Errorf("ListRepositories with a token that repeats = %v", err)
	}
}

func TestBranches(t *testing.T) {
	c := play(t,
		exchange{operation: "CreateBranch", request: `{"repositoryName":"r","branchName":"new","commitId":"` + oidA + `"}`, answer: `{}`},
		exchange{operation: "DeleteBranch", request: `{"repositoryName":"r","branchName":"new"}`, answer: `{"deletedBranch":{"branchName":"new","commitId":"` + oidA + `"}}`},
		exchange{operation: "DeleteBranch", request: `{"repositoryName":"r","branchName":"new"}`, answer: `{}`},
		exchange{operation: "DeleteBranch", request: `{"repositoryName":"r","branchName":"bad"}`, answer: `{"deletedBranch":{"branchName":"bad","commitId":"zz"}}`},
	).client()
	if err := c.CreateBranch(t.Context(), "r", "new", mustOID(oidA)); err != nil {
		t.Errorf("CreateBranch: %v", err)
	}
	if got, err := c.DeleteBranch(t.Context(), "r", "new"); err != nil || got.String() != oidA {
		t.Errorf("DeleteBranch = %s, %v", got, err)
	}
	if got, err := c.DeleteBranch(t.Context(), "r", "new"); err != nil || !got.IsZero() {
		t.Errorf("DeleteBranch of a missing one = %s, %v", got, err)
	}
	if _, err := c.DeleteBranch(t.Context(), "r", "bad"); !errors.Is(err, ferry.ErrUnavailable) {
		t.Errorf("DeleteBranch with an odd commit = %v", err)
	}
}

func awsPullRequest(status, merge string) string {
	return `{"pullRequest":{"pullRequestId":"7","title":"DEMO-1: t","description":"d","authorArn":"arn:aws:iam::123456789012:user/Jane",
	"creationDate":1700000000,"lastActivityDate":1700000100,"pullRequestStatus":"` + status + `","revisionId":"rev","approvalRules":[],
	"pullRequestTargets":[{"repositoryName":"r","sourceReference":"refs/heads/dev","destinationReference":"refs/heads/main",
	"sourceCommit":"` + oidA + `","destinationCommit":"` + oidB + `","mergeBase":"` + oidB + `","mergeMetadata":` + merge + `}]}}`
}

func TestPullRequests(t *testing.T) {
	create := `{"title":"DEMO-1: t","description":"d","targets":[{"repositoryName":"r","sourceReference":"dev","destinationReference":"main"}],"clientRequestToken":"tok"}`
	c := play(t,
		exchange{operation: "CreatePullRequest", request: create, answer: awsPullRequest("OPEN", `{"isMerged":false}`)},
		exchange{operation: "ListPullRequests", request: `{"repositoryName":"r","pullRequestStatus":"OPEN"}`, answer: `{"pullRequestIds":["9","7"],"nextToken":"n"}`},
		exchange{operation: "ListPullRequests", request: `{"repositoryName":"r","pullRequestStatus":"CLOSED"}`, answer: `{"pullRequestIds":["5"],"nextToken":"n"}`},
		exchange{operation: "ListPullRequests", request: `{"repositoryName":"r","pullRequestStatus":"CLOSED","nextToken":"n"}`, answer: `{"pullRequestIds":[],"nextToken":""}`},
		exchange{operation: "GetPullRequest", request: `{"pullRequestId":"7"}`,
			answer: awsPullRequest("CLOSED", `{"isMerged":true,"mergedBy":"arn:x","mergeCommitId":"`+oidB+`","mergeOption":"SQUASH_MERGE"}`)},
		exchange{operation: "GetPullRequest", request: `{"pullRequestId":"7"}`, answer: awsPullRequest("CLOSED", `{"isMerged":false}`)},
		exchange{operation: "GetPullRequestApprovalStates", request: `{"pullRequestId":"7","revisionId":"rev"}`,
			answer: `{"approvals":[{"userArn":"arn:u","approvalState":"APPROVE"},{"userArn":"arn:v","approvalState":"REVOKE"}]}`},
	).client()
	open := PullRequest{ID: "7", Title: "DEMO-1: t", Description: "d", AuthorARN: "arn:aws:iam::123456789012:user/Jane",
		State: PullRequestOpen, Revision: "rev", Repository: "r", Source: "refs/heads/dev", Target: "refs/heads/main",
		SourceTip: mustOID(oidA), TargetTip: mustOID(oidB), MergeBase: mustOID(oidB),
		Created: time.Unix(1700000000, 0).UTC(), Active: time.Unix(1700000100, 0).UTC()}
	got, err := c.CreatePullRequest(t.Context(), NewPullRequest{Repository: "r", Source: "dev", Target: "main", Title: "DEMO-1: t", Description: "d", Token: "tok"})
	if diff := cmp.Diff(open, got); err != nil || diff != "" {
		t.Errorf("CreatePullRequest error %v (-want +got):\n%s", err, diff)
	}
	for id, err := range c.PullRequestIDs(t.Context(), "r", true) {
		if id != "9" || err != nil {
			t.Errorf("first open pull request = %q, %v", id, err)
		}
		break // the second page must not be asked for
	}
	var ids []string
	for id, err := range c.PullRequestIDs(t.Context(), "r", false) {
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	if !cmp.Equal(ids, []string{"5"}) {
		t.Errorf("closed pull requests = %q", ids)
	}
	merged := open
	merged.State, merged.MergedByARN, merged.MergeCommit, merged.MergeOption = PullRequestMerged, "arn:x", mustOID(oidB), "SQUASH_MERGE"
	got, err = c.PullRequest(t.Context(), "7")
	if diff := cmp.Diff(merged, got); err != nil || diff != "" {
		t.Errorf("merged PullRequest error %v (-want +got):\n%s", err, diff)
	}
	if got, err = c.PullRequest(t.Context(), "7"); err != nil || got.State != PullRequestDeclined {
		t.Errorf("closed PullRequest = %+v, %v", got, err)
	}
	approvals, err := c.Approvals(t.Context(), "7", "rev")
	if diff := cmp.Diff([]Approval{{"arn:u", true}, {"arn:v", false}}, approvals); err != nil || diff != "" {
		t.Errorf("Approvals error %v (-want +got):\n%s", err, diff)
	}
}

func TestTriggersOfOthersStay(t *testing.T) {
	const theirs = `{"name":"theirs","destinationArn":"arn:aws:lambda:x","customData":"c","branches":["main"],"events":["updateReference"]}`
	const ours = `{"name":"gitferry","destinationArn":"arn:aws:sns:us-east-1:1:codecommit-x","branches":[],"events":["all"]}`
	const get, put = "GetRepositoryTriggers", "PutRepositoryTriggers"
	const repo = `{"repositoryName":"r"}`
	list := func(triggers ...string) string {
		return `{"configurationId":"c","triggers":[` + strings.Join(triggers, ",") + `]}`
	}
	write := func(triggers ...string) string {
		return `{"repositoryName":"r","triggers":[` + strings.Join(triggers, ",") + `]}`
	}
	c := play(t,
		exchange{operation: get, request: repo, answer: list(theirs)},
		exchange{operation: put, request: write(theirs, ours), answer: `{"configurationId":"d"}`},
		exchange{operation: get, request: repo, answer: list(theirs)}, // somebody wrote in between
		exchange{operation: put, request: write(theirs, ours), answer: `{"configurationId":"d"}`},
		exchange{operation: get, request: repo, answer: list(ours, theirs)},
		exchange{operation: get, request: repo, answer: list(ours, theirs)}, // set again: nothing to do
		exchange{operation: get, request: repo, answer: list(ours, theirs)}, // taken out
		exchange{operation: put, request: write(theirs), answer: `{"configurationId":"e"}`},
		exchange{operation: get, request: repo, answer: list(theirs)},
		exchange{operation: get, request: repo, answer: list(strings.Split(strings.Repeat(theirs+"|", 9)+theirs, "|")...)}, // full
		exchange{operation: "TestRepositoryTriggers", request: write(ours), answer: `{"successfulExecutions":[],"failedExecutions":[{"trigger":"gitferry","failureMessage":"no such topic"}]}`},
	).client()
	trigger := Trigger{Name: "gitferry", Destination: "arn:aws:sns:us-east-1:1:codecommit-x", Events: []string{"all"}}
	set := func(list []Trigger) ([]Trigger, error) { return WithTrigger("r", list, trigger) }
	for _, want := range []bool{true, false} {
		if wrote, err := c.ChangeTriggers(t.Context(), "r", set); err != nil || wrote != want {
			t.Errorf("setting ours = %t, %v, want %t", wrote, err, want)
		}
	}
	if wrote, err := c.ChangeTriggers(t.Context(), "r", func(list []Trigger) ([]Trigger, error) {
		return slices.DeleteFunc(list, func(o Trigger) bool { return o.Name == "gitferry" }), nil
	}); err != nil || !wrote {
		t.Errorf("taking ours out = %t, %v", wrote, err)
	}
	if _, err := c.ChangeTriggers(t.Context(), "r", set); !errors.Is(err, ferry.ErrConflict) {
		t.Errorf("setting ours in a full list = %v", err)
	}
	if err := c.TestTrigger(t.Context(), "r", trigger); !errors.Is(err, ferry.ErrConflict) || !strings.Contains(err.Error(), "no such topic") {
		t.Errorf("TestTrigger = %v", err)
	}
}

func snsAnswer(operation, result string) string {
	if result != "" {
		result = "<" + operation + "Result>" + result + "</" + operation + "Result>"
	}
	return `<` + operation + `Response xmlns="http://sns.amazonaws.com/doc/2010-03-31/">` + result +
		`<ResponseMetadata><RequestId>1</RequestId></ResponseMetadata></` + operation + `Response>`
}

func TestTopicsAndIdentity(t *testing.T) {
	const topic = "arn:aws:sns:us-east-1:123456789012:codecommit-gitferry-1"
	q := url.QueryEscape
	c := play(t,
		exchange{operation: "CreateTopic", request: "Name=codecommit-gitferry-1", answer: snsAnswer("CreateTopic", "<TopicArn>"+topic+"</TopicArn>")},
		exchange{operation: "SetTopicAttributes", request: "TopicArn=" + q(topic) + "&AttributeName=SignatureVersion&AttributeValue=2", answer: snsAnswer("SetTopicAttributes", "")},
		exchange{operation: "Subscribe", request: "TopicArn=" + q(topic) + "&Protocol=https&Endpoint=" + q("https://f.example/hooks/x") +
			"&ReturnSubscriptionArn=true&Attributes.entry.1.key=DeliveryPolicy&Attributes.entry.1.value=" + q(DeliveryPolicy),
			answer: snsAnswer("Subscribe", "<SubscriptionArn>"+topic+":s</SubscriptionArn>")},
		exchange{operation: "ConfirmSubscription", request: "TopicArn=" + q(topic) + "&Token=tok&AuthenticateOnUnsubscribe=true",
			answer: snsAnswer("ConfirmSubscription", "<SubscriptionArn>"+topic+":s</SubscriptionArn>")},
		exchange{operation: "ListSubscriptionsByTopic", request: "TopicArn=" + q(topic),
			answer: snsAnswer("ListSubscriptionsByTopic", "<Subscriptions><member><SubscriptionArn>a</SubscriptionArn><Protocol>https</Protocol><Endpoint>https://f.example</Endpoint></member></Subscriptions><NextToken>n</NextToken>")},
		exchange{operation: "ListSubscriptionsByTopic", request: "NextToken=n&TopicArn=" + q(topic), answer: snsAnswer("ListSubscriptionsByTopic", "<Subscriptions/>")},
		exchange{operation: "Unsubscribe", request: "SubscriptionArn=a", answer: snsAnswer("Unsubscribe", "")},
		exchange{operation: "DeleteTopic", request: "TopicArn=" + q(topic), answer: snsAnswer("DeleteTopic", "")},
		exchange{operation: "GetCallerIdentity", answer: `<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult><Arn>arn:aws:iam::123456789012:user/ferry</Arn><UserId>AID</UserId><Account>123456789012</Account></GetCallerIdentityResult><ResponseMetadata><RequestId>1</RequestId></ResponseMetadata></GetCallerIdentityResponse>`},
	).client()
	ctx := t.Context()
	if got, err := c.CreateTopic(ctx, "codecommit-gitferry-1"); err != nil || got != topic {
		t.Errorf("CreateTopic = %q, %v", got, err)
	}
	if err := c.SetTopicAttribute(ctx, topic, "SignatureVersion", "2"); err != nil {
		t.Errorf("SetTopicAttribute: %v", err)
	}
	if got, err := c.Subscribe(ctx, topic, "https://f.example/hooks/x"); err != nil || got != topic+":s" {
		t.Errorf("Subscribe = %q, %v", got, err)
	}
	if got, err := c.ConfirmSubscription(ctx, topic, "tok"); err != nil || got != topic+":s" {
		t.Errorf("ConfirmSubscription = %q, %v", got, err)
	}
	list, err := c.ListSubscriptions(ctx, topic)
	if diff := cmp.Diff([]Subscription{{"a", "https", "https://f.example"}}, list); err != nil || diff != "" {
		t.Errorf("ListSubscriptions error %v (-want +got):\n%s", err, diff)
	}
	if err := c.Unsubscribe(ctx, "a"); err != nil {
		t.Errorf("Unsubscribe: %v", err)
	}
	if err := c.DeleteTopic(ctx, topic); err != nil {
		t.Errorf("DeleteTopic: %v", err)
	}
	who, err := c.Identity(ctx)
	if want := (Identity{"123456789012", "arn:aws:iam::123456789012:user/ferry", "AID"}); err != nil || who != want {
		t.Errorf("Identity = %+v, %v", who, err)
	}
}

func TestSources(t *testing.T) {
	ctx := t.Context()
	c := play(t).client()
	id, secrets, err := c.SigningCredentials(ctx)
	if err != nil || id != "AKIDEXAMPLE" || secrets.SecretAccessKey.Reveal() != "s3cret" || !secrets.SessionToken.IsZero() {
		t.Errorf("static SigningCredentials = %q, %v", id, err)
	}
	role := play(t, exchange{operation: "AssumeRole",
		request: "RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fr&RoleSessionName=gitferry&ExternalId=ext&DurationSeconds=900",
		answer:  `<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><Credentials><AccessKeyId>ASIAROLE</AccessKeyId><SecretAccessKey>rs</SecretAccessKey><SessionToken>rt</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>`})
	cfg := testConfig(role.url)
	cfg.RoleARN, cfg.ExternalID = "arn:aws:iam::1:role/r", "ext"
	if c, err = New(ctx, cfg); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second is from the cache
		id, secrets, err = c.SigningCredentials(ctx)
		if err != nil || id != "ASIAROLE" || secrets.SessionToken.Reveal() != "rt" {
			t.Errorf("role SigningCredentials = %q, %v", id, err)
		}
	}
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIDENV")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "env")
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	t.Setenv("AWS_CONFIG_FILE", t.TempDir()+"/none")
	cfg = testConfig("http://127.0.0.1:1")
	cfg.Source = SourceEnvironment
	if c, err = New(ctx, cfg); err != nil {
		t.Fatal(err)
	}
	if id, _, err = c.SigningCredentials(ctx); err != nil || id != "AKIDENV" {
		t.Errorf("environment SigningCredentials = %q, %v", id, err)
	}
	cfg.Source, cfg.Profile = SourceProfile, "nobody"
	if _, err = New(ctx, cfg); !errors.Is(err, ferry.ErrInvalid) {
		t.Errorf("New with a missing profile = %v", err)
	}
}

func TestNewRefusesWhatCannotWork(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"region":           func(c *Config) { c.Integration.Region = "evil.example/" },
		"no key":           func(c *Config) { c.Integration.AccessKeyID = "" },
		"plain http":       func(c *Config) { c.Integration.APIEndpoint = "http://aws.example" },
		"http not allowed": func(c *Config) { c.Integration.PrivateNetwork = false },
		"file":             func(c *Config) { c.Integration.SNSEndpoint = "file:///x" },
		"password in it":   func(c *Config) { c.Integration.APIEndpoint = "https://u:p@aws.example" },
		"unknown source":   func(c *Config) { c.Source = "magic" },
	} {
		cfg := testConfig("http://127.0.0.1:1")
		change(&cfg)
		if _, err := New(context.Background(), cfg); !errors.Is(err, ferry.ErrInvalid) {
			t.Errorf("%s: New = %v, want ferry.ErrInvalid", name, err)
		}
	}
}
