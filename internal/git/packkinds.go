package git

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"gitferry/internal/ferry"
)

// smallPack is the size in bytes up to which a pack's own entries are read
// instead of asking git about each object.
const smallPack = 4 << 20

// EachPackKind calls yield with the type of each object of a pack in the
// quarantine objects of the repository at dir. oids are the objects, as
// PackObjects lists them.
func (r *Runner) EachPackKind(ctx context.Context, dir, objects, pack string, oids []ferry.OID, yield func(ferry.OID, string)) error {
	name := filepath.Join(objects, "pack", "pack-"+pack)
	if info, err := os.Stat(name + ".pack"); err != nil || info.Size() > smallPack {
		return r.EachKind(ctx, dir, objects, oids, yield)
	}
	kinds, err := packKinds(name, oids)
	if errors.Is(err, errOddPack) {
		return r.EachKind(ctx, dir, objects, oids, yield)
	}
	for _, o := range oids {
		if kind := kinds[o]; kind != "" {
			yield(o, kind)
		}
	}
	return err
}

// errOddPack says that an entry is not as git index-pack writes it.
var errOddPack = errors.New("entry not understood")

// packKinds reads the heads of the entries (gitformat-pack). git index-pack
// has completed the pack, so the base of every delta is in it.
func packKinds(name string, oids []ferry.OID) (map[ferry.OID]string, error) {
	idx, err := os.ReadFile(name + ".idx")
	if err != nil {
		return nil, fmt.Errorf("reading a pack index: %w", err)
	}
	pack, err := os.ReadFile(name + ".pack")
	if err != nil {
		return nil, fmt.Errorf("reading a pack: %w", err)
	}
	// Behind the names stand four bytes of CRC each, then four of offset,
	// whose first bit is not set in a pack this small.
	const head = 8 + 256*4
	offsets := idx[min(len(idx), head+24*len(oids)):]
	if len(offsets) < 4*len(oids) {
		return nil, errOddPack
	}
	at := make(map[ferry.OID]int, len(oids))
	for i, o := range oids {
		at[o] = int(binary.BigEndian.Uint32(offsets[4*i:]))
	}
	kinds := make(map[ferry.OID]string, len(oids))
	for o, offset := range at {
		if kinds[o], err = entryKind(pack, offset, at); err != nil {
			return nil, err
		}
	}
	return kinds, nil
}

// entryKind follows the deltas from the entry at an offset to the object that
// has a type. The chain cannot be longer than the pack has objects.
func entryKind(pack []byte, offset int, at map[ferry.OID]int) (string, error) {
	for range len(at) + 1 {
		if offset < 0 || offset >= len(pack) {
			return "", errOddPack
		}
		kind := pack[offset] >> 4 & 7
		i := offset
		for i < len(pack) && pack[i]&0x80 != 0 {
			i++
		}
		base := pack[min(i+1, len(pack)):]
		switch kind {
		case 1, 2, 3, 4:
			return [...]string{1: "commit", 2: "tree", 3: "blob", 4: "tag"}[kind], nil
		case 6:
			back, n := ofsDistance(base)
			if n == 0 {
				return "", errOddPack
			}
			offset -= back
		case 7:
			var o ferry.OID
			if len(base) < len(o) {
				return "", errOddPack
			}
			copy(o[:], base)
			there, ok := at[o]
			if !ok {
				return "", errOddPack
			}
			offset = there
		default:
			return "", errOddPack
		}
	}
	return "", errOddPack
}

// ofsDistance reads how far back the base of an offset delta is, and in how
// many bytes that is written; 0 for none.
func ofsDistance(p []byte) (back, n int) {
	for i, c := range p[:min(len(p), 9)] {
		back = back<<7 | int(c&0x7f)
		if c&0x80 == 0 {
			return back, i + 1
		}
		back++
	}
	return 0, 0
}
