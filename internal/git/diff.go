package git

import (
	"bytes"
	"context"
	"fmt"
	"strings"

	"gitferry/internal/ferry"
)

// emptyTree is the name of the tree without entries, which every git knows.
const emptyTree = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"

// A Diff says which difference to make.
type Diff struct {
	From, To    ferry.OID // commits or trees; a zero From is the empty tree
	Path        string    // only this file; empty: all
	OldPath     string    // with Path: where it was before a rename
	IgnoreSpace bool      // white space makes no difference
	Context     int       // unchanged lines around each change; 0: 3
}

func (d Diff) args(what ...string) []string {
	from := d.From.String()
	if d.From.IsZero() {
		from = emptyTree
	}
	args := append([]string{"diff-tree", "-r", "-M", "--no-ext-diff", "--no-textconv", "--no-color", "--full-index"}, what...)
	if d.IgnoreSpace {
		args = append(args, "--ignore-all-space")
	}
	args = append(args, "--end-of-options", from, d.To.String(), "--")
	if d.Path != "" {
		args = append(args, d.Path)
		if d.OldPath != "" && d.OldPath != d.Path {
			args = append(args, d.OldPath)
		}
	}
	return args
}

// literal keeps characters of paths from being read as patterns.
var literal = []string{"GIT_LITERAL_PATHSPECS=1"}

// Patch makes the difference as text, in git's format with full object names.
// It reads at most max bytes; cut says that there was more, and the text then
// ends anywhere.
func (r *Runner) Patch(ctx context.Context, dir string, d Diff, max int) (patch []byte, cut bool, err error) {
	lines := d.Context
	if lines == 0 {
		lines = 3
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	w := &prefixWriter{max: max, enough: func() { cancel(errEnough) }}
	err = r.Run(ctx, Command{Dir: dir, Env: literal, Stdout: w, Args: d.args("-p", fmt.Sprintf("--unified=%d", lines))})
	if w.full {
		return w.b, true, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("making a difference: %w", notThere(err, d.Path))
	}
	return w.b, false, nil
}

// DiffFiles lists the files of the difference with their counts of lines, in
// git's order.
func (r *Runner) DiffFiles(ctx context.Context, dir string, d Diff) ([]FileChange, error) {
	out, err := r.Output(ctx, Command{Dir: dir, Env: literal, Args: d.args("--raw", "--numstat", "-z")})
	if err != nil {
		return nil, fmt.Errorf("listing changed files: %w", notThere(err, d.Path))
	}
	files, err := parseFiles(strings.ToValidUTF8(string(out), "\uFFFD"))
	if err != nil {
		return nil, fmt.Errorf("listing changed files: %w", err)
	}
	return files, nil
}

// CommitPatches makes, in one run of git, the difference of each commit to its
// first parent, without unchanged lines around the changes. It reads at most
// max bytes in all; commits that did not fit have no entry.
func (r *Runner) CommitPatches(ctx context.Context, dir string, oids []ferry.OID, max int) (map[ferry.OID][]byte, error) {
	patches := make(map[ferry.OID][]byte, len(oids))
	if len(oids) == 0 {
		return patches, nil
	}
	var in bytes.Buffer
	for _, o := range oids {
		fmt.Fprintln(&in, o)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	w := &prefixWriter{max: max, enough: func() { cancel(errEnough) }}
	err := r.Run(ctx, Command{Dir: dir, Stdin: &in, Stdout: w, Args: []string{"diff-tree", "--stdin", "--always", "--root", "-r", "-M", "-p", "--unified=0",
		"--diff-merges=first-parent", "--no-ext-diff", "--no-textconv", "--no-color", "--full-index"}})
	if err != nil && !w.full {
		return nil, fmt.Errorf("making differences: %w", err)
	}
	// Each difference begins with a line that is the commit's name; lines of a
	// patch never are.
	var at ferry.OID
	for line := range bytes.Lines(w.b) {
		if len(line) == 41 {
			if o, err := ferry.ParseOID(string(line[:40])); err == nil {
				at = o
				patches[at] = nil
				continue
			}
		}
		patches[at] = append(patches[at], line...)
	}
	if w.full { // the last one is not whole
		delete(patches, at)
	}
	return patches, nil
}
