package upstream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"gitferry/internal/ferry"
)

// An sshConn is one signed-in connection. It carries one git session at a
// time and waits in Dialer.idle between two.
type sshConn struct {
	client *ssh.Client
	key    string      // what must be equal for the connection to be used again
	expiry *time.Timer // set while it waits
}

func (c *sshConn) close() { c.client.Close() }

// An sshSession is one run of a git service on the other side.
type sshSession struct {
	d       *Dialer
	p       place
	service string
	ctx     context.Context
	cut     context.CancelCauseFunc // closes the connection
	detach  func() bool             // takes the session out of its context
	conn    *sshConn
	session *ssh.Session
	stdin   io.WriteCloser
	stdout  *pacedReader
	stderr  *tail
	waited  chan error // what the service ended with
}

// openSSH starts service for the target's repository. protocol is offered as
// GIT_PROTOCOL if not empty. The session ends with ctx, by finish or by fail.
func (d *Dialer) openSSH(ctx context.Context, t Target, p place, service, protocol string) (*sshSession, error) {
	conn, err := d.sshConn(ctx, t, p)
	if err != nil {
		return nil, err
	}
	s, err := d.startSSH(ctx, conn, p, service, protocol)
	if err != nil {
		conn.close()
		return nil, err
	}
	return s, nil
}

func (d *Dialer) startSSH(ctx context.Context, conn *sshConn, p place, service, protocol string) (*sshSession, error) {
	s := &sshSession{d: d, p: p, service: service, conn: conn, stderr: &tail{}, waited: make(chan error, 1)}
	s.attach(ctx)
	// The answer must begin in time, whichever step is slow.
	timer := time.AfterFunc(d.bounds.firstByte, func() { s.cut(errNoAnswer) })
	var err error
	if s.session, err = conn.client.NewSession(); err != nil {
		timer.Stop()
		return nil, fault(s.ctx, p, service, err)
	}
	if s.stdin, err = s.session.StdinPipe(); err == nil {
		var out io.Reader
		if out, err = s.session.StdoutPipe(); err == nil {
			s.stdout = d.paced(&firstByte{r: out, timer: timer}, func() { s.cut(errStalled) })
		}
	}
	s.session.Stderr = s.stderr
	if err == nil && protocol != "" {
		// Servers may refuse variables; they then speak version 0.
		var exit *ssh.ExitMissingError
		if envErr := s.session.Setenv("GIT_PROTOCOL", protocol); errors.As(envErr, &exit) {
			err = envErr
		}
	}
	if err == nil {
		// parseURL lets no quote into a path.
		err = s.session.Start(service + " '" + p.path + "'")
	}
	if err != nil {
		timer.Stop()
		return nil, fault(s.ctx, p, service, err)
	}
	go func() { s.waited <- s.session.Wait() }() // ends with the connection at the latest
	return s, nil
}

// attach binds the session's life to ctx; from an earlier context it was
// detached before.
func (s *sshSession) attach(ctx context.Context) {
	if s.cut != nil {
		s.cut(nil)
	}
	s.ctx, s.cut = context.WithCancelCause(ctx)
	s.detach = context.AfterFunc(s.ctx, s.conn.close)
}

// fail ends the session by cutting it and puts err in words, with the help of
// what the server wrote to standard error.
func (s *sshSession) fail(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		// The server ended by itself: its last words explain more.
		select {
		case <-s.waited:
		case <-time.After(time.Second):
		case <-s.ctx.Done():
		}
		if text := s.stderr.String(); text != "" && context.Cause(s.ctx) == nil {
			err = remoteFault(s.p, s.service, text, err)
		}
	}
	err = fault(s.ctx, s.p, s.service, err)
	s.cut(errAborted)
	s.conn.close()
	return err
}

// finish ends a session whose work is done and keeps the connection if the
// server ended the service cleanly. It returns how the service ended if it
// ended in another way.
func (s *sshSession) finish() error {
	s.stdin.Close()
	drained := make(chan struct{})
	go func() { // ends when the session or the connection does
		io.CopyN(io.Discard, s.stdout, 64<<10)
		close(drained)
	}()
	var err error
	select {
	case err = <-s.waited:
		if err == nil && s.detach() {
			<-drained
			s.cut(nil)
			s.d.keep(s.conn)
			return nil
		}
	case <-time.After(2 * time.Second):
	}
	s.cut(errAborted)
	s.conn.close()
	if err != nil {
		if text := s.stderr.String(); text != "" {
			return remoteFault(s.p, s.service, text, err)
		}
		return unavailable(err, "the connection to %s was lost", s.p.host)
	}
	return nil
}

// firstByte stops timer when the first bytes come.
type firstByte struct {
	r     io.Reader
	timer *time.Timer
}

func (f *firstByte) Read(p []byte) (int, error) {
	n, err := f.r.Read(p)
	if f.timer != nil {
		f.timer.Stop()
		f.timer = nil
	}
	return n, err
}

