// Package packscan follows a pack as it streams by and knows, at every byte,
// to which object it belongs, where that object ends, and where the pack
// itself ends (gitformat-pack).
//
// The one idea: a push may be let through while it is still arriving only if
// the end of the pack is found by parsing. "All but the last 20 bytes of the
// stream" can be got around by bytes behind the pack. So bytes are handed on
// only once they are attributed to the header or to an object, the trailer
// never is, and anything behind the trailer is an error.
//
// The verdict and the end agree with the first pass of git index-pack
// (git 2.39): framing, zlib streams with their checksums, declared sizes, the
// trailer's hash. Scan is stricter in two places: it refuses sizes written
// with more digits than git can read back from a stored pack, and whatever
// breaks a limit. What needs the objects themselves, finding the bases of
// deltas and applying them, is left to index-pack, which has to run before
// anything becomes readable.
//
// The proxy's push gate calls it. Scan keeps no object, runs no subprocess and
// needs a constant amount of memory, plus 8 bytes an object if offset deltas
// are allowed. A History remembers where the commits and tags of a pack may
// stand and reads them afterwards.
package packscan

import (
	"bytes"
	"crypto/sha1"
	"encoding/binary"
	"fmt"
	"io"
	"slices"

	"gitferry/internal/ferry"
)

// Errors of Scan that callers tell apart. Both are ferry.ErrInvalid.
var (
	// ErrTrailing: there are bytes behind the pack.
	ErrTrailing = fmt.Errorf("bytes after the end of the pack: %w", ferry.ErrInvalid)
	// ErrLimit: the pack is larger than Limits allows.
	ErrLimit = fmt.Errorf("limit exceeded: %w", ferry.ErrInvalid)
)

// Limits bounds a pack. Zero members stand for the defaults.
type Limits struct {
	PackBytes     int64 // whole pack with its trailer; default 2 GiB
	Objects       int64 // default 5,000,000
	ObjectBytes   int64 // one object, inflated, deltas applied; default 2 GiB, CodeCommit's limit
	TotalInflated int64 // all zlib streams together; default 20 GiB
	// Ratio is the most inflated bytes for one compressed byte, checked for
	// objects above 100 MiB; default 1,000.
	Ratio     int64
	ratioFrom int64 // size above which Ratio is checked; 100 MiB but in tests
	// AllowOfsDelta admits deltas that name their base by its offset. It is
	// set only if the capability ofs-delta was offered to the client.
	AllowOfsDelta bool
	// Open says that the stream stays open behind the pack, as over SSH, where
	// the client waits for the report: Scan then returns after the trailer and
	// refuses only bytes that came along with it.
	Open bool
	// Each, if not nil, is called with every entry once it was scanned.
	Each func(Entry)
}

func (l Limits) orDefault() Limits {
	for _, m := range []struct {
		value *int64
		byDef int64
	}{
		{&l.PackBytes, 2 << 30},
		{&l.Objects, 5_000_000},
		{&l.ObjectBytes, 2 << 30},
		{&l.TotalInflated, 20 << 30},
		{&l.Ratio, 1000},
		{&l.ratioFrom, 100 << 20},
	} {
		if *m.value == 0 {
			*m.value = m.byDef
		}
	}
	return l
}

// An ObjectType is the type of an entry in a pack; gitformat-pack.
type ObjectType int

const (
	Commit   ObjectType = 1
	Tree     ObjectType = 2
	Blob     ObjectType = 3
	Tag      ObjectType = 4
	OfsDelta ObjectType = 6
	RefDelta ObjectType = 7
)

// An Entry is where an object stands in a pack. Offsets count from the pack's
// start.
type Entry struct {
	Type    ObjectType
	Start   int64
	Data    int64     // of its zlib stream
	Size    int64     // inflated
	Base    int64     // of an OfsDelta: where its base starts
	BaseOID ferry.OID // of a RefDelta
}

// A Result describes a pack that was scanned to its end.
type Result struct {
	Objects  uint32    // as the header says, and as many there were
	Bytes    int64     // header and objects, without the trailer
	Trailer  [20]byte  // SHA-1 of those bytes, checked
	Types    [8]uint32 // entries by ObjectType
	Inflated int64     // bytes of all zlib streams
}

const (
	headerLength  = 12
	trailerLength = sha1.Size
)

// Scan reads one pack from r and calls forward with the bytes that were
// attributed to its header or an object, in order, without gaps, most calls
// with 64 KiB and more; p is valid during the call only. The trailer is not
// forwarded: the caller sends Result.Trailer when nothing speaks against it.
//
// Scan requires r to end behind the trailer, unless Limits.Open is set, and
// fails with ErrTrailing if it does not. A malformed pack fails with
// ferry.ErrInvalid and names the offset; one that stops early is
// io.ErrUnexpectedEOF as well. A pack beyond l fails with ErrLimit, before the
// memory or time it asks for is spent. Errors of r and forward are returned
// wrapped. After an error nothing more is forwarded.
func Scan(r io.Reader, forward func(p []byte) error, l Limits) (Result, error) {
	s := scanner{limits: l.orDefault()}
	s.in = newInput(r, forward, s.limits.PackBytes)
	s.inflater = newInflater(s.in)
	if err := s.scan(); err != nil {
		if s.in.err != nil && s.in.err != io.EOF {
			err = s.in.err // the reason behind what the parser saw
		}
		return Result{}, err
	}
	return s.result, nil
}

type scanner struct {
	limits   Limits
	in       *input
	inflater *inflater
	result   Result
	offsets  []int64 // of the entries so far, if offset deltas are allowed
}

