package pktline

import (
	"fmt"
	"io"
	"sync"

	"gitferry/internal/ferry"
)

// The bands of side-band-64k; gitprotocol-capabilities, "side-band-64k".
const (
	bandData     = 1
	bandProgress = 2
	bandFatal    = 3
)

// A Sideband multiplexes data, progress and a fatal message on one stream.
// Its methods may be called concurrently; packets are never interleaved. The
// flush packet that ends the stream is the caller's to write.
type Sideband struct {
	size int

	mu  sync.Mutex
	w   io.Writer // guarded by mu
	buf []byte    // guarded by mu
}

// NewSideband returns a Sideband on w that puts at most size data bytes in a
// packet: MaxSideband for side-band-64k, SmallSideband for side-band. Sizes
// outside 1..MaxSideband count as MaxSideband.
func NewSideband(w io.Writer, size int) *Sideband {
	if size < 1 || size > MaxSideband {
		size = MaxSideband
	}
	return &Sideband{w: w, size: size}
}

// Data sends p in band 1: a pack or a report-status. An empty p sends one
// empty packet, which keeps the connection alive.
func (s *Sideband) Data(p []byte) error { return s.send(bandData, p) }

// Progress sends p in band 2: text that git shows behind "remote: ". The
// caller has sanitized it.
func (s *Sideband) Progress(p []byte) error { return s.send(bandProgress, p) }

// Fatal sends p in band 3: git shows it and fails.
func (s *Sideband) Fatal(p []byte) error { return s.send(bandFatal, p) }

func (s *Sideband) send(band byte, p []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		n := min(len(p), s.size)
		s.buf = appendLength(s.buf[:0], n+5)
		s.buf = append(s.buf, band)
		s.buf = append(s.buf, p[:n]...)
		if _, err := s.w.Write(s.buf); err != nil {
			return err
		}
		if p = p[n:]; len(p) == 0 {
			return nil
		}
	}
}

// A RemoteError is what the other side sent instead of an answer: an "ERR"
// packet or a message in band 3. It carries no kind of package ferry, since
// the text alone does not tell a missing repository from a broken one.
type RemoteError struct {
	Text string // sanitized for terminals, without trailing line ends
}

func (e *RemoteError) Error() string { return "remote: " + e.Text }

// A Demux reads band 1 of a side-band stream.
type Demux struct {
	r        *Reader
	progress func([]byte)
	pending  []byte // part of the current packet, valid until r.Read
	err      error
}

// NewDemux returns a Demux on the packets of r. Band 2 goes to progress,
// unsanitized and valid during the call only; progress may be nil.
func NewDemux(r *Reader, progress func([]byte)) *Demux {
	return &Demux{r: r, progress: progress}
}

// Read returns bytes of band 1. io.EOF follows the flush packet that ends the
// side band; a stream that ends without one gives io.ErrUnexpectedEOF. Band 3
// gives a *RemoteError, any other packet an error that is ferry.ErrInvalid.
func (d *Demux) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for len(d.pending) == 0 {
		if d.err == nil {
			d.err = d.next()
		}
		if d.err != nil {
			return 0, d.err
		}
	}
	n := copy(p, d.pending)
	d.pending = d.pending[n:]
	return n, nil
}

// next reads one packet; pending stays empty if it was no data.
func (d *Demux) next() error {
	kind, p, err := d.r.Read()
	switch {
	case err != nil:
		return unexpected(err)
	case kind == Flush:
		return io.EOF
	case kind != Data:
		return fmt.Errorf("side band: %s packet: %w", kind, ferry.ErrInvalid)
	case len(p) == 0:
		return fmt.Errorf("side band: packet without a band: %w", ferry.ErrInvalid)
	}
	switch p[0] {
	case bandData:
		d.pending = p[1:]
	case bandProgress:
		if d.progress != nil {
			d.progress(p[1:])
		}
	case bandFatal:
		return newRemoteError(p[1:])
	default:
		return fmt.Errorf("side band: band %d: %w", p[0], ferry.ErrInvalid)
	}
	return nil
}
