package packscan

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"

	"gitferry/internal/ferry"
)

// TestOddPacks asks Scan and the real git about packs that only a hostile
// client makes.
func TestOddPacks(t *testing.T) {
	blob := []byte("hello, pack\n")
	good := object(Blob, blob)
	other := object(Blob, bytes.Repeat([]byte("other "), 1000))
	stream := deflated(blob, zlib.DefaultCompression)
	sized := func(size uint64, stream []byte) []byte { return append(head(Blob, size, 0), stream...) }
	flipped := func(b []byte, i int) []byte {
		b = bytes.Clone(b)
		b[(i+len(b))%len(b)] ^= 1
		return b
	}
	refDelta := func(content []byte) []byte {
		e := append(head(RefDelta, uint64(len(content)), 0), make([]byte, 20)...)
		return append(e, deflated(content, zlib.DefaultCompression)...)
	}
	ofsDelta := func(distance byte, content []byte) []byte {
		e := append(head(OfsDelta, uint64(len(content)), 0), distance)
		return append(e, deflated(content, zlib.DefaultCompression)...)
	}
	delta := []byte{12, 5, 0x90, 5} // 12 bytes to 5: copy 5 from the start
	twoDigits := append(head(OfsDelta, 4, 0), 0x80, 0x00)
	twoDigits = append(twoDigits, deflated(delta, 6)...)
	long := object(Blob, bytes.Repeat([]byte{0}, 100)) // 2 + stream, shorter than 128

	const (
		accepts = iota
		rejects
		left     // git rejects when it resolves deltas; Scan leaves it to git
		stricter // git accepts, Scan does not
	)
	for _, tt := range []struct {
		name   string
		pack   []byte
		want   int
		signal bool
	}{
		{"plain", pack(2, 1, good), accepts, false},
		{"version 3", pack(3, 1, good), accepts, false},
		{"version 4", pack(4, 1, good), rejects, false},
		{"version 1", pack(1, 1, good), rejects, false},
		{"no signature", seal([]byte("PUCK\x00\x00\x00\x02\x00\x00\x00\x00")), rejects, false},
		{"zero objects", pack(2, 0), accepts, false},
		{"duplicate object", pack(2, 2, good, good), accepts, false},
		{"overlong size", pack(2, 1, append(head(Blob, 12, 3), stream...)), accepts, false},
		{"size in nine digits", pack(2, 1, append(head(Blob, 12, 8), stream...)), accepts, false},
		{"size in ten digits", pack(2, 1, append(head(Blob, 12, 9), stream...)), stricter, false},
		{"declared size smaller", pack(2, 1, sized(11, stream)), rejects, false},
		{"declared size larger", pack(2, 1, sized(13, stream)), rejects, false},
		{"declared size zero", pack(2, 1, sized(0, stream)), rejects, false},
		{"type 0", pack(2, 1, append(head(0, 12, 0), stream...)), rejects, false},
		{"type 5", pack(2, 1, append(head(5, 12, 0), stream...)), rejects, false},
		{"wrong checksum", pack(2, 1, sized(12, flipped(stream, -1))), rejects, false},
		{"raw deflate", pack(2, 1, sized(12, raw(blob))), rejects, false},
		{"gzip", pack(2, 1, sized(12, append([]byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3}, raw(blob)...))), rejects, false},
		{"preset dictionary", pack(2, 1, sized(12, withDictionary(blob))), rejects, true},
		{"window of 64 KiB", pack(2, 1, sized(12, append([]byte{0x88, 0x1c}, stream[2:]...))), rejects, false},
		{"window of 256 bytes", pack(2, 1, sized(12, append([]byte{0x08, 0x1d}, stream[2:]...))), accepts, false},
		{"stored blocks", pack(2, 1, sized(12, deflated(blob, zlib.NoCompression))), accepts, false},
		{"empty blocks before and behind", pack(2, 1, sized(12, checksum(
			[]byte("\x00\x00\x00\xff\xff\x00\x0c\x00\xf3\xffhello, pack\n\x00\x00\x00\xff\xff\x01\x00\x00\xff\xff"), blob))), accepts, false},
		{"block of type 3", pack(2, 1, sized(12, checksum([]byte{7, 0, 0}, blob))), rejects, false},
		{"stored block, wrong length check", pack(2, 1, sized(12, checksum([]byte("\x01\x0c\x00\xf2\xffhello, pack\n"), blob))), rejects, false},
		{"count larger", pack(2, 2, good), rejects, false},
		{"count smaller", pack(2, 1, good, other), rejects, false},
		{"wrong trailer", flipped(pack(2, 1, good), -1), rejects, false},
		{"trailer cut", pack(2, 1, good)[:12+len(good)+19], rejects, false},
		{"no trailer", pack(2, 1, good)[:12+len(good)], rejects, false},
		{"cut in an object", pack(2, 1, good)[:12+len(good)-3], rejects, false},
		{"header cut", pack(2, 1, good)[:11], rejects, false},
		{"empty input", nil, rejects, false},
		{"count 2^32-1", pack(2, 1<<32-1, good), rejects, false},
		{"declared size 2^62", pack(2, 1, sized(1<<62, stream)), rejects, false},
		{"declared size 2^59", pack(2, 1, sized(1<<59, stream)), rejects, false},
		{"ref delta, missing base", pack(2, 2, good, refDelta(delta)), left, false},
		{"ofs delta", pack(2, 2, good, ofsDelta(byte(len(good)), delta)), accepts, false},
		{"ofs delta into an object", pack(2, 2, good, ofsDelta(byte(len(good)-1), delta)), rejects, false},
		{"ofs delta to itself", pack(2, 2, good, ofsDelta(0, delta)), rejects, false},
		{"ofs delta to the header", pack(2, 2, good, ofsDelta(byte(len(good)+12), delta)), rejects, false},
		{"ofs delta before the pack", pack(2, 2, good, ofsDelta(127, delta)), rejects, false},
		{"ofs delta of 2 digits, nothing there", pack(2, 3, long, good, twoDigits), rejects, false},
		{"delta of three bytes", pack(2, 2, good, ofsDelta(byte(len(good)), []byte{12, 5, 0x90})), rejects, false},
		{"delta for another base size", pack(2, 2, good, ofsDelta(byte(len(good)), []byte{11, 5, 0x90, 5})), left, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			git := newJudge(t).ask(t, tt.pack)
			_, err := scanAll(t, tt.pack, Limits{AllowOfsDelta: true})
			if err != nil && !errors.Is(err, ferry.ErrInvalid) {
				t.Errorf("Scan: %v, want an error that is ErrInvalid", err)
			}
			wantGit := tt.want == accepts || tt.want == stricter
			wantScan := tt.want == accepts || tt.want == left
			if git.accepted != wantGit || git.later && tt.want == rejects && !strings.Contains(tt.name, "delta") {
				t.Errorf("git accepted = %t, want %t; %s", git.accepted, wantGit, git.stderr)
			}
			if tt.want == left && !git.later {
				t.Errorf("git rejected not by its deltas: %s", git.stderr)
			}
			if git.signal != tt.signal {
				t.Logf("git died by a signal: %t, with git 2.39.5: %t", git.signal, tt.signal)
			}
			if (err == nil) != wantScan {
				t.Errorf("Scan: %v, want accepted = %t", err, wantScan)
			}
			if git.accepted && git.end != int64(len(tt.pack)) {
				t.Errorf("git ends the pack at %d of %d", git.end, len(tt.pack))
			}
		})
	}
}

