package codecommit

import (
	"bufio"
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"fmt"
	"io"
)

// A packFault is why a pack is not taken, in the words of the report.
type packFault string

func (f packFault) Error() string { return string(f) }

// offsetDeltas is what CodeCommit answers to a pack with offset deltas, as
// users have seen it.
const offsetDeltas = packFault("error: protocol error (offset deltas are not supported)")

// spoolPack copies one pack, and nothing after it, from in to w. It finds the
// end by reading the objects (gitformat-pack); whether they are sound is left
// to git. Unless offsets is true, a pack with offset deltas is read to its end
// and refused.
func spoolPack(in *bufio.Reader, w io.Writer, offsets bool) error {
	buffered := bufio.NewWriterSize(w, 64<<10)
	t := &tap{in: in, out: buffered}
	var head [12]byte
	if _, err := io.ReadFull(t, head[:]); err != nil {
		return err
	}
	if string(head[:4]) != "PACK" {
		return packFault("error: protocol error (pack signature mismatch)")
	}
	var fault error
	for range binary.BigEndian.Uint32(head[8:]) {
		kind, err := copyObject(t)
		if err != nil {
			return err
		}
		if kind == 6 && !offsets {
			fault = offsetDeltas
		}
	}
	var trailer [20]byte
	if _, err := io.ReadFull(t, trailer[:]); err != nil {
		return err
	}
	if err := buffered.Flush(); err != nil {
		return err
	}
	return fault
}

// copyObject passes one entry of a pack through the tap and returns its type:
// 1 to 4 for whole objects, 6 for an offset delta, 7 for a reference delta.
func copyObject(t *tap) (kind byte, err error) {
	b, err := t.ReadByte()
	if err != nil {
		return 0, err
	}
	kind = b >> 4 & 7
	for b&0x80 != 0 { // the size, which git checks
		if b, err = t.ReadByte(); err != nil {
			return 0, err
		}
	}
	switch kind {
	case 1, 2, 3, 4:
	case 6:
		for b = 0x80; b&0x80 != 0; {
			if b, err = t.ReadByte(); err != nil {
				return 0, err
			}
		}
	case 7:
		var base [20]byte
		if _, err := io.ReadFull(t, base[:]); err != nil {
			return 0, err
		}
	default:
		return 0, packFault(fmt.Sprintf("error: protocol error (unknown object type %d)", kind))
	}
	if t.z == nil {
		t.z, err = zlib.NewReader(t)
	} else {
		err = t.z.(zlib.Resetter).Reset(t, nil)
	}
	if err == nil {
		_, err = io.Copy(io.Discard, t.z)
	}
	switch {
	case err == nil || t.err != nil:
		return kind, t.err
	default:
		return 0, packFault("error: protocol error (" + err.Error() + ")")
	}
}

// A tap hands on what is read through it. It is an io.ByteReader, so that the
// inflater takes no byte more than its stream has.
type tap struct {
	in  *bufio.Reader
	out *bufio.Writer
	z   io.ReadCloser
	err error // the first failure of in or out
}

func (t *tap) ReadByte() (byte, error) {
	b, err := t.in.ReadByte()
	if err == nil {
		err = t.out.WriteByte(b)
	}
	return b, t.note(err)
}

func (t *tap) Read(p []byte) (int, error) {
	n, err := t.in.Read(p)
	if _, werr := io.Copy(t.out, bytes.NewReader(p[:n])); werr != nil {
		err = werr
	}
	return n, t.note(err)
}

func (t *tap) note(err error) error {
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	if err != nil && t.err == nil {
		t.err = err
	}
	return err
}
