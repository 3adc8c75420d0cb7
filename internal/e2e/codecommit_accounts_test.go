package e2e

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"
	awscodecommit "github.com/aws/aws-sdk-go-v2/service/codecommit"
	"golang.org/x/crypto/ssh"

	"gitferry/internal/sandbox/codecommit"
)

// Two integrations in one region and one in another, each with a repository
// of the same name, have paths of their own.
func TestEqualNames(t *testing.T) {
	w := newWorld(t, options{config: "upstream: {poll: 1h, poll_max: 24h}\n", fill: func(s *codecommit.Server) {
		for _, region := range []string{"us-east-1", "us-west-2"} {
			must(t, s.CreateRepository(t.Context(), region, "demo", ""))
		}
	}})
	c := w.codecommit.Credentials()
	secret := w.path("secret")
	must(t, os.WriteFile(secret, []byte(c.SecretAccessKey), 0o600))
	w.gitferry("integration", "add", "--region", "us-east-1", "--access-key-id", c.AccessKeyID, "--secret-access-key-file", secret,
		"--api-endpoint", w.awsURL, "--sns-endpoint", w.awsURL, "--git-endpoint", w.awsURL, "--private-network")
	w.commitUpstream("us-east-1", "demo", "main", "east")
	w.commitUpstream("us-west-2", "demo", "main", "west")
	w.waitIdle()
	for path, want := range map[string]string{"us-east-1/demo": "east", "us-east-1-2/demo": "east", "us-west-2/demo": "west", "us-west-2/v1/repos/demo": "west"} {
		work := filepath.Join(t.TempDir(), "work")
		w.git("alice", w.dir, "clone", "-q", w.url(path), work)
		if got := strings.TrimSpace(w.git("alice", work, "log", "-1", "--format=%s")); got != want {
			t.Errorf("%s holds %q, want %q", path, got, want)
		}
	}
	if out, err := w.try("alice", w.dir, "ls-remote", w.url("demo")); err == nil || !strings.Contains(out, "us-east-1-2/demo") {
		t.Errorf("a name that several have: %v %s", err, out)
	}
}

