package git

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gitferry/internal/ferry"
	"gitferry/internal/gittest"
)

// TestMoveRefs moves refs in every state that a ref may be in and asks git
// afterwards. Where MoveRefs leaves it to git nothing may have changed.
func TestMoveRefs(t *testing.T) {
	work := gittest.New(t)
	one, two := work.Commit("one", "a", "1"), work.Commit("two", "a", "2")
	var none ferry.OID
	for name, q := range map[string]struct {
		packed, loose map[string]ferry.OID
		updates       []ferry.RefUpdate
		done          bool
	}{
		"loose":            {loose: map[string]ferry.OID{"refs/heads/a": one}, updates: []ferry.RefUpdate{{Name: "refs/heads/a", Old: one, New: two}}, done: true},
		"packed":           {packed: map[string]ferry.OID{"refs/heads/a": one, "refs/heads/b": one}, updates: []ferry.RefUpdate{{Name: "refs/heads/a", Old: one, New: two}}, done: true},
		"new":              {updates: []ferry.RefUpdate{{Name: "refs/heads/x/y", Old: none, New: two}, {Name: "refs/tags/v", Old: none, New: one}}, done: true},
		"not as thought":   {loose: map[string]ferry.OID{"refs/heads/a": two}, updates: []ferry.RefUpdate{{Name: "refs/heads/a", Old: one, New: one}}},
		"packed otherwise": {packed: map[string]ferry.OID{"refs/heads/a": two}, updates: []ferry.RefUpdate{{Name: "refs/heads/a", Old: one, New: one}}},
		"there already":    {packed: map[string]ferry.OID{"refs/heads/a": two}, updates: []ferry.RefUpdate{{Name: "refs/heads/a", New: one}}},
		"below a packed":   {packed: map[string]ferry.OID{"refs/heads/a": two}, updates: []ferry.RefUpdate{{Name: "refs/heads/a/b", New: one}}},
		"below a loose":    {loose: map[string]ferry.OID{"refs/heads/a": two}, updates: []ferry.RefUpdate{{Name: "refs/heads/a/b", New: one}}},
		"above a packed":   {packed: map[string]ferry.OID{"refs/heads/a/b": two}, updates: []ferry.RefUpdate{{Name: "refs/heads/a", New: one}}},
		"above a loose":    {loose: map[string]ferry.OID{"refs/heads/a/b": two}, updates: []ferry.RefUpdate{{Name: "refs/heads/a", New: one}}},
		"one of two":       {loose: map[string]ferry.OID{"refs/heads/a": one, "refs/heads/b": one}, updates: []ferry.RefUpdate{{Name: "refs/heads/a", Old: one, New: two}, {Name: "refs/heads/b", Old: two, New: two}}},
		"delete":           {loose: map[string]ferry.OID{"refs/heads/a": one}, updates: []ferry.RefUpdate{{Name: "refs/heads/a", Old: one}}},
	} {
		t.Run(name, func(t *testing.T) {
			bare := gittest.NewBare(t)
			work.Run("push", "--quiet", bare.Dir, "main:refs/keep/main")
			want := make(map[string]string)
			for n, o := range q.packed {
				bare.Run("update-ref", n, o.String())
				want[n] = o.String()
			}
			bare.Run("pack-refs", "--all")
			for n, o := range q.loose {
				bare.Run("update-ref", n, o.String())
				want[n] = o.String()
			}
			calls := 0
			before := func() error { calls++; return nil }
			fails := errors.New("not now")
			if done, err := MoveRefs(bare.Dir, q.updates, func() error { return fails }); done || !errors.Is(err, fails) {
				t.Errorf("MoveRefs with a step before that fails = %v, %v", done, err)
			}
			for n, o := range want {
				if got := bare.OID(n); got.String() != o {
					t.Errorf("%s = %s though the step before failed, want %s", n, got, o)
				}
			}
			done, err := MoveRefs(bare.Dir, q.updates, before)
			if calls != 1 {
				t.Errorf("the step before was done %d times", calls)
			}
			if err != nil || done != q.done {
				t.Errorf("MoveRefs = %v, %v, want %v", done, err, q.done)
			}
			for _, u := range q.updates {
				if q.done {
					want[string(u.Name)] = u.New.String()
				}
			}
			for n, o := range want {
				if got := bare.OID(n); got.String() != o {
					t.Errorf("%s = %s, want %s", n, got, o)
				}
			}
			_ = filepath.WalkDir(bare.Dir, func(path string, _ os.DirEntry, err error) error {
				if filepath.Ext(path) == ".lock" {
					t.Errorf("%s was left behind", path)
				}
				return err
			})
		})
	}
}

// TestPackKinds compares the types read from a thin pack, completed by git,
// with git's own word.
func TestPackKinds(t *testing.T) {
	work := gittest.New(t)
	text := ""
	for range 200 {
		text += "a line that stays the same in every version of this file\n"
	}
	work.Commit("one", "a", text, "d/b", text+"b")
	bare := gittest.NewBare(t)
	work.Run("push", "--quiet", bare.Dir, "main")
	work.Commit("two", "a", text+"changed", "d/b", text+"c")
	work.Run("tag", "-a", "-m", "tag", "v1")
	tip := work.Commit("three", "a", text+"changed again")
	r, err := New(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	pack := work.Input("refs/heads/main\nrefs/tags/v1\n^main~2\n", "pack-objects", "--revs", "--thin", "--delta-base-offset", "--stdout", "-q")
	objects := filepath.Join(t.TempDir(), "objects")
	name, err := r.IndexPack(t.Context(), bare.Dir, objects, strings.NewReader(pack), 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	oids, err := PackObjects(objects, name)
	if err != nil {
		t.Fatal(err)
	}
	want, err := r.Kinds(t.Context(), bare.Dir, objects, oids)
	if err != nil {
		t.Fatal(err)
	}
	got, err := packKinds(filepath.Join(objects, "pack", "pack-"+name), oids)
	if err != nil || !maps.Equal(got, want) {
		t.Errorf("kinds = %v, %v, want %v", got, err, want)
	}
	if got[tip] != "commit" || len(got) < 8 {
		t.Errorf("kinds = %v", got)
	}
	if have := QuarantineHas(objects, []ferry.OID{tip, {1}}); !maps.Equal(have, map[ferry.OID]bool{tip: true}) {
		t.Errorf("QuarantineHas = %v", have)
	}
}
