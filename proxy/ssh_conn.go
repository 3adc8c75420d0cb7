package proxy

import (
	"net"
	"sync"
	"sync/atomic"
	"time"

	"gitferry/internal/ferry"
)

// An sshConn is the connection of one SSH client. Until the client is logged
// in, no deadline can be set later than the end of the handshake: the SSH
// library sets its own before each read and write, so that one set from
// outside would not last.
type sshConn struct {
	net.Conn
	address string       // what admission counts
	refused atomic.Int32 // keys refused

	mu           sync.Mutex
	handshakeEnd time.Time    // guarded by mu, like all below; zero: logged in
	readEnd      time.Time    // deadlines last asked for
	writeEnd     time.Time    //
	userID       ferry.UserID // if logged in
	sessions     int          // open
	stopping     bool         // no new sessions; close after the last
}

func newSSHConn(conn net.Conn, address string, handshakeEnd time.Time) *sshConn {
	_ = conn.SetDeadline(handshakeEnd) // a broken connection shows at the first read
	return &sshConn{Conn: conn, address: address, handshakeEnd: handshakeEnd}
}

// clamp returns t, or the end of the handshake if that comes first.
func (c *sshConn) clamp(t time.Time) time.Time {
	if !c.handshakeEnd.IsZero() && (t.IsZero() || t.After(c.handshakeEnd)) {
		return c.handshakeEnd
	}
	return t
}

func (c *sshConn) SetDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.readEnd, c.writeEnd = t, t
	return c.Conn.SetDeadline(c.clamp(t))
}

func (c *sshConn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.readEnd = t
	return c.Conn.SetReadDeadline(c.clamp(t))
}

func (c *sshConn) SetWriteDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.writeEnd = t
	return c.Conn.SetWriteDeadline(c.clamp(t))
}

// loggedIn ends the handshake: the deadlines last asked for come into force,
// also for a read that is already waiting.
func (c *sshConn) loggedIn(user ferry.UserID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.userID = user
	c.handshakeEnd = time.Time{}
	_ = c.Conn.SetReadDeadline(c.readEnd) // a broken connection shows at the next read
	_ = c.Conn.SetWriteDeadline(c.writeEnd)
}

// user returns who is logged in.
func (c *sshConn) user() (id ferry.UserID, in bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.userID, c.handshakeEnd.IsZero()
}

// openSession counts a session unless there are limit of them or the
// connection is stopping.
func (c *sshConn) openSession(limit int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopping || c.sessions >= limit {
		return false
	}
	c.sessions++
	return true
}

// closeSession forgets a session; the last one of a stopping connection
// closes it.
func (c *sshConn) closeSession() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sessions--
	c.closeIfStopped()
}

// stop closes the connection when its sessions have ended.
func (c *sshConn) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopping = true
	c.closeIfStopped()
}

func (c *sshConn) closeIfStopped() {
	if c.stopping && c.sessions == 0 {
		c.Conn.Close()
	}
}