// Repositories that appear, are renamed, lose their default branch to another
// or go away behind the server's back are followed at the next look.
func TestAccountChanges(t *testing.T) {
	w := newWorld(t, options{config: "upstream: {poll: 1h, poll_max: 24h}\n", fill: func(s *codecommit.Server) {
		for _, name := range []string{"demo", "old-name", "doomed"} {
			must(t, s.CreateRepository(t.Context(), "us-east-1", name, ""))
		}
	}})
	for _, name := range []string{"demo", "old-name", "doomed"} {
		w.commitUpstream("us-east-1", name, "main", "DEMO-1 first of "+name)
	}
	w.commitUpstream("us-east-1", "demo", "trunk", "DEMO-2 on trunk")
	w.waitIdle()
	w.waitTriggers("us-east-1", 3)
	must(t, w.codecommit.CreateRepository(t.Context(), "us-east-1", "fresh", ""))
	must(t, w.codecommit.RenameRepository("us-east-1", "old-name", "new-name"))
	must(t, w.codecommit.DeleteRepository("us-east-1", "doomed"))
	w.defaultBranch("us-east-1", "demo", "trunk")
	sent := w.effects("devinfo branch .* trunk")
	var found struct{ Added, Renamed, Missing []string }
	if code := w.ask("POST", "/integrations/us-east-1/sync", nil, &found); code != 200 {
		t.Fatal(code)
	}
	if fmt.Sprint(found) != "{[us-east-1/fresh] [us-east-1/new-name] [us-east-1/doomed]}" {
		t.Errorf("found %v", found)
	}
	w.waitIdle()
	for path, branch := range map[string]string{"us-east-1/new-name": "main", "us-east-1/old-name": "main", "us-east-1/doomed": "main", "us-east-1/demo": "trunk"} {
		if out := w.git("alice", w.dir, "ls-remote", "--symref", w.url(path), "HEAD"); !strings.Contains(out, "ref: refs/heads/"+branch+"\tHEAD") {
			t.Errorf("HEAD of %s: %s, want %s", path, out, branch)
		}
	}
	// The old addresses work, in each of their forms, and say what to do.
	const notice = "gitferry: this repository is called us-east-1/new-name now;"
	for _, address := range []string{w.url("us-east-1/old-name"), w.url("us-east-1/v1/repos/old-name"), w.url("old-name.git"), w.sshURL("us-east-1/old-name")} {
		work := filepath.Join(t.TempDir(), "work")
		if out := w.git("alice", w.dir, "clone", address, work); !strings.Contains(out, notice) {
			t.Errorf("a clone of %s says:\n%s", address, out)
		}
		w.git("alice", work, "commit", "-q", "--allow-empty", "-m", "DEMO-1 by the old address")
		if out := w.git("alice", work, "push", "origin", "HEAD:main"); !strings.Contains(out, "remote: "+notice) || !strings.Contains(out, "git remote set-url") {
			t.Errorf("a push to %s says:\n%s", address, out)
		}
		if out := w.git("alice", work, "push", w.url("us-east-1/new-name"), "HEAD:again"); strings.Contains(out, "is called") {
			t.Errorf("a push to the present address says:\n%s", out)
		}
	}
	if got := w.effects("devinfo branch .* trunk"); got <= sent {
		t.Errorf("Jira was told of trunk %d times before it became the default branch and %d times after", sent, got)
	}
	var doomed struct {
		State  string
		Mirror struct{ Status string }
	}
	if code := w.ask("GET", "/repositories/us-east-1/doomed", nil, &doomed); code != 200 || doomed.Mirror.Status != "MISSING" {
		t.Errorf("the repository that is gone: %d %+v", code, doomed)
	}
	work := filepath.Join(t.TempDir(), "work")
	w.git("alice", w.dir, "clone", "-q", w.url("us-east-1/doomed"), work)
	w.git("alice", work, "commit", "-q", "--allow-empty", "-m", "too late")
	if out, err := w.try("alice", work, "push", "origin", "HEAD:main"); err == nil {
		t.Errorf("a push to a repository that is gone: %s", out)
	}
	// A new repository takes the name; the look tells them apart by their ids.
	must(t, w.codecommit.CreateRepository(t.Context(), "us-east-1", "doomed", ""))
	if code := w.ask("POST", "/integrations/us-east-1/sync", nil, &found); code != 200 || fmt.Sprint(found.Added) != "[us-east-1/doomed]" {
		t.Errorf("found %v", found)
	}
	w.waitTriggers("us-east-1", 5) // that of the repository that is gone counts until it is disconnected
	// One that people disconnect does not come back by itself, and has no trigger.
	var removal struct{ Removed bool }
	if code := w.ask("DELETE", "/repositories/us-east-1/fresh?force=true", nil, &removal); code != 200 || !removal.Removed {
		t.Errorf("disconnecting: %d %+v", code, removal)
	}
	if code := w.ask("POST", "/integrations/us-east-1/sync", nil, &found); code != 200 || len(found.Added) != 0 {
		t.Errorf("found %v", found)
	}
	list, err := w.client("us-east-1").Triggers(t.Context(), "fresh")
	must(t, err)
	if len(list) != 0 {
		t.Errorf("triggers of a disconnected repository: %v", list)
	}
}

// defaultBranch sets a default branch at the stand-in.
func (w *world) defaultBranch(region, name, branch string) {
	w.t.Helper()
	c := w.codecommit.Credentials()
	client := awscodecommit.New(awscodecommit.Options{Region: region, BaseEndpoint: &w.awsURL,
		Credentials: credentials.NewStaticCredentialsProvider(c.AccessKeyID, c.SecretAccessKey, "")})
	_, err := client.UpdateDefaultBranch(w.t.Context(), &awscodecommit.UpdateDefaultBranchInput{RepositoryName: &name, DefaultBranchName: &branch})
	must(w.t, err)
}

