package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gitferry/api"
	"gitferry/internal/doctor"
	"gitferry/internal/gittest"
	"gitferry/internal/store"
)

// startSandbox runs a sandbox until the test ends and returns its ready file.
func startSandbox(t *testing.T, flags ...string) (dir string, ready readyFile) {
	t.Helper()
	dir = t.TempDir()
	ready, stop := startSandboxIn(t, dir, flags...)
	t.Cleanup(stop)
	return dir, ready
}

// startSandboxIn runs a sandbox on dir until stop is called.
func startSandboxIn(t *testing.T, dir string, flags ...string) (ready readyFile, stop func()) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "ready.json")
	ctx, cancel := context.WithCancel(context.Background())
	args := []string{"sandbox", "--data", dir, "--ready-file", file}
	for _, f := range []string{"http", "ssh", "codecommit", "codecommit-ssh", "jira"} {
		args = append(args, "--"+f, "127.0.0.1:0")
	}
	var out, errOut bytes.Buffer
	ended := make(chan int, 1)
	go func() { ended <- run(ctx, append(args, flags...), nil, &out, &errOut) }() // ends with ctx
	stop = func() {
		cancel()
		begin := time.Now()
		code := <-ended
		if took := time.Since(begin); took > 10*time.Second {
			t.Errorf("the sandbox took %v to end", took)
		}
		if code != 0 || t.Failed() {
			t.Logf("sandbox: exit %d\n%s", code, errOut.String())
		}
	}
	for range 600 {
		if text, err := os.ReadFile(file); err == nil {
			if err := json.Unmarshal(text, &ready); err != nil {
				t.Fatal(err)
			}
			return ready, stop
		}
		select {
		case code := <-ended:
			t.Fatalf("the sandbox ended with exit %d\n%s", code, errOut.String())
		case <-time.After(50 * time.Millisecond):
		}
	}
	stop()
	t.Fatal("the sandbox is not ready after 30 s")
	return ready, nil
}

