package packscan

import "encoding/binary"

// block decodes literals and matches up to the end of the block.
func (d *deflate) block(literal, distance []code) error {
	for {
		if d.w > len(d.out)-maxMatch {
			if err := d.flush(); err != nil {
				return err
			}
		}
		if done, err := d.fast(literal, distance); done || err != nil {
			return err
		}
		if d.w > len(d.out)-maxMatch {
			continue
		}
		c, err := d.symbol(literal, rootLiteral)
		if err != nil {
			return err
		}
		switch c.kind() &^ 15 {
		case kindLiteral:
			d.out[d.w] = byte(c.value())
			d.w++
			continue
		case kindEnd:
			return nil
		case kindInvalid:
			return errDeflate
		}
		length, err := d.take(c.kind() & 15)
		if err != nil {
			return err
		}
		length += c.value()
		if c, err = d.symbol(distance, rootDistance); err != nil {
			return err
		}
		if c.kind() == kindInvalid {
			return errDeflate
		}
		back, err := d.take(c.kind() & 15)
		if err != nil {
			return err
		}
		if !d.match(int(c.value()+back), int(length)) {
			return errDeflate
		}
	}
}

// match repeats length bytes from distance before the end of the output.
func (d *deflate) match(distance, length int) bool {
	from, to := d.w-distance, d.w+length
	if from < 0 {
		return false
	}
	for d.w < to { // a part that is whole at each turn
		d.w += copy(d.out[d.w:to], d.out[from:d.w])
	}
	return true
}

// fast is block without looking at the ends of the buffers: it goes on while
// eight bytes of input and a longest match of output are there. done says
// that the block has ended. A turn uses at most 15+5+15+13 = 48 bits. What
// stands in hold above its n bits is what the next load puts there again.
func (d *deflate) fast(literal, distance []code) (done bool, err error) {
	in, out := d.in, &d.out
	hold, n, w := d.hold, d.n, d.w
	buf, pos := in.buf[:in.end], in.pos
turns:
	for len(buf)-pos >= 8 && w <= len(out)-maxMatch {
		hold |= binary.LittleEndian.Uint64(buf[pos:]) << (n & 63)
		pos += int(63-n) >> 3
		n |= 56
		c := literal[hold&(1<<rootLiteral-1)]
		if c.kind()&kindLink != 0 {
			hold >>= rootLiteral
			n -= rootLiteral
			c = literal[c.value()+uint(hold)&(1<<(c.kind()&15)-1)]
		}
		hold >>= c.bits() & 63
		n -= c.bits()
		if c.kind() == kindLiteral {
			out[w] = byte(c.value())
			w++
			continue
		}
		if c.kind()&kindBase == 0 {
			if done = c.kind() == kindEnd; !done {
				err = errDeflate
			}
			break turns
		}
		extra := c.kind() & 15
		length := int(c.value() + uint(hold)&(1<<extra-1))
		hold >>= extra
		n -= extra
		c = distance[hold&(1<<rootDistance-1)]
		if c.kind()&kindLink != 0 {
			hold >>= rootDistance
			n -= rootDistance
			c = distance[c.value()+uint(hold)&(1<<(c.kind()&15)-1)]
		}
		hold >>= c.bits() & 63
		n -= c.bits()
		extra = c.kind() & 15
		back := int(c.value() + uint(hold)&(1<<extra-1))
		hold >>= extra
		n -= extra
		if c.kind()&kindBase == 0 || back > w {
			err = errDeflate
			break turns
		}
		for from, to := w-back, w+length; w < to; {
			w += copy(out[w:to], out[from:w])
		}
	}
	d.hold, d.n, d.w = hold&(1<<n-1), n, w
	in.pos = pos
	return done, err
}
