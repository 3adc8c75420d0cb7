package outbox

import (
	"testing"
	"time"
)

func TestGate(t *testing.T) {
	var g gate
	now := time.Date(2026, 11, 25, 10, 0, 0, 0, time.UTC)
	places := func(want int) {
		t.Helper()
		if got, _ := g.free(now); got != want {
			t.Fatalf("free = %d, want %d", got, want)
		}
	}
	for range maxInFlight {
		if !g.enter(now) {
			t.Fatal("an open gate let too few through")
		}
	}
	if places(0); g.enter(now) {
		t.Fatal("one too many was let through")
	}
	// All are limited without a time: 10 s once, not twice as long for each.
	for range maxInFlight {
		if got := g.limited(now, time.Time{}); got.Sub(now) != limitedFirst {
			t.Fatalf("first wait %v, want %v", got.Sub(now), limitedFirst)
		}
		g.leave()
	}
	places(0)
	waits := []time.Duration{20 * time.Second, 40 * time.Second, 80 * time.Second, 160 * time.Second, limitedMost, limitedMost}
	_, shut := g.free(now)
	for _, want := range waits {
		now = now.Add(shut)
		places(1) // a probe
		if !g.enter(now) {
			t.Fatal("no probe")
		}
		if places(0); g.limited(now, time.Time{}).Sub(now) != want {
			t.Fatalf("wait is not %v", want)
		}
		g.leave()
		_, shut = g.free(now)
	}
	now = now.Add(shut)
	g.enter(now)
	g.succeeded()
	g.leave()
	places(maxInFlight)

	for range circuitAfter - 1 {
		g.failed(now)
	}
	places(maxInFlight)
	g.failed(now)
	places(0)
	now = now.Add(circuitPause)
	places(1)
	g.failed(now)
	places(0)
	now = now.Add(-24 * 365 * time.Hour) // the clock is set back
	if _, shut := g.free(now); shut > time.Hour {
		t.Errorf("shut for %v after the clock was set back, want at most 1 h", shut)
	}
}

func TestBackoff(t *testing.T) {
	for n, most := range map[int]time.Duration{0: 2, 1: 2, 2: 4, 5: 32, 9: 512, 10: 900, 1 << 40: 900} {
		for range 100 {
			if got := backoff(n); got < time.Second || got > most*time.Second+time.Second {
				t.Fatalf("backoff(%d) = %v, want 1 s to %d s", n, got, most+1)
			}
		}
	}
}
