package codecommit

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"regexp"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"gitferry/internal/sandbox/faults"
)

// greeting is what CodeCommit answers to a session without a git command.
const greeting = "You have successfully authenticated over SSH. You can use Git to interact with AWS CodeCommit. Interactive shells are not supported.\n"

const handshakeTime = 15 * time.Second

// ServeSSH answers git over SSH on ln until ctx ends; then it closes ln and the
// open connections, waits for their sessions and returns nil.
func (s *Server) ServeSSH(ctx context.Context, ln net.Listener) error {
	s.mu.Lock()
	if s.sshAddr == "" {
		s.sshAddr = ln.Addr().String()
	}
	s.mu.Unlock()
	config := &ssh.ServerConfig{PublicKeyCallback: s.sshKey, ServerVersion: "SSH-2.0-CodeCommit", MaxAuthTries: 6}
	config.AddHostKey(s.hostKey)
	stop := context.AfterFunc(ctx, func() { ln.Close() })
	defer stop()
	var open sync.WaitGroup
	defer open.Wait()
	for {
		conn, err := ln.Accept()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		open.Go(func() { s.serveConn(ctx, conn, config) })
	}
}

// sshKey accepts the RSA key that belongs to the key ID given as user name.
func (s *Server) sshKey(meta ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
	for _, id := range s.users {
		if id.SSHKeyID == meta.User() && bytes.Equal(id.sshKey.Marshal(), key.Marshal()) {
			return &ssh.Permissions{Extensions: map[string]string{"user": id.User}}, nil
		}
	}
	return nil, errors.New("unknown key")
}

func (s *Server) serveConn(ctx context.Context, conn net.Conn, config *ssh.ServerConfig) {
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	conn.SetDeadline(time.Now().Add(handshakeTime))
	sc, channels, requests, err := ssh.NewServerConn(conn, config)
	if err != nil {
		return // a scanner, or a key that is not ours: the client was told
	}
	conn.SetDeadline(time.Time{})
	go ssh.DiscardRequests(requests) // ends with the connection
	var caller *identity
	for _, id := range s.users {
		if id.User == sc.Permissions.Extensions["user"] {
			caller = id
		}
	}
	var sessions sync.WaitGroup
	defer sessions.Wait()
	for c := range channels {
		if c.ChannelType() != "session" {
			c.Reject(ssh.UnknownChannelType, "only sessions")
			continue
		}
		ch, requests, err := c.Accept()
		if err != nil {
			return
		}
		sessions.Go(func() { s.serveChannel(ctx, ch, requests, caller) })
	}
}

// serveChannel waits for the session's command and runs it.
func (s *Server) serveChannel(ctx context.Context, ch ssh.Channel, requests <-chan *ssh.Request, caller *identity) {
	defer ch.Close()
	protocol := ""
	for req := range requests {
		switch req.Type {
		case "env":
			var v struct{ Name, Value string }
			if ssh.Unmarshal(req.Payload, &v) == nil && v.Name == "GIT_PROTOCOL" {
				protocol = gitProtocol(v.Value)
			}
			req.Reply(true, nil)
		case "exec":
			var v struct{ Command string }
			if err := ssh.Unmarshal(req.Payload, &v); err != nil {
				req.Reply(false, nil)
				return
			}
			req.Reply(true, nil)
			go ssh.DiscardRequests(requests) // ends with the channel
			exit(ch, s.runCommand(ctx, ch, caller, v.Command, protocol))
			return
		case "shell":
			req.Reply(true, nil)
			io.WriteString(ch, greeting)
			exit(ch, 0)
			return
		default:
			req.Reply(false, nil)
		}
	}
}

func exit(ch ssh.Channel, code uint32) {
	ch.CloseWrite()
	ch.SendRequest("exit-status", false, ssh.Marshal(struct{ Code uint32 }{code}))
}

var sshCommand = regexp.MustCompile(`^git[- ](upload-pack|receive-pack) '?([^']*)'?$`)

// runCommand runs one git service over the channel and returns the exit code.
func (s *Server) runCommand(ctx context.Context, ch ssh.Channel, caller *identity, command, protocol string) uint32 {
	m := sshCommand.FindStringSubmatch(command)
	if m == nil {
		io.WriteString(ch.Stderr(), greeting)
		return 1
	}
	ss := session{caller: caller, service: "git-" + m[1], protocol: protocol}
	call := s.book.Begin("SSH", ss.service, m[2])
	ctx = faults.WithCall(ctx, call)
	rule, fails := s.book.Take("SSH", ss.service, m[2])
	if fails {
		call.Fault(rule)
	}
	if fails && rule.DelayMS > 0 {
		select {
		case <-ctx.Done():
		case <-time.After(time.Duration(rule.DelayMS) * time.Millisecond):
		}
	}
	if fails && (rule.Drop == "before" || rule.Status != 0) {
		return 1 // without a word: a connection that went away
	}
	p := gitPath.FindStringSubmatch(m[2])
	if p == nil || p[4] != "" {
		io.WriteString(ch.Stderr(), "Repository not found\n")
		call.Status(404)
		return 128
	}
	if ss.region = p[1]; ss.region == "" {
		ss.region = s.plainRegion(p[3])
	}
	if ss.repository = s.repository(ss.region, p[3]); ss.repository == nil {
		io.WriteString(ch.Stderr(), "Repository not found\n")
		call.Status(404)
		return 128
	}
	if s.denied(gitAction(ss.service)) {
		io.WriteString(ch.Stderr(), "You do not have permission to access this repository\n")
		call.Status(403)
		return 128
	}
	var out io.Writer = ch
	if fails && rule.Drop == "after" && ss.service == receivePack {
		out = &muteAfterFlush{w: ch}
	}
	call.Status(200)
	if err := s.converse(ctx, ch, out, ss); err != nil {
		s.cfg.Log.Debug("git session", "service", ss.service, "repo", ss.repository.id, "err", err)
		return 128
	}
	return 0
}
