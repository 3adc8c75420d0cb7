package git

import (
	"bytes"
	"context"
	"fmt"
	"strings"

	"gitferry/internal/ferry"
)

// CommitChange is what one commit changed against its first parent, a root
// commit against nothing.
type CommitChange struct {
	OID   ferry.OID
	Tree  ferry.OID
	Files []FileChange // in git's order
	Blobs []ferry.OID  // of Files: after the change, of a deleted file before it
}

// CommitChanges reads what commits changed, all of them in two runs of git.
// Commits that are not in the repository are left out; the others come in the
// order given. At most 1,000 may be asked for.
func (r *Runner) CommitChanges(ctx context.Context, dir string, oids []ferry.OID) ([]CommitChange, error) {
	var in bytes.Buffer
	for _, o := range oids {
		fmt.Fprintf(&in, "%s^{tree}\n", o)
	}
	out, err := r.Output(ctx, Command{Dir: dir, Stdin: &in, Background: true,
		Args: []string{"cat-file", "--batch-check=%(objectname) %(objecttype)", "--buffer"}})
	if err != nil {
		return nil, fmt.Errorf("looking for trees of commits: %w", err)
	}
	lines := strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
	if len(lines) != len(oids) {
		return nil, fmt.Errorf("looking for trees of %d commits: git answered %d lines", len(oids), len(lines))
	}
	changes := make([]CommitChange, 0, len(oids))
	in.Reset()
	for i, line := range lines {
		name, kind, _ := strings.Cut(line, " ")
		tree, err := ferry.ParseOID(name)
		if err != nil || kind != "tree" {
			continue // not there
		}
		changes = append(changes, CommitChange{OID: oids[i], Tree: tree})
		fmt.Fprintln(&in, oids[i])
	}
	if len(changes) == 0 {
		return nil, nil
	}
	out, err = r.Output(ctx, Command{Dir: dir, Stdin: &in, Background: true, Args: []string{"diff-tree", "--stdin", "--always", "--root", "-r", "-M",
		"--raw", "--numstat", "-z", "--no-abbrev", "--diff-merges=first-parent", "--no-ext-diff", "--no-textconv"}})
	if err != nil {
		return nil, fmt.Errorf("listing files of commits: %w", err)
	}
	fields := strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
	for i := range changes {
		c := &changes[i]
		if len(fields) == 0 || fields[0] != c.OID.String() {
			return nil, fmt.Errorf("listing files of commit %s: answer not understood", c.OID.Short())
		}
		if fields, err = c.parse(fields[1:]); err != nil {
			return nil, fmt.Errorf("listing files of commit %s: %w", c.OID.Short(), err)
		}
	}
	return changes, nil
}

// Changes reads the files of a difference; OID and Tree of the result are
// zero.
func (r *Runner) Changes(ctx context.Context, dir string, d Diff) (CommitChange, error) {
	var c CommitChange
	out, err := r.Output(ctx, Command{Dir: dir, Env: literal, Args: d.args("--raw", "--numstat", "-z", "--no-abbrev")})
	if err != nil {
		return c, fmt.Errorf("listing changed files: %w", notThere(err, d.Path))
	}
	if len(out) == 0 {
		return c, nil
	}
	if _, err := c.parse(strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")); err != nil {
		return c, fmt.Errorf("listing changed files: %w", err)
	}
	return c, nil
}

// MailPatches writes the commits that tip reaches and none of not does as
// mails, oldest first, merges left out (git-format-patch). It reads at most
// max bytes; cut says that there was more.
func (r *Runner) MailPatches(ctx context.Context, dir string, tip ferry.OID, not []ferry.OID, max int) (text []byte, cut bool, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	w := &prefixWriter{max: max, enough: func() { cancel(errEnough) }}
	args := []string{"format-patch", "--stdout", "--no-color", "--no-ext-diff", "--no-textconv", "--full-index", "-M", "--no-signature", "--root", "--end-of-options", tip.String()}
	for _, o := range not {
		args = append(args, "^"+o.String())
	}
	err = r.Run(ctx, Command{Dir: dir, Stdout: w, Args: args})
	if err != nil && !w.full {
		return nil, false, fmt.Errorf("writing patches: %w", notThere(err, tip.String()))
	}
	return w.b, w.full, nil
}

// parse takes the records of one commit from the front of fields: raw ones,
// then as many of numstat (git-diff-tree, "Raw output format").
func (c *CommitChange) parse(fields []string) (rest []string, err error) {
	n := 0 // fields of this commit
	for n < len(fields) && strings.HasPrefix(fields[n], ":") {
		head := strings.Fields(fields[n])
		if len(head) != 5 {
			return nil, fmt.Errorf("record of %d parts: %w", len(head), ferry.ErrInvalid)
		}
		name := head[3]
		if head[4][0] == 'D' {
			name = head[2]
		}
		blob, err := ferry.ParseOID(name)
		if err != nil {
			return nil, err
		}
		c.Blobs = append(c.Blobs, blob)
		if n += 2; head[4][0] == 'R' || head[4][0] == 'C' {
			n++
		}
	}
	for range c.Blobs {
		if n < len(fields) && strings.HasSuffix(fields[n], "\t") { // renamed: two paths follow
			n += 2
		}
		n++
	}
	if n > len(fields) {
		return nil, fmt.Errorf("answer ends early: %w", ferry.ErrInvalid)
	}
	c.Files, err = parseFiles(strings.ToValidUTF8(strings.Join(fields[:n], "\x00"), "\uFFFD"))
	return fields[n:], err
}
