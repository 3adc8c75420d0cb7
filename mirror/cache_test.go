package mirror

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func testAnswer(size int) []byte {
	p := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{byte(size)}).Read(p)
	return p
}

// inPieces writes p in pieces of an odd size.
func inPieces(w io.Writer, p []byte) error {
	for len(p) > 0 {
		n := min(len(p), 7001)
		if _, err := w.Write(p[:n]); err != nil {
			return err
		}
		p = p[n:]
	}
	return nil
}

// TestCacheGivesOneAnswerToAll lets readers join before, while and after an
// answer is made, with room on disk, with too little and with none.
func TestCacheGivesOneAnswerToAll(t *testing.T) {
	want := testAnswer(1 << 20)
	for name, c := range map[string]*cache{
		"room":         {dir: filepath.Join(t.TempDir(), "cache"), max: 64 << 20},
		"too little":   {dir: filepath.Join(t.TempDir(), "cache"), max: 100_000 * cacheShare},
		"no directory": {dir: "/dev/null/cache", max: 64 << 20},
	} {
		t.Run(name, func(t *testing.T) {
			var computed atomic.Int32
			compute := func(_ context.Context, w io.Writer) error {
				computed.Add(1)
				return inPieces(w, want)
			}
			var all sync.WaitGroup
			for range 6 {
				r := c.join(answerKey{repo: 1}, compute)
				all.Go(func() {
					defer r.leave()
					var got bytes.Buffer
					if err := r.copy(t.Context(), &got); err != nil || !bytes.Equal(got.Bytes(), want) {
						t.Errorf("read %d bytes, %v, want %d", got.Len(), err, len(want))
					}
				})
			}
			all.Wait()
			r := c.join(answerKey{repo: 1}, compute)
			var got bytes.Buffer
			if err := r.copy(t.Context(), &got); err != nil || !bytes.Equal(got.Bytes(), want) {
				t.Errorf("afterwards read %d bytes, %v, want %d", got.Len(), err, len(want))
			}
			r.leave()
			if n := computed.Load(); name == "room" && n != 1 {
				t.Errorf("computed %d times, want once", n)
			}
			if c.used > c.max {
				t.Errorf("%d bytes used, at most %d", c.used, c.max)
			}
		})
	}
}

// failingWriter takes some bytes, then its client is gone.
type failingWriter struct{ left int }

func (f *failingWriter) Write(p []byte) (int, error) {
	if f.left -= len(p); f.left < 0 {
		return 0, io.ErrClosedPipe
	}
	return len(p), nil
}

// TestCacheDiskFillsUp makes the file fail in the middle of an answer: those
// who read it get the rest all the same, and nobody new joins.
func TestCacheDiskFillsUp(t *testing.T) {
	c := &cache{dir: filepath.Join(t.TempDir(), "cache"), max: 64 << 20}
	want := testAnswer(500_000)
	var computed atomic.Int32
	compute := func(_ context.Context, w io.Writer) error {
		a := w.(*answer)
		computed.Add(1)
		if err := inPieces(w, want[:200_000]); err != nil {
			return err
		}
		// A file opened for reading only stands for a full disk.
		full, err := os.Open(fmt.Sprintf("/proc/self/fd/%d", a.file.Fd()))
		if err != nil {
			return err
		}
		a.mu.Lock()
		t.Cleanup(func(f *os.File) func() { return func() { f.Close() } }(a.file))
		a.file = full
		a.mu.Unlock()
		return inPieces(w, want[200_000:])
	}
	pr, pw := io.Pipe()
	r := c.join(answerKey{repo: 1}, compute)
	go func() { // ends with the answer
		defer r.leave()
		pw.CloseWithError(r.copy(t.Context(), pw))
	}()
	time.Sleep(50 * time.Millisecond) // most of it waits in the file
	got, err := io.ReadAll(pr)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("read %d bytes, %v, want %d", len(got), err, len(want))
	}
	again := c.join(answerKey{repo: 1}, compute)
	defer again.leave()
	if _ = again.copy(t.Context(), io.Discard); computed.Load() != 2 {
		t.Error("an answer that is not whole was joined")
	}
}

// TestCacheReaderLeaves lets the first reader leave: the other gets all. When
// the last one leaves, the work ends.
func TestCacheReaderLeaves(t *testing.T) {
	for name, max := range map[string]int64{"on disk": 64 << 20, "in memory": 10} {
		t.Run(name, func(t *testing.T) {
			c := &cache{dir: filepath.Join(t.TempDir(), "cache"), max: max}
			want := testAnswer(300_000)
			start := make(chan struct{})
			compute := func(_ context.Context, w io.Writer) error { <-start; return inPieces(w, want) }
			first, second := c.join(answerKey{repo: 1}, compute), c.join(answerKey{repo: 1}, compute)
			close(start)
			var all sync.WaitGroup
			all.Go(func() {
				defer first.leave()
				if err := first.copy(t.Context(), &failingWriter{left: 20_000}); !errors.Is(err, io.ErrClosedPipe) {
					t.Errorf("copy to a client that left = %v", err)
				}
			})
			var got bytes.Buffer
			if err := second.copy(t.Context(), &got); err != nil || !bytes.Equal(got.Bytes(), want) {
				t.Errorf("read %d bytes, %v, want %d", got.Len(), err, len(want))
			}
			all.Wait()
			second.leave()

			ended := make(chan error, 1)
			last := c.join(answerKey{repo: 2}, func(ctx context.Context, w io.Writer) error {
				<-ctx.Done()
				ended <- inPieces(w, want)
				return ctx.Err()
			})
			last.leave()
			<-ended
		})
	}
}

