package packscan

import (
	"compress/flate"
	"encoding/binary"
	"hash"
	"hash/adler32"
	"io"

	"gitferry/internal/ferry"
)

// An inflater runs through one zlib stream after the other (RFC 1950) and
// throws the content away. Its buffers are reused.
type inflater struct {
	in    *input
	flate io.ReadCloser // also a flate.Resetter
	adler hash.Hash32
	out   [64 << 10]byte
	head  [20]byte // start of the content: two sizes, if it is a delta
	headN int
}

func newInflater(in *input) *inflater {
	return &inflater{in: in, flate: flate.NewReader(in), adler: adler32.New()}
}

// object consumes a zlib stream that must inflate to exactly size bytes and
// end with the right checksum. start is the entry's offset, for errors.
func (f *inflater) object(size int64, delta bool, start int64) error {
	if err := f.zlibHeader(start); err != nil {
		return err
	}
	if err := f.flate.(flate.Resetter).Reset(f.in, nil); err != nil {
		return err
	}
	f.adler.Reset()
	f.headN = 0
	var got int64
	for {
		n, err := f.flate.Read(f.out[:])
		if got += int64(n); got > size {
			return fault(start, ferry.ErrInvalid, "object is longer than its declared %d bytes", size)
		}
		f.adler.Write(f.out[:n])
		if f.headN < len(f.head) {
			f.headN += copy(f.head[f.headN:], f.out[:n])
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return fault(start, inflateKind(err), "inflating: %v", err)
		}
	}
	if got < size {
		return fault(start, ferry.ErrInvalid, "object of %d bytes, declared %d", got, size)
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

// inflateKind keeps an early end apart from bad data.
func inflateKind(err error) error {
	if err == io.ErrUnexpectedEOF {
		return err
	}
	return ferry.ErrInvalid
}
