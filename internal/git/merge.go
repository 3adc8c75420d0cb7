package git

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"

	"gitferry/internal/ferry"
)

// MergeConflicts tries to merge two commits and returns the paths that
// conflict, at most max; none means that the merge works without hands. more
// says that there are others. The commits must have a common ancestor.
// Nothing is written to the repository: what the merge makes goes to a
// temporary directory.
func (r *Runner) MergeConflicts(ctx context.Context, dir string, ours, theirs ferry.OID, max int) (paths []string, more bool, err error) {
	objects, err := os.MkdirTemp(r.home, "merge-")
	if err != nil {
		return nil, false, fmt.Errorf("trying a merge: %w", err)
	}
	defer os.RemoveAll(objects)
	var out bytes.Buffer
	err = r.Run(ctx, Command{Dir: dir, Objects: objects, Stdout: &limitedWriter{w: &out, left: 16 << 20},
		Args: []string{"merge-tree", "--write-tree", "--name-only", "--no-messages", "-z", ours.String(), theirs.String()}})
	if e, ok := err.(*ExitError); ok && e.Code == 1 {
		// The tree, then each path with conflicts (git-merge-tree(1)).
		for i, path := range strings.Split(strings.TrimRight(out.String(), "\x00"), "\x00") {
			switch {
			case i == 0 || path == "":
			case len(paths) == max:
				return paths, true, nil
			default:
				paths = append(paths, strings.ToValidUTF8(path, "\uFFFD"))
			}
		}
		return paths, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("trying a merge: %w", err)
	}
	return nil, false, nil
}