// Throttled for a while, with GITFERRY_LONG a minute, the server asks less, and
// nothing is lost.
func TestThrottling(t *testing.T) {
	w := newWorld(t, options{config: "upstream: {poll: 4s, poll_max: 4s}\n", fill: func(s *codecommit.Server) {
		for i := range 20 {
			must(t, s.CreateRepository(t.Context(), "us-east-1", fmt.Sprintf("r%d", i), ""))
		}
	}})
	w.waitTriggers("us-east-1", 20)
	w.waitIdle()
	const rules = `[
		{"method":"POST","path":"/","status":400,"content_type":"application/x-amz-json-1.1","body":"{\"__type\":\"ThrottlingException\",\"message\":\"Rate exceeded\"}"},
		{"path":"/v1/repos/**","status":429},{"path":"/us-east-1/v1/repos/**","status":429}]`
	control(t, w.awsURL, "PUT", "faults", rules)
	control(t, w.awsURL, "DELETE", "ledger", "")
	span := 12 * time.Second
	if os.Getenv("GITFERRY_LONG") != "" {
		span = time.Minute
	}
	began := time.Now()
	for time.Since(began) < span {
		w.ask("POST", "/integrations/us-east-1/sync", nil, nil)
		time.Sleep(4 * time.Second)
	}
	took := time.Since(began)
	entries := w.ledger()
	if limit := 25 * (1 + int(took/time.Second)); len(entries) > limit { // 20 a second at most, and looks of git
		t.Errorf("%d requests in %s of throttling, want at most %d", len(entries), took, limit)
	}
	t.Logf("%d requests in %s of throttling", len(entries), took)
	control(t, w.awsURL, "PUT", "faults", "[]")
	oid := w.commitUpstream("us-east-1", "r7", "main", "DEMO-7 after the storm")
	within(t, 30*time.Second, "the commit is indexed", func() bool { return w.hasCommit("us-east-1/r7", oid) })
	var found struct{ Added, Missing []string }
	within(t, 30*time.Second, "the account can be read", func() bool {
		return w.ask("POST", "/integrations/us-east-1/sync", nil, &found) == 200
	})
	if len(found.Missing) != 0 {
		t.Errorf("repositories missing after throttling: %v", found.Missing)
	}
	w.waitIdle()
	w.consistent()
}

// An account of 1,100 repositories, two pages of the list, is connected: the
// list costs few calls, everything has its path at once, what people ask for is
// copied before the rest, and a command beside the busy server finds its turn.
// With GITFERRY_LONG it is 2,000, and all of them are copied.
func TestLargeAccount(t *testing.T) {
	n, long := 1100, os.Getenv("GITFERRY_LONG") != ""
	if long {
		n = 2000
	}
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("service-%04d", i)
	}
	last := names[n-1]
	w := newWorld(t, options{config: "upstream: {poll: 1h, poll_max: 24h}\n", fill: func(s *codecommit.Server) {
		must(t, s.CreateRepositories("us-east-1", names))
	}})
	start := time.Now()
	var repos struct {
		Items []struct{ Path string }
		Next  string
	}
	total, after := 0, ""
	for first := true; first || after != ""; first = false {
		repos.Items, repos.Next = nil, ""
		path := "/repositories?limit=100"
		if after != "" {
			path += "&after=" + after
		}
		if code := w.ask("GET", path, nil, &repos); code != 200 {
			t.Fatal(code)
		}
		total, after = total+len(repos.Items), repos.Next
	}
	if total != n {
		t.Fatalf("%d repositories are connected, want %d", total, n)
	}
	calls := make(map[string]int)
	for _, e := range w.ledger() {
		calls[e.Operation]++
	}
	// The server looks once more at its start, one call to probe permissions.
	if lists, details := calls["ListRepositories"], calls["BatchGetRepositories"]; lists > 6 || details > 2*(n+99)/100+1 {
		t.Errorf("%d calls of ListRepositories and %d of BatchGetRepositories", lists, details)
	}
	oid := w.commitUpstream("us-east-1", last, "main", "DEMO-9 in the last one")
	if code := w.ask("POST", "/repositories/us-east-1/"+last+"/sync", nil, nil); code != 202 {
		t.Fatal(code)
	}
	took := within(t, 30*time.Second, "what a person asked for is indexed", func() bool { return w.hasCommit("us-east-1/"+last, oid) })
	t.Logf("the last of %d repositories was indexed %s after it was asked for", n, took)
	w.gitferry("integration", "set", "us-east-1", "--name", "Many")
	must(t, w.codecommit.RenameRepository("us-east-1", names[500], "renamed"))
	began := time.Now()
	if code := w.ask("POST", "/integrations/us-east-1/sync", nil, nil); code != 200 {
		t.Errorf("a look at the account: %d", code)
	}
	var renamed struct{ Path string } // by this look, or one that the server had begun
	if code := w.ask("GET", "/repositories/us-east-1/"+names[500], nil, &renamed); code != 200 || renamed.Path != "us-east-1/renamed" {
		t.Errorf("the renamed repository: %d %+v", code, renamed)
	}
	t.Logf("a look at the account took %s", time.Since(began))
	if !long {
		return
	}
	within(t, 15*time.Minute, "all are copied", func() bool {
		time.Sleep(time.Second)
		var state struct{ Counts map[string]int }
		must(t, w.api("GET", "/api/v1/admin/state", &state))
		return state.Counts["job_queued"] == 0
	})
	t.Logf("all of %d repositories were copied after %s", n, time.Since(start))
	within(t, 15*time.Minute, "all triggers are set", func() bool { time.Sleep(time.Second); return w.triggers("us-east-1").Set == n })
	t.Logf("all triggers were set after %s", time.Since(start))
}

