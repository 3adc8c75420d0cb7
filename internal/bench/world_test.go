package bench

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/cgi"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"gitferry/internal/git"
	"gitferry/internal/sandbox/codecommit"
)

// roleVariable makes the test binary play another process.
const roleVariable = "GITFERRY_BENCH_ROLE"

// serveBackend serves git http-backend for the repositories below
// GIT_PROJECT_ROOT, on the address in the role, until it is killed.
func serveBackend(addr string) error {
	out, err := exec.Command("git", "--exec-path").Output()
	if err != nil {
		return err
	}
	h := &cgi.Handler{Path: filepath.Join(strings.TrimSpace(string(out)), "git-http-backend"), Stderr: os.Stderr,
		InheritEnv: []string{"GIT_PROJECT_ROOT", "GIT_HTTP_EXPORT_ALL", "GIT_CONFIG_COUNT", "GIT_CONFIG_KEY_0", "GIT_CONFIG_VALUE_0",
			"GIT_CONFIG_KEY_1", "GIT_CONFIG_VALUE_1", "GIT_CONFIG_KEY_2", "GIT_CONFIG_VALUE_2", "GIT_CONFIG_NOSYSTEM"}}
	return http.ListenAndServe(addr, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		one := *h
		r.TransferEncoding = nil // git reads a body of unknown length to its end
		if p := r.Header.Get("Git-Protocol"); p == "version=2" {
			one.Env = []string{"GIT_PROTOCOL=version=2"}
		}
		one.ServeHTTP(w, r)
	}))
}

// bench is a server process, a stand-in CodeCommit and a plain http-backend.
type bench struct {
	t    testing.TB
	dir  string
	rows []*row
	log  bytes.Buffer

	codecommit *codecommit.Server
	awsURL     string // CodeCommit, and the same behind a slow link
	slowURL    string
	awsSSH     string

	backend    string // address
	backendPID int

	server    *exec.Cmd
	http, ssh string
	token     string
	env       []string            // of the server, besides the usual
	key       string              // private key file
	plain     []string            // repositories at the http-backend that gitferry is told of
	connected map[string][]string // region -> repositories that gitferry is told of
	paths     map[string]string   // repository name -> OWNER/NAME
	mirrors   map[string]string   // repository name -> directory
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (b *bench) path(name string) string { return filepath.Join(b.dir, name) }

func listen(t testing.TB) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	return ln
}

func freeAddr(t testing.TB) string {
	ln := listen(t)
	defer ln.Close()
	return ln.Addr().String()
}

const region, slowRegion = "us-east-1", "us-west-2"

// newBench starts the stand-in and the http-backend; start starts the server.
func newBench(t testing.TB) *bench {
	b := &bench{t: t, dir: t.TempDir(), connected: make(map[string][]string)}
	g, err := git.New(t.Context(), b.mkdir("standin"))
	must(t, err)
	ln := listen(t)
	b.awsURL = "http://" + ln.Addr().String()
	b.codecommit, err = codecommit.New(codecommit.Config{Dir: b.path("standin/repositories"), Git: g, Log: slog.New(slog.DiscardHandler), URL: b.awsURL})
	must(t, err)
	srv := &http.Server{Handler: b.codecommit.Handler()}
	go srv.Serve(ln)
	t.Cleanup(func() { srv.Close() })
	sshListener := listen(t)
	b.awsSSH = sshListener.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	go b.codecommit.ServeSSH(ctx, sshListener)
	go b.codecommit.Run(ctx)
	b.slowURL = "http://" + slowLink(t, ln.Addr().String(), 10*time.Millisecond)
	b.startBackend()
	return b
}

func (b *bench) mkdir(name string) string {
	must(b.t, os.MkdirAll(b.path(name), 0o700))
	return b.path(name)
}

// startBackend runs git http-backend over everything in the bench's directory.
func (b *bench) startBackend() {
	b.backend = freeAddr(b.t)
	exe, err := os.Executable()
	must(b.t, err)
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), roleVariable+"=backend "+b.backend, "GIT_PROJECT_ROOT="+b.dir, "GIT_HTTP_EXPORT_ALL=1", "GIT_CONFIG_NOSYSTEM=1",
		"GIT_CONFIG_COUNT=3", "GIT_CONFIG_KEY_0=http.receivepack", "GIT_CONFIG_VALUE_0=true", "GIT_CONFIG_KEY_1=safe.directory", "GIT_CONFIG_VALUE_1=*",
		"GIT_CONFIG_KEY_2=uploadpack.allowFilter", "GIT_CONFIG_VALUE_2=true")
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	must(b.t, cmd.Start())
	b.backendPID = cmd.Process.Pid
	b.t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	b.await(b.backend)
}