// TestTrailingBytes: git accepts bytes behind the pack and hands them back,
// Scan finds the same end and refuses.
func TestTrailingBytes(t *testing.T) {
	git := newJudge(t)
	p := pack(2, 1, object(Blob, []byte("hello, pack\n")))
	for _, junk := range [][]byte{{0}, bytes.Repeat([]byte{'x'}, 20), p, bytes.Repeat([]byte{7}, 300<<10)} {
		with := append(bytes.Clone(p), junk...)
		v := git.ask(t, with)
		if !v.accepted || v.end != int64(len(p)) {
			t.Errorf("%d bytes of junk: git %+v, want end %d", len(junk), v, len(p))
		}
		var sent int
		_, err := Scan(bytes.NewReader(with), func(b []byte) error { sent += len(b); return nil }, Limits{})
		if !errors.Is(err, ErrTrailing) || !errors.Is(err, ferry.ErrInvalid) {
			t.Errorf("%d bytes of junk: Scan: %v, want ErrTrailing", len(junk), err)
		}
		if sent != len(p)-trailerLength {
			t.Errorf("%d bytes of junk: forwarded %d bytes, want %d", len(junk), sent, len(p)-trailerLength)
		}
	}
}

// TestTooManyDigitsCannotBeRead shows why Scan is stricter than index-pack:
// git stores such an object and cannot read it.
func TestTooManyDigitsCannotBeRead(t *testing.T) {
	j := newJudge(t)
	blob := []byte("hello, pack\n")
	for padding, readable := range map[int]bool{8: true, 9: false} {
		p := pack(2, 1, append(head(Blob, 12, padding), deflated(blob, 6)...))
		gitOut(t, j.dir, bytes.NewReader(p), "index-pack", "--stdin")
		id := strings.TrimSpace(string(gitOut(t, j.dir, bytes.NewReader(blob), "hash-object", "--stdin")))
		err := runGit(j.dir, "cat-file", "blob", id)
		if (err == nil) != readable {
			t.Errorf("%d superfluous digits: cat-file: %v, want readable = %t", padding, err, readable)
		}
		j = newJudge(t)
	}
}

