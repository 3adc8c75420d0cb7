package proxy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"time"

	gliderlabs "github.com/gliderlabs/ssh"
	"golang.org/x/crypto/ssh"

	"gitferry/internal/ferry"
)

func (r *sshRun) config(ctx gliderlabs.Context) *ssh.ServerConfig {
	c := ctx.Value(sshConnKey{}).(*sshConn)
	config := &ssh.ServerConfig{
		PublicKeyAuthAlgorithms: sshKeyAlgorithms,
		MaxAuthTries:            r.limits.AuthTries,
		VerifiedPublicKeyCallback: func(meta ssh.ConnMetadata, key ssh.PublicKey, _ *ssh.Permissions, _ string) (*ssh.Permissions, error) {
			return r.login(ctx, c, key)
		},
		AuthLogCallback: func(_ ssh.ConnMetadata, method string, err error) {
			if err != nil && method != "none" && !errors.Is(err, errSSHBusy) {
				c.refused.Add(1)
			}
		},
	}
	config.KeyExchanges, config.Ciphers, config.MACs = sshKeyExchanges, sshCiphers, sshMACs
	return config
}

// An sshLogin is who signed in on a connection. It travels in the Permissions
// that belong to the signature, never in what was stored while keys were
// offered (CVE-2024-45337).
type sshLogin struct {
	key ssh.PublicKey

	mu      sync.Mutex
	subject ferry.Subject // guarded by mu
	at      time.Time     // guarded by mu: when subject was asked for
}

type sshLoginKey struct{}

// What the library is told about a key: errSSHBusy says nothing against it and
// does not count as a refused key.
var (
	errSSHDenied = errors.New("permission denied")
	errSSHBusy   = errors.New("cannot sign in now")
)

// login is called with a key whose signature is good.
func (r *sshRun) login(ctx context.Context, c *sshConn, key ssh.PublicKey) (*ssh.Permissions, error) {
	subject, err := r.authenticate(ctx, c, key)
	if err != nil {
		return nil, err
	}
	if !r.admission.login(c.address, subject.User.ID) {
		r.door.Log.Warn("ssh connection refused", "remote", c.RemoteAddr().String(), "user", subject.User.Name, "why", "too many connections of this user")
		return nil, &ssh.BannerError{Err: errSSHBusy, Message: "gitferry: too many connections of this user; close some and try again\n"}
	}
	c.loggedIn(subject.User.ID)
	login := &sshLogin{key: key, subject: subject, at: r.now()}
	return &ssh.Permissions{ExtraData: map[any]any{sshLoginKey{}: login}}, nil
}

func (r *sshRun) authenticate(ctx context.Context, c *sshConn, key ssh.PublicKey) (ferry.Subject, error) {
	ctx, cancel := context.WithTimeout(ctx, r.limits.Handshake)
	defer cancel()
	subject, err := r.door.Authenticate(ctx, key, c.RemoteAddr().String())
	if err == nil && (subject.User.ID == 0 || subject.User.Disabled) {
		err = ferry.ErrDenied
	}
	if err != nil {
		level, answer := slog.LevelError, errSSHBusy
		if errors.Is(err, ferry.ErrDenied) || errors.Is(err, ferry.ErrNotFound) {
			level, answer = slog.LevelInfo, errSSHDenied
		}
		r.door.Log.Log(ctx, level, "ssh key refused", "remote", c.RemoteAddr().String(), "key", ssh.FingerprintSHA256(key), "err", err)
		return ferry.Subject{}, answer
	}
	return subject, nil
}

// loginAge is how long the rights of a log-in are used without asking again.
const loginAge = 30 * time.Second

// subject returns the owner of the key with the rights that hold now.
func (r *sshRun) subject(ctx context.Context, c *sshConn, login *sshLogin) (ferry.Subject, error) {
	login.mu.Lock()
	defer login.mu.Unlock()
	if r.now().Sub(login.at) < loginAge {
		return login.subject, nil
	}
	subject, err := r.authenticate(ctx, c, login.key)
	if err == nil && subject.User.ID != login.subject.User.ID {
		err = errSSHDenied
	}
	if err != nil {
		return ferry.Subject{}, err
	}
	login.subject, login.at = subject, r.now()
	return subject, nil
}

// testNoKey connects to the door on loopback without any key and fails if it
// is let in.
func (r *sshRun) testNoKey(ctx context.Context) error {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		ln, err = net.Listen("tcp", "[::1]:0") // a host without IPv4
	}
	if err != nil {
		return fmt.Errorf("testing the ssh door: %w", err)
	}
	defer ln.Close()
	served := make(chan struct{})
	go func() {
		defer close(served)
		if conn, err := ln.Accept(); err == nil { // not counted: it comes from us
			r.server.HandleConn(newSSHConn(conn, "", time.Now().Add(r.limits.Handshake)))
		}
	}()
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", ln.Addr().String())
	if err != nil {
		return fmt.Errorf("testing the ssh door: %w", err)
	}
	_, _, _, err = ssh.NewClientConn(conn, "door", &ssh.ClientConfig{User: "git", HostKeyCallback: r.ownHostKey})
	conn.Close()
	<-served
	switch {
	case err == nil:
		return fmt.Errorf("ssh: the door lets clients in without a key")
	case !strings.Contains(err.Error(), "unable to authenticate"):
		return fmt.Errorf("testing the ssh door: %w", err)
	}
	return nil
}

// ownHostKey accepts the door's own host keys.
func (r *sshRun) ownHostKey(_ string, _ net.Addr, key ssh.PublicKey) error {
	for _, k := range r.door.HostKeys {
		if string(k.PublicKey().Marshal()) == string(key.Marshal()) {
			return nil
		}
	}
	return errors.New("another host key")
}
