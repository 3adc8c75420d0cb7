package proxy

import (
	"sync"
	"testing"
	"time"

	"gitferry/internal/pktline"
)

// A slowWriter takes its time, as a client at the end of a long line does.
type slowWriter struct {
	mu   sync.Mutex
	n    int  // guarded by mu; writes so far
	shut bool // guarded by mu
	late int  // guarded by mu; writes after shut
}

func (s *slowWriter) Write(p []byte) (int, error) {
	time.Sleep(2 * time.Millisecond)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.n++
	if s.shut {
		s.late++
	}
	return len(p), nil
}

// Nothing is written once an answer is finished: the writer is then somebody
// else's. Not parallel, since it shortens the time between empty packets.
func TestAnswerEnds(t *testing.T) {
	keepAliveEvery = time.Millisecond
	defer func() { keepAliveEvery = 5 * time.Second }()
	for range 20 {
		w := new(slowWriter)
		a := newAnswer(w, pktline.ParseCapabilities("report-status side-band-64k"))
		a.keepAlive()
		time.Sleep(5 * time.Millisecond)
		if err := a.finish(&pktline.Report{Unpack: "ok"}); err != nil {
			t.Fatal(err)
		}
		w.mu.Lock()
		w.shut = true
		w.mu.Unlock()
		time.Sleep(5 * time.Millisecond)
		w.mu.Lock()
		if w.n == 0 || w.late > 0 {
			t.Errorf("%d writes, %d of them after the end", w.n, w.late)
		}
		w.mu.Unlock()
	}
}
