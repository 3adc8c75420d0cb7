package packscan

import (
	"encoding/binary"
	"errors"
)

// errDeflate is what bad deflate data gives.
var errDeflate = errors.New("invalid deflate stream")

const (
	window   = 32 << 10 // bytes that a match may reach back; RFC 1951
	outBytes = window + 64<<10
	maxMatch = 258
)

// A deflate decodes one deflate stream after the other from an input (RFC
// 1951). It accepts what zlib accepts. compress/flate does too, and is the
// oracle in the tests; it takes 1.7 times the processor time on a pack, which
// was most of what a push cost the gate.
//
// It keeps up to 64 bits of the input in hold. Bytes are loaded ahead only
// while the input has them in its buffer; where the buffer ends, byte by byte
// and only if the symbol being read needs one more. So the input is never
// refilled, which hands bytes on, while hold has bits that may lie behind the
// end of the stream; giveBack returns those that do.
type deflate struct {
	in   *input
	hold uint64 // bits not used yet, the next one lowest
	n    uint   // how many

	out   [outBytes]byte // output, older than flushed only as history
	w     int            // end of the output
	flush func() error   // takes the output up to w and may move it

	literal  [sizeLiteral]code
	distance [sizeDistance]code
	lengths  [286 + 30]uint8
}

// load makes at least k bits available, k <= 32.
func (d *deflate) load(k uint) error {
	for d.n < k {
		if in := d.in; in.end-in.pos >= 8 {
			d.hold |= binary.LittleEndian.Uint64(in.buf[in.pos:]) << d.n
			more := (63 - d.n) >> 3
			in.pos += int(more)
			d.n += more << 3
			d.hold &= 1<<d.n - 1 // d.n is at most 63
			return nil
		}
		c, err := d.in.ReadByte()
		if err != nil {
			return unexpected(err)
		}
		d.hold |= uint64(c) << d.n
		d.n += 8
	}
	return nil
}

// take reads k bits, k <= 32.
func (d *deflate) take(k uint) (uint, error) {
	if err := d.load(k); err != nil {
		return 0, err
	}
	v := uint(d.hold & (1<<k - 1))
	d.hold >>= k
	d.n -= k
	return v, nil
}

// giveBack returns the bytes of hold that were not used, after the rest of
// one that was used in part.
func (d *deflate) giveBack() {
	d.in.pos -= int(d.n >> 3)
	d.hold, d.n = 0, 0
}

// symbol reads one symbol of a code.
func (d *deflate) symbol(table []code, root uint) (code, error) {
	for {
		c := table[d.hold&(1<<root-1)]
		need := c.bits()
		if c.kind()&kindLink != 0 && d.n >= root {
			c = table[c.value()+uint(d.hold>>root)&(1<<(c.kind()&15)-1)]
			need = root + c.bits()
		}
		if need <= d.n && c.kind()&kindLink == 0 {
			d.hold >>= need
			d.n -= need
			return c, nil
		}
		if err := d.load(d.n + 1); err != nil {
			return 0, err
		}
	}
}

// stream decodes one stream to its end.
func (d *deflate) stream() error {
	d.hold, d.n, d.w = 0, 0, 0
	for {
		head, err := d.take(3)
		if err != nil {
			return err
		}
		switch head >> 1 {
		case 0:
			err = d.stored()
		case 1:
			err = d.block(fixedTables.literal[:], fixedTables.distance[:])
		case 2:
			if err = d.tables(); err == nil {
				err = d.block(d.literal[:], d.distance[:])
			}
		default:
			err = errDeflate
		}
		if err != nil {
			return err
		}
		if head&1 != 0 {
			d.giveBack()
			return d.flush()
		}
	}
}

// stored copies a block of type 0.
func (d *deflate) stored() error {
	d.hold >>= d.n & 7
	d.n -= d.n & 7
	v, err := d.take(32)
	if err != nil {
		return err
	}
	if v&0xffff != ^v>>16&0xffff {
		return errDeflate
	}
	d.giveBack()
	for left := int(v & 0xffff); left > 0; {
		if d.w == len(d.out) {
			if err := d.flush(); err != nil {
				return err
			}
		}
		n, err := d.in.Read(d.out[d.w:min(len(d.out), d.w+left)])
		if err != nil {
			return unexpected(err)
		}
		d.w += n
		left -= n
	}
	return nil
}

// tables reads the codes in front of a block of type 2.
func (d *deflate) tables() error {
	v, err := d.take(14)
	if err != nil {
		return err
	}
	literals, distances, lengths := int(v&31)+257, int(v>>5&31)+1, int(v>>10)+4
	if literals > 286 || distances > 30 {
		return errDeflate
	}
	var order [19]uint8
	for _, at := range lengthOrder[:lengths] {
		v, err := d.take(3)
		if err != nil {
			return err
		}
		order[at] = uint8(v)
	}
	// The code of the lengths uses the place of the literals for a moment.
	if !buildTable(lengthCodes, order[:], d.literal[:], rootLengths) {
		return errDeflate
	}
	all := d.lengths[:literals+distances]
	for i := 0; i < len(all); {
		n, err := d.readLength(all, i)
		if err != nil {
			return err
		}
		i += n
	}
	if all[256] == 0 || // no way to end the block
		!buildTable(literalCodes, all[:literals], d.literal[:], rootLiteral) ||
		!buildTable(distanceCodes, all[literals:], d.distance[:], rootDistance) {
		return errDeflate
	}
	return nil
}

// readLength reads one length, or a run, to all[i:] and returns how many.
func (d *deflate) readLength(all []uint8, i int) (int, error) {
	c, err := d.symbol(d.literal[:], rootLengths)
	if err != nil {
		return 0, err
	}
	if c.kind() == kindInvalid {
		return 0, errDeflate
	}
	var length uint8
	var base, extra uint
	switch c.value() {
	default:
		all[i] = uint8(c.value())
		return 1, nil
	case 16:
		if i == 0 {
			return 0, errDeflate
		}
		length, base, extra = all[i-1], 3, 2
	case 17:
		base, extra = 3, 3
	case 18:
		base, extra = 11, 7
	}
	v, err := d.take(extra)
	if err != nil {
		return 0, err
	}
	n := int(base + v)
	if i+n > len(all) {
		return 0, errDeflate
	}
	for k := range all[i : i+n] {
		all[i+k] = length
	}
	return n, nil
}
