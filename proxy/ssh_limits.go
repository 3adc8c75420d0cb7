package proxy

import (
	"net"
	"net/netip"
	"sync"
	"time"

	"gitferry/internal/ferry"
)

// SSHLimits bounds the clients of the SSH door. Zero members stand for the
// defaults.
type SSHLimits struct {
	Handshake         time.Duration // from accept to the end of the log-in; default 15 s
	PreAuthPerAddress int           // connections not logged in, of one address; default 10
	PreAuth           int           // the same of all; default 100
	Connections       int           // all connections; default 500
	PerUser           int           // connections of one user; default 64
	AuthTries         int           // refused keys on one connection; default 6
	// AddressFailures refused keys within FailureWindow from an address block
	// it for Block, twice as long every further time up to BlockMax. Defaults:
	// 20, 10 minutes, 1 minute, 1 hour. Keys refused before one that was
	// accepted on the same connection do not count.
	AddressFailures int
	FailureWindow   time.Duration
	Block           time.Duration
	BlockMax        time.Duration
	Sessions        int           // open sessions on one connection; default 10
	SessionStart    time.Duration // a session without a command is closed after; default 30 s
	Env             int           // env requests of one session; default 10
	Idle            time.Duration // a session without a byte is closed after; default 10 min
	// Input that a client still sends when its push is answered is read and
	// dropped: at most DrainBytes, for at most Drain, and only while pauses
	// are shorter than DrainPause. Defaults: 256 MiB, 2 minutes, 5 s.
	DrainBytes int64
	Drain      time.Duration
	DrainPause time.Duration
	Stop       time.Duration // how long Run waits for running commands at its end; default 30 s
}

func (l SSHLimits) orDefault() SSHLimits {
	for _, m := range []struct {
		value *int
		byDef int
	}{
		{&l.PreAuthPerAddress, 10}, {&l.PreAuth, 100}, {&l.Connections, 500}, {&l.PerUser, 64},
		{&l.AuthTries, 6}, {&l.AddressFailures, 20}, {&l.Sessions, 10}, {&l.Env, 10},
	} {
		if *m.value == 0 {
			*m.value = m.byDef
		}
	}
	for _, m := range []struct {
		value *time.Duration
		byDef time.Duration
	}{
		{&l.Handshake, 15 * time.Second}, {&l.FailureWindow, 10 * time.Minute}, {&l.Block, time.Minute},
		{&l.BlockMax, time.Hour}, {&l.SessionStart, 30 * time.Second}, {&l.Idle, 10 * time.Minute},
		{&l.Drain, 2 * time.Minute}, {&l.DrainPause, 5 * time.Second}, {&l.Stop, 30 * time.Second},
	} {
		if *m.value == 0 {
			*m.value = m.byDef
		}
	}
	if l.DrainBytes == 0 {
		l.DrainBytes = 256 << 20
	}
	return l
}

// addressKey is what counts as one address: an IPv4 address or the /64 that
// an IPv6 address lies in.
func addressKey(a net.Addr) string {
	addr, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return a.String() // not TCP
	}
	ip := addr.Addr().Unmap().WithZone("")
	if ip.Is4() {
		return ip.String()
	}
	if p, err := ip.Prefix(64); err == nil {
		return p.String()
	}
	return ip.String()
}

// admission counts connections and refused keys. Safe for concurrent use.
type admission struct {
	limits SSHLimits
	now    func() time.Time

	mu        sync.Mutex
	all       int                        // guarded by mu, like all below
	preAuth   map[string]int             // by address, of connections not logged in
	preAuths  int                        // their sum
	users     map[ferry.UserID]int       // connections logged in
	offenders map[string]*addressFailure // by address
}

type addressFailure struct {
	recent  []time.Time // refused keys within the window
	blocked time.Time   // until then
	times   int         // blocks so far, for doubling
}

// maxOffenders bounds the memory for refused keys.
const maxOffenders = 10_000

func newAdmission(l SSHLimits, now func() time.Time) *admission {
	return &admission{limits: l, now: now, preAuth: make(map[string]int),
		users: make(map[ferry.UserID]int), offenders: make(map[string]*addressFailure)}
}

// enter admits a connection that was just accepted, or says why not.
func (a *admission) enter(address string) (refusal string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.all >= a.limits.Connections:
		return "too many connections"
	case a.preAuths >= a.limits.PreAuth:
		return "too many connections not logged in"
	case a.preAuth[address] >= a.limits.PreAuthPerAddress:
		return "too many connections not logged in from this address"
	}
	if o := a.offenders[address]; o != nil && a.now().Before(o.blocked) {
		return "address is blocked after too many refused keys"
	}
	a.all++
	a.preAuths++
	a.preAuth[address]++
	return ""
}

// login moves a connection from its address to its user. It reports whether
// the user may have one more.
func (a *admission) login(address string, user ferry.UserID) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.users[user] >= a.limits.PerUser {
		return false
	}
	a.users[user]++
	a.leavePreAuth(address)
	return true
}

func (a *admission) leavePreAuth(address string) {
	a.preAuths--
	if a.preAuth[address]--; a.preAuth[address] <= 0 {
		delete(a.preAuth, address)
	}
}

// leave forgets a connection: of user, if it was logged in, else of address
// with so many refused keys.
func (a *admission) leave(address string, user ferry.UserID, loggedIn bool, refused int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.all--
	if loggedIn {
		if a.users[user]--; a.users[user] <= 0 {
			delete(a.users, user)
		}
		return
	}
	a.leavePreAuth(address)
	if refused > 0 {
		a.punish(address, refused)
	}
}

func (a *admission) punish(address string, refused int) {
	now := a.now()
	o := a.offenders[address]
	if o == nil {
		a.forget(now)
		o = new(addressFailure)
		a.offenders[address] = o
	}
	o.prune(now.Add(-a.limits.FailureWindow))
	for range refused {
		o.recent = append(o.recent, now)
	}
	if len(o.recent) < a.limits.AddressFailures {
		return
	}
	block := a.limits.BlockMax
	if o.times < 16 {
		block = min(block, a.limits.Block<<o.times)
	}
	o.times++
	o.blocked = now.Add(block)
	o.recent = nil
}

// prune drops what lies before since.
func (o *addressFailure) prune(since time.Time) {
	i := 0
	for i < len(o.recent) && o.recent[i].Before(since) {
		i++
	}
	o.recent = o.recent[i:]
}

// forget makes room for one more offender: first those whose last block ended
// an hour ago and whose failures are old, then any.
func (a *admission) forget(now time.Time) {
	if len(a.offenders) < maxOffenders {
		return
	}
	for address, o := range a.offenders {
		o.prune(now.Add(-a.limits.FailureWindow))
		if len(o.recent) == 0 && now.After(o.blocked.Add(a.limits.BlockMax)) {
			delete(a.offenders, address)
		}
	}
	for address := range a.offenders {
		if len(a.offenders) < maxOffenders {
			return
		}
		delete(a.offenders, address)
	}
}
