package proxy

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"gitferry/internal/ferry"
)

func TestAdmissionBlocks(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	a := newAdmission(SSHLimits{}.orDefault(), func() time.Time { return now })
	fail := func(n int) {
		t.Helper()
		if why := a.enter("x"); why != "" {
			t.Fatalf("not admitted: %s", why)
		}
		a.leave("x", 0, false, n)
	}
	blockedFor := func() time.Duration {
		start := now
		for a.enter("x") != "" {
			now = now.Add(10 * time.Second)
		}
		a.leave("x", 0, false, 0)
		return now.Sub(start)
	}
	fail(19)
	if got := blockedFor(); got != 0 {
		t.Errorf("19 failures block for %v", got)
	}
	now = now.Add(11 * time.Minute)
	fail(19) // the first 19 are forgotten
	if got := blockedFor(); got != 0 {
		t.Errorf("19 and 19 old failures block for %v", got)
	}
	fail(1)
	for _, want := range []time.Duration{1, 2, 4, 8, 16, 32, 60, 60} {
		if got := blockedFor(); got != want*time.Minute {
			t.Errorf("blocked for %v, want %v", got, want*time.Minute)
		}
		fail(20)
	}
	if why := a.enter("y"); why != "" {
		t.Errorf("another address: %s", why)
	}
}

func TestAdmissionTotals(t *testing.T) {
	a := newAdmission(SSHLimits{Connections: 120}.orDefault(), time.Now)
	for i := range 100 {
		if why := a.enter(fmt.Sprint(i)); why != "" {
			t.Fatalf("connection %d: %s", i, why)
		}
	}
	if a.enter("new") == "" {
		t.Error("101 connections not logged in")
	}
	for i := range 20 {
		if !a.login(fmt.Sprint(i), ferry.UserID(i+1)) {
			t.Fatalf("log-in %d", i)
		}
		if why := a.enter("late" + fmt.Sprint(i)); why != "" {
			t.Fatalf("connection %d: %s", 100+i, why)
		}
	}
	a.login("20", 21)
	if a.enter("new") == "" {
		t.Error("121 connections")
	}
	for i := range maxOffenders + 10 {
		a.mu.Lock()
		a.punish(fmt.Sprint("offender", i), 1)
		a.mu.Unlock()
	}
	if n := len(a.offenders); n > maxOffenders {
		t.Errorf("%d offenders kept", n)
	}
}

func TestAddressKey(t *testing.T) {
	for in, want := range map[string]string{
		"192.0.2.7:99":           "192.0.2.7",
		"[::ffff:192.0.2.7]:99":  "192.0.2.7",
		"[2001:db8:1:2:3::4]:99": "2001:db8:1:2::/64",
		"[fe80::1%25eth0]:99":    "fe80::/64",
	} {
		addr := stringAddr(strings.ReplaceAll(in, "%25", "%"))
		if got := addressKey(addr); got != want {
			t.Errorf("addressKey(%s) = %s, want %s", in, got, want)
		}
	}
}

type stringAddr string

func (s stringAddr) Network() string { return "tcp" }
func (s stringAddr) String() string  { return string(s) }
