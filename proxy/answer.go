package proxy

import (
	"bytes"
	"io"
	"strings"
	"sync"
	"time"

	"gitferry/internal/pktline"
)

// keepAliveEvery is how often a waiting client gets an empty packet; a
// variable for tests only.
var keepAliveEvery = 5 * time.Second

// maxSaid bounds what a client's terminal gets from one push, in bytes
// (security reference, PUSH-18).
const maxSaid = 64 << 10

// An answer is what a pushing client gets back: lines for its terminal and the
// report, in side bands if the client can.
type answer struct {
	w      io.Writer
	side   *pktline.Sideband // nil: the client takes the bare report only
	report bool              // the client wants a report

	mu   sync.Mutex
	said int // guarded by mu
	end  chan struct{}
	once sync.Once
	beat sync.WaitGroup // keepAlive's goroutine
}

func newAnswer(w io.Writer, caps pktline.Capabilities) *answer {
	a := &answer{w: w, report: caps.Has("report-status"), end: make(chan struct{})}
	if caps.Has("side-band-64k") {
		a.side = pktline.NewSideband(w, pktline.MaxSideband)
	}
	return a
}

// keepAlive sends empty packets until the answer stops. Start it only when the
// client reads: over HTTP, after the request body was read.
func (a *answer) keepAlive() {
	if a.side == nil {
		return
	}
	a.beat.Go(func() {
		tick := time.NewTicker(keepAliveEvery)
		defer tick.Stop()
		for {
			select {
			case <-a.end:
				return
			case <-tick.C:
				if a.side.Data(nil) != nil {
					return
				}
			}
		}
	})
}

// say sends text to the client's terminal, each line with our name in front.
func (a *answer) say(text string) {
	for line := range strings.SplitSeq(strings.TrimRight(text, "\n"), "\n") {
		if !strings.HasPrefix(line, "gitferry:") {
			line = "gitferry: " + line
		}
		a.relay([]byte(line + "\n"))
	}
}

// relay sends text of others, sanitized.
func (a *answer) relay(p []byte) {
	if a.side == nil {
		return
	}
	clean := []byte(pktline.SanitizeTerminal(string(p)))
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.said += len(clean); a.said > maxSaid {
		return
	}
	_ = a.side.Progress(clean)
}

// finish writes the report and ends the stream.
func (a *answer) finish(r *pktline.Report) error {
	a.stop()
	if !a.report {
		return nil
	}
	var b bytes.Buffer
	if err := pktline.WriteReport(pktline.NewWriter(&b), r); err != nil {
		return err
	}
	if a.side == nil {
		_, err := a.w.Write(b.Bytes())
		return err
	}
	if err := a.side.Data(b.Bytes()); err != nil {
		return err
	}
	return pktline.NewWriter(a.w).Flush()
}

// stop ends the empty packets: when it returns nothing but its caller writes.
// One that came after the end of the report would be taken for something else,
// and one after the request for part of the next answer.
func (a *answer) stop() {
	a.once.Do(func() { close(a.end) })
	a.beat.Wait()
}
