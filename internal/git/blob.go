package git

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"strings"

	"gitferry/internal/ferry"
)

// A Blob is the content of a file.
type Blob struct {
	OID       ferry.OID
	Size      int64
	Data      []byte // at most what was asked for
	Truncated bool   // Size is larger than what Data holds
}

// Blob reads the file at path in a commit, at most max bytes of it. It fails
// with ferry.ErrNotFound if nothing is there or it is no file.
func (r *Runner) Blob(ctx context.Context, dir string, at ferry.OID, path string, max int64) (Blob, error) {
	path, err := ParsePath(path)
	if err != nil {
		return Blob{}, err
	}
	return r.blob(ctx, dir, at.String()+":"+path, max)
}

// BlobByOID reads a blob by its name, at most max bytes of it. It fails with
// ferry.ErrNotFound if there is no such blob.
func (r *Runner) BlobByOID(ctx context.Context, dir string, oid ferry.OID, max int64) (Blob, error) {
	return r.blob(ctx, dir, oid.String(), max)
}

func (r *Runner) blob(ctx context.Context, dir, name string, max int64) (Blob, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	w := &prefixWriter{max: int(max) + 200, enough: func() { cancel(errEnough) }} // 200: the line in front
	err := r.Run(ctx, Command{Dir: dir, Args: []string{"cat-file", "--batch", "-z"}, Stdin: strings.NewReader(name + "\x00"), Stdout: w})
	if err != nil && !w.full {
		return Blob{}, fmt.Errorf("reading a blob: %w", err)
	}
	line, rest, ok := bytes.Cut(w.b, []byte("\n"))
	f := strings.Fields(string(line))
	if !ok || len(f) != 3 || f[1] != "blob" {
		return Blob{}, fmt.Errorf("reading a blob: %w", ferry.ErrNotFound)
	}
	var b Blob
	if b.OID, err = ferry.ParseOID(f[0]); err != nil {
		return Blob{}, fmt.Errorf("reading a blob: %w", ferry.ErrNotFound)
	}
	if b.Size, err = strconv.ParseInt(f[2], 10, 64); err != nil {
		return Blob{}, fmt.Errorf("reading a blob: answer %.80q not understood", line)
	}
	b.Data = rest[:min(int64(len(rest)), b.Size, max)]
	b.Truncated = int64(len(b.Data)) < b.Size
	return b, nil
}

// prefixWriter keeps the first max bytes and then ends the writer.
type prefixWriter struct {
	max    int
	b      []byte
	full   bool
	enough func()
}

func (w *prefixWriter) Write(p []byte) (int, error) {
	if n := w.max - len(w.b); n > 0 {
		w.b = append(w.b, p[:min(n, len(p))]...)
	}
	if len(w.b) >= w.max && !w.full {
		w.full = true
		w.enough()
	}
	return len(p), nil
}
