// Package pktline reads and writes git's packet lines and the messages made
// of them: side bands, the advertisement of refs, the command list of a push
// and the report-status that answers it (gitprotocol-common, gitprotocol-pack,
// gitprotocol-capabilities).
//
// The one idea is that framing alone decides where a message ends: text that
// looks like a boundary ("PACK", "0000") inside a ref name, a capability or an
// option never moves it. Every parser is bounded in packets and bytes, and
// what it accepts it can write again in the same meaning.
//
// The proxy's doors call it for clients, internal/upstream for the other side.
// It never touches objects or packs: after the packets, Reader.Rest hands the
// remaining bytes on untouched.
package pktline

import (
	"bufio"
	"errors"
	"fmt"
	"io"

	"gitferry/internal/ferry"
)

const (
	// MaxPayload is the most data bytes in one packet; gitprotocol-common,
	// "pkt-line Format": 65520 bytes with the 4 of the length.
	MaxPayload = 65516
	// MaxSideband is the most data bytes in one packet of side-band-64k: one
	// payload byte names the band.
	MaxSideband = MaxPayload - 1
	// SmallSideband is the same for the older capability "side-band":
	// packets of at most 1000 bytes.
	SmallSideband = 1000 - 5
)

// A Kind tells packets with data from the special ones.
type Kind int

const (
	Data        Kind = iota // "0004" and above; the payload may be empty
	Flush                   // "0000"
	Delim                   // "0001", protocol version 2
	ResponseEnd             // "0002", protocol version 2
)

func (k Kind) String() string {
	switch k {
	case Data:
		return "data"
	case Flush:
		return "flush"
	case Delim:
		return "delim"
	case ResponseEnd:
		return "response-end"
	}
	return fmt.Sprintf("Kind(%d)", int(k))
}

// A Reader reads packets from a stream. It may read ahead of the packet it
// returns; Rest gives access to what it has not used. Not for concurrent use.
type Reader struct {
	in  *bufio.Reader
	buf []byte
}

// NewReader returns a Reader on r. It blocks only until the packet asked for
// is complete, so it may be used on interactive streams.
func NewReader(r io.Reader) *Reader {
	return &Reader{in: bufio.NewReaderSize(r, 32<<10)}
}

// Read returns the next packet. The payload is as sent, a trailing LF
// included, and valid until the next call; it is nil for special packets.
//
// It returns io.EOF only between two packets and io.ErrUnexpectedEOF inside
// one. A length that is not four hexadecimal digits, is 3, or is above 65520
// fails with ferry.ErrInvalid.
func (r *Reader) Read() (Kind, []byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(r.in, head[:]); err != nil {
		return 0, nil, err
	}
	n, ok := parseLength(head)
	if !ok {
		return 0, nil, fmt.Errorf("packet length %q: want four hexadecimal digits: %w", head[:], ferry.ErrInvalid)
	}
	switch {
	case n == 0:
		return Flush, nil, nil
	case n == 1:
		return Delim, nil, nil
	case n == 2:
		return ResponseEnd, nil, nil
	case n == 3 || n > MaxPayload+4:
		return 0, nil, fmt.Errorf("packet length %q is not allowed: %w", head[:], ferry.ErrInvalid)
	}
	n -= 4
	if cap(r.buf) < n {
		r.buf = make([]byte, max(n, 1024))
	}
	p := r.buf[:n]
	if _, err := io.ReadFull(r.in, p); err != nil {
		return 0, nil, unexpected(err)
	}
	return Data, p, nil
}

// Rest returns the stream behind the packets read so far, for the pack that
// follows a command list. Packets and Rest may be read in turn.
func (r *Reader) Rest() io.Reader { return r.in }

// parseLength reads the four digits, upper or lower case as git does.
func parseLength(head [4]byte) (int, bool) {
	n := 0
	for _, c := range head {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		n = n<<4 | int(c)
	}
	return n, true
}

// unexpected turns the end of a stream into an end where none may be.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// chomp removes one trailing LF, which senders of text packets may add.
func chomp(p []byte) []byte {
	if n := len(p); n > 0 && p[n-1] == '\n' {
		return p[:n-1]
	}
	return p
}

// A Writer writes packets, each with one Write of the underlying writer. Wrap
// a bufio.Writer where many small packets follow each other. Not for
// concurrent use.
type Writer struct {
	w   io.Writer
	buf []byte
}

// NewWriter returns a Writer on w.
func NewWriter(w io.Writer) *Writer { return &Writer{w: w} }

// Write sends p as one packet and returns len(p). It fails with
// ferry.ErrInvalid if p is longer than MaxPayload.
func (w *Writer) Write(p []byte) (int, error) {
	if len(p) > MaxPayload {
		return 0, fmt.Errorf("packet of %d bytes: longer than %d: %w", len(p), MaxPayload, ferry.ErrInvalid)
	}
	w.buf = appendLength(w.buf[:0], len(p)+4)
	w.buf = append(w.buf, p...)
	if _, err := w.w.Write(w.buf); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Printf sends the formatted text as one packet. Nothing is added: text
// packets want a trailing "\n" in the format.
func (w *Writer) Printf(format string, args ...any) error {
	_, err := w.Write(fmt.Appendf(nil, format, args...))
	return err
}

// Flush sends the flush packet "0000".
func (w *Writer) Flush() error { return w.special("0000") }

// Delim sends the delimiter packet "0001".
func (w *Writer) Delim() error { return w.special("0001") }

// together runs write with a Writer that collects the packets, so that a long
// list does not become a system call for each line.
func (w *Writer) together(write func(*Writer) error) error {
	b := bufio.NewWriterSize(w.w, 32<<10)
	if err := write(NewWriter(b)); err != nil {
		return err
	}
	return b.Flush()
}

func (w *Writer) special(s string) error {
	_, err := io.WriteString(w.w, s)
	return err
}

func appendLength(b []byte, n int) []byte {
	const digits = "0123456789abcdef"
	return append(b, digits[n>>12&15], digits[n>>8&15], digits[n>>4&15], digits[n&15])
}
