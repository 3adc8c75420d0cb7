package index

import (
	"slices"
	"testing"

	"gitferry/internal/ferry"
	"gitferry/internal/git"
)

// TestMet: what a push brought stands for a walk only if the walk can meet
// nothing else.
func TestMet(t *testing.T) {
	oid := func(b byte) ferry.OID { return ferry.OID{b} }
	commit := func(o byte, parents ...byte) git.Commit {
		c := git.Commit{OID: oid(o)}
		for _, p := range parents {
			c.Parents = append(c.Parents, oid(p))
		}
		return c
	}
	for name, q := range map[string]struct {
		brought   []git.Commit
		tips, not []byte
		want      []byte
		ok        bool
	}{
		"nothing known":        {tips: []byte{2}, not: []byte{1}},
		"on top":               {brought: []git.Commit{commit(2, 1), commit(3, 2)}, tips: []byte{3}, not: []byte{1}, want: []byte{2, 3}, ok: true},
		"a root":               {brought: []git.Commit{commit(2), commit(3, 2)}, tips: []byte{3}, want: []byte{2, 3}, ok: true},
		"a merge":              {brought: []git.Commit{commit(3, 1), commit(4, 3, 2)}, tips: []byte{4}, not: []byte{1, 2}, want: []byte{3, 4}, ok: true},
		"an older base":        {brought: []git.Commit{commit(3, 1)}, tips: []byte{3}, not: []byte{2}},
		"one tip was refused":  {brought: []git.Commit{commit(2, 1), commit(3, 1)}, tips: []byte{3}, not: []byte{1}, want: []byte{3}, ok: true},
		"a tip of before":      {brought: []git.Commit{commit(3, 2)}, tips: []byte{3, 1}, not: []byte{2}},
		"its base moved along": {brought: []git.Commit{commit(3, 2)}, tips: []byte{3, 2}, not: []byte{1}},
	} {
		t.Run(name, func(t *testing.T) {
			var w git.Walk
			for _, o := range q.tips {
				w.Tips = append(w.Tips, oid(o))
			}
			for _, o := range q.not {
				w.Not = append(w.Not, oid(o))
			}
			r := &run{brought: q.brought}
			meets, ok := r.met(w)
			if ok != q.ok {
				t.Fatalf("met = %v, want %v", ok, q.ok)
			}
			var got []byte
			for o := range meets {
				got = append(got, o[0])
			}
			if slices.Sort(got); ok && !slices.Equal(got, q.want) {
				t.Errorf("met %v, want %v", got, q.want)
			}
		})
	}
}
