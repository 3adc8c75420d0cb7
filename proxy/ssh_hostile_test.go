package proxy

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"gitferry/internal/ferry"
)

// borrowed is a public key that a client offers without having the private
// half: the library's client asks the server about it, then finds its own
// answer changed and goes on to the next key without signing.
type borrowed struct {
	ssh.Signer
	asked bool
}

func (b *borrowed) PublicKey() ssh.PublicKey { return borrowedKey{b.Signer.PublicKey(), b} }

type borrowedKey struct {
	ssh.PublicKey
	b *borrowed
}

func (k borrowedKey) Marshal() []byte {
	if k.b.asked {
		return nil
	}
	k.b.asked = true
	return k.PublicKey.Marshal()
}

// TestSSHTwoKeys: the key that signed decides, whatever else was offered
// before (CVE-2024-45337).
func TestSSHTwoKeys(t *testing.T) {
	var offers atomic.Int64
	d := startDoor(t, func(d *SSHDoor) {
		d.Known = func(context.Context, ssh.PublicKey) bool { offers.Add(1); return true }
	})
	offer := func(s ssh.Signer) ssh.Signer { return &borrowed{Signer: s} }
	for _, signers := range [][]ssh.Signer{
		{offer(d.alice), d.bob},
		{offer(d.bob), offer(d.alice), d.bob},
	} {
		offers.Store(0)
		stdout, _, _ := output(t, d.dial(t, signers...), "git-upload-pack 'a/b'")
		if !strings.HasPrefix(stdout, "bob ") {
			t.Errorf("signed as bob, served as %q", stdout)
		}
		if n := offers.Load(); n != int64(len(signers)) {
			t.Errorf("%d keys were offered, want %d", n, len(signers))
		}
	}
	if client, err := ssh.Dial("tcp", d.addr, d.config(offer(d.alice))); err == nil {
		client.Close()
		t.Error("let in without a signature")
	}
}