// TestCacheSlowReader: a client that takes nothing does not keep the others
// from their answer while it lies on disk.
func TestCacheSlowReader(t *testing.T) {
	c := &cache{dir: filepath.Join(t.TempDir(), "cache"), max: 64 << 20}
	want := testAnswer(3 << 20)
	compute := func(_ context.Context, w io.Writer) error { return inPieces(w, want) }
	slow, quick := c.join(answerKey{repo: 1}, compute), c.join(answerKey{repo: 1}, compute)
	pr, pw := io.Pipe()
	var all sync.WaitGroup
	all.Go(func() {
		defer slow.leave()
		err := slow.copy(t.Context(), pw)
		pw.CloseWithError(err)
	})
	var got bytes.Buffer
	if err := quick.copy(t.Context(), &got); err != nil || !bytes.Equal(got.Bytes(), want) {
		t.Errorf("read %d bytes, %v, want %d", got.Len(), err, len(want))
	}
	quick.leave()
	late, err := io.ReadAll(pr)
	if err != nil || !bytes.Equal(late, want) {
		t.Errorf("the slow one read %d bytes, %v, want %d", len(late), err, len(want))
	}
	all.Wait()
}

// TestCacheDrop forgets an answer in mid-stream: its reader gets the rest, and
// who comes after that does not join it.
func TestCacheDrop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &cache{dir: filepath.Join(t.TempDir(), "cache"), max: 64 << 20}
		want := testAnswer(200_000)
		before := c.join(answerKey{repo: 1}, func(_ context.Context, w io.Writer) error {
			if err := inPieces(w, want[:100_000]); err != nil {
				return err
			}
			time.Sleep(time.Hour)
			return inPieces(w, want[100_000:])
		})
		other := c.join(answerKey{repo: 2}, func(_ context.Context, w io.Writer) error { return inPieces(w, want) })
		synctest.Wait()
		c.drop(1)
		after := c.join(answerKey{repo: 1}, func(_ context.Context, w io.Writer) error {
			_, err := io.WriteString(w, "new")
			return err
		})
		again := c.join(answerKey{repo: 2}, func(context.Context, io.Writer) error { panic("computed again") })
		for name, r := range map[*answerReader]string{before: string(want), other: string(want), after: "new", again: string(want)} {
			var got bytes.Buffer
			if err := name.copy(t.Context(), &got); err != nil || got.String() != r {
				t.Errorf("read %d bytes, %v, want %d", got.Len(), err, len(r))
			}
			name.leave()
		}
		if want := int64(len(want) + len("new")); c.used != want {
			t.Errorf("%d bytes used, want %d", c.used, want)
		}
	})
}

// TestCacheEvicts keeps within its bound, the answers used last staying.
func TestCacheEvicts(t *testing.T) {
	c := &cache{dir: filepath.Join(t.TempDir(), "cache"), max: 1 << 20}
	want := testAnswer(200_000)
	read := func(id byte) (computed bool) {
		r := c.join(answerKey{repo: 1, request: [32]byte{id}}, func(_ context.Context, w io.Writer) error {
			computed = true
			return inPieces(w, want)
		})
		defer r.leave()
		var got bytes.Buffer
		if err := r.copy(t.Context(), &got); err != nil || !bytes.Equal(got.Bytes(), want) {
			t.Errorf("answer %d: read %d bytes, %v", id, got.Len(), err)
		}
		return computed
	}
	for id := range byte(5) {
		read(id)
	}
	if read(0) { // used again: the next to go is 1
		t.Error("answer 0 was computed twice")
	}
	read(5)
	if read(0) {
		t.Error("answer 0 was dropped though it was used just now")
	}
	if !read(1) {
		t.Error("answer 1 was kept beyond the bound")
	}
	if c.used > c.max {
		t.Errorf("%d bytes used, at most %d", c.used, c.max)
	}
}

// TestCacheFailure: an answer that failed is not given to others later.
func TestCacheFailure(t *testing.T) {
	c := &cache{dir: filepath.Join(t.TempDir(), "cache"), max: 1 << 20}
	broken := errors.New("broken")
	for range 2 {
		r := c.join(answerKey{repo: 1}, func(_ context.Context, w io.Writer) error {
			_, _ = io.WriteString(w, "half")
			return broken
		})
		var got bytes.Buffer
		if err := r.copy(t.Context(), &got); err != broken || got.String() != "half" {
			t.Errorf("copy of a broken answer = %q, %v", got.String(), err)
		}
		r.leave()
	}
	if c.used != 0 {
		t.Errorf("%d bytes used by broken answers", c.used)
	}
}
