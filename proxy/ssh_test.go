package proxy

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"gitferry/internal/ferry"
)

// testDoor is a running door with two users.
type testDoor struct {
	*SSHDoor
	addr       string
	alice, bob ssh.Signer
	aliceKey   ed25519.PrivateKey
	stop       func() error // ends Run and returns what it returned
	log        *syncBuffer
}

// syncBuffer is a log that goroutines write.
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

func newKey(t testing.TB) (ssh.Signer, ed25519.PrivateKey) {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return signer, private
}

// keyFile writes a private key where the real ssh finds it.
func keyFile(t testing.TB, private any) string {
	t.Helper()
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// startDoor runs a door on loopback; change may set its fields before.
func startDoor(t *testing.T, change func(*SSHDoor)) *testDoor {
	t.Helper()
	host, _ := newKey(t)
	d := &testDoor{log: new(syncBuffer)}
	d.alice, d.aliceKey = newKey(t)
	d.bob, _ = newKey(t)
	d.SSHDoor = &SSHDoor{
		HostKeys: []ssh.Signer{host},
		Authenticate: func(_ context.Context, key ssh.PublicKey, _ string) (ferry.Subject, error) {
			for id, s := range []ssh.Signer{d.alice, d.bob} {
				if bytes.Equal(s.PublicKey().Marshal(), key.Marshal()) {
					return ferry.Subject{User: ferry.User{ID: ferry.UserID(id + 1), Name: []string{"alice", "bob"}[id]}}, nil
				}
			}
			return ferry.Subject{}, ferry.ErrDenied
		},
		Serve: func(_ context.Context, s Session) int {
			fmt.Fprintf(s.Stdout, "%s %s %s %s", s.Subject.User.Name, s.Command.Service, s.Command.Path, s.Protocol)
			return 7
		},
		Log: slog.New(slog.NewTextHandler(d.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	if change != nil {
		change(d.SSHDoor)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d.addr = ln.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx, ln) }()
	d.stop = sync.OnceValue(func() error { cancel(); return <-ended })
	t.Cleanup(func() {
		if err := d.stop(); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return d
}

func (d *testDoor) config(signers ...ssh.Signer) *ssh.ClientConfig {
	return &ssh.ClientConfig{User: "git", Auth: []ssh.AuthMethod{ssh.PublicKeys(signers...)},
		HostKeyCallback: ssh.FixedHostKey(d.HostKeys[0].PublicKey()), HostKeyAlgorithms: []string{ssh.KeyAlgoED25519}, Timeout: 10 * time.Second}
}

func (d *testDoor) dial(t testing.TB, signers ...ssh.Signer) *ssh.Client {
	t.Helper()
	client, err := ssh.Dial("tcp", d.addr, d.config(signers...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return client
}

// output runs one command on a new session.
func output(t testing.TB, client *ssh.Client, command string) (stdout, stderr string, status int) {
	t.Helper()
	session, err := client.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	return sessionOutput(t, session, command)
}

func sessionOutput(t testing.TB, session *ssh.Session, command string) (stdout, stderr string, status int) {
	t.Helper()
	var out, errs bytes.Buffer
	session.Stdout, session.Stderr = &out, &errs
	err := session.Run(command)
	exit, ok := errors.AsType[*ssh.ExitError](err)
	if err != nil && !ok {
		t.Fatalf("%s: %v", command, err)
	}
	if ok {
		status = exit.ExitStatus()
	}
	return out.String(), errs.String(), status
}

// gitDoor serves one repository with the real git.
func gitDoor(t *testing.T, greeting string) (d *testDoor, env []string) {
	t.Helper()
	bare := filepath.Join(t.TempDir(), "bare.git")
	clean := []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "LC_ALL=C", "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null",
		"GIT_AUTHOR_NAME=A", "GIT_AUTHOR_EMAIL=a@example.com", "GIT_COMMITTER_NAME=A", "GIT_COMMITTER_EMAIL=a@example.com"}
	run(t, clean, "", "git", "init", "-q", "--bare", "-b", "main", bare)
	d = startDoor(t, func(door *SSHDoor) {
		door.Greeting = greeting
		door.Serve = func(ctx context.Context, s Session) int {
			if s.Command.Path != "us-west-2/demo" {
				fmt.Fprintf(s.Stderr, "gitferry: no such repository\n")
				return 128
			}
			cmd := exec.CommandContext(ctx, "git", strings.TrimPrefix(s.Command.Service, "git-"), bare)
			cmd.Env = append(clean, "GIT_PROTOCOL="+s.Protocol)
			cmd.Stdout, cmd.Stderr = s.Stdout, s.Stderr
			in, err := cmd.StdinPipe()
			if err != nil {
				return 128
			}
			go func() { io.Copy(in, s.Stdin); in.Close() }()
			if err := cmd.Run(); err != nil {
				return 128
			}
			return 0
		}
	})
	private := keyFile(t, d.aliceKey)
	_, port, _ := net.SplitHostPort(d.addr)
	known := filepath.Join(t.TempDir(), "known_hosts")
	line := fmt.Sprintf("[127.0.0.1]:%s %s", port, ssh.MarshalAuthorizedKey(d.HostKeys[0].PublicKey()))
	if err := os.WriteFile(known, []byte(line), 0o600); err != nil {
		t.Fatal(err)
	}
	command := fmt.Sprintf("ssh -F /dev/null -i %s -o IdentitiesOnly=yes -o BatchMode=yes -o UserKnownHostsFile=%s -p %s", private, known, port)
	return d, append(clean, "GIT_SSH_COMMAND="+command)
}

// run runs a command that may not fail and returns both its outputs.
func run(t testing.TB, env []string, dir string, args ...string) string {
	t.Helper()
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir, cmd.Env = dir, env
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// TestSSHWithRealGit pushes and clones with the real ssh and git, in protocol
// 0 and 2.
func TestSSHWithRealGit(t *testing.T) {
	_, env := gitDoor(t, "")
	url := "git@127.0.0.1:us-west-2/demo.git"
	work := filepath.Join(t.TempDir(), "work")
	run(t, env, "", "git", "init", "-q", "-b", "main", work)
	big := make([]byte, 3<<20)
	rand.Read(big)
	if err := os.WriteFile(filepath.Join(work, "big"), big, 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, env, work, "git", "add", ".")
	run(t, env, work, "git", "commit", "-q", "-m", "DEMO-1 first")
	run(t, env, work, "git", "push", "-q", url, "main")
	for _, version := range []string{"0", "2"} {
		clone := filepath.Join(t.TempDir(), "clone")
		out := run(t, append(env, "GIT_TRACE_PACKET=1"), "", "git", "-c", "protocol.version="+version, "clone", url, clone)
		if got := strings.Contains(out, "< version 2"); got != (version == "2") {
			t.Errorf("protocol %s asked for: version 2 spoken = %t", version, got)
		}
		if got, _ := os.ReadFile(filepath.Join(clone, "big")); !bytes.Equal(got, big) {
			t.Errorf("protocol %s: the clone differs", version)
		}
	}
	cmd := exec.Command("git", "ls-remote", "git@127.0.0.1:us-west-2/other.git")
	cmd.Env = env
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "gitferry: no such repository") {
		t.Errorf("unknown repository: %v, %s", err, out)
	}
}

// TestSSHGreeting: who logs in without a command is told so.
func TestSSHGreeting(t *testing.T) {
	_, env := gitDoor(t, "To clone:\n    git clone ssh://git@git.example.com/OWNER/NAME.git")
	command, _ := strings.CutPrefix(env[len(env)-1], "GIT_SSH_COMMAND=")
	args := append(strings.Fields(command), "-T", "git@127.0.0.1")
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = env
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 1 {
		t.Errorf("%v, want exit status 1", err)
	}
	for _, want := range []string{"Hello alice.", "no shell", "git clone ssh://git@git.example.com/OWNER/NAME.git"} {
		if !strings.Contains(stderr.String(), want) {
			t.Errorf("%q lacks %q", stderr.String(), want)
		}
	}
	if stdout.Len() > 0 {
		t.Errorf("standard output %q", stdout.String())
	}
}

// TestSSHCommands: what the door passes on and what it refuses by itself.
func TestSSHCommands(t *testing.T) {
	d := startDoor(t, nil)
	client := d.dial(t, d.bob)
	stdout, _, status := output(t, client, "git-upload-pack '/us-west-2/demo.git'")
	if stdout != "bob git-upload-pack us-west-2/demo " || status != 7 {
		t.Errorf("got %q, status %d", stdout, status)
	}
	for _, command := range []string{"sh", "", "git-upload-pack '../x'", "git-upload-archive 'a/b'"} {
		stdout, stderr, status := output(t, client, command)
		if stdout != "" || status != 128 || !strings.HasPrefix(stderr, "gitferry: ") || strings.Count(stderr, "\n") != 1 {
			t.Errorf("%q: got %q, %q, status %d", command, stdout, stderr, status)
		}
	}
}

// TestSSHSanitizesStderr: no escape sequence reaches the client's terminal.
func TestSSHSanitizesStderr(t *testing.T) {
	d := startDoor(t, func(d *SSHDoor) {
		d.Serve = func(_ context.Context, s Session) int {
			io.WriteString(s.Stdout, "\x1bdata\x00")
			io.WriteString(s.Stderr, "\x1b[2Jtext\x07\u202e\n")
			return 0
		}
	})
	stdout, stderr, _ := output(t, d.dial(t, d.bob), "git-upload-pack 'a/b'")
	if stdout != "\x1bdata\x00" || stderr != "[2Jtext\n" {
		t.Errorf("got %q and %q", stdout, stderr)
	}
}

// TestSSHStop: a running command is finished, then Run returns.
func TestSSHStop(t *testing.T) {
	started, finish := make(chan struct{}), make(chan struct{})
	d := startDoor(t, func(d *SSHDoor) {
		d.Serve = func(ctx context.Context, s Session) int {
			close(started)
			<-finish
			if ctx.Err() != nil {
				return 1
			}
			io.WriteString(s.Stdout, "done")
			return 0
		}
	})
	idle := d.dial(t, d.alice)
	client := d.dial(t, d.bob)
	stopped := make(chan error, 1)
	go func() {
		<-started
		go func() { stopped <- d.stop() }()
		idle.Wait() // a connection without a command is closed at once
		if conn, err := net.Dial("tcp", d.addr); err == nil {
			conn.Close()
			t.Error("the listener is still open")
		}
		close(finish)
	}()
	stdout, _, status := output(t, client, "git-upload-pack 'a/b'")
	if stdout != "done" || status != 0 {
		t.Errorf("got %q, status %d", stdout, status)
	}
	if err := <-stopped; err != nil {
		t.Errorf("Run: %v", err)
	}
}

// TestSSHClientGone: the command's context ends with the client's session.
func TestSSHClientGone(t *testing.T) {
	ended := make(chan struct{}, 2)
	d := startDoor(t, func(d *SSHDoor) {
		d.Serve = func(ctx context.Context, s Session) int {
			io.WriteString(s.Stdout, "x")
			<-ctx.Done()
			ended <- struct{}{}
			return 0
		}
	})
	for _, closeAll := range []bool{false, true} {
		client := d.dial(t, d.bob)
		session, err := client.NewSession()
		if err != nil {
			t.Fatal(err)
		}
		out, _ := session.StdoutPipe()
		if err := session.Start("git-upload-pack 'a/b'"); err != nil {
			t.Fatal(err)
		}
		out.Read(make([]byte, 1))
		if closeAll {
			client.Close()
		} else {
			session.Close()
		}
		select {
		case <-ended:
		case <-time.After(10 * time.Second):
			t.Fatal("the command still runs")
		}
	}
}
