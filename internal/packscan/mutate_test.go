package packscan

import (
	"bytes"
	"compress/flate"
	"compress/zlib"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"gitferry/internal/ferry"
)

// gitPacks returns packs that the real git makes of a small history with
// trees, an annotated tag and deltas: by offset, by name, and stored.
func gitPacks(t testing.TB) [][]byte {
	t.Helper()
	dir := t.TempDir()
	gitOut(t, dir, nil, "init", "-q", "-b", "main", ".")
	text := []string{}
	for i := range 60 {
		text = append(text, fmt.Sprintf("line %d of a file that changes a little", i*i))
	}
	for i := range 4 {
		text[i*7] = fmt.Sprintf("changed in commit %d", i)
		for name, content := range map[string]string{"a.txt": strings.Join(text, "\n"), "sub/empty": "", fmt.Sprintf("n%d", i): strings.Repeat("n", i)} {
			path := filepath.Join(dir, name)
			if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		gitOut(t, dir, nil, "add", ".")
		gitOut(t, dir, nil, "commit", "-q", "-m", fmt.Sprintf("DEMO-%d PACK 0000", i+1))
	}
	gitOut(t, dir, nil, "tag", "-a", "-m", "a tag", "v1")
	var packs [][]byte
	for _, args := range [][]string{
		{"--delta-base-offset"},
		{},
		{"--compression=0"},
	} {
		args = append([]string{"pack-objects", "--all", "--revs", "--stdout", "-q"}, args...)
		packs = append(packs, gitOut(t, dir, strings.NewReader(""), args...))
	}
	return packs
}

// entries cuts a valid pack at its objects.
func entries(t testing.TB, p []byte) [][]byte {
	t.Helper()
	s := scanner{limits: Limits{AllowOfsDelta: true}.orDefault()}
	s.in = newInput(bytes.NewReader(p), func([]byte) error { return nil }, int64(len(p)))
	s.inflater = newInflater(s.in)
	if err := s.header(); err != nil {
		t.Fatal(err)
	}
	var list [][]byte
	for range s.result.Objects {
		start := s.in.offset()
		if err := s.entry(); err != nil {
			t.Fatal(err)
		}
		list = append(list, p[start:s.in.offset()])
	}
	return list
}

// split takes an entry apart: type, declared size, base, stream.
func split(e []byte) (kind ObjectType, size uint64, base, stream []byte) {
	in := newInput(bytes.NewReader(e), nil, int64(len(e)))
	s := scanner{in: in}
	kind, n, err := s.typeAndSize(0)
	if err != nil {
		return 3, 0, nil, e
	}
	from := in.offset()
	switch kind {
	case RefDelta:
		in.Read(make([]byte, 20))
	case OfsDelta:
		for c := byte(0x80); c&0x80 != 0; {
			if c, err = in.ReadByte(); err != nil {
				break
			}
		}
	}
	return kind, uint64(n), e[from:in.offset()], e[in.offset():]
}

// mutate makes one change or a few to a pack that git made, most of them
// below the level where a checksum would hide everything behind it.
func mutate(rnd *rand.Rand, list [][]byte) []byte {
	list = append([][]byte(nil), list...)
	version, count := uint32(2), uint32(len(list))
	sealed, junk := true, []byte(nil)
	for range 1 + rnd.IntN(2) {
		i := rnd.IntN(len(list))
		switch rnd.IntN(16) {
		case 0:
			count += uint32(rnd.IntN(5)) - 2
		case 1:
			version = uint32(rnd.IntN(6))
		case 2:
			junk = randomBytes(rnd, 1+rnd.IntN(40))
		case 3: // drop
			list[i] = nil
			count -= uint32(rnd.IntN(2))
		case 4: // repeat
			list[i] = append(bytes.Clone(list[i]), list[i]...)
			count += uint32(rnd.IntN(2))
		case 5: // swap
			k := rnd.IntN(len(list))
			list[i], list[k] = list[k], list[i]
		case 6:
			sealed = false
		case 7, 8, 9:
			list[i] = mutateBytes(rnd, list[i])
		default:
			list[i] = mutateEntry(rnd, list[i])
		}
	}
	p := pack(version, count, list...)
	if !sealed {
		p = mutateBytes(rnd, p)
	}
	return append(p, junk...)
}

func randomBytes(rnd *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rnd.Uint32())
	}
	return b
}

func mutateBytes(rnd *rand.Rand, b []byte) []byte {
	b = bytes.Clone(b)
	if len(b) == 0 {
		return b
	}
	i := rnd.IntN(len(b))
	switch rnd.IntN(4) {
	case 0:
		b[i] ^= 1 << rnd.IntN(8)
	case 1:
		b[i] = byte(rnd.Uint32())
	case 2:
		b = append(b[:i:i], b[i+1:]...)
	case 3:
		b = append(b[:i:i], append(randomBytes(rnd, 1), b[i:]...)...)
	}
	return b
}

