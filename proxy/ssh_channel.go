package proxy

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"

	"gitferry/internal/pktline"
)

// Exit statuses of the door itself; git uses 128 for what it cannot serve.
const (
	exitNoCommand = 1
	exitRefused   = 128
)

// An sshChannel is one session of a connection, before and while it runs its
// command.
type sshChannel struct {
	run      *sshRun
	conn     *sshConn
	login    *sshLogin
	channel  ssh.Channel
	env      int    // env requests so far
	protocol string // GIT_PROTOCOL
	last     atomic.Int64
}

// session serves one session channel to its end.
func (r *sshRun) session(ctx context.Context, c *sshConn, conn *ssh.ServerConn, offered ssh.NewChannel) {
	defer func() { r.logPanic(recover(), c) }()
	login, ok := conn.Permissions.ExtraData[sshLoginKey{}].(*sshLogin)
	if !ok {
		_ = offered.Reject(ssh.Prohibited, "not signed in") // the client may be gone
		return
	}
	if !c.openSession(r.limits.Sessions) {
		_ = offered.Reject(ssh.ResourceShortage, "too many sessions") // the client may be gone
		return
	}
	r.running.Add(1) // serveConn of this connection is still counted
	defer r.running.Done()
	defer c.closeSession()
	channel, requests, err := offered.Accept()
	if err != nil {
		return // the client is gone
	}
	s := &sshChannel{run: r, conn: c, login: login, channel: channel}
	s.requests(ctx, requests)
}

// requests answers the requests of the session until the client has closed
// it. exec runs a command and shell a greeting, once; all else is refused.
func (s *sshChannel) requests(ctx context.Context, requests <-chan *ssh.Request) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	start := time.AfterFunc(s.run.limits.SessionStart, func() { s.channel.Close() })
	defer start.Stop()
	var done chan struct{} // of the command, if one was started
	for req := range requests {
		if req.Type == "env" {
			_ = req.Reply(done == nil && s.setEnv(req.Payload), nil)
			continue
		}
		work, drain := s.work(req)
		if work == nil || done != nil || !start.Stop() {
			_ = req.Reply(false, nil) // a client that is gone closes requests
			continue
		}
		_ = req.Reply(true, nil)
		done = make(chan struct{})
		go func() {
			defer close(done)
			defer cancel()
			s.do(ctx, work, drain)
		}()
		go s.watch(ctx, cancel, done)
	}
	cancel() // the client closed the session or is gone
	if done != nil {
		<-done
	}
}

// setEnv keeps a valid GIT_PROTOCOL and reports whether it did. Too many
// requests close the session.
func (s *sshChannel) setEnv(payload []byte) bool {
	if s.env++; s.env > s.run.limits.Env {
		s.channel.Close()
		return false
	}
	var kv struct{ Name, Value string }
	if err := ssh.Unmarshal(payload, &kv); err != nil || kv.Name != "GIT_PROTOCOL" || !gitProtocol.MatchString(kv.Value) {
		return false
	}
	s.protocol = kv.Value
	return true
}

// work returns what an exec or shell request asks for, and whether the client
// may still send much when it is answered; nil for every other request.
func (s *sshChannel) work(req *ssh.Request) (work func(context.Context) int, drain bool) {
	switch req.Type {
	case "shell":
		return s.greet, false
	case "exec":
		var payload struct{ Command string }
		if err := ssh.Unmarshal(req.Payload, &payload); err != nil {
			return nil, false
		}
		command, err := ParseGitCommand(payload.Command)
		if err != nil {
			return func(context.Context) int {
				s.say(err.Error())
				return exitRefused
			}, false
		}
		return func(ctx context.Context) int { return s.serve(ctx, command) }, command.Service == "git-receive-pack"
	}
	return nil, false
}

// say writes one line to the client's standard error.
func (s *sshChannel) say(text string) {
	text = strings.ReplaceAll(strings.TrimSpace(pktline.SanitizeTerminal(text)), "\n", " ")
	_, _ = fmt.Fprintf(s.channel.Stderr(), "gitferry: %s\n", text) // the client may be gone
}

// do runs work, then tells the client its exit status and ends the session.
func (s *sshChannel) do(ctx context.Context, work func(context.Context) int, drain bool) {
	status := s.contained(ctx, work)
	exit := struct{ Status uint32 }{uint32(status)}
	_, _ = s.channel.SendRequest("exit-status", false, ssh.Marshal(&exit)) // the client may be gone
	_ = s.channel.CloseWrite()
	if drain {
		s.drain()
	}
	s.channel.Close()
}