// tail keeps the beginning of what a server writes to standard error.
type tail struct {
	mu   sync.Mutex
	text strings.Builder
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if room := 4<<10 - t.text.Len(); room > 0 {
		t.text.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.TrimSpace(t.text.String())
}

// sshConn returns a signed-in connection: one that waits, or a new one.
func (d *Dialer) sshConn(ctx context.Context, t Target, p place) (*sshConn, error) {
	key, err := ParseSSHKey(t.Credentials.SSHPrivateKey, t.Credentials.SSHPassphrase, p.region != "")
	if err != nil {
		return nil, err
	}
	user := orDefault(p.user, t.SSHKeyID)
	if user == "" {
		if p.region != "" {
			return nil, noKeyID(p)
		}
		user = "git"
	}
	id := fmt.Sprintf("%s|%s|%s|%s|%t", user, p.address(), key.Fingerprint, t.HostKey, t.PrivateNetwork)
	for {
		c := d.takeIdle(id)
		if c == nil {
			break
		}
		if c.alive() {
			return c, nil
		}
		c.close()
	}
	client, err := d.signInSSH(ctx, t, p, user, key)
	if err != nil {
		return nil, err
	}
	return &sshConn{client: client, key: id}, nil
}

// noKeyID is what somebody reads who forgot that CodeCommit's SSH user is the
// ID of the key in IAM.
func noKeyID(p place) error {
	return &ferry.Message{
		Kind: ferry.ErrInvalid,
		Text: fmt.Sprintf("CodeCommit needs the SSH key ID as user name: enter the SSH key ID that IAM shows beside the uploaded key, or put it into the URL as in ssh://APKAEXAMPLE@%s%s", p.host, p.path),
	}
}

func (d *Dialer) signInSSH(ctx context.Context, t Target, p place, user string, key *SSHKey) (*ssh.Client, error) {
	check, algorithms, err := hostKeyCheck(p, t.HostKey)
	if err != nil {
		return nil, err
	}
	auth, err := key.authMethod(p.region != "")
	if err != nil {
		return nil, err
	}
	conn, err := d.dial(ctx, p.address(), t.PrivateNetwork)
	if err != nil {
		return nil, fault(ctx, p, "", err)
	}
	handshake, cancel := context.WithTimeoutCause(ctx, d.bounds.connect, errNoAnswer)
	defer cancel()
	detach := context.AfterFunc(handshake, func() { conn.Close() })
	c, channels, requests, err := ssh.NewClientConn(conn, p.address(), &ssh.ClientConfig{
		User:              user,
		Auth:              []ssh.AuthMethod{auth},
		HostKeyCallback:   check,
		HostKeyAlgorithms: algorithms,
		ClientVersion:     "SSH-2.0-gitferry",
	})
	if err == nil && !detach() {
		err = context.Cause(handshake)
	}
	if err != nil {
		conn.Close()
		var message *ferry.Message
		if errors.As(err, &message) {
			return nil, message // the host key's
		}
		if strings.Contains(err.Error(), "unable to authenticate") {
			return nil, refusedKey(p, user, key, err)
		}
		return nil, fault(handshake, p, "", err)
	}
	return ssh.NewClient(c, channels, requests), nil
}

func refusedKey(p place, user string, key *SSHKey, cause error) error {
	text := fmt.Sprintf("%s refused the SSH key %s for the user %s", p.host, key.Fingerprint, user)
	if atAWS(p) {
		text += fmt.Sprintf("; the user name must be the SSH key ID that IAM shows beside the uploaded public key, as in ssh://APKAEXAMPLE@%s%s, and the key must be active", p.host, p.path)
	} else {
		text += "; add its public half there, or check the user name"
	}
	return &ferry.Message{Kind: ferry.ErrDenied, Text: text, Cause: cause}
}

// alive asks the server for an answer; a connection that waited may be gone
// without a trace.
func (c *sshConn) alive() bool {
	answer := make(chan error, 1)
	go func() { // ends with the answer or with the connection
		_, _, err := c.client.SendRequest("keepalive@openssh.com", true, nil)
		answer <- err
	}()
	select {
	case err := <-answer:
		return err == nil
	case <-time.After(3 * time.Second):
		return false
	}
}

func (d *Dialer) takeIdle(key string) *sshConn {
	d.mu.Lock()
	defer d.mu.Unlock()
	list := d.idle[key]
	if len(list) == 0 {
		return nil
	}
	c := list[len(list)-1]
	d.idle[key] = list[:len(list)-1]
	if len(list) == 1 {
		delete(d.idle, key)
	}
	c.expiry.Stop()
	return c
}

// keep lets a connection wait for the next session, for a while.
func (d *Dialer) keep(c *sshConn) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.idle[c.key]) >= 4 {
		c.close()
		return
	}
	c.expiry = time.AfterFunc(d.bounds.idle, func() {
		d.mu.Lock()
		list := d.idle[c.key]
		for i := range list {
			if list[i] == c {
				d.idle[c.key] = append(list[:i:i], list[i+1:]...)
				break
			}
		}
		if len(d.idle[c.key]) == 0 {
			delete(d.idle, c.key)
		}
		d.mu.Unlock()
		c.close()
	})
	d.idle[c.key] = append(d.idle[c.key], c)
}
