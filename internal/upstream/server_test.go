package upstream

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/crypto/ssh"

	"gitferry/internal/ferry"
	"gitferry/internal/pktline"
)

func gitEnv(extra ...string) []string {
	return append([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=/nonexistent", "LC_ALL=C",
		"GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_TERMINAL_PROMPT=0",
		"GIT_AUTHOR_NAME=A", "GIT_AUTHOR_EMAIL=a@example.com", "GIT_COMMITTER_NAME=A", "GIT_COMMITTER_EMAIL=a@example.com",
		"GIT_AUTHOR_DATE=1700000000 +0000", "GIT_COMMITTER_DATE=1700000000 +0000",
	}, extra...)
}

func git(t *testing.T, dir string, args ...string) string {
	t.Helper()
	return strings.TrimSpace(string(gitIn(t, dir, nil, args...)))
}

func gitIn(t *testing.T, dir string, in []byte, args ...string) []byte {
	t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir, cmd.Env, cmd.Stdin = dir, gitEnv(), bytes.NewReader(in)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("git %v: %v\n%s", args, err, stderr.Bytes())
	}
	return out
}

// A fixture is a bare repository at ROOT/v1/repos/demo with one commit on
// main and an annotated tag, and a clone with one commit more.
type fixture struct {
	root, bare, work string
	tip, next        ferry.OID
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	root := t.TempDir()
	f := &fixture{root: root, bare: filepath.Join(root, "v1", "repos", "demo"), work: filepath.Join(t.TempDir(), "work")}
	git(t, root, "init", "-q", "--bare", "-b", "main", f.bare)
	git(t, root, "init", "-q", "--bare", "-b", "main", filepath.Join(root, "v1", "repos", "empty"))
	git(t, root, "init", "-q", "-b", "main", f.work)
	if err := os.WriteFile(filepath.Join(f.work, "a"), bytes.Repeat([]byte("line\n"), 100), 0o666); err != nil {
		t.Fatal(err)
	}
	git(t, f.work, "add", "a")
	git(t, f.work, "commit", "-q", "-m", "DEMO-1 first")
	git(t, f.work, "tag", "-a", "-m", "one", "v1")
	git(t, f.work, "push", "-q", f.bare, "main", "v1")
	noise := make([]byte, 200<<10)
	rand.Read(noise)
	if err := os.WriteFile(filepath.Join(f.work, "b"), noise, 0o666); err != nil {
		t.Fatal(err)
	}
	git(t, f.work, "add", "b")
	git(t, f.work, "commit", "-q", "-m", "DEMO-2 second")
	f.tip, f.next = oid(t, git(t, f.work, "rev-parse", "HEAD~1")), oid(t, git(t, f.work, "rev-parse", "HEAD"))
	return f
}

func oid(t *testing.T, s string) ferry.OID {
	t.Helper()
	o, err := ferry.ParseOID(s)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// request is the body of a push that moves main from tip to next.
func (f *fixture) request(t *testing.T, caps string) []byte {
	t.Helper()
	return f.requestFor(t, ferry.RefUpdate{Name: "refs/heads/main", Old: f.tip, New: f.next}, caps)
}

// requestFor is the same for another ref; the pack brings next onto tip.
func (f *fixture) requestFor(t *testing.T, update ferry.RefUpdate, caps string) []byte {
	t.Helper()
	var b bytes.Buffer
	err := pktline.WriteCommands(pktline.NewWriter(&b), &pktline.Commands{
		Updates:      []ferry.RefUpdate{update},
		Capabilities: pktline.ParseCapabilities(caps),
	})
	if err != nil {
		t.Fatal(err)
	}
	b.Write(gitIn(t, f.work, []byte(f.next.String()+"\n^"+f.tip.String()+"\n"), "pack-objects", "--revs", "--stdout", "-q"))
	return b.Bytes()
}

func (f *fixture) main(t *testing.T) ferry.OID {
	t.Helper()
	return oid(t, git(t, f.bare, "rev-parse", "refs/heads/main"))
}

// serveGitHTTP runs git http-backend behind Basic credentials.
func serveGitHTTP(t *testing.T, f *fixture) *httptest.Server {
	t.Helper()
	execPath := git(t, f.root, "--exec-path")
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, ok := r.BasicAuth()
		switch {
		case !ok:
			w.Header().Set("WWW-Authenticate", `Basic realm="git"`)
			http.Error(w, "credentials needed", http.StatusUnauthorized)
			return
		case user != "dev-at-123456789012" || password != "pa/ss=word":
			http.Error(w, "no", http.StatusForbidden)
			return
		}
		r.TransferEncoding = nil // net/http/cgi refuses chunked bodies; git reads to the end
		(&cgi.Handler{
			Path:   filepath.Join(execPath, "git-http-backend"),
			Env:    gitEnv("GIT_PROJECT_ROOT="+f.root, "GIT_HTTP_EXPORT_ALL=1", "REMOTE_USER="+user),
			Logger: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
			Stderr: io.Discard,
		}).ServeHTTP(w, r)
	}))
	t.Cleanup(srv.Close)
	return srv
}

