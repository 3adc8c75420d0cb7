package e2e

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"gitferry/internal/git"
	"gitferry/internal/sandbox/codecommit"
	"gitferry/internal/sandbox/jira"
	"gitferry/internal/sandbox/jira/contract"
)

var binary string // the server, built by TestMain

// TestMain builds the binary once, with the race detector if the tests have it.
func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "gitferry-e2e-")
	if err != nil {
		panic(err)
	}
	binary = filepath.Join(dir, "gitferry")
	args := []string{"build", "-buildvcs=false", "-o", binary}
	if raceEnabled {
		args = append(args, "-race")
	}
	build := exec.Command("go", append(args, "gitferry/cmd/gitferry")...)
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "building the server:", err)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// world is a server process with its stand-ins and people.
type world struct {
	t           testing.TB
	dir         string
	codecommit  *codecommit.Server
	awsURL      string
	sshAddr     string
	jira        *jira.Server
	jiraURL     string
	jiraControl string // past the checks
	options     options
	people      map[string]person
	http, ssh   string // the server's addresses, the same over restarts

	mu     sync.Mutex
	server *exec.Cmd     // guarded by mu
	exited chan struct{} // guarded by mu; closed when server ended
	log    *syncBuffer
}

type person struct {
	name, token, keyFile string
}

// options change a world before it starts.
type options struct {
	gitAuth    string // sigv4 (default), basic, ssh
	edition    string // cloud (default), datacenter
	projects   []jira.Project
	config     string // further YAML
	fill       func(*codecommit.Server)
	failpoints string
	mayCrash   bool // the server may meet its failpoint at once: no tokens are made
}

// newWorld starts stand-ins and server; everything ends with the test.
func newWorld(t testing.TB, o options) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir(), options: o, people: make(map[string]person), log: &syncBuffer{}}
	quiet := slog.New(slog.DiscardHandler)
	g, err := git.New(context.Background(), w.mkdir("standin"))
	if err != nil {
		t.Fatal(err)
	}
	aws := listen(t)
	w.awsURL = "http://" + aws.Addr().String()
	w.codecommit, err = codecommit.New(codecommit.Config{Dir: w.path("standin/repositories"), Git: g, Log: quiet, URL: w.awsURL})
	if err != nil {
		t.Fatal(err)
	}
	serveHTTP(t, aws, w.codecommit.Handler())
	sshListener := listen(t)
	w.sshAddr = sshListener.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = w.codecommit.ServeSSH(ctx, sshListener) }()
	events := make(chan struct{})
	go func() { defer close(events); _ = w.codecommit.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done; <-events })

	w.jira = jira.New(jira.Config{Log: quiet, Projects: o.projects})
	standIn := httptest.NewServer(w.jira.Handler())
	t.Cleanup(standIn.Close)
	// Every request to Jira is checked against the published contracts.
	w.jiraURL, w.jiraControl = contract.Proxy(t, standIn.URL), standIn.URL

	if o.fill != nil {
		o.fill(w.codecommit)
	} else if err := w.codecommit.CreateRepository(ctx, "us-east-1", "demo", ""); err != nil {
		t.Fatal(err)
	}
	w.http, w.ssh = freeAddr(t), freeAddr(t)
	for _, name := range []string{"alice", "bob", "root"} {
		w.addPerson(name)
	}
	w.writeConfig()
	w.mkdir("data")
	if err := os.WriteFile(w.path("data/gitferry-test-data"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	w.start()
	if !o.mayCrash {
		for name := range w.people {
			w.newToken(name)
		}
	}
	t.Cleanup(func() {
		w.stop()
		if t.Failed() {
			t.Logf("server log:\n%s", w.log.tail(12000))
		}
		if strings.Contains(w.log.String(), "DATA RACE") {
			t.Errorf("data race in the server:\n%s", w.log.String())
		}
	})
	return w
}

func (w *world) path(name string) string { return filepath.Join(w.dir, name) }

func (w *world) mkdir(name string) string {
	w.t.Helper()
	if err := os.MkdirAll(w.path(name), 0o700); err != nil {
		w.t.Fatal(err)
	}
	return w.path(name)
}

func (w *world) addPerson(name string) {
	w.t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		w.t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(private, name)
	if err != nil {
		w.t.Fatal(err)
	}
	file := w.path(name + ".key")
	if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
		w.t.Fatal(err)
	}
	key, err := ssh.NewPublicKey(public)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(file+".pub", ssh.MarshalAuthorizedKey(key), 0o600); err != nil {
		w.t.Fatal(err)
	}
	w.people[name] = person{name: name, keyFile: file}
}