func (s *scanner) scan() error {
	if err := s.header(); err != nil {
		return err
	}
	for range s.result.Objects {
		if err := s.entry(); err != nil {
			return err
		}
	}
	s.result.Bytes = s.in.offset()
	if err := s.in.forwardConsumed(); err != nil {
		return err
	}
	return s.trailer()
}

func (s *scanner) header() error {
	var h [headerLength]byte
	if err := s.in.readFull(h[:]); err != nil {
		return fault(s.in.offset(), err, "in the header")
	}
	if !bytes.Equal(h[:4], []byte("PACK")) {
		return fault(0, ferry.ErrInvalid, "no pack signature")
	}
	if v := binary.BigEndian.Uint32(h[4:]); v != 2 && v != 3 {
		return fault(4, ferry.ErrInvalid, "pack version %d", v)
	}
	s.result.Objects = binary.BigEndian.Uint32(h[8:])
	if n := int64(s.result.Objects); n > s.limits.Objects {
		return fault(8, ErrLimit, "%d objects, at most %d are accepted", n, s.limits.Objects)
	}
	return nil
}

// entry reads one object: its type and size, the base of a delta, and the
// zlib stream.
func (s *scanner) entry() error {
	start := s.in.offset()
	kind, size, err := s.typeAndSize(start)
	if err != nil {
		return err
	}
	if size > s.limits.ObjectBytes {
		return fault(start, ErrLimit, "object of %d bytes, at most %d are accepted", size, s.limits.ObjectBytes)
	}
	if s.result.Inflated += size; s.result.Inflated > s.limits.TotalInflated {
		return fault(start, ErrLimit, "more than %d bytes inflated", s.limits.TotalInflated)
	}
	e := Entry{Type: kind, Start: start, Size: size}
	if err := s.base(&e); err != nil {
		return err
	}
	s.result.Types[kind]++
	delta := kind == OfsDelta || kind == RefDelta
	data := s.in.offset()
	e.Data = data
	if err := s.inflater.object(size, delta, start); err != nil {
		return err
	}
	if length := s.in.offset() - data; size > s.limits.ratioFrom && size/s.limits.Ratio >= length {
		return fault(start, ErrLimit, "object of %d bytes in %d: compressed more than %d to 1", size, length, s.limits.Ratio)
	}
	if delta && s.inflater.resultSize() > uint64(s.limits.ObjectBytes) {
		return fault(start, ErrLimit, "delta makes an object of %d bytes, at most %d are accepted", s.inflater.resultSize(), s.limits.ObjectBytes)
	}
	if s.limits.Each != nil {
		s.limits.Each(e)
	}
	return nil
}

// typeAndSize reads the variable-length head of an entry. Superfluous zero
// digits are fine with index-pack; more than git's reader of stored packs
// takes (packfile.c, unpack_object_header_buffer: no digit at a shift above
// 57) would make an object that nobody can read, so they are refused here.
func (s *scanner) typeAndSize(start int64) (ObjectType, int64, error) {
	c, err := s.in.ReadByte()
	if err != nil {
		return 0, 0, fault(start, unexpected(err), "in the head of an object")
	}
	kind := ObjectType(c >> 4 & 7)
	size := uint64(c & 15)
	for shift := 4; c&0x80 != 0; shift += 7 {
		if shift > 64-7 {
			return 0, 0, fault(start, ferry.ErrInvalid, "object size of too many digits")
		}
		if c, err = s.in.ReadByte(); err != nil {
			return 0, 0, fault(start, unexpected(err), "in the head of an object")
		}
		size |= uint64(c&0x7f) << shift
	}
	switch kind {
	case Commit, Tree, Blob, Tag, OfsDelta, RefDelta:
		return kind, int64(size), nil // at most 60 bits
	}
	return 0, 0, fault(start, ferry.ErrInvalid, "object type %d", kind)
}

// base reads what a delta says about its base.
func (s *scanner) base(e *Entry) error {
	start := e.Start
	switch e.Type {
	case RefDelta:
		if err := s.in.readFull(e.BaseOID[:]); err != nil {
			return fault(start, err, "in the name of a delta's base")
		}
	case OfsDelta:
		if !s.limits.AllowOfsDelta {
			return fault(start, ferry.ErrInvalid, "offset delta, which was not offered")
		}
		distance, err := s.distance(start)
		if err != nil {
			return err
		}
		e.Base = start - distance
		if _, found := slices.BinarySearch(s.offsets, e.Base); !found {
			return fault(start, ferry.ErrInvalid, "offset delta: no object starts %d bytes before", distance)
		}
	}
	if s.limits.AllowOfsDelta {
		s.offsets = append(s.offsets, start)
	}
	return nil
}

// distance reads the offset encoding of gitformat-pack, bounded by where the
// pack starts.
func (s *scanner) distance(start int64) (int64, error) {
	var d int64
	for {
		c, err := s.in.ReadByte()
		if err != nil {
			return 0, fault(start, unexpected(err), "in the offset of a delta's base")
		}
		d = d<<7 | int64(c&0x7f)
		if d > start {
			return 0, fault(start, ferry.ErrInvalid, "offset delta: base before the start of the pack")
		}
		if c&0x80 == 0 {
			return d, nil
		}
		d++
	}
}

func (s *scanner) trailer() error {
	want := s.in.sum()
	if err := s.in.readFull(s.result.Trailer[:]); err != nil {
		return fault(s.result.Bytes, err, "in the trailer")
	}
	if !bytes.Equal(want, s.result.Trailer[:]) {
		return fault(s.result.Bytes, ferry.ErrInvalid, "trailer %x does not match the content, want %x", s.result.Trailer, want)
	}
	return s.in.requireEnd(s.limits.Open)
}
