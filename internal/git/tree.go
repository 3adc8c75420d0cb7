package git

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"gitferry/internal/ferry"
)

// A TreeEntry is one entry of a directory.
type TreeEntry struct {
	Name string // last part of the path
	Mode string // "100644", "100755", "120000", "040000" or "160000"
	Kind string // "blob", "tree" or "commit" (a submodule)
	OID  ferry.OID
	Size int64 // bytes of a blob, -1 for others
}

// MaxPath is the longest path looked up in a tree, in bytes.
const MaxPath = 4096

// ParsePath checks a path inside a tree: parts separated by single slashes,
// none of them ".", ".." or empty, no NUL. Empty stands for the root. It fails
// with ferry.ErrInvalid.
func ParsePath(path string) (string, error) {
	if path == "" {
		return "", nil
	}
	if len(path) > MaxPath || strings.ContainsRune(path, 0) {
		return "", fmt.Errorf("path %.80q: too long, or holds NUL: %w", path, ferry.ErrInvalid)
	}
	for part := range strings.SplitSeq(path, "/") {
		if part == "" || part == "." || part == ".." {
			return "", fmt.Errorf("path %.80q: has a part %q: %w", path, part, ferry.ErrInvalid)
		}
	}
	return path, nil
}

// Tree lists the directory at path in a commit or tree, in git's order, and
// not what lies below its directories. At most max entries come back; more
// says that there are others. It fails with ferry.ErrNotFound if there is no
// such directory and with ferry.ErrInvalid for a path that cannot be.
func (r *Runner) Tree(ctx context.Context, dir string, at ferry.OID, path string, max int) (entries []TreeEntry, more bool, err error) {
	if path, err = ParsePath(path); err != nil {
		return nil, false, err
	}
	out, more, err := r.records(ctx, Command{Dir: dir, Args: []string{"ls-tree", "-z", "-l", "--end-of-options", at.String() + ":" + path}}, 0, max)
	if err != nil {
		return nil, false, notThere(err, path)
	}
	entries, err = parseTree(out)
	return entries, more, err
}

// parseTree reads the records of git ls-tree -l.
func parseTree(records []string) ([]TreeEntry, error) {
	var entries []TreeEntry
	for _, record := range records {
		head, name, _ := strings.Cut(record, "\t")
		f := strings.Fields(head)
		if len(f) != 4 {
			return nil, fmt.Errorf("entry %.80q of a tree not understood", record)
		}
		e := TreeEntry{Name: strings.ToValidUTF8(name, "\uFFFD"), Mode: f[0], Kind: f[1], Size: -1}
		var err error
		if e.OID, err = ferry.ParseOID(f[2]); err != nil {
			return nil, err
		}
		if n, err := strconv.ParseInt(f[3], 10, 64); err == nil {
			e.Size = n
		}
		entries = append(entries, e)
	}
	return entries, nil
}

// notThere turns git's word for a path or revision that does not exist into
// ferry.ErrNotFound.
func notThere(err error, path string) error {
	var e *ExitError
	if errors.As(err, &e) && e.Code == 128 {
		for _, said := range []string{"Not a valid object name", "not a tree object", "does not exist", "bad object", "invalid object name", "Not a tree"} {
			if strings.Contains(strings.ToLower(e.Stderr), strings.ToLower(said)) {
				return fmt.Errorf("reading %.80q: %w", path, ferry.ErrNotFound)
			}
		}
	}
	return err
}

// errEnough ends a git whose first records are all that is wanted.
var errEnough = errors.New("enough read")

// records runs git and returns the first max records of its output, each
// ended by sep; more says that git had others and was ended.
func (r *Runner) records(ctx context.Context, c Command, sep byte, max int) (list []string, more bool, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	w := &recordWriter{sep: sep, left: max, enough: func() { cancel(errEnough) }}
	c.Stdout = w
	err = r.Run(ctx, c)
	if w.full {
		return w.list, true, nil
	}
	return w.list, false, err
}

// recordWriter cuts what is written into records and keeps the first ones.
// The copying goroutine of one command owns it.
type recordWriter struct {
	sep    byte
	left   int
	part   []byte
	list   []string
	full   bool
	enough func()
}

// maxRecord bounds one record, in bytes.
const maxRecord = 1 << 20

func (w *recordWriter) Write(p []byte) (int, error) {
	n := len(p)
	for !w.full {
		i := bytes.IndexByte(p, w.sep)
		if i < 0 {
			if len(w.part)+len(p) > maxRecord {
				return 0, errTooMuch
			}
			w.part = append(w.part, p...)
			return n, nil
		}
		if w.left == 0 {
			w.full = true
			w.enough()
			break
		}
		w.list = append(w.list, string(w.part)+string(p[:i]))
		w.part, p = w.part[:0], p[i+1:]
		w.left--
	}
	return n, nil
}