// TestReadErrors: errors of the reader and of forward come through, an early
// end is both ErrInvalid and io.ErrUnexpectedEOF.
func TestReadErrors(t *testing.T) {
	p := pack(2, 1, object(Blob, bytes.Repeat([]byte("some content "), 100)))
	broken := errors.New("broken")
	keep := func([]byte) error { return nil }
	for n := range p {
		_, err := Scan(io.MultiReader(bytes.NewReader(p[:n]), failing{broken}), keep, Limits{})
		if !errors.Is(err, broken) {
			t.Fatalf("read error after %d bytes: %v", n, err)
		}
		_, err = Scan(bytes.NewReader(p[:n]), keep, Limits{})
		if !errors.Is(err, ferry.ErrInvalid) || !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Fatalf("end after %d bytes: %v", n, err)
		}
	}
	if _, err := Scan(io.MultiReader(bytes.NewReader(p), failing{broken}), keep, Limits{}); !errors.Is(err, broken) {
		t.Errorf("read error behind the pack: %v", err)
	}
	calls := 0
	_, err := Scan(bytes.NewReader(p), func([]byte) error { calls++; return broken }, Limits{})
	if !errors.Is(err, broken) || calls != 1 {
		t.Errorf("forward failing: %v after %d calls", err, calls)
	}
}

// TestFirstByteBehindTrailerIsAwaited: a stream that stays open behind the
// trailer is not yet a complete push.
func TestFirstByteBehindTrailerIsAwaited(t *testing.T) {
	p := pack(2, 1, object(Blob, []byte("x")))
	r, w := io.Pipe()
	done := make(chan error, 1)
	go func() {
		_, err := Scan(r, func([]byte) error { return nil }, Limits{})
		done <- err
	}()
	if _, err := w.Write(p); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-done:
		t.Fatalf("Scan returned before the end of the stream: %v", err)
	default:
	}
	if _, err := w.Write([]byte{0}); err != nil {
		t.Fatal(err)
	}
	if err := <-done; !errors.Is(err, ErrTrailing) {
		t.Errorf("Scan: %v, want ErrTrailing", err)
	}
}

