package git

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

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
	pr, pw := io.Pipe()
	p, err := r.Start(ctx, Command{Dir: dir, Args: args, Stdin: &in, Stdout: pw, Objects: w.Objects})
	if err != nil {
		return fmt.Errorf("listing commits: %w", err)
	}
	waited := make(chan error, 1)
	go func() {
		err := p.Wait()
		pw.CloseWithError(err)
		waited <- err
	}()
	parseErr := parseCommits(bufio.NewReaderSize(pr, 256<<10), yield)
	pr.CloseWithError(io.ErrClosedPipe)
	if parseErr != nil {
		cancel()
	}
	waitErr := <-waited
	if waitErr != nil && (parseErr == nil || ctx.Err() == nil) {
		return fmt.Errorf("listing commits: %w", waitErr)
	}
	if parseErr != nil {
		return parseErr
	}
	return nil
}

// parseCommits reads the records of commitFormat, with a line end after each.
func parseCommits(in *bufio.Reader, yield func(Commit) error) error {
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
		c, err := readCommit(in)
		if err != nil {
			return err
		}
		if err := yield(c); err != nil {
			return err
		}
	}
}

// readCommit reads the ten fields of one record.
func readCommit(in *bufio.Reader) (Commit, error) {
	var f [10]string
	for i := range f {
		s, err := readField(in)
		if err != nil {
			return Commit{}, fmt.Errorf("reading a commit: %w", err)
		}
		f[i] = s
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

// readField reads up to NUL and keeps at most MaxMessage bytes, as valid UTF-8.
func readField(in *bufio.Reader) (string, error) {
	var b []byte
	for {
		part, err := in.ReadSlice(0)
		if n := min(len(part), MaxMessage+1-len(b)); n > 0 {
			b = append(b, part[:n]...)
		}
		if err == bufio.ErrBufferFull {
			continue
		}
		if err != nil {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return "", err
		}
		if len(b) > 0 && b[len(b)-1] == 0 {
			b = b[:len(b)-1]
		}
		return strings.ToValidUTF8(string(b), "\uFFFD"), nil
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
