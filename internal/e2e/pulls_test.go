package e2e

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awscodecommit "github.com/aws/aws-sdk-go-v2/service/codecommit"
)

// promptly is how long index and Jira may be behind a notification.
const promptly = 2 * time.Second

// pullState is what the API shows of a pull request, or "".
func (w *world) pullState(number int64) string {
	var list struct {
		Items []struct {
			Number int64
			Status string
			Merged bool
		}
	}
	if w.ask("GET", "/repositories/us-east-1/demo/pulls", nil, &list) != 200 {
		return ""
	}
	for _, p := range list.Items {
		if p.Number == number {
			return fmt.Sprintf("%s merged=%v", p.Status, p.Merged)
		}
	}
	return ""
}

// The whole way of a change: a branch made from an issue, a push to it, a
// pull request, and its merge at the upstream. Each step is in the index and
// at Jira within two seconds of its notification.
func TestBranchToMerge(t *testing.T) {
	w := newWorld(t, options{config: "upstream: {poll: 1h, poll_max: 24h}\n"})
	w.commitUpstream("us-east-1", "demo", "main", "begin")
	setup := w.waitTriggers("us-east-1", 1)
	control(t, w.awsURL, "PUT", "event-targets", fmt.Sprintf("[%q]", setup.Topic))
	within(t, 10*time.Second, "the first commit is there", func() bool { return w.refExists("main") })
	w.waitIdle()

	var form struct {
		Token      string `json:"client_request_token"`
		Repository string
		Source     string
		Name       string
	}
	if code := w.ask("GET", "/issues/DEMO-5/branch-form?repository="+url.QueryEscape("us-east-1/demo"), nil, &form); code != 200 || form.Source != "main" || !strings.HasPrefix(form.Name, "DEMO-5") {
		t.Fatalf("the form of a new branch: %d %+v", code, form)
	}
	var branch struct{ Name, OID, URL string }
	in := map[string]string{"source": "main", "name": form.Name, "issue": "DEMO-5", "client_request_token": form.Token}
	for range 2 { // pressed twice
		if code := w.ask("POST", "/repositories/us-east-1/demo/branches", in, &branch); code != 201 {
			t.Fatalf("creating %s: %d", form.Name, code)
		}
	}
	if !w.refExists(form.Name) {
		t.Error("the new branch is not in the index when the call returns")
	}
	within(t, promptly, "the branch is at Jira", func() bool { return w.effects("devinfo branch .*DEMO-5") >= 1 })

	work := filepath.Join(t.TempDir(), "work")
	w.git("alice", w.dir, "clone", "-q", "-b", form.Name, w.url("us-east-1/demo"), work)
	must(t, os.WriteFile(filepath.Join(work, "f"), []byte("x"), 0o600))
	w.git("alice", work, "add", "f")
	w.git("alice", work, "commit", "-q", "-m", "DEMO-6 work")
	w.git("alice", work, "push", "-q", "origin", "HEAD")
	oid := w.oid(work, "HEAD")
	within(t, promptly, "the commit is at Jira", func() bool { return w.hasCommit("us-east-1/demo", oid) && w.effects("devinfo commit .*"+oid) >= 1 })

	var preview struct {
		Ahead, Behind int
		Mergeable     bool
		Files         []struct{ Path string }
	}
	if code := w.ask("GET", "/repositories/us-east-1/demo/preview?target=main&source="+url.QueryEscape(form.Name), nil, &preview); code != 200 ||
		preview.Ahead != 1 || preview.Behind != 0 || !preview.Mergeable || len(preview.Files) != 1 {
		t.Errorf("preview: %d %+v", code, preview)
	}
	var pull struct {
		Number int64
		Title  string
		URL    string
	}
	if code := w.ask("POST", "/repositories/us-east-1/demo/pulls", map[string]string{"source": form.Name, "target": "main", "issue": "DEMO-5"}, &pull); code != 201 ||
		pull.Title != "DEMO-5: Merge "+form.Name+" to main" {
		t.Fatalf("creating a pull request: %d %+v", code, pull)
	}
	if got := w.pullState(pull.Number); got != "open merged=false" {
		t.Errorf("the new pull request is %q in the index", got)
	}
	within(t, promptly, "the pull request is at Jira", func() bool { return w.effects("devinfo pull_?[rR]equest .*") >= 1 })
	for _, key := range []string{"DEMO-5", "DEMO-6"} { // by its title, and by its commit
		var issue struct {
			PullRequests []struct{ Number int64 } `json:"pull_requests"`
		}
		if code := w.ask("GET", "/issues/"+key, nil, &issue); code != 200 || len(issue.PullRequests) != 1 {
			t.Errorf("issue %s: %d %+v, want the pull request", key, code, issue)
		}
	}

	w.waitIdle()
	before := w.effects("devinfo pull_?[rR]equest .*")
	c := w.codecommit.Credentials()
	sdk := awscodecommit.New(awscodecommit.Options{Region: "us-east-1", BaseEndpoint: aws.String(w.awsURL),
		Credentials: credentials.NewStaticCredentialsProvider(c.AccessKeyID, c.SecretAccessKey, "")})
	_, err := sdk.MergePullRequestByFastForward(t.Context(), &awscodecommit.MergePullRequestByFastForwardInput{
		PullRequestId: aws.String(fmt.Sprint(pull.Number)), RepositoryName: aws.String("demo")})
	must(t, err)
	within(t, promptly, "the merge is in the index", func() bool { return w.pullState(pull.Number) == "closed merged=true" })
	within(t, promptly, "the merge is at Jira", func() bool { return w.effects("devinfo pull_?[rR]equest .*") > before })

	var plan struct {
		OnlyHere int `json:"only_here"`
	}
	if code := w.ask("DELETE", "/repositories/us-east-1/demo/branches?branch="+url.QueryEscape(form.Name), nil, &plan); code != 200 || plan.OnlyHere != 0 || w.refExists(form.Name) {
		t.Errorf("deleting the branch: %d %+v", code, plan)
	}
	w.waitIdle()
	w.consistent()
}

