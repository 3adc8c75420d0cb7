package git_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gitferry/internal/ferry"
	"gitferry/internal/git"
	"gitferry/internal/gittest"
)

// A merge is tried without a trace in the repository.
func TestMergeConflicts(t *testing.T) {
	home := t.TempDir()
	r, err := git.New(t.Context(), home)
	if err != nil {
		t.Fatal(err)
	}
	repo := gittest.New(t)
	base := repo.Commit("base", "a", "1\n", "b", "1\n", "c", "1\n")
	ours := repo.Commit("ours", "a", "2\n", "b", "2\n")
	branch := func(name string, files ...string) ferry.OID {
		repo.Run("checkout", "--quiet", "-b", name, base.String())
		return repo.Commit(name, files...)
	}
	clean := branch("clean", "c", "2\n")
	both := branch("both", "a", "3\n", "b", "3\n")
	dir := filepath.Join(repo.Dir, ".git")
	objects := func() int { names, _ := filepath.Glob(filepath.Join(dir, "objects", "??", "*")); return len(names) }
	before := objects()
	for _, c := range []struct {
		about  string
		theirs ferry.OID
		max    int
		want   []string
		more   bool
	}{
		{"clean", clean, 10, nil, false},
		{"conflicts", both, 10, []string{"a", "b"}, false},
		{"more than asked for", both, 1, []string{"a"}, true},
		{"an ancestor", base, 10, nil, false},
	} {
		got, more, err := r.MergeConflicts(t.Context(), dir, ours, c.theirs, c.max)
		if diff := cmp.Diff(c.want, got); err != nil || diff != "" || more != c.more {
			t.Errorf("%s: more %v, %v (-want +got):\n%s", c.about, more, err, diff)
		}
	}
	if after := objects(); after != before {
		t.Errorf("the repository has %d objects, %d before", after, before)
	}
	left, err := os.ReadDir(filepath.Join(home, "git-home"))
	if err != nil || len(left) != 0 {
		t.Errorf("left in git's home: %v %v", left, err)
	}
}
