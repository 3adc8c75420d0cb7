package packscan

import (
	"encoding/binary"
	"fmt"
	"hash"
	"hash/adler32"

	"gitferry/internal/ferry"
)

// An inflater runs through one zlib stream after the other (RFC 1950) and
// throws the content away. Its buffers are reused.
type inflater struct {
	deflate deflate
	in      *input
	adler   hash.Hash32
	flushed int   // content in deflate.out that was counted and summed
	size    int64 // declared
	got     int64
	start   int64    // of the entry, for errors
	head    [20]byte // start of the content: two sizes, if it is a delta
	headN   int
}

func newInflater(in *input) *inflater {
	f := &inflater{in: in, adler: adler32.New()}
	f.deflate.in, f.deflate.flush = in, f.flush
	return f
}

// object consumes a zlib stream that must inflate to exactly size bytes and
// end with the right checksum. start is the entry's offset, for errors.
func (f *inflater) object(size int64, delta bool, start int64) error {
	f.size, f.start, f.got, f.flushed, f.headN = size, start, 0, 0, 0
	f.adler.Reset()
	if err := f.zlibHeader(start); err != nil {
		return err
	}
	switch err := f.deflate.stream(); {
	case err == errDeflate:
		return fault(start, ferry.ErrInvalid, "inflating: %v", err)
	case err != nil:
		return fault(start, err, "inflating")
	}
	if f.got < size {
		return fault(start, ferry.ErrInvalid, "object of %d bytes, declared %d", f.got, size)
	}
	var sum [4]byte
	if err := f.in.readFull(sum[:]); err != nil {
		return fault(start, err, "in the checksum of an object")
	}
	if binary.BigEndian.Uint32(sum[:]) != f.adler.Sum32() {
		return fault(start, ferry.ErrInvalid, "checksum of an object does not match")
	}
	if delta && !f.deltaHead() {
		return fault(start, ferry.ErrInvalid, "delta without its sizes")
	}
	return nil
}

// errTooLong ends a stream that is longer than its object's declared size.
var errTooLong = fmt.Errorf("longer than declared: %w", ferry.ErrInvalid)

// flush counts and sums the content that came since the last call. When the
// output is full it keeps the last window of it.
func (f *inflater) flush() error {
	d := &f.deflate
	p := d.out[f.flushed:d.w]
	f.flushed = d.w
	if f.got += int64(len(p)); f.got > f.size {
		return errTooLong
	}
	f.adler.Write(p)
	if f.headN < len(f.head) {
		f.headN += copy(f.head[f.headN:], p)
	}
	if d.w > len(d.out)-maxMatch {
		copy(d.out[:window], d.out[d.w-window:d.w])
		d.w, f.flushed = window, window
	}
	return nil
}

// zlibHeader checks the two bytes of RFC 1950, section 2.2: deflate, window
// of at most 32 KiB, check bits, no preset dictionary. git aborts on a
// dictionary (measured with 2.39.5).
func (f *inflater) zlibHeader(start int64) error {
	var h [2]byte
	if err := f.in.readFull(h[:]); err != nil {
		return fault(start, err, "in the zlib header")
	}
	switch {
	case h[0]&15 != 8 || h[0]>>4 > 7 || binary.BigEndian.Uint16(h[:])%31 != 0:
		return fault(start, ferry.ErrInvalid, "no zlib header")
	case h[1]&0x20 != 0:
		return fault(start, ferry.ErrInvalid, "zlib preset dictionary")
	}
	return nil
}