// refExists reports whether a branch is in the index.
func (w *world) refExists(branch string) bool {
	var list struct{ Items []struct{ Name string } }
	if w.ask("GET", "/repositories/us-east-1/demo/refs", nil, &list) != 200 {
		return false
	}
	for _, r := range list.Items {
		if r.Name == "refs/heads/"+branch {
			return true
		}
	}
	return false
}

// A repository in pass-through mode is used with people's own CodeCommit
// credentials, and with those only.
func TestPassThroughMode(t *testing.T) {
	w := newWorld(t, options{config: "upstream: {poll: 1h, poll_max: 24h}\n"})
	if code := w.ask("PATCH", "/integrations/us-east-1", map[string]any{"pass_through": true}, nil); code != 200 {
		t.Fatal(code)
	}
	c := w.codecommit.Credentials()
	own := "http://" + url.QueryEscape(c.GitUsername) + ":" + url.QueryEscape(c.GitPassword) + "@" + w.http + "/us-east-1/demo"
	work := filepath.Join(t.TempDir(), "work")
	w.git("alice", w.dir, "clone", "-q", own, work)
	w.git("alice", work, "commit", "-q", "--allow-empty", "-m", "DEMO-7 with own credentials")
	w.git("alice", work, "push", "-q", "origin", "HEAD:main")
	oid := w.oid(work, "HEAD")
	within(t, 10*time.Second, "the commit is indexed", func() bool { return w.hasCommit("us-east-1/demo", oid) })
	for _, address := range []string{w.url("us-east-1/demo"), w.sshURL("us-east-1/demo")} {
		if out, err := w.try("alice", w.dir, "ls-remote", address); err == nil || !strings.Contains(out, "your own CodeCommit git credentials") {
			t.Errorf("with an account here at %s: %v %s", address, err, out)
		}
	}
	if strings.Contains(w.log.String(), c.GitPassword) {
		t.Error("the log holds the password")
	}
	w.waitIdle()
	w.consistent()
}
