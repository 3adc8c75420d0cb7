package git

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"gitferry/internal/ferry"
)

// A Commit is what git tells of a commit. Text is UTF-8, re-encoded by git
// from the commit's own encoding where it has one.
type Commit struct {
	OID            ferry.OID
	Tree           ferry.OID
	Parents        []ferry.OID
	AuthorName     string
	AuthorEmail    string
	AuthoredAt     time.Time
	CommitterName  string
	CommitterEmail string
	CommittedAt    time.Time
	Message        string // at most MaxMessage bytes are kept
}

// MaxMessage is how much of a commit message is kept, in bytes: one more than
// what smart commits are looked for in, so that a cut is noticed there.
const MaxMessage = 64<<10 + 1

// A Walk says which commits to list.
type Walk struct {
	Tips    []ferry.OID // from these …
	Not     []ferry.OID // … but not what these reach (objects not there are passed over)
	NotAll  bool        // nor what any ref of the repository reaches
	Objects string      // quarantine, as in Command
	// Strict fails the walk with an *ExitError if a tip is not there.
	Strict bool
}

const commitFormat = "%x01%H%x00%T%x00%P%x00%an%x00%ae%x00%at%x00%cn%x00%ce%x00%ct%x00%B%x00"

// Commits calls yield for each commit of the walk, parents before children.
// An error of yield ends the walk and is returned.
func (r *Runner) Commits(ctx context.Context, dir string, w Walk, yield func(Commit) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var in bytes.Buffer
	for _, o := range w.Tips {
		fmt.Fprintln(&in, o)
	}
	for _, o := range w.Not {
		fmt.Fprintf(&in, "^%s\n", o)
	}
	args := []string{"rev-list", "--topo-order", "--reverse", "--no-commit-header", "--format=" + commitFormat, "--encoding=UTF-8"}
	if !w.Strict {
		args = append(args, "--ignore-missing")
	}
	args = append(args, "--stdin")
	if w.NotAll {
		args = append(args, "--not", "--exclude=refs/gitferry/*", "--all") // not what only we keep
	}
	pr, pw, err := os.Pipe() // git writes into it itself
	if err != nil {
		return fmt.Errorf("listing commits: %w", err)
	}
	defer pr.Close()
	// Fewer turns between git and us, where the system has room for it.
	_, _ = unix.FcntlInt(pw.Fd(), unix.F_SETPIPE_SZ, 1<<20)
	p, err := r.Start(ctx, Command{Dir: dir, Args: args, Stdin: &in, Stdout: pw, Objects: w.Objects})
	pw.Close()
	if err != nil {
		return fmt.Errorf("listing commits: %w", err)
	}
	var stopped error
	err = parseCommits(bufio.NewReaderSize(pr, 256<<10), func(c Commit) error {
		stopped = yield(c)
		return stopped
	})
	if stopped != nil {
		cancel()
	}
	pr.Close() // whoever still writes ends
	waitErr := p.Wait()
	switch {
	case stopped != nil:
		return stopped
	case waitErr != nil:
		return fmt.Errorf("listing commits: %w", waitErr)
	}
	return err
}

// parseCommits reads the records of commitFormat, with a line end after each.
func parseCommits(in *bufio.Reader, yield func(Commit) error) error {
	var buf []byte
	for {
		b, err := in.ReadByte()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if b == '\n' {
			continue
		}
		if b != 1 {
			return fmt.Errorf("reading a commit: unexpected byte %q", b)
		}
		c, err := readCommit(in, &buf)
		if err != nil {
			return err
		}
		if err := yield(c); err != nil {
			return err
		}
	}
}

// commitFields is how many fields a record of commitFormat has.
const commitFields = 10

// readCommit reads one record. Its fields share one string.
func readCommit(in *bufio.Reader, buf *[]byte) (Commit, error) {
	record := (*buf)[:0]
	var end [commitFields]int
	for i := range end {
		n := len(record)
		var err error
		if record, err = readField(in, record); err != nil {
			return Commit{}, fmt.Errorf("reading a commit: %w", err)
		}
		if !utf8.Valid(record[n:]) {
			record = append(record[:n], bytes.ToValidUTF8(record[n:], []byte("\uFFFD"))...)
		}
		end[i] = len(record)
	}
	*buf = record
	all := string(record)
	var f [commitFields]string
	for i, n := 0, 0; i < commitFields; i++ {
		f[i] = all[n:end[i]]
		n = end[i]
	}
	c := Commit{AuthorName: f[3], AuthorEmail: f[4], AuthoredAt: unixTime(f[5]),
		CommitterName: f[6], CommitterEmail: f[7], CommittedAt: unixTime(f[8]),
		Message: strings.TrimRight(f[9], "\n")}
	var err error
	if c.OID, err = ferry.ParseOID(f[0]); err != nil {
		return Commit{}, err
	}
	if c.Tree, err = ferry.ParseOID(f[1]); err != nil {
		return Commit{}, err
	}
	for p := range strings.FieldsSeq(f[2]) {
		o, err := ferry.ParseOID(p)
		if err != nil {
			return Commit{}, err
		}
		c.Parents = append(c.Parents, o)
	}
	return c, nil
}

