package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"image/png"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

var pictures = flag.String("pictures", "", "write the pictures of the README into this directory")

// maxPicture bounds a picture of the README, in bytes.
const maxPicture = 200_000

// A fresh sandbox, a clone, a branch, a push and a pull request: the pages that
// the README shows hold what it says, in pictures small enough to keep.
func TestPictures(t *testing.T) {
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("left out: no chromium on the PATH (Debian package chromium)")
	}
	if testing.Short() {
		t.Skip("left out: browser tests, in short mode")
	}
	s := startSandbox(t)
	work := filepath.Join(t.TempDir(), "demo")
	git := func(args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "git", append([]string{"-c", "user.name=Alice Martin", "-c", "user.email=alice@example.com"}, args...)...)
		cmd.Env = append(baseEnv(), "HOME="+t.TempDir(), "GIT_CONFIG_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0")
		if args[0] != "clone" {
			cmd.Dir = work
		}
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("git %s: %v\n%s", args[0], err, out)
		}
		return strings.TrimSpace(string(out))
	}
	write := func(name, text string) {
		t.Helper()
		must(t, os.MkdirAll(filepath.Dir(filepath.Join(work, name)), 0o755))
		must(t, os.WriteFile(filepath.Join(work, name), []byte(text), 0o644))
	}
	git("clone", "-q", strings.Replace(s.url, "://", "://alice:"+s.user("alice").Token+"@", 1)+"/us-east-1/demo.git", work)
	git("checkout", "-q", "-b", "DEMO-1-sign-in")
	write("signin/header.go", headerGo("SplitN(pair, \":\", 3)", 3))
	git("add", "-A")
	git("commit", "-q", "-m", "DEMO-1 Read the header of basic authentication")
	write("signin/header.go", headerGo("SplitN(pair, \":\", 2)", 2))
	write("signin/header_test.go", "package signin\n\nimport \"testing\"\n\nfunc TestColon(t *testing.T) {\n\tif _, password, ok := parse(\"alice:a:b\"); !ok || password != \"a:b\" {\n\t\tt.Errorf(\"the password is %q, want a:b\", password)\n\t}\n}\n")
	git("add", "-A")
	git("commit", "-q", "-m", "DEMO-1 Let a password hold a colon #comment ready to be looked at #time 1h 30m\n\nOnly the first colon ends the name (RFC 7617, section 2).\nSee also DEMO-3.")
	git("push", "-q", "origin", "DEMO-1-sign-in")
	s.waitIdle()

	opts := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(chromium), chromedp.NoSandbox, chromedp.WindowSize(1280, 860), chromedp.UserDataDir(t.TempDir()))
	ctx, cancel := chromedp.NewExecAllocator(t.Context(), opts...)
	defer cancel()
	ctx, cancel = chromedp.NewContext(ctx)
	defer cancel()
	must(t, chromedp.Do(ctx, chromedp.Navigate("about:blank"))) // the browser lives as long as this context
	do := func(actions ...chromedp.Action[chromedp.Void]) {
		t.Helper()
		in, cancel := context.WithTimeout(ctx, time.Minute)
		defer cancel()
		if err := chromedp.Do(in, actions...); err != nil {
			t.Fatal(err)
		}
	}
	logIn := func(name string) {
		t.Helper()
		do(chromedp.Navigate(s.url+"/login"),
			chromedp.SetValue(chromedp.CSS("#name"), name), chromedp.SetValue(chromedp.CSS("#password"), s.user(name).Password),
			chromedp.Click(chromedp.CSS("main button.primary")), chromedp.WaitVisible(chromedp.CSS("details.menu")))
	}
	dir := *pictures
	if dir == "" {
		dir = t.TempDir()
	}
	must(t, os.MkdirAll(dir, 0o755))
	take := func(name, path string, height int64, wants ...string) {
		t.Helper()
		do(chromedp.EmulateViewport(1280, height), chromedp.Navigate(s.url+path))
		text, err := chromedp.Run(ctx, chromedp.Evaluate[string]("document.body.innerText"))
		must(t, err)
		for _, want := range wants {
			if !strings.Contains(text, want) {
				t.Errorf("%s does not show %q:\n%s", path, want, text)
			}
		}
		shot, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
		must(t, err)
		if _, err := png.Decode(bytes.NewReader(shot)); err != nil || len(shot) > maxPicture {
			t.Errorf("the picture %s has %d bytes, want at most %d; error %v", name, len(shot), maxPicture, err)
		}
		must(t, os.WriteFile(filepath.Join(dir, name+".png"), shot, 0o644))
	}

	logIn("alice")
	do(chromedp.Navigate(s.url+"/issues/DEMO-1/pulls/new"),
		chromedp.Click(chromedp.CSS(`main button[value="create"]`)), chromedp.WaitVisible(chromedp.CSS("#flash")))
	s.waitIdle()
	take("issue", "/issues/DEMO-1", 680, "Let a password hold a colon", "DELIVERED", "OPEN", "DEMO-1-sign-in", "ahead 2")
	take("commit", "/us-east-1/demo/commit/"+git("rev-parse", "HEAD"), 1180, "Only the first colon", "log 1h 30m", "DONE", "SplitN")
	do(chromedp.Navigate(s.url+"/"), chromedp.Click(chromedp.CSS(".top .menu summary")), chromedp.Click(chromedp.CSS(`form[action="/logout"] button`)), chromedp.WaitVisible(chromedp.CSS("#password")))
	logIn("root")
	take("manage", "/admin/repositories", 680, "us-east-1/demo", "us-west-2/demo", "INDEXED", "EMPTY")
}

