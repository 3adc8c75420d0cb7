package packscan

import (
	"bytes"
	"hash/adler32"
	"io"
	"math/rand/v2"
	"testing"
)

// compareDeflate inflates b with ours and with compress/flate; both must
// agree on whether it is a stream, where it ends and what is in it. chunk is
// the size of our input's buffer and of the reads that fill it.
func compareDeflate(t testing.TB, b []byte, chunk int) (accepted bool) {
	t.Helper()
	content, used, want := inflateSome(b)
	var sent int64
	in := newInput(chunks{bytes.NewReader(b), chunk}, func(p []byte) error { sent += int64(len(p)); return nil }, int64(len(b)))
	in.buf = make([]byte, chunk)
	f := newInflater(in)
	f.size = 1<<20 - 1
	err := f.deflate.stream()
	if got := err == nil; got != want {
		t.Fatalf("%x, %d at a time: %v, compress/flate accepts = %t", b, chunk, err, want)
	}
	if want && (in.offset() != used || f.got != int64(len(content)) || f.adler.Sum32() != adler32.Checksum(content)) {
		t.Fatalf("%x, %d at a time: ended at %d with %d bytes, want %d and %d", b, chunk, in.offset(), f.got, used, len(content))
	}
	if want && sent > used {
		t.Fatalf("%x, %d at a time: %d bytes handed on of a stream of %d", b, chunk, sent, used)
	}
	return want
}

// chunks reads at most n bytes at a time.
type chunks struct {
	r io.Reader
	n int
}

func (c chunks) Read(p []byte) (int, error) { return c.r.Read(p[:min(len(p), c.n)]) }

// deflateSeeds are streams that zlib and compress/flate make.
func deflateSeeds(t testing.TB) (seeds [][]byte) {
	for _, p := range gitPacks(t) {
		for _, e := range entries(t, p) {
			_, _, _, stream := split(e)
			seeds = append(seeds, stream[2:len(stream)-4])
		}
	}
	rnd := rand.New(rand.NewPCG(1, 1))
	for i := range 40 { // of many alphabets, some with matches far back
		content := randomBytes(rnd, 1+rnd.IntN(500))
		for k := range content {
			content[k] %= byte(1 + 6*i)
		}
		seeds = append(seeds, raw(content), raw(bytes.Join([][]byte{content, randomBytes(rnd, 1000*i), content}, nil)))
		stream := deflated(content, i%10)
		seeds = append(seeds, stream[2:len(stream)-4])
	}
	return seeds
}

// TestDeflate compares with compress/flate on mutated streams, read in pieces
// of all sizes.
func TestDeflate(t *testing.T) {
	n := 8000
	if testing.Short() {
		n = 2000
	}
	seeds := deflateSeeds(t)
	rnd := rand.New(rand.NewPCG(2, 2))
	accepted := 0
	for i := range n {
		b := seeds[i%len(seeds)]
		for range rnd.IntN(3) {
			if rnd.IntN(2) == 0 { // in the head, where the codes stand
				b = append(mutateBytes(rnd, b[:min(len(b), 40)]), b[min(len(b), 40):]...)
			} else {
				b = mutateBytes(rnd, b)
			}
		}
		if compareDeflate(t, append(bytes.Clone(b), "behind it"...), []int{1, 2, 7, 8, 9, 64, 4096}[rnd.IntN(7)]) {
			accepted++
		}
	}
	t.Logf("%d of %d streams accepted", accepted, n)
}

// FuzzDeflate compares with compress/flate on arbitrary bytes.
func FuzzDeflate(f *testing.F) {
	for _, b := range deflateSeeds(f) {
		if len(b) < 2000 {
			f.Add(b, byte(len(b)))
		}
	}
	f.Fuzz(func(t *testing.T, b []byte, chunk byte) {
		compareDeflate(t, b, 1+int(chunk))
	})
}