// A single repository over SSH: the host key is shown, and confirmed by giving
// it back; another key is refused.
func TestHostKey(t *testing.T) {
	w := newWorld(t, options{config: "upstream: {poll: 1h, poll_max: 24h}\n"})
	w.commitUpstream("us-east-1", "demo", "trunk", "DEMO-1 by ssh")
	c := w.codecommit.Credentials()
	add := func(slug, hostKey string) (string, error) {
		args := []string{"integration", "add", "--config", w.path("gitferry.yaml"), "--slug", slug, "--url", "ssh://" + w.sshAddr + "/us-east-1/v1/repos/demo",
			"--ssh-key-id", c.SSHKeyID, "--ssh-private-key-file", w.path("codecommit.key"), "--private-network"}
		if hostKey != "" {
			args = append(args, "--host-key", hostKey)
		}
		out, err := exec.Command(binary, args...).CombinedOutput()
		return string(out), err
	}
	out, err := add("side", "")
	if err == nil || !strings.Contains(out, "is not known") || !strings.Contains(out, "SHA256:") || !strings.Contains(out, strings.TrimSpace(c.HostKey)) {
		t.Fatalf("without a host key: %v\n%s", err, out)
	}
	key := strings.TrimSpace(out[strings.Index(out, "this host key: ")+len("this host key: "):])
	if out, err := add("side", key); err != nil {
		t.Fatalf("with the key that was shown: %v\n%s", err, out)
	}
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	other, err := ssh.NewPublicKey(&private.PublicKey)
	must(t, err)
	if out, err := add("wrong", strings.TrimSpace(string(ssh.MarshalAuthorizedKey(other)))); err == nil || !strings.Contains(out, "changed") {
		t.Errorf("with another key: %v\n%s", err, out)
	}
	var list []struct{ Slug string }
	must(t, json.Unmarshal([]byte(w.gitferry("integration", "list", "--json")), &list))
	if len(list) != 3 {
		t.Errorf("integrations: %v", list)
	}
	// The main branch is what the host's HEAD names.
	w.waitIdle()
	var repo struct {
		DefaultBranch string `json:"default_branch"`
	}
	if code := w.ask("GET", "/repositories/side/demo", nil, &repo); code != 200 || repo.DefaultBranch != "trunk" {
		t.Errorf("the single repository: %d %+v", code, repo)
	}
}