// writeConfig writes the server's configuration file.
func (w *world) writeConfig() {
	w.t.Helper()
	c, j := w.codecommit.Credentials(), w.jira.Credentials()
	auth := w.options.gitAuth
	if auth == "" {
		auth = "sigv4"
	}
	keyFile, masterKey := w.path("codecommit.key"), w.path("master.key")
	must(w.t, os.WriteFile(keyFile, []byte(c.SSHPrivateKey), 0o600))
	key := make([]byte, 32)
	_, _ = rand.Read(key)
	must(w.t, os.WriteFile(masterKey, []byte(hex.EncodeToString(key)), 0o400))
	var y strings.Builder
	fmt.Fprintf(&y, "data_dir: %s\nmaster_key_file: %s\n", w.path("data"), masterKey)
	fmt.Fprintf(&y, "http:\n  listen: %s\nssh:\n  listen: %s\nlog:\n  level: info\n", w.http, w.ssh)
	if w.options.edition == "datacenter" {
		fmt.Fprintf(&y, "jira:\n  kind: datacenter\n  url: %s/dc\n  personal_access_token: %s\n", w.jiraURL, j.PersonalAccessToken)
	} else {
		fmt.Fprintf(&y, "jira:\n  kind: cloud\n  url: %[1]s\n  email: %[2]s\n  api_token: %[3]s\n  client_id: %[4]s\n  client_secret: %[5]s\n  devinfo_url: %[1]s\n  token_url: %[1]s/oauth/token\n",
			w.jiraURL, j.Email, j.APIToken, j.ClientID, j.ClientSecret)
	}
	y.WriteString("users:\n")
	for _, name := range []string{"alice", "bob", "root"} {
		pub, err := os.ReadFile(w.people[name].keyFile + ".pub")
		must(w.t, err)
		fmt.Fprintf(&y, "  - name: %s\n    email: %s@example.com\n    admin: %v\n    ssh_keys: [%q]\n", name, name, name == "root", strings.TrimSpace(string(pub)))
	}
	y.WriteString("grants:\n")
	for name, level := range map[string]string{"alice": "write", "bob": "read", "root": "admin"} {
		fmt.Fprintf(&y, "  - {user: %s, repositories: '**', level: %s}\n", name, level)
	}
	y.WriteString("integrations:\n")
	for _, region := range []string{"us-east-1", "us-west-2"} {
		endpoint := w.awsURL
		switch auth {
		case "ssh":
			endpoint = "ssh://" + w.sshAddr + "/" + region
		case "basic":
			endpoint += "/" + region
		}
		fmt.Fprintf(&y, "  - {kind: codecommit, region: %s, auth: %s, access_key_id: %s, secret_access_key: %q, git_username: %s, git_password: %q, ssh_key_id: %s, ssh_private_key_file: %s, host_key: %q, api_endpoint: '%s', sns_endpoint: '%s', git_endpoint: '%s', private_network: true}\n",
			region, auth, c.AccessKeyID, c.SecretAccessKey, c.GitUsername, c.GitPassword, c.SSHKeyID, keyFile, c.HostKey, w.awsURL, w.awsURL, endpoint)
	}
	y.WriteString(w.options.config)
	must(w.t, os.WriteFile(w.path("gitferry.yaml"), []byte(y.String()), 0o600))
}

