package proxy

import (
	"context"
	"strings"
	"testing"
	"time"

	"gitferry/internal/policy"
)

// Whatever refuses a push, over both doors, small or streamed: the upstream is
// unchanged, the client is told, nothing stays behind, and the next push works.
func TestEveryRefusal(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		say    string
		change func(*world)
		push   []string // arguments; nil: to main
	}{
		{"policy", "rejected", func(w *world) { w.rules.RequireKey = true }, nil},
		{"policy cannot be read", "cannot be read", func(w *world) {
			w.Judge = func(context.Context, policy.Push) policy.Verdict {
				return policy.Verdict{Refused: true, Notes: []string{"the push policy cannot be read"}}
			}
		}, nil},
		{"judged too slowly", "could not be judged in time", func(w *world) {
			w.Limits.JudgeTimeout = 50 * time.Millisecond
			w.Judge = func(ctx context.Context, _ policy.Push) policy.Verdict { <-ctx.Done(); return policy.Verdict{} }
		}, nil},
		{"pack too large", "too large", func(w *world) { w.Limits.PackBytes = 100 }, nil},
		{"too many objects", "objects, at most 1", func(w *world) { w.Limits.PackObjects = 1 }, nil},
		{"too many commits", "more than 1 new commits", func(w *world) { w.Limits.Commits = 1 }, nil},
		{"a ref that is no branch or tag", "only branches and tags", nil, []string{"HEAD:refs/pull/1/head"}},
		{"notes", "notes are not taken here", nil, []string{"HEAD:refs/notes/commits"}},
		{"names that differ by case", "only by case", func(w *world) { w.rules.RefuseSimilarNames = true }, []string{"HEAD:refs/heads/topic", "HEAD:refs/heads/Topic"}},
		{"a replace ref", "only branches and tags", nil, []string{"HEAD:refs/replace/" + strings.Repeat("1", 40)}},
		{"our own ref", "only branches and tags", nil, []string{"HEAD:refs/gitferry/x"}},
		{"a branch named like a commit", "cannot be named like a commit", nil, []string{"HEAD:refs/heads/" + strings.Repeat("a", 40)}},
		{"a bidirectional name", "bidirectional", nil, []string{"HEAD:refs/heads/a\u202eb"}},
		{"a push option that is not ours", "not known", nil, []string{"-o", "ci.skip", "HEAD:refs/heads/main"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, c.change)
			for _, stream := range []bool{false, true} {
				if stream {
					w.Limits.StoreBelow = 0
				}
				for door, url := range w.urls() {
					work := w.work()
					work.Commit("no key here", "file", "1")
					work.Commit("and none here", "file", "2")
					args := c.push
					if args == nil {
						args = []string{"HEAD:refs/heads/main"}
					}
					out := work.Fails(append([]string{"push", url}, args...)...)
					if !strings.Contains(out, c.say) {
						t.Errorf("%s, streamed %t: the push said\n%s\nwant %q", door, stream, out, c.say)
					}
					if refs := w.upstreamRefs(); len(refs) != 0 {
						t.Fatalf("%s, streamed %t: upstream has %v", door, stream, refs)
					}
				}
			}
			w.settled()
		})
	}
}
