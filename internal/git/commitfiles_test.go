package git_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gitferry/internal/ferry"
	"gitferry/internal/gittest"
)

// One run for many commits says the same as one run for each of them.
func TestCommitChanges(t *testing.T) {
	r, repo := runner(t), gittest.New(t)
	dir := filepath.Join(repo.Dir, ".git")
	oids := []ferry.OID{
		repo.Commit("root", "a", "1\n2\n3\n4\n", strings.Repeat("0", 40), "a name like an object\n", "dir/b\n.bin", "\x00\x01"),
		repo.Commit("nothing"),
	}
	repo.Run("mv", "a", "moved")
	oids = append(oids, repo.Commit("rename", "moved", "1\n2\n3\n5\n"))
	repo.Run("checkout", "--quiet", "-b", "side", "HEAD~1")
	repo.Commit("side", "side", "x\n")
	repo.Run("checkout", "--quiet", "main")
	repo.Run("rm", "--quiet", "moved")
	oids = append(oids, repo.Commit("delete"))
	repo.Run("merge", "--quiet", "--no-edit", "side")
	oids = append(oids, repo.OID("HEAD"))

	got, err := r.CommitChanges(t.Context(), dir, append([]ferry.OID{{1}}, oids...))
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != len(oids) {
		t.Fatalf("%d commits, want %d", len(got), len(oids))
	}
	for i, c := range got {
		want, err := r.CommitFiles(t.Context(), dir, oids[i])
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, c.Files); diff != "" || c.OID != oids[i] || c.Tree != repo.OID(c.OID.String()+"^{tree}") {
			t.Errorf("commit %d, %v with tree %v, differs (-want +got):\n%s", i, c.OID, c.Tree, diff)
		}
		for j, f := range c.Files {
			rev := c.OID.String() + ":" + f.Path
			if f.Status == 'D' {
				rev = c.OID.String() + "~:" + f.Path
			}
			if c.Blobs[j] != repo.OID(rev) {
				t.Errorf("commit %d: blob of %q is %v, want %v", i, f.Path, c.Blobs[j], repo.OID(rev))
			}
		}
	}
}
