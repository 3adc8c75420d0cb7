package git

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"gitferry/internal/ferry"
)

// A FileChange is one file of a commit's difference to its first parent.
type FileChange struct {
	Path    string
	OldPath string // where it was renamed or copied from, else empty
	// Status is git's letter: A added, M modified, D deleted, R renamed,
	// C copied, T type changed.
	Status         byte
	Added, Removed int  // lines; zero for binary files
	Binary         bool // git counts no lines in it
}

// CommitFiles lists the files that a commit changed against its first parent,
// a root commit against nothing, in git's order.
func (r *Runner) CommitFiles(ctx context.Context, dir string, oid ferry.OID) ([]FileChange, error) {
	out, err := r.Output(ctx, Command{Dir: dir, Args: []string{"diff-tree", "--no-commit-id", "--root", "-r", "-M",
		"--raw", "--numstat", "-z", "--diff-merges=first-parent", "--no-ext-diff", "--no-textconv", "--end-of-options", oid.String()}})
	if err != nil {
		return nil, fmt.Errorf("listing the files of commit %s: %w", oid.Short(), err)
	}
	files, err := parseFiles(string(out))
	if err != nil {
		return nil, fmt.Errorf("listing the files of commit %s: %w", oid.Short(), err)
	}
	return files, nil
}

// parseFiles reads the raw records of git diff-tree -z and the numstat records
// that follow them in the same order (git-diff-tree, "Raw output format").
func parseFiles(out string) ([]FileChange, error) {
	var files []FileChange
	fields := strings.Split(strings.TrimSuffix(out, "\x00"), "\x00")
	next := func() string {
		if len(fields) == 0 {
			return ""
		}
		f := fields[0]
		fields = fields[1:]
		return f
	}
	for len(fields) > 0 && strings.HasPrefix(fields[0], ":") {
		head := strings.Fields(next())
		if len(head) != 5 {
			return nil, fmt.Errorf("record of %d parts: %w", len(head), ferry.ErrInvalid)
		}
		f := FileChange{Status: head[4][0], Path: next()}
		if f.Status == 'R' || f.Status == 'C' {
			f.OldPath, f.Path = f.Path, next()
		}
		files = append(files, f)
	}
	for i := range files {
		part := strings.SplitN(next(), "\t", 3)
		if len(part) != 3 {
			return nil, fmt.Errorf("no count of lines for %q: %w", files[i].Path, ferry.ErrInvalid)
		}
		if part[2] == "" { // renamed: two paths follow
			next()
			next()
		}
		files[i].Binary = part[0] == "-"
		files[i].Added, _ = strconv.Atoi(part[0])
		files[i].Removed, _ = strconv.Atoi(part[1])
	}
	return files, nil
}
