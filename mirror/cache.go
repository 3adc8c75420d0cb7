package mirror

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"sync"

	"gitferry/internal/ferry"
)

const (
	// cacheDir is the directory below Root that holds answers. It is emptied
	// at the first use: an answer does not outlive the process.
	cacheDir = "cache"
	// cachePiece is how much is read and handed on at a time, in bytes.
	cachePiece = 128 << 10
	// cacheShare is the part of the cache that one answer may fill.
	cacheShare = 4
)

// A cache keeps the answers to fetches on disk. An answer is computed once,
// by one git, and streamed to everybody who asks for the same, those who come
// late from its beginning, also while it still grows. Answers of one
// repository are never given for another: the key begins with its id.
type cache struct {
	dir string
	max int64 // bytes on disk

	mu      sync.Mutex
	ready   bool                  // guarded by mu; dir was emptied and made
	answers map[answerKey]*answer // guarded by mu; those that may be joined
	used    int64                 // guarded by mu; bytes of all files
	serial  int                   // guarded by mu; names the files
	clock   int64                 // guarded by mu; counts uses
}

// An answerKey says what an answer answers.
type answerKey struct {
	repo    ferry.RepositoryID
	request [32]byte
}

// An answer is one output of upload-pack, growing or complete. The first part
// lies in a file. What the file may not take, because the answer is too large
// or the disk is full, is passed on piece by piece in memory: the next piece
// comes when every reader has the last one, and nobody new may join.
type answer struct {
	c    *cache
	key  answerKey
	stop context.CancelFunc // ends the git behind it

	mu      sync.Mutex
	file    *os.File      // guarded by mu for closing; nil if none could be made
	filed   int64         // guarded by mu; bytes in file
	memory  []byte        // guarded by mu; the piece behind filed+passed
	passed  int64         // guarded by mu; bytes that went by in memory, without that piece
	over    bool          // guarded by mu; the file takes no more
	done    bool          // guarded by mu
	err     error         // guarded by mu; set with done
	readers int           // guarded by mu
	pending int           // guarded by mu; readers that do not have the piece in memory yet
	changed chan struct{} // guarded by mu; closed and renewed at each change
	gone    bool          // guarded by cache.mu; nobody may join any more
	usedAt  int64         // guarded by cache.mu
}

// An answerReader is one client's place in an answer.
type answerReader struct {
	a  *answer
	at int64 // bytes that it got
}

// join returns a reader of the answer for key. If there is none yet, it starts
// compute, which writes the answer to w; compute's context ends when every
// reader has left.
func (c *cache) join(key answerKey, compute func(ctx context.Context, w io.Writer) error) *answerReader {
	c.mu.Lock()
	defer c.mu.Unlock()
	a := c.answers[key]
	if a != nil {
		a.mu.Lock()
		a.readers++
		a.mu.Unlock()
		c.clock++
		a.usedAt = c.clock
		return &answerReader{a: a}
	}
	ctx, cancel := context.WithCancel(context.Background())
	a = &answer{c: c, key: key, stop: cancel, readers: 1, changed: make(chan struct{})}
	if a.file = c.newFile(); a.file == nil {
		a.over, a.gone = true, true
	} else {
		c.answers[key] = a
	}
	c.clock++
	a.usedAt = c.clock
	go func() { // ends with compute, whose context ends with the last reader
		err := compute(ctx, a)
		a.finish(err)
	}()
	return &answerReader{a: a}
}

// newFile makes a file for an answer; nil if that does not work. The file has
// no name: it goes with its last user, whatever happens to the process. The
// caller holds c.mu.
func (c *cache) newFile() *os.File {
	if c.answers == nil {
		c.answers = make(map[answerKey]*answer)
	}
	if !c.ready {
		_ = os.RemoveAll(c.dir)
		c.ready = os.MkdirAll(c.dir, 0o700) == nil
	}
	c.serial++
	name := filepath.Join(c.dir, strconv.Itoa(c.serial))
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil
	}
	_ = os.Remove(name)
	return f
}

// room takes n bytes of the cache, dropping answers that were not used for
// longest, and reports whether there were as many.
func (c *cache) room(n int64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.used+n > c.max {
		var oldest *answer
		for _, a := range c.answers {
			a.mu.Lock()
			idle := a.done && a.readers == 0
			a.mu.Unlock()
			if idle && (oldest == nil || a.usedAt < oldest.usedAt) {
				oldest = a
			}
		}
		if oldest == nil {
			return false
		}
		c.forget(oldest)
	}
	c.used += n
	return true
}

