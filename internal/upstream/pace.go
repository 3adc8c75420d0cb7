package upstream

import (
	"io"
	"sync/atomic"
	"time"
)

// A pacedReader cuts a stream that drips: of the time spent waiting for the
// other side, each window must bring a least number of bytes. Time in which
// nobody reads does not count.
type pacedReader struct {
	r       io.Reader
	window  time.Duration
	least   int64  // 0: no limit
	cut     func() // ends a Read that is blocked
	waited  time.Duration
	got     int64
	stalled atomic.Bool
}

func (d *Dialer) paced(r io.Reader, cut func()) *pacedReader {
	return &pacedReader{r: r, window: d.bounds.stallWindow, least: d.bounds.stallBytes, cut: cut}
}

// Read returns errStalled once the stream was cut.
func (r *pacedReader) Read(p []byte) (int, error) {
	if r.least == 0 {
		return r.r.Read(p)
	}
	start := time.Now()
	timer := time.AfterFunc(r.window-r.waited, func() {
		r.stalled.Store(true)
		r.cut()
	})
	n, err := r.r.Read(p)
	timer.Stop()
	if r.stalled.Load() && n == 0 {
		return 0, errStalled
	}
	r.got += int64(n)
	if r.waited += time.Since(start); r.waited >= r.window || r.got >= r.least {
		r.waited, r.got = 0, 0
	}
	return n, err
}