// TestOneByteAtATime: how the stream is cut changes nothing.
func TestOneByteAtATime(t *testing.T) {
	p := pack(2, 3, object(Commit, []byte("tree x\n")), object(Blob, bytes.Repeat([]byte("abc"), 50_000)), object(Tag, nil))
	want, err := scanAll(t, p, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	var sent []byte
	got, err := Scan(oneByte{bytes.NewReader(p)}, func(b []byte) error { sent = append(sent, b...); return nil }, Limits{})
	if err != nil || got != want || !bytes.Equal(sent, p[:len(p)-trailerLength]) {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	if got.Objects != 3 || got.Types != [8]uint32{Commit: 1, Blob: 1, Tag: 1} || got.Inflated != 150_007 {
		t.Errorf("got %+v", got)
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

type oneByte struct{ r io.Reader }

func (o oneByte) Read(p []byte) (int, error) { return o.r.Read(p[:1]) }

// TestLimits: each limit at its value and one below.
func TestLimits(t *testing.T) {
	blob := bytes.Repeat([]byte("0123456789"), 100)
	result := []byte{0xe8, 0x07, 0xd0, 0x0f, 0x90, 0xff, 'x', 'y'} // 1000 to 2000 bytes; sizes only matter
	e := append(head(RefDelta, uint64(len(result)), 0), make([]byte, 20)...)
	e = append(e, deflated(result, 6)...)
	p := pack(2, 2, object(Blob, blob), object(Blob, blob[:10]))
	d := pack(2, 1, e)
	for _, tt := range []struct {
		name  string
		pack  []byte
		limit func(*Limits) *int64
		at    int64
	}{
		{"pack bytes", p, func(l *Limits) *int64 { return &l.PackBytes }, int64(len(p))},
		{"objects", p, func(l *Limits) *int64 { return &l.Objects }, 2},
		{"object bytes", p, func(l *Limits) *int64 { return &l.ObjectBytes }, 1000},
		{"object bytes of a delta's result", d, func(l *Limits) *int64 { return &l.ObjectBytes }, 2000},
		{"total inflated", p, func(l *Limits) *int64 { return &l.TotalInflated }, 1010},
	} {
		var l Limits
		*tt.limit(&l) = tt.at
		if _, err := scanAll(t, tt.pack, l); err != nil {
			t.Errorf("%s at the limit: %v", tt.name, err)
		}
		*tt.limit(&l) = tt.at - 1
		if _, err := scanAll(t, tt.pack, l); !errors.Is(err, ErrLimit) || !errors.Is(err, ferry.ErrInvalid) {
			t.Errorf("%s above the limit: %v, want ErrLimit", tt.name, err)
		}
	}
	if _, err := Scan(bytes.NewReader(p), func([]byte) error { return nil }, Limits{Objects: 2}); err != nil {
		t.Error(err)
	}
	if _, err := scanAll(t, pack(2, 2, object(Blob, blob), e), Limits{}); err != nil {
		t.Errorf("ref delta: %v", err)
	}
	ofs := append(head(OfsDelta, 4, 0), byte(len(object(Blob, blob))))
	ofs = append(ofs, deflated([]byte{12, 5, 0x90, 5}, 6)...)
	if _, err := scanAll(t, pack(2, 2, object(Blob, blob), ofs), Limits{}); !errors.Is(err, ferry.ErrInvalid) {
		t.Errorf("offset delta not offered: %v, want ErrInvalid", err)
	}
}

// TestRatio: an object of zeros above the size that matters is refused.
func TestRatio(t *testing.T) {
	l := Limits{Ratio: 100, ratioFrom: 1 << 20}
	zeros := make([]byte, l.ratioFrom+1)
	if _, err := scanAll(t, pack(2, 1, object(Blob, zeros)), l); !errors.Is(err, ErrLimit) {
		t.Errorf("above the size: %v, want ErrLimit", err)
	}
	if _, err := scanAll(t, pack(2, 1, object(Blob, zeros[1:])), l); err != nil {
		t.Errorf("at the size: %v", err)
	}
	if got := (Limits{}).orDefault(); got.Ratio != 1000 || got.ratioFrom != 100<<20 {
		t.Errorf("defaults %+v", got)
	}
}

// TestHeadOfObject checks the encoder of this test against the scanner.
func TestHeadOfObject(t *testing.T) {
	for _, size := range []uint64{0, 15, 16, 2047, 2048, 1 << 20} {
		b := head(Blob, size, 0)
		in := newInput(bytes.NewReader(b), nil, 100)
		s := scanner{in: in}
		kind, got, err := s.typeAndSize(0)
		if err != nil || kind != Blob || uint64(got) != size || in.offset() != int64(len(b)) {
			t.Errorf("size %d: got type %d, size %d, %v", size, kind, got, err)
		}
	}
	if n, _ := deltaSize(binary.AppendUvarint(nil, 1<<40)); n != 1<<40 {
		t.Errorf("deltaSize = %d", n)
	}
}

// TestOpenStream: over SSH the client keeps its side open and waits for the
// report, so Scan must not wait for the end; what came along is refused still.
func TestOpenStream(t *testing.T) {
	whole := pack(2, 1, object(Blob, []byte("hello")))
	r, w := io.Pipe()
	defer w.Close()
	go w.Write(whole)
	if _, err := Scan(r, func([]byte) error { return nil }, Limits{Open: true}); err != nil {
		t.Errorf("Scan of an open stream: %v", err)
	}
	_, err := Scan(bytes.NewReader(append(whole, 'x')), func([]byte) error { return nil }, Limits{Open: true})
	if !errors.Is(err, ErrTrailing) {
		t.Errorf("Scan of an open stream with a byte behind the pack: %v, want ErrTrailing", err)
	}
}