// readField appends to b what comes up to NUL, at most MaxMessage bytes.
func readField(in *bufio.Reader, b []byte) ([]byte, error) {
	left := MaxMessage
	for {
		part, err := in.ReadSlice(0)
		whole := err == nil
		if whole {
			part = part[:len(part)-1]
		} else if err == io.EOF {
			return b, io.ErrUnexpectedEOF
		} else if err != bufio.ErrBufferFull {
			return b, err
		}
		n := min(len(part), left)
		b = append(b, part[:n]...)
		if left -= n; whole {
			return b, nil
		}
	}
}

func unixTime(s string) time.Time {
	n, _ := strconv.ParseInt(s, 10, 64) // git prints a number always
	return time.Unix(n, 0).UTC()
}

// Exists tells which of the objects are in the repository's own store.
func (r *Runner) Exists(ctx context.Context, dir string, oids []ferry.OID) (map[ferry.OID]bool, error) {
	kinds, err := r.Kinds(ctx, dir, "", oids)
	if err != nil {
		return nil, err
	}
	have := make(map[ferry.OID]bool, len(kinds))
	for o := range kinds {
		have[o] = true
	}
	return have, nil
}

// Kinds tells the type ("commit", "tree", "blob", "tag") of each object that
// is there; missing ones have no entry. objects is a quarantine or empty.
func (r *Runner) Kinds(ctx context.Context, dir, objects string, oids []ferry.OID) (map[ferry.OID]string, error) {
	kinds := make(map[ferry.OID]string, len(oids))
	err := r.EachKind(ctx, dir, objects, oids, func(o ferry.OID, kind string) { kinds[o] = kind })
	return kinds, err
}

// EachKind is Kinds for any number of objects: it calls yield for each object
// that is there, in order, and keeps none of it.
func (r *Runner) EachKind(ctx context.Context, dir, objects string, oids []ferry.OID, yield func(o ferry.OID, kind string)) error {
	if len(oids) == 0 {
		return nil
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	names, feed := io.Pipe()
	go func() { // ends with the names, or when names is closed below
		w := bufio.NewWriterSize(feed, 64<<10)
		for _, o := range oids {
			if _, err := fmt.Fprintln(w, o); err != nil {
				return
			}
		}
		feed.CloseWithError(w.Flush())
	}()
	defer names.CloseWithError(io.ErrClosedPipe)
	out, lines := io.Pipe()
	parsed := make(chan error, 1)
	go func() {
		err := parseKinds(out, yield)
		out.CloseWithError(cmp.Or(err, io.ErrClosedPipe))
		parsed <- err
	}()
	err := r.Run(ctx, Command{Dir: dir, Objects: objects, Stdin: names, Stdout: lines,
		Args: []string{"cat-file", "--batch-check=%(objectname) %(objecttype)", "--buffer"}})
	lines.CloseWithError(cmp.Or(err, io.EOF))
	if parseErr := <-parsed; err == nil {
		err = parseErr
	}
	if err != nil {
		return fmt.Errorf("looking for objects: %w", err)
	}
	return nil
}

func parseKinds(out io.Reader, yield func(o ferry.OID, kind string)) error {
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		name, kind, _ := strings.Cut(lines.Text(), " ")
		if kind == "missing" || kind == "" {
			continue
		}
		o, err := ferry.ParseOID(name)
		if err != nil {
			return err
		}
		yield(o, kind)
	}
	return lines.Err()
}

// IsAncestor reports whether a is b or reachable from it.
func (r *Runner) IsAncestor(ctx context.Context, dir, objects string, a, b ferry.OID) (bool, error) {
	err := r.Run(ctx, Command{Dir: dir, Objects: objects, Args: []string{"merge-base", "--is-ancestor", a.String(), b.String()}})
	if e, ok := err.(*ExitError); ok && e.Code == 1 {
		return false, nil
	}
	return err == nil, err
}

// CountCommits counts the commits that the branches of a repository reach.
func (r *Runner) CountCommits(ctx context.Context, dir string) (int, error) {
	if hasNoRefs(dir) {
		return 0, nil
	}
	out, err := r.Output(ctx, Command{Dir: dir, Args: []string{"rev-list", "--count", "--branches"}})
	if err != nil {
		return 0, fmt.Errorf("counting commits: %w", err)
	}
	return strconv.Atoi(strings.TrimSpace(string(out)))
}