// headerGo is a file of the story that the pictures show.
func headerGo(call string, parts int) string {
	return fmt.Sprintf(`package signin

import (
	"encoding/base64"
	"strings"
)

// Basic returns the name and the password of a header of basic authentication.
func Basic(header string) (name, password string, ok bool) {
	encoded, found := strings.CutPrefix(header, "Basic ")
	if !found {
		return "", "", false
	}
	pair, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return "", "", false
	}
	return parse(string(pair))
}

func parse(pair string) (name, password string, ok bool) {
	part := strings.%s
	if len(part) != %d {
		return "", "", false
	}
	return part[0], part[1], true
}
`, call, parts)
}

// A sandbox is gitferry sandbox as a process.
type sandbox struct {
	t     *testing.T
	url   string
	ready struct {
		HTTP       string        `json:"http"`
		AdminToken string        `json:"admin_token"`
		Users      []sandboxUser `json:"users"`
	}
}

type sandboxUser struct {
	Name     string `json:"name"`
	Password string `json:"password"`
	Token    string `json:"token"`
}

// startSandbox starts one on free ports; it ends with the test.
func startSandbox(t *testing.T) *sandbox {
	t.Helper()
	file := filepath.Join(t.TempDir(), "ready.json")
	args := []string{"sandbox", "--ready-file", file}
	for _, f := range []string{"http", "ssh", "codecommit", "codecommit-ssh", "jira"} {
		args = append(args, "--"+f, "127.0.0.1:0")
	}
	var log syncBuffer
	cmd := exec.Command(binary, args...)
	cmd.Env, cmd.Stdout, cmd.Stderr = append(baseEnv(), "HOME="+t.TempDir()), &log, &log
	must(t, cmd.Start())
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended
		if err := <-ended; err != nil || t.Failed() {
			t.Logf("the sandbox ended: %v\n%s", err, log.tail(4000))
		}
	})
	s := &sandbox{t: t}
	for end := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		b, err := os.ReadFile(file)
		if err == nil {
			must(t, json.Unmarshal(b, &s.ready))
			s.url = "http://" + s.ready.HTTP
			return s
		}
		if !errors.Is(err, fs.ErrNotExist) || time.Now().After(end) {
			t.Fatalf("the sandbox is not ready: %v\n%s", err, log.tail(4000))
		}
	}
}

func (s *sandbox) user(name string) sandboxUser {
	s.t.Helper()
	for _, u := range s.ready.Users {
		if u.Name == name {
			return u
		}
	}
	s.t.Fatalf("the sandbox has no user %s", name)
	return sandboxUser{}
}

// waitIdle waits until nothing is pending.
func (s *sandbox) waitIdle() {
	s.t.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
		req, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, s.url+"/api/v1/admin/state", nil)
		must(s.t, err)
		req.Header.Set("Authorization", "Bearer "+s.ready.AdminToken)
		resp, err := http.DefaultClient.Do(req)
		must(s.t, err)
		var state struct {
			Idle bool `json:"idle"`
		}
		err = json.NewDecoder(resp.Body).Decode(&state)
		resp.Body.Close()
		must(s.t, err)
		if state.Idle {
			return
		}
		if time.Now().After(end) {
			s.t.Fatal("the sandbox is busy after a minute")
		}
	}
}