func basicTarget(url string) Target {
	return Target{
		URL: url, Auth: ferry.GitAuthBasic, GitUsername: "dev-at-123456789012",
		Credentials: ferry.Credentials{GitPassword: ferry.NewSecret("pa/ss=word")}, PrivateNetwork: true,
	}
}

// An sshServer runs git services for keys that its user APKATEST signs with.
type sshServer struct {
	addr    string
	hostKey string // as in known_hosts, without the host
	conns   atomic.Int64
	noEnv   atomic.Bool // refuse environment variables: protocol version 0
}

var testRSAKey = sync.OnceValue(func() *rsa.PrivateKey {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return k
})

func privatePEM(t *testing.T, key any, passphrase string) string {
	t.Helper()
	var block *pem.Block
	var err error
	if passphrase == "" {
		block, err = ssh.MarshalPrivateKey(key, "")
	} else {
		block, err = ssh.MarshalPrivateKeyWithPassphrase(key, "", []byte(passphrase))
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(block))
}

func serveGitSSH(t *testing.T, f *fixture) *sshServer {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	host, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	accepted, err := ssh.NewPublicKey(&testRSAKey().PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	config := &ssh.ServerConfig{PublicKeyCallback: func(c ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
		if c.User() != "APKATEST" || !bytes.Equal(key.Marshal(), accepted.Marshal()) {
			return nil, fmt.Errorf("unknown key")
		}
		return nil, nil
	}}
	config.AddHostKey(host)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	s := &sshServer{addr: ln.Addr().String(), hostKey: strings.TrimSpace(string(ssh.MarshalAuthorizedKey(host.PublicKey())))}
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			s.conns.Add(1)
			go s.serveConn(conn, config, f.root)
		}
	}()
	return s
}

func (s *sshServer) serveConn(conn net.Conn, config *ssh.ServerConfig, root string) {
	defer conn.Close()
	_, channels, requests, err := ssh.NewServerConn(conn, config)
	if err != nil {
		return
	}
	go ssh.DiscardRequests(requests)
	for c := range channels {
		channel, requests, err := c.Accept()
		if err != nil {
			return
		}
		go s.serveSession(channel, requests, root)
	}
}

func (s *sshServer) serveSession(channel ssh.Channel, requests <-chan *ssh.Request, root string) {
	defer channel.Close()
	env := gitEnv()
	for r := range requests {
		switch r.Type {
		case "env":
			var v struct{ Name, Value string }
			ok := ssh.Unmarshal(r.Payload, &v) == nil && !s.noEnv.Load()
			if ok {
				env = append(env, v.Name+"="+v.Value)
			}
			r.Reply(ok, nil)
		case "exec":
			var v struct{ Command string }
			ssh.Unmarshal(r.Payload, &v)
			r.Reply(true, nil)
			service, path, _ := strings.Cut(v.Command, " ")
			cmd := exec.Command("git", strings.TrimPrefix(service, "git-"), root+strings.Trim(path, "'"))
			cmd.Env, cmd.Stdout, cmd.Stderr = env, channel, channel.Stderr()
			stdin, err := cmd.StdinPipe()
			if err != nil || cmd.Start() != nil {
				return
			}
			go func() { io.Copy(stdin, channel); stdin.Close() }()
			cmd.Wait()
			channel.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{uint32(cmd.ProcessState.ExitCode())}))
			return
		default:
			r.Reply(false, nil)
		}
	}
}

func (s *sshServer) target(t *testing.T) Target {
	return Target{
		URL: "ssh://" + s.addr + "/v1/repos/demo", Auth: ferry.GitAuthSSH, SSHKeyID: "APKATEST", HostKey: s.hostKey,
		Credentials: ferry.Credentials{SSHPrivateKey: ferry.NewSecret(privatePEM(t, testRSAKey(), ""))}, PrivateNetwork: true,
	}
}

func testDialer(t *testing.T) *Dialer {
	d := NewDialer(slog.New(slog.DiscardHandler), "gitferry/test")
	t.Cleanup(d.Close)
	return d
}

// A cutter passes connections on and cuts each one after so many bytes in one
// of the directions; -1 means never.
type cutter struct {
	addr     string
	up, down atomic.Int64 // bytes let through per connection
}

func newCutter(t *testing.T, to string) *cutter {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(func() { cancel(); ln.Close() })
	c := &cutter{addr: ln.Addr().String()}
	c.up.Store(-1)
	c.down.Store(-1)
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				there, err := net.Dial("tcp", to)
				if err != nil {
					return
				}
				defer there.Close()
				done := make(chan bool, 2)
				pass := func(w io.Writer, r io.Reader, limit int64) {
					if limit >= 0 {
						r = io.LimitReader(r, limit)
					}
					io.Copy(w, r)
					done <- true
				}
				go pass(there, conn, c.up.Load())
				go pass(conn, there, c.down.Load())
				select {
				case <-done:
				case <-ctx.Done():
				}
			}()
		}
	}()
	return c
}