// start runs the server and waits until it is ready.
func (w *world) start(args ...string) {
	w.t.Helper()
	ready := w.path("ready.json")
	os.Remove(ready)
	args = append([]string{"serve", "--config", w.path("gitferry.yaml"), "--ready-file", ready}, args...)
	if w.options.failpoints != "" {
		args = append(args, "--failpoints", w.options.failpoints)
	}
	cmd := exec.Command(binary, args...)
	cmd.Stdout, cmd.Stderr = w.log, w.log
	cmd.Env = append(os.Environ(), "AWS_EC2_METADATA_DISABLED=true", "GORACE=halt_on_error=0")
	must(w.t, cmd.Start())
	exited := make(chan struct{})
	go func() { _ = cmd.Wait(); close(exited) }()
	w.mu.Lock()
	w.server, w.exited = cmd, exited
	w.mu.Unlock()
	for end := time.Now().Add(60 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if _, err := os.Stat(ready); err == nil {
			return
		}
		select {
		case <-exited:
			w.t.Fatalf("the server ended at its start:\n%s", w.log.tail(4000))
		default:
		}
		if time.Now().After(end) {
			w.t.Fatalf("the server is not ready after a minute:\n%s", w.log.tail(4000))
		}
	}
}

// signal sends a signal and waits for the server's end.
func (w *world) signal(s syscall.Signal) {
	w.mu.Lock()
	cmd, exited := w.server, w.exited
	w.mu.Unlock()
	if cmd == nil {
		return
	}
	_ = cmd.Process.Signal(s)
	select {
	case <-exited:
	case <-time.After(90 * time.Second):
		_ = cmd.Process.Kill()
		w.t.Error("the server did not stop within 90 s")
	}
}

func (w *world) stop() { w.signal(syscall.SIGTERM) }
func (w *world) kill() { w.signal(syscall.SIGKILL) }

// waitExit waits until the server ended by itself, as at a failpoint.
func (w *world) waitExit() {
	w.t.Helper()
	w.mu.Lock()
	exited := w.exited
	w.mu.Unlock()
	select {
	case <-exited:
	case <-time.After(30 * time.Second):
		w.t.Fatal("the server was expected to end and goes on")
	}
}

// newToken gives a person a token by the command line, beside the running server.
func (w *world) newToken(name string) {
	w.t.Helper()
	out := w.gitferry("token", "add", name, "--name", "e2e", "--scope", "repo:read,repo:write,api:read,api:admin", "--json")
	var answer struct {
		Token string `json:"token"`
	}
	if err := json.Unmarshal([]byte(out), &answer); err != nil || answer.Token == "" {
		w.t.Fatalf("token add %s: %v in %s", name, err, out)
	}
	p := w.people[name]
	p.token = answer.Token
	w.people[name] = p
}

// gitferry runs a command of the binary on the same data and returns its output.
func (w *world) gitferry(args ...string) string {
	w.t.Helper()
	cmd := exec.Command(binary, append(args, "--config", w.path("gitferry.yaml"))...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		w.t.Fatalf("gitferry %s: %v\n%s%s", strings.Join(args, " "), err, out, stderr.String())
	}
	return string(out)
}

// url is a repository's address for HTTPS-shaped access without credentials.
func (w *world) url(repo string) string { return "http://" + w.http + "/" + repo }

// sshURL is a repository's address over SSH.
func (w *world) sshURL(repo string) string { return "ssh://git@" + w.ssh + "/" + repo }

// env is the environment of a person's git.
func (w *world) env(name string) []string {
	p := w.people[name]
	helper := fmt.Sprintf("!f() { echo username=%s; echo password=%s; }; f", p.name, p.token)
	sshCommand := fmt.Sprintf("ssh -F /dev/null -i %s -o IdentitiesOnly=yes -o StrictHostKeyChecking=accept-new -o UserKnownHostsFile=%s -o BatchMode=yes", p.keyFile, w.path("known_hosts"))
	home := w.mkdir("home-" + name)
	return append(baseEnv(),
		"HOME="+home, "GIT_CONFIG_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0", "LC_ALL=C",
		"GIT_SSH_COMMAND="+sshCommand,
		"GIT_AUTHOR_NAME="+p.name, "GIT_AUTHOR_EMAIL="+p.name+"@example.com",
		"GIT_COMMITTER_NAME="+p.name, "GIT_COMMITTER_EMAIL="+p.name+"@example.com",
		"GIT_CONFIG_COUNT=3", "GIT_CONFIG_KEY_0=credential.helper", "GIT_CONFIG_VALUE_0="+helper,
		"GIT_CONFIG_KEY_1=init.defaultBranch", "GIT_CONFIG_VALUE_1=main", "GIT_CONFIG_KEY_2=advice.detachedHead", "GIT_CONFIG_VALUE_2=false")
}

