package packscan

// A code is an entry of a decoding table, packed: how many bits the entry
// takes, what it is, and a value.
//
//	bits  0-7   bits to consume, at least 1
//	bits  8-15  kind: 0 literal; length or distance with so many extra bits in
//	            the low half; end of block; invalid; or link, with the bits of
//	            the second table's index in the low half
//	bits 16-31  literal, base of a length or distance, or where the second
//	            table starts
type code uint32

const (
	kindLiteral = 0x00
	kindBase    = 0x10
	kindEnd     = 0x20
	kindInvalid = 0x40
	kindLink    = 0x80
)

func makeCode(value, kind, bits int) code { return code(value<<16 | kind<<8 | bits) }

func (c code) bits() uint  { return uint(c & 0xff) }
func (c code) kind() uint  { return uint(c >> 8 & 0xff) }
func (c code) value() uint { return uint(c >> 16) }

// Sizes of the tables: the first part is indexed by so many bits, the rest
// holds second tables. The sums are bounds for complete codes of up to 15 bits,
// as zlib's examples/enough.c finds them: of 288 symbols with a root of 10
// bits, and of 32 with 8.
const (
	rootLiteral  = 10
	rootDistance = 8
	rootLengths  = 7
	sizeLiteral  = 1334
	sizeDistance = 402
	maxCodeBits  = 15
)

// A codeSet says which code is described, since incomplete ones are allowed in
// some only.
type codeSet int

const (
	lengthCodes codeSet = iota
	literalCodes
	distanceCodes
)

// buildTable makes the decoding table of the code with the given lengths,
// symbol by symbol (RFC 1951, 3.2.2). It reports false where zlib does: more
// codes than fit, or fewer, except that a literal or distance code may be a
// single one of one bit and a code may be empty: using it is the error.
func buildTable(set codeSet, lengths []uint8, table []code, root uint) bool {
	var count [maxCodeBits + 1]int
	longest := 0
	for _, n := range lengths {
		count[n]++
		longest = max(longest, int(n))
	}
	if longest == 0 {
		for i := range table[:1<<root] {
			table[i] = makeCode(0, kindInvalid, 1)
		}
		return true
	}
	left := 1
	for n := 1; n <= maxCodeBits; n++ {
		if left = left<<1 - count[n]; left < 0 {
			return false
		}
	}
	if left > 0 {
		if set == lengthCodes || longest != 1 {
			return false
		}
		for i := range table[:1<<root] {
			table[i] = makeCode(0, kindInvalid, 1)
		}
	}
	var sorted [288]uint16 // symbols by length
	var at [maxCodeBits + 2]int
	for n := 1; n <= maxCodeBits; n++ {
		at[n+1] = at[n] + count[n]
	}
	for symbol, n := range lengths {
		if n != 0 {
			sorted[at[n]] = uint16(symbol)
			at[n]++
		}
	}
	fillTable(set, lengths, sorted[:at[maxCodeBits]], &count, longest, table, root)
	return true
}

// fillTable enters the symbols in the order of their codes. huff is the code
// with its bits reversed, as it stands in the stream.
func fillTable(set codeSet, lengths []uint8, sorted []uint16, count *[maxCodeBits + 1]int, longest int, table []code, root uint) {
	var huff uint
	next := 1 << root // where the next second table starts
	part := table[:1<<root]
	drop, low := uint(0), ^uint(0)
	for _, symbol := range sorted {
		n := uint(lengths[symbol])
		if n > root && huff&(1<<root-1) != low {
			// A new second table, large enough for all codes with this start.
			low = huff & (1<<root - 1)
			drop = root
			size := n - drop
			for room := 1 << size; size+drop < uint(longest); room <<= 1 {
				if room -= count[size+drop]; room <= 0 {
					break
				}
				size++
			}
			part = table[next : next+1<<size]
			table[low] = makeCode(next, kindLink|int(size), int(root))
			next += 1 << size
		}
		entry := symbolCode(set, int(symbol), int(n-drop))
		for i := huff >> drop; i < uint(len(part)); i += 1 << (n - drop) {
			part[i] = entry
		}
		count[n]--
		// Add one to the reversed code.
		bit := uint(1) << (n - 1)
		for huff&bit != 0 {
			bit >>= 1
		}
		if bit == 0 {
			huff = 0
		} else {
			huff = huff&(bit-1) + bit
		}
	}
}

// symbolCode gives a symbol its meaning (RFC 1951, 3.2.5).
func symbolCode(set codeSet, symbol, bits int) code {
	switch {
	case set == lengthCodes, set == literalCodes && symbol < 256:
		return makeCode(symbol, kindLiteral, bits)
	case set == literalCodes && symbol == 256:
		return makeCode(0, kindEnd, bits)
	case set == literalCodes && symbol-257 < len(lengthBase):
		return makeCode(int(lengthBase[symbol-257]), kindBase|int(lengthExtra[symbol-257]), bits)
	case set == distanceCodes && symbol < len(distanceBase):
		return makeCode(int(distanceBase[symbol]), kindBase|int(distanceExtra[symbol]), bits)
	}
	return makeCode(0, kindInvalid, bits) // 286, 287 and distances 30, 31 of the fixed code
}

var (
	lengthBase = [29]uint16{3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31,
		35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258}
	lengthExtra  = [29]uint8{0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0}
	distanceBase = [30]uint16{1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193,
		257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097, 6145, 8193, 12289, 16385, 24577}
	distanceExtra = [30]uint8{0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13}
	// lengthOrder is the order in which the lengths of the length code stand.
	lengthOrder = [19]uint8{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15}
)

// fixedTables are those of blocks of type 1 (RFC 1951, 3.2.6).
var fixedTables = func() (t struct {
	literal  [1 << rootLiteral]code
	distance [1 << rootDistance]code
}) {
	var lengths [288]uint8
	for i := range lengths {
		switch {
		case i < 144 || i >= 280:
			lengths[i] = 8
		case i < 256:
			lengths[i] = 9
		default:
			lengths[i] = 7
		}
	}
	buildTable(literalCodes, lengths[:], t.literal[:], rootLiteral)
	for i := range lengths[:32] {
		lengths[i] = 5
	}
	buildTable(distanceCodes, lengths[:32], t.distance[:], rootDistance)
	// 280 to 287 have eight bits, 144 to 255 nine; all codes fit the roots.
	return t
}()
