package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"runtime/debug"
	"sync"
	"time"

	gliderlabs "github.com/gliderlabs/ssh"
	"golang.org/x/crypto/ssh"

	"gitferry/internal/ferry"
)

// A Session is one git command of a client that signed in over SSH.
type Session struct {
	Subject    ferry.Subject // owner of the key that signed
	Command    GitCommand
	Protocol   string    // value of GIT_PROTOCOL, "" or of the form "version=2"
	Stdin      io.Reader // ends when the client ends it or goes away
	Stdout     io.Writer
	Stderr     io.Writer // sanitized for terminals on the way
	RemoteAddr string    // "IP:port"
}

// An SSHDoor lets git clients in over SSH: it signs them in with their keys
// and admits exec of git-upload-pack and git-receive-pack, and nothing else.
//
// gliderlabs/ssh sits inside an accept loop and a net.Conn of ours, because by
// itself it lets a panic end the process, sets no limit to a handshake, and
// takes a key that was merely offered for the one that signed.
type SSHDoor struct {
	// HostKeys are one Ed25519 key, one RSA key, or both.
	HostKeys []ssh.Signer
	// Authenticate returns the owner of a key that has just signed, or an
	// error, which refuses the client; only ferry.ErrDenied and ErrNotFound
	// count against its address. It is asked again when a connection that is
	// older than half a minute brings another command.
	Authenticate func(ctx context.Context, key ssh.PublicKey, remoteAddr string) (ferry.Subject, error)
	// Known answers clients that ask whether a key is worth signing with; it
	// gives no rights. Nil says yes to every key that CheckPublicKey accepts.
	Known func(ctx context.Context, key ssh.PublicKey) bool
	// Serve carries out a command and returns its exit status. ctx ends when
	// the client goes away, but not when Run is told to stop. After Serve has
	// returned, nothing may use the session.
	Serve func(ctx context.Context, s Session) (exitStatus int)
	// Greeting follows the first line that a log-in without a command gets:
	// how to clone. Empty: a general form.
	Greeting string
	Limits   SSHLimits
	Log      *slog.Logger
	Now      func() time.Time // nil: time.Now
}

// Run admits clients on ln until ctx ends; then it closes ln, waits for
// running commands for Limits.Stop, closes all connections and returns nil.
// Before it begins it makes sure that nobody gets in without a key.
func (d *SSHDoor) Run(ctx context.Context, ln net.Listener) error {
	defer ln.Close()
	r, err := newSSHRun(ctx, d)
	if err != nil {
		return err
	}
	if err := r.testNoKey(ctx); err != nil {
		if ctx.Err() != nil {
			return nil // told to stop before the door was open
		}
		return err
	}
	stop := context.AfterFunc(ctx, func() { ln.Close() })
	defer stop()
	err = r.accept(ctx, ln)
	r.shutdown()
	return err
}

// sshRun is one run of a door.
type sshRun struct {
	door      *SSHDoor
	limits    SSHLimits
	now       func() time.Time
	server    *gliderlabs.Server
	admission *admission
	running   sync.WaitGroup // connections and sessions

	mu    sync.Mutex
	conns map[*sshConn]struct{} // guarded by mu
}

// sshConnKey finds the sshConn in the library's context.
type sshConnKey struct{}

func newSSHRun(ctx context.Context, d *SSHDoor) (*sshRun, error) {
	r := &sshRun{door: d, limits: d.Limits.orDefault(), now: d.Now, conns: make(map[*sshConn]struct{})}
	if r.now == nil {
		r.now = time.Now
	}
	r.admission = newAdmission(r.limits, r.now)
	base := context.WithoutCancel(ctx)
	r.server = &gliderlabs.Server{
		Version:     "gitferry",
		IdleTimeout: r.limits.Idle,
		// Without a handler of its own the library admits clients without
		// any key, whatever the configuration says.
		PublicKeyHandler: func(ctx gliderlabs.Context, key gliderlabs.PublicKey) bool {
			return CheckPublicKey(key) == nil && (d.Known == nil || d.Known(ctx, key))
		},
		ConnCallback: func(ctx gliderlabs.Context, conn net.Conn) net.Conn {
			ctx.SetValue(sshConnKey{}, conn)
			return conn
		},
		ServerConfigCallback: r.config,
		ChannelHandlers: map[string]gliderlabs.ChannelHandler{
			"session": func(_ *gliderlabs.Server, conn *ssh.ServerConn, offered ssh.NewChannel, ctx gliderlabs.Context) {
				r.session(base, ctx.Value(sshConnKey{}).(*sshConn), conn, offered)
			},
		},
		RequestHandlers: map[string]gliderlabs.RequestHandler{}, // all refused
	}
	for _, key := range d.HostKeys {
		signer, err := hostSigner(key)
		if err != nil {
			return nil, err
		}
		r.server.AddHostKey(signer)
	}
	if len(d.HostKeys) == 0 {
		return nil, fmt.Errorf("ssh: no host key: %w", ferry.ErrInvalid)
	}
	return r, nil
}

// accept admits connections until ln is closed.
func (r *sshRun) accept(ctx context.Context, ln net.Listener) error {
	pause := 5 * time.Millisecond
	for {
		conn, err := ln.Accept()
		if err == nil {
			pause = 5 * time.Millisecond
			r.admit(conn)
			continue
		}
		if ctx.Err() != nil {
			return nil
		}
		if errors.Is(err, net.ErrClosed) {
			return fmt.Errorf("accepting ssh connections: %w", err)
		}
		// Out of file descriptors, or the client was faster: it passes.
		r.door.Log.Error("accepting ssh connection", "err", err)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
		pause = min(2*pause, time.Second)
	}
}

// admit starts a connection, or closes it at once.
func (r *sshRun) admit(conn net.Conn) {
	address := addressKey(conn.RemoteAddr())
	if why := r.admission.enter(address); why != "" {
		r.door.Log.Warn("ssh connection refused", "remote", conn.RemoteAddr().String(), "why", why)
		conn.Close()
		return
	}
	c := newSSHConn(conn, address, time.Now().Add(r.limits.Handshake))
	r.mu.Lock()
	r.conns[c] = struct{}{}
	r.mu.Unlock()
	r.running.Go(func() { r.serveConn(c) })
}

// serveConn runs one connection to its end; a panic ends this one only.
func (r *sshRun) serveConn(c *sshConn) {
	defer func() {
		r.logPanic(recover(), c)
		c.Close()
		user, in := c.user()
		r.admission.leave(c.address, user, in, int(c.refused.Load()))
		r.mu.Lock()
		delete(r.conns, c)
		r.mu.Unlock()
	}()
	r.server.HandleConn(c)
}

// logPanic reports what recover returned; nil is no panic.
func (r *sshRun) logPanic(p any, c *sshConn) {
	if p != nil {
		r.door.Log.Error("panic in an ssh connection", "remote", c.RemoteAddr().String(), "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
	}
}

// shutdown lets running commands finish for Limits.Stop, then cuts them.
func (r *sshRun) shutdown() {
	each := func(f func(*sshConn)) {
		r.mu.Lock()
		defer r.mu.Unlock()
		for c := range r.conns {
			f(c)
		}
	}
	each((*sshConn).stop)
	done := make(chan struct{})
	go func() { r.running.Wait(); close(done) }()
	select {
	case <-done:
		return
	case <-time.After(r.limits.Stop):
	}
	each(func(c *sshConn) { c.Close() })
	select {
	case <-done:
	case <-time.After(5 * time.Second):
		r.door.Log.Error("ssh commands still run after their connections were closed")
	}
}
