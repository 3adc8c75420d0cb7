package packscan

// minDelta is the shortest delta that git applies; delta.h, DELTA_SIZE_MIN.
const minDelta = 4

// deltaHead reports whether the content just inflated is long enough for a
// delta and begins with two sizes.
func (f *inflater) deltaHead() bool {
	if f.headN < minDelta {
		return false
	}
	_, n := deltaSize(f.head[:f.headN])
	_, m := deltaSize(f.head[n:f.headN])
	return n > 0 && m > 0
}

// resultSize returns the size of the object that the delta just inflated
// makes.
func (f *inflater) resultSize() uint64 {
	_, n := deltaSize(f.head[:f.headN])
	size, _ := deltaSize(f.head[n:f.headN])
	return size
}

// deltaSize reads one size, seven bits a byte, least significant first, and
// how many bytes it took: 0 if it does not end within ten.
func deltaSize(p []byte) (size uint64, n int) {
	for i, c := range p {
		if i == 10 {
			break
		}
		size |= uint64(c&0x7f) << (7 * i)
		if c&0x80 == 0 {
			return size, i + 1
		}
	}
	return 0, 0
}