// TestSSHMethods: only publickey is offered, and nobody gets in without.
func TestSSHMethods(t *testing.T) {
	d := startDoor(t, nil)
	asked := false
	for name, auth := range map[string][]ssh.AuthMethod{
		"none":     nil,
		"password": {ssh.Password("secret")},
		"keyboard-interactive": {ssh.KeyboardInteractive(func(string, string, []string, []bool) ([]string, error) {
			asked = true
			return nil, nil
		})},
	} {
		config := d.config()
		config.Auth = auth
		_, err := ssh.Dial("tcp", d.addr, config)
		if err == nil || !strings.Contains(err.Error(), "attempted methods [none], no supported methods remain") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if asked {
		t.Error("a question was asked")
	}
}

// TestSSHTestsItself: without a handler of its own the library would let
// everybody in; Run would not begin.
func TestSSHTestsItself(t *testing.T) {
	host, _ := newKey(t)
	d := &SSHDoor{HostKeys: []ssh.Signer{host}, Log: slog.New(slog.DiscardHandler)}
	r, err := newSSHRun(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.testNoKey(t.Context()); err != nil {
		t.Errorf("the door as it is: %v", err)
	}
	r.server.PublicKeyHandler = nil
	if err := r.testNoKey(t.Context()); err == nil {
		t.Error("the open door passed its test")
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := (&SSHDoor{Log: d.Log}).Run(t.Context(), ln); !errors.Is(err, ferry.ErrInvalid) {
		t.Errorf("without host keys: %v", err)
	}
}

// TestSSHSilentConnections: who does not log in is cut off in time, wherever
// the handshake stalls.
func TestSSHSilentConnections(t *testing.T) {
	d := startDoor(t, func(d *SSHDoor) { d.Limits.Handshake = 400 * time.Millisecond })
	for name, say := range map[string]string{
		"nothing":       "",
		"banner":        "SSH-2.0-slow\r\n",
		"half a packet": "SSH-2.0-slow\r\n\x00\x00\x04\x00\x05\x14",
		"endless line":  strings.Repeat("x", 200),
	} {
		conn, err := net.Dial("tcp", d.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		io.WriteString(conn, say)
		start := time.Now()
		conn.SetReadDeadline(start.Add(10 * time.Second))
		_, err = io.Copy(io.Discard, conn)
		if ne, ok := errors.AsType[net.Error](err); ok && ne.Timeout() {
			t.Errorf("%s: still open after %v", name, time.Since(start))
		}
	}
	// Logged in, the connection outlives the handshake's limit.
	client := d.dial(t, d.bob)
	time.Sleep(600 * time.Millisecond)
	if stdout, _, _ := output(t, client, "git-upload-pack 'a/b'"); !strings.HasPrefix(stdout, "bob ") {
		t.Errorf("after the handshake's limit: %q", stdout)
	}
}

// TestSSHPreAuthCap: ten connections of an address may be logging in; the
// next is closed at once, and place is made again.
func TestSSHPreAuthCap(t *testing.T) {
	d := startDoor(t, nil)
	var held []net.Conn
	for range 10 {
		conn, err := net.Dial("tcp", d.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conn.SetReadDeadline(time.Now().Add(5 * time.Second))
		if _, err := conn.Read(make([]byte, 1)); err != nil {
			t.Fatalf("connection %d: %v", len(held)+1, err)
		}
		held = append(held, conn)
	}
	conn, err := net.Dial("tcp", d.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetReadDeadline(time.Now().Add(5 * time.Second))
	if n, err := conn.Read(make([]byte, 1)); n > 0 || err == nil {
		t.Error("the eleventh connection is served")
	} else if ne, ok := errors.AsType[net.Error](err); ok && ne.Timeout() {
		t.Error("the eleventh connection is left open")
	}
	held[0].Close()
	for range 100 { // until the door has noticed
		client, err := ssh.Dial("tcp", d.addr, d.config(d.bob))
		if err == nil {
			client.Close()
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Error("no place was made")
}

// TestSSHUserCap: a user's connections are bounded, another user's are not
// concerned.
func TestSSHUserCap(t *testing.T) {
	d := startDoor(t, func(d *SSHDoor) { d.Limits.PerUser = 3 })
	for range 3 {
		d.dial(t, d.bob)
	}
	banner := ""
	config := d.config(d.bob)
	config.BannerCallback = func(m string) error { banner = m; return nil }
	if _, err := ssh.Dial("tcp", d.addr, config); err == nil || !strings.Contains(banner, "too many connections") {
		t.Errorf("fourth connection: %v, banner %q", err, banner)
	}
	d.dial(t, d.alice)
	for range 25 { // does not count against the address
		ssh.Dial("tcp", d.addr, d.config(d.bob))
	}
	d.dial(t, d.alice)
}

// TestSSHAuthTries: six refused keys end the connection, and the address is
// blocked after twenty.
func TestSSHAuthTries(t *testing.T) {
	d := startDoor(t, nil)
	var keys []ssh.Signer
	for range 8 {
		k, _ := newKey(t)
		keys = append(keys, k)
	}
	// A good key behind six bad ones comes too late, behind five in time.
	if client, err := ssh.Dial("tcp", d.addr, d.config(append(slices.Clone(keys[:6]), d.bob)...)); err == nil {
		client.Close()
		t.Error("a seventh key was tried")
	}
	d.dial(t, append(slices.Clone(keys[:5]), d.bob)...)
	for range 3 {
		ssh.Dial("tcp", d.addr, d.config(keys...))
	}
	deadline := time.Now().Add(5 * time.Second)
	for time.Now().Before(deadline) {
		if _, err := ssh.Dial("tcp", d.addr, d.config(d.bob)); err != nil {
			return
		}
	}
	t.Error("the address was not blocked")
}

// TestSSHPanics: a panic in a command or while signing in ends that
// connection or command only.
func TestSSHPanics(t *testing.T) {
	carol, _ := newKey(t)
	d := startDoor(t, func(door *SSHDoor) {
		serve, authenticate := door.Serve, door.Authenticate
		door.Serve = func(ctx context.Context, s Session) int {
			if s.Command.Path == "a/panic" {
				panic("in a command")
			}
			return serve(ctx, s)
		}
		door.Authenticate = func(ctx context.Context, key ssh.PublicKey, remote string) (ferry.Subject, error) {
			if bytes.Equal(key.Marshal(), carol.PublicKey().Marshal()) {
				panic("while signing in")
			}
			return authenticate(ctx, key, remote)
		}
	})
	client := d.dial(t, d.bob)
	if _, stderr, status := output(t, client, "git-upload-pack 'a/panic'"); status != 128 || !strings.Contains(stderr, "internal error") || strings.Contains(stderr, "in a command") {
		t.Errorf("got %q, status %d", stderr, status)
	}
	if _, err := ssh.Dial("tcp", d.addr, d.config(carol)); err == nil {
		t.Error("signed in by a panic")
	}
	if stdout, _, _ := output(t, client, "git-upload-pack 'a/b'"); !strings.HasPrefix(stdout, "bob ") {
		t.Errorf("after the panics: %q", stdout)
	}
	logged := func() bool {
		log := d.log.String()
		return strings.Contains(log, "in a command") && strings.Contains(log, "while signing in")
	}
	for end := time.Now().Add(10 * time.Second); !logged() && time.Now().Before(end); {
		time.Sleep(10 * time.Millisecond) // the client may be back before the line is written
	}
	if !logged() {
		t.Errorf("the log lacks the panics: %s", d.log.String())
	}
}

// TestSSHManySessions: ten sessions are open at most, the others are turned
// away, and the connection stays usable.
func TestSSHManySessions(t *testing.T) {
	d := startDoor(t, nil)
	client := d.dial(t, d.bob)
	var open []*ssh.Session
	for range 5000 {
		session, err := client.NewSession()
		if err == nil {
			open = append(open, session)
			continue
		}
		if _, ok := errors.AsType[*ssh.OpenChannelError](err); !ok {
			t.Fatal(err)
		}
	}
	if len(open) != 10 {
		t.Errorf("%d sessions are open", len(open))
	}
	if stdout, _, _ := sessionOutput(t, open[9], "git-upload-pack 'a/b'"); !strings.HasPrefix(stdout, "bob ") {
		t.Errorf("tenth session: %q", stdout)
	}
}

// TestSSHSessionWithoutCommand is closed in time.
func TestSSHSessionWithoutCommand(t *testing.T) {
	d := startDoor(t, func(d *SSHDoor) { d.Limits.SessionStart = 300 * time.Millisecond })
	client := d.dial(t, d.bob)
	channel, requests, err := client.OpenChannel("session", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer channel.Close()
	select {
	case _, ok := <-requests:
		if ok {
			t.Error("a request came")
		}
	case <-time.After(10 * time.Second):
		t.Error("the session is still open")
	}
	if stdout, _, _ := output(t, client, "git-upload-pack 'a/b'"); !strings.HasPrefix(stdout, "bob ") {
		t.Errorf("the connection: %q", stdout)
	}
}

// TestSSHEnvironment: only a valid GIT_PROTOCOL is kept; an eleventh request
// closes the session.
func TestSSHEnvironment(t *testing.T) {
	d := startDoor(t, nil)
	client := d.dial(t, d.bob)
	session, err := client.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{"LD_PRELOAD": "x.so", "GIT_PROTOCOL": "version=2; id", "GIT_DIR": "/"} {
		if err := session.Setenv(name, value); err == nil {
			t.Errorf("%s=%s was taken", name, value)
		}
	}
	if err := session.Setenv("GIT_PROTOCOL", "version=2"); err != nil {
		t.Error(err)
	}
	for range 6 {
		session.Setenv("X", "y")
	}
	if stdout, _, _ := sessionOutput(t, session, "git-upload-pack 'a/b'"); stdout != "bob git-upload-pack a/b version=2" {
		t.Errorf("got %q", stdout)
	}
	flood, err := client.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	for i := range 20_000 {
		if err := flood.Setenv("GIT_PROTOCOL", "version=2"); err != nil {
			if i != 10 {
				t.Errorf("env request %d: %v", i+1, err)
			}
			break
		}
	}
	if err := flood.Start("git-upload-pack 'a/b'"); err == nil {
		t.Error("the session outlived the flood")
	}
}

// TestSSHRefusedRequests: everything but exec is refused, and the connection
// stays usable.
func TestSSHRefusedRequests(t *testing.T) {
	d := startDoor(t, nil)
	client := d.dial(t, d.bob)
	for _, name := range []string{"tcpip-forward", "cancel-tcpip-forward", "streamlocal-forward@openssh.com", "keepalive@openssh.com", "unknown"} {
		if ok, _, err := client.SendRequest(name, true, []byte("x")); ok || err != nil {
			t.Errorf("global %s: %t, %v", name, ok, err)
		}
	}
	for _, name := range []string{"direct-tcpip", "forwarded-tcpip", "direct-streamlocal@openssh.com", "x11", "auth-agent@openssh.com"} {
		if _, _, err := client.OpenChannel(name, nil); err == nil {
			t.Errorf("channel %s was opened", name)
		}
	}
	session, err := client.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	if err := session.RequestPty("xterm", 24, 80, ssh.TerminalModes{}); err == nil {
		t.Error("a terminal was given")
	}
	if err := session.RequestSubsystem("sftp"); err == nil {
		t.Error("sftp was started")
	}
	for _, name := range []string{"x11-req", "auth-agent-req@openssh.com", "window-change", "signal", "break", "unknown"} {
		if ok, err := session.SendRequest(name, true, nil); ok || err != nil {
			t.Errorf("%s: %t, %v", name, ok, err)
		}
	}
	if ok, err := session.SendRequest("exec", true, []byte("not a string")); ok || err != nil {
		t.Errorf("malformed exec: %t, %v", ok, err)
	}
	if stdout, _, _ := sessionOutput(t, session, "git-upload-pack 'a/b'"); stdout != "bob git-upload-pack a/b " {
		t.Errorf("got %q", stdout)
	}
	session, err = client.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	session.Stderr = &stderr
	session.RequestPty("xterm", 24, 80, ssh.TerminalModes{})
	if err := session.Shell(); err != nil {
		t.Fatal(err)
	}
	if exit, ok := errors.AsType[*ssh.ExitError](session.Wait()); !ok || exit.ExitStatus() != 1 || !strings.HasPrefix(stderr.String(), "Hello bob. ") {
		t.Errorf("shell: %v, %q", exit, stderr.String())
	}
}

// TestSSHOneCommand: a session runs one command.
func TestSSHOneCommand(t *testing.T) {
	release := make(chan struct{})
	d := startDoor(t, func(d *SSHDoor) {
		d.Serve = func(context.Context, Session) int { <-release; return 0 }
	})
	session, err := d.dial(t, d.bob).NewSession()
	if err != nil {
		t.Fatal(err)
	}
	if err := session.Start("git-upload-pack 'a/b'"); err != nil {
		t.Fatal(err)
	}
	payload := ssh.Marshal(struct{ Command string }{"git-receive-pack 'a/b'"})
	if ok, err := session.SendRequest("exec", true, payload); ok || err != nil {
		t.Errorf("second exec: %t, %v", ok, err)
	}
	close(release)
	if err := session.Wait(); err != nil {
		t.Error(err)
	}
}

// TestSSHIdle: a command without a byte in either direction is ended.
func TestSSHIdle(t *testing.T) {
	ended := make(chan struct{})
	d := startDoor(t, func(d *SSHDoor) {
		d.Limits.Idle = 500 * time.Millisecond
		d.Serve = func(ctx context.Context, s Session) int {
			for range 4 { // a second of work with signs of life
				time.Sleep(250 * time.Millisecond)
				io.WriteString(s.Stdout, "x")
			}
			<-ctx.Done()
			close(ended)
			return 0
		}
	})
	start := time.Now()
	session, err := d.dial(t, d.bob).NewSession()
	if err != nil {
		t.Fatal(err)
	}
	out, _ := session.StdoutPipe()
	if err := session.Start("git-upload-pack 'a/b'"); err != nil {
		t.Fatal(err)
	}
	got, _ := io.ReadAll(out)
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		t.Fatal("the command still runs")
	}
	if string(got) != "xxxx" || time.Since(start) < 1400*time.Millisecond {
		t.Errorf("got %q after %v", got, time.Since(start))
	}
}

// TestSSHEarlyRefusal: a push that is answered while the client still sends
// is read to its end, so that the client gets the answer; a client that falls
// silent is not waited for.
func TestSSHEarlyRefusal(t *testing.T) {
	d := startDoor(t, func(d *SSHDoor) {
		d.Limits.DrainPause = 500 * time.Millisecond
		d.Serve = func(_ context.Context, s Session) int {
			io.WriteString(s.Stdout, "refused")
			return 0
		}
	})
	client := d.dial(t, d.bob)
	session, err := client.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	pack := make([]byte, 24<<20)
	session.Stdin = bytes.NewReader(pack)
	out, err := session.Output("git-receive-pack 'a/b'")
	if err != nil || string(out) != "refused" {
		t.Errorf("got %q, %v", out, err)
	}

	silent, err := client.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := silent.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	out, err = silent.Output("git-receive-pack 'a/b'")
	if err != nil || string(out) != "refused" || time.Since(start) > 5*time.Second {
		t.Errorf("silent client: got %q, %v after %v", out, err, time.Since(start))
	}
}

// TestSSHRightsAreFresh: a later command on an old connection is carried out
// with the rights that hold then.
func TestSSHRightsAreFresh(t *testing.T) {
	var ahead, asked atomic.Int64
	var gone atomic.Bool
	d := startDoor(t, func(d *SSHDoor) {
		authenticate := d.Authenticate
		d.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
		d.Authenticate = func(ctx context.Context, key ssh.PublicKey, remote string) (ferry.Subject, error) {
			asked.Add(1)
			s, err := authenticate(ctx, key, remote)
			s.User.Disabled = gone.Load()
			return s, err
		}
	})
	client := d.dial(t, d.bob)
	output(t, client, "git-upload-pack 'a/b'")
	if n := asked.Load(); n != 1 {
		t.Errorf("asked %d times for one log-in", n)
	}
	gone.Store(true)
	ahead.Store(int64(time.Minute))
	if stdout, stderr, status := output(t, client, "git-upload-pack 'a/b'"); stdout != "" || status != 128 || !strings.Contains(stderr, "permission denied") {
		t.Errorf("got %q, %q, status %d", stdout, stderr, status)
	}
}