// What a sandbox with a data directory was told is there when it is started
// again, at CodeCommit and at Jira, and nothing is done twice. A mirror that was
// deleted meanwhile is copied anew.
func TestSandboxStartsAgain(t *testing.T) {
	dir := t.TempDir()
	comments := func(ready readyFile) int {
		resp, err := http.Get(ready.Jira + "/_sandbox/state?issue=DEMO-1")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		var issue struct{ Comments []any }
		if err := json.NewDecoder(resp.Body).Decode(&issue); err != nil {
			t.Fatal(err)
		}
		return len(issue.Comments)
	}
	for i := 1; i <= 3; i++ {
		ready, stop := startSandboxIn(t, dir)
		if got := comments(ready); got != i-1 {
			t.Errorf("run %d begins with %d comments, want %d", i, got, i-1)
		}
		work := gittest.New(t)
		work.Now = time.Now() // commands of old commits are not carried out
		url := "http://alice:" + ready.Users[0].Token + "@" + ready.HTTP + "/us-east-1/demo"
		work.Run("fetch", "-q", url, "main")
		work.Run("reset", "-q", "--hard", "FETCH_HEAD")
		work.Commit(fmt.Sprintf("DEMO-1 #comment said in run %d", i), "file", fmt.Sprint(i))
		work.Run("push", "-q", url, "HEAD:main")
		end := time.Now().Add(30 * time.Second)
		for comments(ready) < i && time.Now().Before(end) {
			time.Sleep(50 * time.Millisecond)
		}
		stop()
		if i == 1 {
			mirrors, err := filepath.Glob(filepath.Join(dir, "server", "repos", "*", "*.git"))
			if err != nil || len(mirrors) == 0 {
				t.Fatalf("mirrors: %v, %v", mirrors, err)
			}
			for _, m := range mirrors {
				if err := os.RemoveAll(m); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}

// readyFile is what scripts read of a ready file.
type readyFile struct {
	HTTP            string            `json:"http"`
	CodeCommit      string            `json:"codecommit"`
	Jira            string            `json:"jira"`
	AdminToken      string            `json:"admin_token"`
	AWSCredentials  map[string]string `json:"aws_credentials"`
	JiraCredentials struct {
		Email        string `json:"email"`
		APIToken     string `json:"api_token"`
		ClientID     string `json:"client_id"`
		ClientSecret string `json:"client_secret"`
	} `json:"jira_credentials"`
	Users []readyUser `json:"users"`
}

// useSandbox points the environment at the books of a sandbox.
func useSandbox(t *testing.T, dir string) {
	t.Helper()
	t.Setenv("GITFERRY_DATA_DIR", filepath.Join(dir, "server"))
	t.Setenv("GITFERRY_MASTER_KEY_FILE", filepath.Join(dir, "master.key"))
	t.Chdir(t.TempDir())
}

func TestCommandsBesideARunningServer(t *testing.T) {
	dir, ready := startSandbox(t)
	useSandbox(t, dir)
	if all := ferryJSON[[]api.Integration](t, "integration", "list"); len(all) != 2 || all[0].Slug != "us-east-1" {
		t.Errorf("integration list = %+v", all)
	}
	work := ferryJSON[[]workDone](t, "repo", "sync", "us-east-1/demo", "us-west-2/demo", "--wait", "30s")
	for _, w := range work {
		if w.State != store.JobDone || w.Job == 0 {
			t.Errorf("repo sync: %+v", w)
		}
	}
	repos := ferryJSON[[]listedRepository](t, "repo", "list", "--query", "demo")
	if len(repos) != 2 || repos[0].Commits == 0 || repos[0].IndexedAt.IsZero() {
		t.Errorf("repo list = %+v", repos)
	}
	var check struct {
		OK       bool
		Findings findings
	}
	if err := json.Unmarshal([]byte(ferryOK(t, "check", "--json")), &check); err != nil || !check.OK {
		t.Errorf("check = %+v, %v", check, err)
	}
	for _, words := range []string{"credentials", "Create branch", "sign-in", "free space"} {
		if out := ferryOK(t, "check"); !strings.Contains(out, words) {
			t.Errorf("check does not name %q:\n%s", words, out)
		}
	}
	ferryOK(t, "jira", "check")
	ferryFails(t, exitRunning, "already running", "serve")
	ferryFails(t, exitRunning, "already running", "restore", "nothing.tgz")

	// A second integration of the same account, narrowed to one repository.
	t.Setenv("GITFERRY_SECRET_ACCESS_KEY", ready.AWSCredentials["secret_access_key"])
	ferryFails(t, exitFailed, "no repository", "integration", "add", "--region", "us-east-1", "--slug", "second", "--connect", "nosuch",
		"--access-key-id", ready.AWSCredentials["access_key_id"], "--api-endpoint", ready.CodeCommit, "--git-endpoint", ready.CodeCommit, "--private-network")
	added := ferryJSON[api.Integration](t, "integration", "add", "--region", "us-east-1", "--slug", "second", "--connect", "demo",
		"--access-key-id", ready.AWSCredentials["access_key_id"], "--api-endpoint", ready.CodeCommit, "--git-endpoint", ready.CodeCommit, "--private-network")
	if added.Slug != "second" || added.Account != sandboxAccount || added.ConnectAll {
		t.Errorf("integration add = %+v", added)
	}
	ferryOK(t, "repo", "add", "second/empty")
	ferryOK(t, "repo", "sync", "second/demo", "second/empty", "--wait", "30s")
	waitFor(t, "no delivery of second/demo left", func() bool {
		for _, state := range []string{"pending", "leased", "retry"} {
			if len(ferryJSON[[]listedDelivery](t, "delivery", "list", "--state", state)) > 0 {
				return false
			}
		}
		return true
	})
	if report := ferryJSON[doctor.Report](t, "doctor", "--deep"); !report.Consistent {
		t.Errorf("doctor --deep = %+v", report)
	}
	if sent := ferryJSON[[]listedDelivery](t, "delivery", "list", "--repo", "second/demo", "--state", "done"); len(sent) == 0 {
		t.Error("nothing of second/demo was delivered")
	}
	ferryOK(t, "repo", "remove", "second/demo")
	ferryOK(t, "integration", "remove", "second")
	ferryFails(t, exitFailed, "not found", "integration", "remove", "second")
}

func TestWorkWithoutAServer(t *testing.T) {
	_, ready := startSandbox(t)
	world(t)
	t.Setenv("GITFERRY_SECRET_ACCESS_KEY", ready.AWSCredentials["secret_access_key"])
	ferryOK(t, "integration", "add", "--region", "us-east-1", "--access-key-id", ready.AWSCredentials["access_key_id"],
		"--api-endpoint", ready.CodeCommit, "--git-endpoint", ready.CodeCommit, "--private-network")
	work := ferryJSON[[]workDone](t, "repo", "reindex", "--all")
	if len(work) != 2 || work[0].State != store.JobDone || work[0].Job != 0 {
		t.Errorf("repo reindex --all = %+v", work)
	}
	if report := ferryJSON[doctor.Report](t, "doctor", "--deep"); !report.Consistent || report.Repositories[0].Refs == 0 {
		t.Errorf("doctor --deep = %+v", report)
	}
	ferryOK(t, "repo", "purge", "us-east-1/demo")
	ferryOK(t, "repo", "set", "us-east-1/demo", "--enabled", "off")
	ferryFails(t, exitFailed, "is disabled", "repo", "sync", "us-east-1/demo")
	ferryOK(t, "integration", "set", "us-east-1", "--name", "Main account", "--connect-new", "off")
	if all := ferryJSON[[]api.Integration](t, "integration", "list"); all[0].Name != "Main account" || all[0].ConnectAll {
		t.Errorf("integration list = %+v", all)
	}
	// Jira, and then a check with a key that is wrong.
	t.Setenv("GITFERRY_API_TOKEN", ready.JiraCredentials.APIToken)
	t.Setenv("GITFERRY_CLIENT_SECRET", ready.JiraCredentials.ClientSecret)
	ferryOK(t, "jira", "set", "--kind", "cloud", "--url", ready.Jira, "--email", ready.JiraCredentials.Email,
		"--client-id", ready.JiraCredentials.ClientID, "--devinfo-url", ready.Jira)
	ferryOK(t, "jira", "check")
	ferryOK(t, "check")
	t.Setenv("GITFERRY_SECRET_ACCESS_KEY", "a-wrong-secret-access-key")
	ferryOK(t, "integration", "set", "us-east-1", "--access-key-id", ready.AWSCredentials["access_key_id"])
	code, out, errOut := ferryRun(t, "", "check")
	if code != exitUnavailable || !strings.Contains(out, "failed") || strings.Contains(out+errOut, "a-wrong-secret") {
		t.Errorf("check with a wrong key: exit %d\n%s%s", code, out, errOut)
	}
	ferryFails(t, exitUnavailable, "withdrawals", "integration", "remove", "us-east-1", "--wait", "0s")
	ferryOK(t, "integration", "remove", "us-east-1")
	if got := ferryOK(t, "repo", "list"); got != "none\n" {
		t.Errorf("repo list = %q", got)
	}
}

func waitFor(t *testing.T, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !done(); time.Sleep(200 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within 30 s: %s", what)
		}
	}
}
