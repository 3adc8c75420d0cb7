package proxy

import (
	"fmt"
	"testing"
	"time"
)

// Ten wrong passwords a minute and a burst of sixty requests without any are
// answered; who was let in lately stays in, and other addresses are not meant.
func TestStrangers(t *testing.T) {
	var s strangers
	now := time.Date(2026, time.March, 2, 9, 0, 0, 0, time.UTC)
	const here, there = "192.0.2.1:1000", "192.0.2.2:1000"
	s.letIn(here, "good", now)
	tries := 0
	for ; tries < 100 && s.mayTry(here, fmt.Sprint("wrong", tries), now); tries++ {
		s.knock(here, true, now)
	}
	if tries != failedPerMinute {
		t.Errorf("%d wrong passwords were looked at, want %d", tries, failedPerMinute)
	}
	if s.mayTry("192.0.2.1:2000", "other", now) || !s.mayTry(here, "good", now) || !s.mayTry(there, "other", now) {
		t.Error("after too many wrong passwords: others of the address, those let in lately and other addresses are not told apart")
	}
	if now = now.Add(6 * time.Second); !s.mayTry(here, "other", now) {
		t.Error("a tenth of a minute later there is no new try")
	}
	if now = now.Add(strangersKept); !s.mayTry(here, "good", now) {
		t.Error("a quiet address is not let try again")
	}
	knocks := 0
	for ; knocks < 200 && s.knock(there, false, now); knocks++ {
	}
	if knocks != knocksAtOnce {
		t.Errorf("%d requests without credentials were answered at once, want %d", knocks, knocksAtOnce)
	}
	for i := range 3 * maxStrangers {
		s.knock(fmt.Sprintf("198.51.%d.%d:1", i>>8&255, i&255), false, now)
		s.knock(fmt.Sprintf("[2001:db8:%x::1]:1", i), false, now)
	}
	if n := len(s.by); n > maxStrangers {
		t.Errorf("%d addresses are remembered, want at most %d", n, maxStrangers)
	}
}

// The limits hold at the door.
func TestTooManyWrongTokens(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	const path = "/us-east-1/demo/info/refs?service=git-upload-pack"
	w.ask("GET", path, "alice:"+w.token, nil, nil)
	last := 0
	for i := range failedPerMinute + 5 {
		resp, _ := w.ask("GET", path, fmt.Sprintf("alice:gf_wrong%d", i), nil, nil)
		last = resp.StatusCode
	}
	if last != 429 {
		t.Errorf("the last of many wrong tokens was answered %d, want 429", last)
	}
	if resp, _ := w.ask("GET", path, "alice:"+w.token, nil, nil); resp.StatusCode != 200 {
		t.Errorf("a good token of the same address was answered %d", resp.StatusCode)
	}
}
