package packscan

import (
	"bytes"
	"compress/zlib"
	"errors"
	"fmt"
	"io"

	"gitferry/internal/ferry"
)

// Bounds of a History. Beyond them git has to read the pack.
const (
	maxHistoryEntries = 100_000
	maxHistoryObjects = 1_000
	maxHistoryBytes   = 8 << 20 // of commits and tags together
)

// ErrHistory says that a pack holds more commits, tags or deltas than a
// History keeps, or commits in a form that it does not read.
var ErrHistory = errors.New("too much history in the pack")

// A History finds the commits and annotated tags of a pack without reading the
// other objects. Give its Note to Limits.Each. The zero History is ready.
type History struct {
	entries []Entry // commits, tags, and deltas, which may be either
	over    bool
}

// Note remembers an entry if it may be a commit or a tag.
func (h *History) Note(e Entry) {
	if e.Type == Tree || e.Type == Blob {
		return
	}
	if len(h.entries) >= maxHistoryEntries {
		h.over, h.entries = true, nil
	}
	if !h.over {
		h.entries = append(h.entries, e)
	}
}

// An Object is a commit or a tag of a pack.
type Object struct {
	Type    ObjectType
	OID     ferry.OID
	Content []byte
}

// Objects reads the commits and tags of the scanned pack; id computes an
// object's name. open are the names of bases, each once, on which deltas stand
// that were not resolved: they are objects outside the pack, or trees and blobs
// in it. If one is a commit or a tag outside, there are commits or tags in the
// pack that objects does not hold.
//
// It fails with ErrHistory if the pack holds too much.
func (h *History) Objects(pack io.ReaderAt, id func(ObjectType, []byte) (ferry.OID, error)) (objects []Object, open []ferry.OID, err error) {
	if h.over {
		return nil, nil, ErrHistory
	}
	byOffset, byName := make(map[int64][]Entry), make(map[ferry.OID][]Entry) // deltas by their base
	type found struct {
		Entry
		Object
	}
	var todo []found
	left := maxHistoryBytes
	add := func(e Entry, kind ObjectType, content []byte) error {
		if left -= len(content); left < 0 || len(objects) >= maxHistoryObjects {
			return ErrHistory
		}
		oid, err := id(kind, content)
		if err != nil {
			return err
		}
		o := Object{kind, oid, content}
		objects = append(objects, o)
		todo = append(todo, found{e, o})
		return nil
	}
	for _, e := range h.entries {
		switch e.Type {
		case OfsDelta:
			byOffset[e.Base] = append(byOffset[e.Base], e)
			continue
		case RefDelta:
			byName[e.BaseOID] = append(byName[e.BaseOID], e)
			continue
		}
		content, err := inflate(pack, e)
		if err != nil {
			return nil, nil, err
		}
		if err := add(e, e.Type, content); err != nil {
			return nil, nil, err
		}
	}
	for len(todo) > 0 {
		base := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		deltas := append(byOffset[base.Start], byName[base.OID]...)
		delete(byOffset, base.Start)
		delete(byName, base.OID)
		for _, e := range deltas {
			delta, err := inflate(pack, e)
			if err != nil {
				return nil, nil, err
			}
			content, err := applyDelta(base.Content, delta)
			if err != nil {
				return nil, nil, fmt.Errorf("pack offset %d: %w", e.Start, err)
			}
			if err := add(e, base.Object.Type, content); err != nil {
				return nil, nil, err
			}
		}
	}
	for o := range byName {
		open = append(open, o)
	}
	return objects, open, nil
}

// inflate reads the zlib stream of an entry, which Scan has checked.
func inflate(pack io.ReaderAt, e Entry) ([]byte, error) {
	if e.Size > maxHistoryBytes {
		return nil, ErrHistory
	}
	z, err := zlib.NewReader(io.NewSectionReader(pack, e.Data, 1<<62-e.Data))
	if err != nil {
		return nil, fmt.Errorf("pack offset %d: %w", e.Start, err)
	}
	content := make([]byte, e.Size)
	if _, err := io.ReadFull(z, content); err != nil {
		return nil, fmt.Errorf("pack offset %d: %w", e.Start, err)
	}
	return content, nil
}

var errDelta = fmt.Errorf("a delta that does not fit its base: %w", ferry.ErrInvalid)

// applyDelta makes an object from its base (gitformat-pack, "Deltified
// representation").
func applyDelta(base, delta []byte) ([]byte, error) {
	from, n := deltaSize(delta)
	to, m := deltaSize(delta[n:])
	if n == 0 || m == 0 || from != uint64(len(base)) {
		return nil, errDelta
	}
	if to > maxHistoryBytes {
		return nil, ErrHistory
	}
	out := bytes.NewBuffer(make([]byte, 0, to))
	for p := delta[n+m:]; len(p) > 0; {
		op := p[0]
		p = p[1:]
		if op&0x80 == 0 { // that many bytes follow
			if op == 0 || int(op) > len(p) {
				return nil, errDelta
			}
			out.Write(p[:op])
			p = p[op:]
			continue
		}
		var v [7]uint64 // four bytes of offset, three of size
		for i := range v {
			if op&(1<<i) != 0 {
				if len(p) == 0 {
					return nil, errDelta
				}
				v[i], p = uint64(p[0]), p[1:]
			}
		}
		offset := v[0] | v[1]<<8 | v[2]<<16 | v[3]<<24
		size := v[4] | v[5]<<8 | v[6]<<16
		if size == 0 {
			size = 0x10000
		}
		if offset+size > uint64(len(base)) || uint64(out.Len())+size > to {
			return nil, errDelta
		}
		out.Write(base[offset : offset+size])
	}
	if uint64(out.Len()) != to {
		return nil, errDelta
	}
	return out.Bytes(), nil
}