// forget lets nobody join an answer any more; its file goes with its last
// reader. The caller holds c.mu.
func (c *cache) forget(a *answer) {
	if !a.gone {
		a.gone = true
		delete(c.answers, a.key)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.done && a.readers == 0 && a.file != nil {
		a.file.Close()
		a.file = nil
		c.used -= a.filed
	}
}

// drop forgets all answers of a repository. Whoever reads one reads on.
func (c *cache) drop(repo ferry.RepositoryID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for key, a := range c.answers {
		if key.repo == repo {
			c.forget(a)
		}
	}
}

// leave gives up a reader's place. The last one ends a git that still runs.
func (r *answerReader) leave() {
	a := r.a
	a.c.mu.Lock()
	defer a.c.mu.Unlock()
	a.mu.Lock()
	a.readers--
	if a.memory != nil && r.at <= a.filed+a.passed {
		a.pending--
	}
	last := a.readers == 0
	abandoned := last && !a.done
	if abandoned {
		a.stop()
	}
	a.wakeLocked()
	a.mu.Unlock()
	if abandoned || last && a.gone {
		a.c.forget(a)
	}
}

// wakeLocked tells readers and writer of a change. The caller holds a.mu.
func (a *answer) wakeLocked() {
	close(a.changed)
	a.changed = make(chan struct{})
}

// finish ends an answer. One that failed is given to nobody else.
func (a *answer) finish(err error) {
	a.stop()
	a.c.mu.Lock()
	defer a.c.mu.Unlock()
	a.mu.Lock()
	a.done, a.err = true, err
	last := a.readers == 0
	a.wakeLocked()
	a.mu.Unlock()
	if err != nil || last && a.gone {
		a.c.forget(a)
	}
}

// errAbandoned ends the output of a git that nobody reads any more.
var errAbandoned = errors.New("every reader has left")

// Write takes the next bytes of the answer from git.
func (a *answer) Write(p []byte) (int, error) {
	a.mu.Lock()
	over, at := a.over, a.filed
	a.mu.Unlock()
	if !over {
		n := 0
		if at+int64(len(p)) <= a.c.max/cacheShare && a.c.room(int64(len(p))) {
			n, _ = a.file.WriteAt(p, at) // only this goroutine writes, and the file stays while git runs
			a.c.mu.Lock()
			a.c.used -= int64(len(p) - n)
			a.c.mu.Unlock()
		}
		a.mu.Lock()
		a.filed += int64(n)
		a.over = n < len(p)
		a.wakeLocked()
		a.mu.Unlock()
		if n == len(p) {
			return n, nil
		}
		a.c.mu.Lock()
		a.c.forget(a)
		a.c.mu.Unlock()
		m, err := a.pass(p[n:])
		return n + m, err
	}
	return a.pass(p)
}

// pass hands p to every reader and returns when all have it.
func (a *answer) pass(p []byte) (int, error) {
	a.mu.Lock()
	a.memory, a.pending = bytes.Clone(p), a.readers
	a.wakeLocked()
	for a.pending > 0 {
		changed := a.changed
		a.mu.Unlock()
		<-changed
		a.mu.Lock()
	}
	defer a.mu.Unlock()
	a.passed += int64(len(p))
	a.memory = nil
	if a.readers == 0 {
		return 0, errAbandoned
	}
	return len(p), nil
}

// ReadFrom makes git's output arrive in large pieces.
func (a *answer) ReadFrom(r io.Reader) (int64, error) {
	buf := make([]byte, cachePiece)
	var n int64
	for {
		m, err := r.Read(buf)
		if m > 0 {
			if _, err := a.Write(buf[:m]); err != nil {
				return n, err
			}
			n += int64(m)
		}
		if err == io.EOF {
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
}

// copy writes the whole answer to w, waiting for what is still to come.
func (r *answerReader) copy(ctx context.Context, w io.Writer) error {
	a := r.a
	var buf []byte
	for {
		a.mu.Lock()
		file, filed, end, piece := a.file, a.filed, a.filed+a.passed, a.memory
		done, err, changed := a.done, a.err, a.changed
		a.mu.Unlock()
		switch {
		case r.at < filed:
			if buf == nil {
				buf = make([]byte, cachePiece)
			}
			n, err := file.ReadAt(buf[:min(int64(len(buf)), filed-r.at)], r.at)
			if n == 0 && err != nil {
				return err
			}
			if _, err := w.Write(buf[:n]); err != nil {
				return err
			}
			r.at += int64(n)
		case piece != nil && r.at == end:
			if _, err := w.Write(piece); err != nil {
				return err
			}
			a.mu.Lock()
			r.at += int64(len(piece))
			a.pending--
			a.wakeLocked()
			a.mu.Unlock()
		case done:
			return err
		default:
			select {
			case <-changed:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
}
