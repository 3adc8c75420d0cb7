package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"gitferry/internal/gittest"
)

// A branch and a pull request made by way of GitHub's API, and a push, are
// told to a webhook with who did it.
func TestGitHubStory(t *testing.T) {
	_, ready := startSandbox(t)
	tokens := map[string]string{"root": ready.AdminToken}
	for _, u := range ready.Users {
		tokens[u.Name] = u.Token
	}
	call := func(who, method, path, body string, status int, into any) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, "http://"+ready.HTTP+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "token "+tokens[who])
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != status {
			t.Fatalf("%s %s as %s: %s %v, want %d\n%s", method, path, who, resp.Status, err, status, text)
		}
		if into != nil {
			if err := json.Unmarshal(text, into); err != nil {
				t.Fatal(err)
			}
		}
	}
	var mu sync.Mutex
	got := map[string]string{} // event and ref, or action, to who did it
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var e struct {
			Ref, Action string
			Sender      struct{ Login string }
			After       string
		}
		if err := json.NewDecoder(r.Body).Decode(&e); err != nil {
			t.Error(err)
		}
		mu.Lock()
		defer mu.Unlock()
		got[strings.TrimSpace(r.Header.Get("X-GitHub-Event")+" "+e.Ref+e.Action)+" "+e.After] = e.Sender.Login
	}))
	defer receiver.Close()

	const repo = "/api/v3/repos/us-east-1/demo"
	waitFor(t, "the first index", func() bool {
		var state struct{ Idle bool }
		call("root", "GET", "/api/v1/admin/state", "", 200, &state)
		return state.Idle
	})
	call("root", "POST", repo+"/hooks", fmt.Sprintf(`{"name":"web","events":["*"],"config":{"url":%q,"content_type":"json"}}`, receiver.URL), 201, nil)
	var main struct{ Object struct{ SHA string } }
	call("alice", "GET", repo+"/git/ref/heads/main", "", 200, &main)
	ref := fmt.Sprintf(`{"ref":"refs/heads/DEMO-2-topic","sha":%q}`, main.Object.SHA)
	call("bob", "POST", repo+"/git/refs", ref, 403, nil)
	call("alice", "POST", repo+"/git/refs", ref, 201, nil)
	call("alice", "POST", repo+"/git/refs", ref, 422, nil)
	call("alice", "POST", repo+"/git/refs", `{"ref":"refs/heads/x","sha":"`+strings.Repeat("1", 40)+`"}`, 422, nil)

	work := filepath.Join(t.TempDir(), "work")
	git := func(args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "git", args...)
		cmd.Env = gittest.Env()
		if _, err := os.Stat(work); err == nil {
			cmd.Dir = work
		}
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("git %v: %v\n%s", args[0], err, out)
		}
		return strings.TrimSpace(string(out))
	}
	git("clone", "--quiet", "--branch", "DEMO-2-topic", "http://alice:"+tokens["alice"]+"@"+ready.HTTP+"/us-east-1/demo.git", work)
	git("commit", "--quiet", "--allow-empty", "--message", "DEMO-2 pushed")
	git("push", "--quiet", "origin", "HEAD")
	sha := git("rev-parse", "HEAD")

	var pull struct {
		Number  int
		Commits int
		Head    struct{ SHA string }
	}
	body := `{"title":"DEMO-2 topic","head":"us-east-1:DEMO-2-topic","base":"main","body":"why"}`
	call("bob", "POST", repo+"/pulls", body, 403, nil)
	call("alice", "POST", repo+"/pulls", body, 201, &pull)
	if pull.Number == 0 || pull.Commits != 1 || pull.Head.SHA != sha {
		t.Errorf("pull request: %+v", pull)
	}
	call("alice", "POST", repo+"/pulls", body, 422, nil)
	call("alice", "POST", repo+"/pulls", `{"title":"x","head":"DEMO-2-topic","base":"main","draft":true}`, 422, nil)
	want := []string{"ping ", "create DEMO-2-topic ", "push refs/heads/DEMO-2-topic " + main.Object.SHA, "push refs/heads/DEMO-2-topic " + sha, "pull_request opened "}
	waitFor(t, "the webhook to hear of everything", func() bool {
		mu.Lock()
		defer mu.Unlock()
		for _, w := range want {
			if _, ok := got[w]; !ok {
				return false
			}
		}
		return true
	})
	mu.Lock()
	defer mu.Unlock()
	if who := got["push refs/heads/DEMO-2-topic "+sha]; who != "alice" {
		t.Errorf("the push is by %q, want alice", who)
	}
	t.Log(got)
}