func (b *bench) await(addr string) {
	for range 500 {
		if c, err := net.Dial("tcp", addr); err == nil {
			c.Close()
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	b.t.Fatalf("nothing listens on %s", addr)
}

// slowLink forwards to addr; each direction takes delay longer.
func slowLink(t testing.TB, addr string, delay time.Duration) string {
	ln := listen(t)
	t.Cleanup(func() { ln.Close() })
	type piece struct {
		at time.Time
		p  []byte
	}
	pump := func(to, from net.Conn) {
		queue := make(chan piece, 1024)
		go func() {
			for q := range queue {
				time.Sleep(time.Until(q.at))
				if _, err := to.Write(q.p); err != nil {
					break
				}
			}
			if c, ok := to.(*net.TCPConn); ok {
				_ = c.CloseWrite()
			}
			for range queue {
			}
		}()
		for {
			p := make([]byte, 64<<10)
			n, err := from.Read(p)
			if n > 0 {
				queue <- piece{time.Now().Add(delay), p[:n]}
			}
			if err != nil {
				close(queue)
				return
			}
		}
	}
	go func() {
		for {
			near, err := ln.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", addr)
			if err != nil {
				near.Close()
				continue
			}
			go pump(far, near)
			go pump(near, far)
		}
	}()
	return ln.Addr().String()
}

// start writes the configuration and runs the server; extra is further YAML.
func (b *bench) start(extra string) {
	b.t.Helper()
	b.newKey()
	c := b.codecommit.Credentials()
	master := make([]byte, 32)
	_, _ = rand.Read(master)
	_ = os.Remove(b.path("master.key"))
	must(b.t, os.WriteFile(b.path("master.key"), []byte(hex.EncodeToString(master)), 0o400))
	b.http, b.ssh = freeAddr(b.t), freeAddr(b.t)
	public, err := os.ReadFile(b.key + ".pub")
	must(b.t, err)
	var y strings.Builder
	fmt.Fprintf(&y, "data_dir: %s\nmaster_key_file: %s\nhttp:\n  listen: %s\nssh:\n  listen: %s\nupstream:\n  poll: 1h\n  freshness: 1h\n%s",
		b.mkdir("data"), b.path("master.key"), b.http, b.ssh, extra)
	fmt.Fprintf(&y, "users:\n  - name: alice\n    admin: true\n    ssh_keys: [%q]\ngrants:\n  - {user: alice, repositories: '**', level: admin}\nintegrations:\n", strings.TrimSpace(string(public)))
	for r, url := range map[string]string{region: b.awsURL, slowRegion: b.slowURL} {
		fmt.Fprintf(&y, "  - {kind: codecommit, region: %s, auth: basic, access_key_id: %s, secret_access_key: %q, git_username: %s, git_password: %q, api_endpoint: '%s', sns_endpoint: '%s', git_endpoint: '%s/%s', private_network: true, repositories: [%s]}\n",
			r, c.AccessKeyID, c.SecretAccessKey, c.GitUsername, c.GitPassword, b.awsURL, b.awsURL, url, r, strings.Join(b.connected[r], ", "))
	}
	for _, p := range b.plain {
		fmt.Fprintf(&y, "  - {kind: git, slug: %s, url: 'http://%s/%s.git', auth: none, private_network: true}\n", p, b.backend, p)
	}
	must(b.t, os.WriteFile(b.path("gitferry.yaml"), []byte(y.String()), 0o600))
	b.restart()
	var answer struct{ Token string }
	must(b.t, json.Unmarshal(b.gitferry("token", "add", "alice", "--name", "bench", "--scope", "repo:read,repo:write,api:read,api:admin", "--json"), &answer))
	b.token = answer.Token
}

// restart runs the server on the configuration that is there and returns how
// long it took until it was ready.
func (b *bench) restart() time.Duration {
	b.t.Helper()
	ready := b.path("ready.json")
	_ = os.Remove(ready)
	cmd := exec.Command(binary, "serve", "--config", b.path("gitferry.yaml"), "--ready-file", ready)
	cmd.Stdout, cmd.Stderr = &b.log, &b.log
	cmd.Env = append(append(os.Environ(), "AWS_EC2_METADATA_DISABLED=true"), b.env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	begin := time.Now()
	must(b.t, cmd.Start())
	b.server = cmd
	b.t.Cleanup(b.stop)
	for {
		if _, err := os.Stat(ready); err == nil {
			return time.Since(begin)
		}
		if time.Since(begin) > time.Minute {
			b.t.Fatalf("the server is not ready:\n%s", b.log.String())
		}
		time.Sleep(2 * time.Millisecond)
	}
}

func (b *bench) stop() {
	if b.server == nil {
		return
	}
	_ = b.server.Process.Signal(syscall.SIGTERM)
	_ = b.server.Wait()
	b.server = nil
}

func (b *bench) newKey() {
	if b.key != "" {
		return
	}
	public, private, err := ed25519.GenerateKey(rand.Reader)
	must(b.t, err)
	block, err := ssh.MarshalPrivateKey(private, "bench")
	must(b.t, err)
	b.key = b.path("bench.key")
	must(b.t, os.WriteFile(b.key, pem.EncodeToMemory(block), 0o600))
	key, err := ssh.NewPublicKey(public)
	must(b.t, err)
	must(b.t, os.WriteFile(b.key+".pub", ssh.MarshalAuthorizedKey(key), 0o600))
	must(b.t, os.WriteFile(b.path("codecommit.key"), []byte(b.codecommit.Credentials().SSHPrivateKey), 0o600))
}

// gitferry runs a command of the binary.
func (b *bench) gitferry(args ...string) []byte {
	b.t.Helper()
	cmd := exec.Command(binary, append(args, "--config", b.path("gitferry.yaml"))...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		b.t.Fatalf("gitferry %v: %v\n%s", args, err, stderr.String())
	}
	return out
}

// awaitIdle waits until everything is copied and indexed.
func (b *bench) awaitIdle() {
	b.t.Helper()
	for end := time.Now().Add(3 * time.Minute); ; time.Sleep(100 * time.Millisecond) {
		req, _ := http.NewRequest("GET", "http://"+b.http+"/api/v1/admin/state", nil)
		req.Header.Set("Authorization", "Bearer "+b.token)
		resp, err := http.DefaultClient.Do(req)
		must(b.t, err)
		var state struct {
			Counts       map[string]int
			Repositories []struct{ Indexed bool }
		}
		text, err := io.ReadAll(resp.Body)
		must(b.t, err)
		resp.Body.Close()
		must(b.t, json.Unmarshal(text, &state))
		idle := state.Counts["job_queued"]+state.Counts["job_running"] == 0
		for _, r := range state.Repositories {
			idle = idle && r.Indexed
		}
		if idle {
			break
		}
		if time.Now().After(end) {
			b.t.Fatalf("the server is not idle after three minutes: %s\n%.3000s", text, b.log.String())
		}
	}
	// What it does for nobody, such as reading what commits changed, ends too.
	for quiet := 0; quiet < 4; {
		before := cpuOf(b.t, b.server.Process.Pid)
		time.Sleep(250 * time.Millisecond)
		if cpuOf(b.t, b.server.Process.Pid)-before <= clockTick {
			quiet++
		} else {
			quiet = 0
		}
	}
}

// find learns where the repositories lie.
func (b *bench) find() {
	var list []struct {
		ID   int64
		Path string
	}
	must(b.t, json.Unmarshal(b.gitferry("repo", "list", "--json"), &list))
	b.paths, b.mirrors = make(map[string]string), make(map[string]string)
	for _, r := range list {
		name := r.Path[strings.LastIndexByte(r.Path, '/')+1:]
		b.paths[name] = r.Path
		b.mirrors[name] = filepath.Join("data", "repos", fmt.Sprintf("%02x", r.ID%256), fmt.Sprintf("%d.git", r.ID))
	}
}

// client is the environment of a git client that signs in at once, so that
// neither side has to ask twice.
func (b *bench) client(user, password, sshKey string) []string {
	var env []string
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "GIT_") && !strings.HasPrefix(kv, "HOME=") {
			env = append(env, kv)
		}
	}
	header := "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
	return append(env, "HOME="+b.mkdir("home"), "GIT_CONFIG_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0", "LC_ALL=C",
		"GIT_AUTHOR_NAME=Alice", "GIT_AUTHOR_EMAIL=alice@example.com", "GIT_COMMITTER_NAME=Alice", "GIT_COMMITTER_EMAIL=alice@example.com",
		"GIT_SSH_COMMAND=ssh -F /dev/null -i "+sshKey+" -o IdentitiesOnly=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR -o BatchMode=yes",
		"GIT_CONFIG_COUNT=3", "GIT_CONFIG_KEY_0=http.extraHeader", "GIT_CONFIG_VALUE_0="+header,
		"GIT_CONFIG_KEY_1=init.defaultBranch", "GIT_CONFIG_VALUE_1=main", "GIT_CONFIG_KEY_2=gc.auto", "GIT_CONFIG_VALUE_2=0")
}

func (b *bench) ferryClient() []string { return b.client("alice", b.token, b.key) }

func (b *bench) directClient() []string {
	c := b.codecommit.Credentials()
	return b.client(c.GitUsername, c.GitPassword, b.path("codecommit.key"))
}

func (b *bench) git(env []string, dir string, args ...string) string {
	b.t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir, cmd.Env = dir, env
	out, err := cmd.CombinedOutput()
	if err != nil {
		b.t.Fatalf("git %s: %v\n%s\n%.3000s", strings.Join(args, " "), err, out, b.log.String())
	}
	return string(out)
}

func (b *bench) ferryURL(name string) string { return "http://" + b.http + "/" + b.paths[name] }
func (b *bench) ferrySSH(name string) string { return "ssh://git@" + b.ssh + "/" + b.paths[name] }
func (b *bench) directURL(name string) string {
	return b.awsURL + "/" + region + "/v1/repos/" + name
}
func (b *bench) slowDirectURL(name string) string {
	return b.slowURL + "/" + slowRegion + "/v1/repos/" + name
}
func (b *bench) directSSH(name string) string {
	return "ssh://" + b.codecommit.Credentials().SSHKeyID + "@" + b.awsSSH + "/" + region + "/v1/repos/" + name
}
func (b *bench) backendURL(path string) string { return "http://" + b.backend + "/" + path }
