package packscan

import (
	"crypto/sha1"
	"errors"
	"fmt"
	"hash"
	"io"

	"gitferry/internal/ferry"
)

const (
	bufferBytes  = 256 << 10
	forwardBytes = 64 << 10 // consumed bytes wait until there are so many
)

// An input is the pack as a stream of bytes that are first filled, then
// consumed by the parser, then hashed and forwarded:
//
//	0 <= sent <= pos <= end <= len(buf)
//
// The inflater looks ahead in what is filled and gives back what it did not
// need; it never has bytes forwarded that may lie behind the end of a stream.
type input struct {
	r       io.Reader
	forward func([]byte) error
	room    int64 // bytes that may still be read from r
	err     error // sticky: io.EOF, a read or forward error, or ErrLimit

	buf  []byte
	sent int   // start of what is consumed and not forwarded
	pos  int   // start of what is not consumed
	end  int   // end of what is filled
	base int64 // offset in the pack of buf[0]
	hash hash.Hash
}

func newInput(r io.Reader, forward func([]byte) error, limit int64) *input {
	return &input{r: r, forward: forward, room: limit, buf: make([]byte, bufferBytes), hash: sha1.New()}
}

// offset returns the number of bytes consumed so far.
func (in *input) offset() int64 { return in.base + int64(in.pos) }

// ReadByte consumes one byte.
func (in *input) ReadByte() (byte, error) {
	if in.pos == in.end {
		if err := in.fill(); err != nil {
			return 0, err
		}
	}
	c := in.buf[in.pos]
	in.pos++
	return c, nil
}

// Read consumes up to len(p) bytes.
func (in *input) Read(p []byte) (int, error) {
	if in.pos == in.end {
		if err := in.fill(); err != nil {
			return 0, err
		}
	}
	n := copy(p, in.buf[in.pos:in.end])
	in.pos += n
	return n, nil
}

// readFull consumes len(p) bytes; an early end is io.ErrUnexpectedEOF.
func (in *input) readFull(p []byte) error {
	for len(p) > 0 {
		n, err := in.Read(p)
		if err != nil {
			return unexpected(err)
		}
		p = p[n:]
	}
	return nil
}

// fill reads more bytes when all that there are have been consumed.
func (in *input) fill() error {
	if in.err != nil {
		return in.err
	}
	if in.pos-in.sent >= forwardBytes || in.end == len(in.buf) {
		if err := in.forwardConsumed(); err != nil {
			return err
		}
	}
	if in.sent == in.pos { // nothing waits: start over
		in.base += int64(in.pos)
		in.sent, in.pos, in.end = 0, 0, 0
	}
	if in.room == 0 {
		in.err = fault(in.offset(), ErrLimit, "the pack is too large")
		return in.err
	}
	space := in.buf[in.end:]
	if int64(len(space)) > in.room {
		space = space[:in.room]
	}
	for range 100 {
		n, err := in.r.Read(space)
		in.end += n
		in.room -= int64(n)
		if err != nil {
			in.err = err
			if err != io.EOF {
				in.err = fmt.Errorf("reading pack: %w", err)
			}
		}
		if n > 0 {
			return nil
		}
		if err != nil {
			return in.err
		}
	}
	in.err = fmt.Errorf("reading pack: %w", io.ErrNoProgress)
	return in.err
}

// forwardConsumed hashes and forwards all that was consumed.
func (in *input) forwardConsumed() error {
	p := in.buf[in.sent:in.pos]
	if len(p) == 0 {
		return nil
	}
	in.sent = in.pos
	in.hash.Write(p)
	if err := in.forward(p); err != nil {
		in.err = fmt.Errorf("forwarding pack: %w", err)
		return in.err
	}
	return nil
}

// sum returns the SHA-1 of what was forwarded.
func (in *input) sum() []byte { return in.hash.Sum(nil) }

// requireEnd fails unless nothing follows what was consumed. It reads one
// byte beyond the limit of the pack. With open it looks only at what was read
// already.
func (in *input) requireEnd(open bool) error {
	if in.pos == in.end && open {
		return nil
	}
	if in.pos == in.end && in.err == nil {
		in.sent = in.pos // the trailer is not forwarded
		in.room = max(in.room, 1)
		if err := in.fill(); err != nil && err != io.EOF {
			return err
		}
	}
	if in.pos < in.end {
		return fault(in.offset(), ErrTrailing, "the pack ends here")
	}
	if in.err != io.EOF {
		return in.err
	}
	return nil
}

// fault describes what is wrong with the pack and where.
func fault(offset int64, kind error, format string, args ...any) error {
	if errors.Is(kind, io.ErrUnexpectedEOF) {
		kind = errTruncated
	}
	return fmt.Errorf("pack, offset %d: %s: %w", offset, fmt.Sprintf(format, args...), kind)
}

// errTruncated is both an invalid pack and an unexpected end.
var errTruncated = fmt.Errorf("%w, %w", io.ErrUnexpectedEOF, ferry.ErrInvalid)

// unexpected turns the end of the stream into an end where none may be.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