// mutateEntry changes an entry and keeps the rest of it consistent: a stream
// that was changed gets the checksum of what it now inflates to, so that the
// decoders and not the checksums are compared.
func mutateEntry(rnd *rand.Rand, e []byte) []byte {
	kind, size, base, stream := split(e)
	if len(stream) < 2 {
		return mutateBytes(rnd, e) // changed beyond recognition before
	}
	join := func(padding int) []byte {
		return bytes.Join([][]byte{head(kind, size, padding), base, stream}, nil)
	}
	switch rnd.IntN(8) {
	case 0:
		return join(rnd.IntN(11))
	case 1:
		size += uint64(rnd.IntN(5)) - 2
	case 2:
		kind = ObjectType(rnd.IntN(8))
	case 3:
		base = mutateBytes(rnd, base)
	case 4: // zlib header with valid check bits
		stream = bytes.Clone(stream)
		stream[0] = byte(rnd.Uint32())
		if rnd.IntN(2) == 0 {
			stream[0] = byte(rnd.IntN(16))<<4 | 8
		}
		stream[1] = byte(rnd.IntN(8)) << 5
		stream[1] += byte(31 - int(binary.BigEndian.Uint16(stream))%31)
	case 5: // another compression of the same content
		if r, err := zlib.NewReader(bytes.NewReader(stream)); err == nil {
			if content, err := io.ReadAll(r); err == nil {
				stream = deflated(content, []int{0, 1, 9, zlib.HuffmanOnly}[rnd.IntN(4)])
				if rnd.IntN(3) == 0 { // other content of the same or another size
					stream = deflated(mutateBytes(rnd, content), 6)
				}
			}
		}
	default: // another deflate stream with its own size and checksum
		if len(stream) < 8 {
			break
		}
		body := mutateBytes(rnd, stream[2:len(stream)-4])
		content, used, ok := inflateSome(body)
		if !ok {
			content = nil
		}
		if rnd.IntN(4) > 0 {
			size = uint64(len(content))
		}
		if ok {
			body = body[:used]
		}
		stream = checksum(body, content)
	}
	return join(0)
}

// inflateSome inflates one deflate stream and says how much of b it took.
func inflateSome(b []byte) (content []byte, used int64, ok bool) {
	in := newInput(bytes.NewReader(b), nil, int64(len(b)))
	content, err := io.ReadAll(io.LimitReader(flate.NewReader(in), 1<<20))
	return content, in.offset(), err == nil && len(content) < 1<<20
}

// compare asks both sides about p and returns how they disagree, or "".
func compare(t testing.TB, git *judge, p []byte) string {
	v := git.ask(t, p)
	var sent int64
	_, err := Scan(bytes.NewReader(p), func(b []byte) error { sent += int64(len(b)); return nil }, Limits{AllowOfsDelta: true})
	if err != nil && !errors.Is(err, ferry.ErrInvalid) {
		return fmt.Sprintf("Scan: %v is not ErrInvalid", err)
	}
	end := sent + trailerLength
	switch {
	case v.accepted && err == nil && v.end == end && end == int64(len(p)),
		v.accepted && errors.Is(err, ErrTrailing) && v.end == end && end < int64(len(p)),
		v.accepted && err != nil && strings.Contains(err.Error(), "too many digits"),
		!v.accepted && v.later, // deltas are git's to resolve
		!v.accepted && err != nil && !errors.Is(err, ErrTrailing):
		return ""
	}
	return fmt.Sprintf("git accepted = %t with end %d: %s; Scan forwarded %d of %d: %v", v.accepted, v.end, strings.TrimSpace(v.stderr), sent, len(p), err)
}

// TestAgreesWithGit puts mutants of real packs to Scan and to git index-pack.
// PACKSCAN_MUTANTS and PACKSCAN_SEED in the environment make it longer or
// another one.
func TestAgreesWithGit(t *testing.T) {
	n, seed := 2000, uint64(1)
	if testing.Short() {
		n = 300
	}
	if v, err := strconv.Atoi(os.Getenv("PACKSCAN_MUTANTS")); err == nil {
		n = v
	}
	if v, err := strconv.ParseUint(os.Getenv("PACKSCAN_SEED"), 10, 64); err == nil {
		seed = v
	}
	var lists [][][]byte
	git := newJudge(t)
	for _, p := range gitPacks(t) {
		if diff := compare(t, git, p); diff != "" {
			t.Fatalf("pack as git made it: %s", diff)
		}
		lists = append(lists, entries(t, p))
	}
	rnd := rand.New(rand.NewPCG(seed, 0))
	accepted := 0
	for i := range n {
		p := mutate(rnd, lists[rnd.IntN(len(lists))])
		if diff := compare(t, git, p); diff != "" {
			path := filepath.Join(os.TempDir(), fmt.Sprintf("packscan-%d-%d.pack", seed, i))
			if err := os.WriteFile(path, p, 0o600); err != nil {
				t.Fatal(err)
			}
			t.Errorf("mutant %d, kept as %s: %s", i, path, diff)
		}
		if _, err := Scan(bytes.NewReader(p), func([]byte) error { return nil }, Limits{AllowOfsDelta: true}); err == nil {
			accepted++
		}
	}
	t.Logf("%d mutants, %d accepted by Scan", n, accepted)
	if accepted < n/20 || accepted > n*19/20 {
		t.Errorf("%d of %d mutants accepted: the mutations say little", accepted, n)
	}
}

// FuzzScan compares Scan with git index-pack on arbitrary bytes, as they are
// and with a trailer that fits them. Each run starts git twice: run it with
// -fuzzminimizetime 5x, or the fuzzer spends its time on making inputs short.
func FuzzScan(f *testing.F) {
	for _, p := range gitPacks(f) {
		f.Add(p)
		f.Add(p[:len(p)-trailerLength])
	}
	blob := []byte("hello, pack\n")
	f.Add(pack(2, 1, append(head(Blob, 12, 3), deflated(blob, 6)...)))
	f.Add(pack(2, 1, append(head(Blob, 12, 0), withDictionary(blob)...)))
	f.Add(append(pack(3, 1, object(Blob, blob)), "junk"...))
	git := newJudge(f)
	f.Fuzz(func(t *testing.T, p []byte) {
		for _, p := range [][]byte{p, seal(p)} {
			if diff := compare(t, git, p); diff != "" {
				t.Error(diff)
			}
		}
	})
}
