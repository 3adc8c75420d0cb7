package gittest

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gitferry/internal/ferry"
)

// The object names are literal on purpose: they change when anything of the
// machine leaks into a repository.
func TestSameCallsGiveSameObjects(t *testing.T) {
	t.Setenv("GIT_AUTHOR_NAME", "somebody else")
	t.Setenv("GIT_DIR", "/nonexistent")
	t.Setenv("GIT_CONFIG_COUNT", "1")
	t.Setenv("GIT_CONFIG_KEY_0", "commit.gpgsign")
	t.Setenv("GIT_CONFIG_VALUE_0", "true")
	r := New(t)
	first := r.Commit("DEMO-1 first", "dir/file.txt", "one\n")
	r.Run("tag", "-a", "-m", "a tag", "v1")
	second := r.Commit("second\n\nwith a body\n")

	got := r.Refs()
	want := map[ferry.RefName]ferry.OID{"refs/heads/main": second, "refs/tags/v1": r.OID("v1")}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Refs() differ (-want +got):\n%s", diff)
	}
	if got, want := first.String(), "fd840a80eaeb46dd5b80459d514f2ea03ffd445d"; got != want {
		t.Errorf("first commit = %s, want %s", got, want)
	}
	if got, want := second.String(), "a8df1f39f8e83068462ee3737d4027c37d1156a4"; got != want {
		t.Errorf("second commit = %s, want %s", got, want)
	}
	if got, want := r.Output("log", "-1", "--format=%an <%ae> %aI"), "Test Author <author@example.invalid> 2026-03-02T09:02:00+00:00"; got != want {
		t.Errorf("author line = %q, want %q", got, want)
	}
}

func TestBareAndClone(t *testing.T) {
	bare, work := NewBare(t), New(t)
	tip := work.Commit("one", "a", "1", "b", "2")
	work.Run("push", "--quiet", bare.Dir, "HEAD:main")
	clone := Clone(t, bare.Dir, "--branch", "main")
	if got := clone.OID("HEAD"); got != tip {
		t.Errorf("clone's HEAD = %s, want %s", got, tip)
	}
	blob := bare.Input("text", "hash-object", "-w", "--stdin")
	if got := bare.Output("cat-file", "-p", blob); got != "text" {
		t.Errorf("cat-file -p %s = %q, want %q", blob, got, "text")
	}
	if got := clone.Fails("rev-parse", "--verify", "no-such-branch"); !strings.Contains(got, "Needed a single revision") {
		t.Errorf("rev-parse of a missing branch says %q", got)
	}
}