// baseEnv is the test's environment without git's variables.
func baseEnv() []string {
	var env []string
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "GIT_") && !strings.HasPrefix(kv, "HOME=") && !strings.HasPrefix(kv, "SSH_") {
			env = append(env, kv)
		}
	}
	return env
}

// try runs a person's git in dir and returns standard error and the failure.
func (w *world) try(name, dir string, args ...string) (string, error) {
	cmd := exec.Command("git", args...)
	cmd.Dir = dir
	cmd.Env = w.env(name)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	return out.String(), err
}

// git runs a person's git, which must succeed, and returns what it said.
func (w *world) git(name, dir string, args ...string) string {
	w.t.Helper()
	out, err := w.try(name, dir, args...)
	if err != nil {
		w.t.Fatalf("%s: git %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return out
}

// api asks the server's API as root.
func (w *world) api(method, path string, into any) error {
	req, err := http.NewRequest(method, "http://"+w.http+path, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+w.people["root"].token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, body)
	}
	return json.Unmarshal(body, into)
}

// waitIdle waits until the server says that nothing is pending.
func (w *world) waitIdle() {
	w.t.Helper()
	var state map[string]any
	for end := time.Now().Add(5 * time.Minute); ; time.Sleep(50 * time.Millisecond) {
		err := w.api("GET", "/api/v1/admin/state", &state)
		if err == nil && state["idle"] == true {
			return
		}
		if err != nil && strings.Contains(err.Error(), "403") || time.Now().After(end) {
			w.t.Fatalf("not idle after five minutes: %v %v", err, state)
		}
	}
}

// consistent fails the test unless upstream, mirrors, index and deliveries
// agree. A command whose outcome is being looked up needs its two minutes.
func (w *world) consistent() {
	w.t.Helper()
	for end := time.Now().Add(4 * time.Minute); ; time.Sleep(200 * time.Millisecond) {
		var report json.RawMessage
		var verdict struct {
			Consistent bool     `json:"consistent"`
			Faults     []string `json:"faults"`
		}
		must(w.t, w.api("GET", "/api/v1/admin/consistency", &report))
		must(w.t, json.Unmarshal(report, &verdict))
		if verdict.Consistent {
			return
		}
		checking := strings.Contains(fmt.Sprint(verdict.Faults), "whose outcome is being checked")
		if !checking || time.Now().After(end) {
			w.t.Errorf("not consistent: %s", report)
			return
		}
	}
}

// control calls a stand-in's control path.
func control(t testing.TB, base, method, path, body string) []byte {
	t.Helper()
	req, err := http.NewRequest(method, base+"/_sandbox/"+path, strings.NewReader(body))
	must(t, err)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	must(t, err)
	defer resp.Body.Close()
	out, err := io.ReadAll(resp.Body)
	must(t, err)
	if resp.StatusCode >= 300 {
		t.Fatalf("%s %s: %s: %s", method, path, resp.Status, out)
	}
	return out
}

func listen(t testing.TB) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	return ln
}

// freeAddr finds an address that is free now, for a server that will be
// restarted at the same place.
func freeAddr(t testing.TB) string {
	t.Helper()
	ln := listen(t)
	defer ln.Close()
	return ln.Addr().String()
}

func serveHTTP(t testing.TB, ln net.Listener, h http.Handler) {
	srv := &http.Server{Handler: h}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := srv.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	}()
	t.Cleanup(func() { srv.Close(); <-done })
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// syncBuffer is a bytes.Buffer that may be read while it is written.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer // guarded by mu
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func (s *syncBuffer) tail(n int) string {
	text := s.String()
	return text[max(0, len(text)-n):]
}