// contained runs work; a panic becomes an exit status.
func (s *sshChannel) contained(ctx context.Context, work func(context.Context) int) (status int) {
	defer func() {
		if p := recover(); p != nil {
			s.run.logPanic(p, s.conn)
			s.say("internal error; see the server's log")
			status = exitRefused
		}
	}()
	return work(ctx)
}

// greet answers a log-in without a command.
func (s *sshChannel) greet(ctx context.Context) int {
	subject, err := s.run.subject(ctx, s.conn, s.login)
	if err != nil {
		s.say(err.Error())
		return exitNoCommand
	}
	how := s.run.door.Greeting
	if how == "" {
		how = "To clone a repository:\n    git clone ssh://git@HOST[:PORT]/OWNER/NAME.git"
	}
	text := fmt.Sprintf("Hello %s. You are signed in to gitferry, which serves git and has no shell.\n%s\n", subject.User.Name, strings.TrimRight(how, "\n"))
	_, _ = io.WriteString(s.channel.Stderr(), pktline.SanitizeTerminal(text)) // the client may be gone
	return exitNoCommand
}

func (s *sshChannel) serve(ctx context.Context, command GitCommand) int {
	subject, err := s.run.subject(ctx, s.conn, s.login)
	if err != nil {
		s.say(err.Error())
		return exitRefused
	}
	return s.run.door.Serve(ctx, Session{
		Subject:    subject,
		Command:    command,
		Protocol:   s.protocol,
		Stdin:      activeReader{s.channel, s},
		Stdout:     activeWriter{s.channel, s},
		Stderr:     terminalWriter{activeWriter{s.channel.Stderr(), s}},
		RemoteAddr: s.conn.RemoteAddr().String(),
	})
}

// drain reads and drops what the client still sends, so that it can send all
// and then read the answer instead of dying of a broken pipe.
func (s *sshChannel) drain() {
	limits := s.run.limits
	pause := time.AfterFunc(limits.DrainPause, func() { s.channel.Close() })
	defer pause.Stop()
	end := time.Now().Add(limits.Drain)
	buf := make([]byte, 32<<10)
	for left := limits.DrainBytes; left > 0 && time.Now().Before(end); {
		n, err := s.channel.Read(buf)
		if err != nil {
			return
		}
		left -= int64(n)
		pause.Reset(limits.DrainPause)
	}
}

// closeGrace is how long a client may take to confirm that a session is
// closed before its connection is cut.
const closeGrace = 10 * time.Second

// watch ends a command when no byte has passed for Limits.Idle.
func (s *sshChannel) watch(ctx context.Context, cancel context.CancelFunc, done <-chan struct{}) {
	s.touch()
	timer := time.NewTimer(s.run.limits.Idle)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		quiet := time.Since(time.Unix(0, s.last.Load()))
		if quiet < s.run.limits.Idle {
			timer.Reset(s.run.limits.Idle - quiet)
			continue
		}
		s.run.door.Log.Info("ssh session idle", "remote", s.conn.RemoteAddr().String())
		cancel()
		s.channel.Close()
		select {
		case <-done:
		case <-time.After(closeGrace):
			s.conn.Close() // wakes whoever waits for the client
		}
		return
	}
}

func (s *sshChannel) touch() { s.last.Store(time.Now().UnixNano()) }

// activeReader and activeWriter note when bytes pass.
type activeReader struct {
	r io.Reader
	s *sshChannel
}

func (a activeReader) Read(p []byte) (int, error) {
	n, err := a.r.Read(p)
	if n > 0 {
		a.s.touch()
	}
	return n, err
}

type activeWriter struct {
	w io.Writer
	s *sshChannel
}

func (a activeWriter) Write(p []byte) (int, error) {
	n, err := a.w.Write(p)
	if n > 0 {
		a.s.touch()
	}
	return n, err
}

// terminalWriter sanitizes what people see.
type terminalWriter struct{ w io.Writer }

func (t terminalWriter) Write(p []byte) (int, error) {
	if _, err := io.WriteString(t.w, pktline.SanitizeTerminal(string(p))); err != nil {
		return 0, err
	}
	return len(p), nil
}
