package web

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gitferry/internal/ferry"
)

func TestRollupOrders(t *testing.T) {
	files := []rollupFile{
		{fileStat{Path: "b.go", Change: "added", Added: 5}, "one", "b.go"},
		{fileStat{Path: "a.go", Change: "modified", Changed: 9, Removed: 1}, "one", "a.go"},
		{fileStat{Path: "docs/x", Change: "modified", Added: 1, Removed: 4}, "two", "docs/x"},
	}
	for by, want := range map[string]string{"": "a.go b.go docs/x", "most": "a.go b.go docs/x", "added": "b.go docs/x a.go", "changed": "a.go b.go docs/x", "removed": "docs/x a.go b.go"} {
		sortFiles(files, by)
		var got []string
		for _, f := range files {
			got = append(got, f.Name)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("files by %q: %v, want %s", by, got, want)
		}
	}
	sortFiles(files, "")
	for by, want := range map[string][]string{
		"extension": {".go 2 +5±9−1", "no extension 1 +1±0−4"}, "change": {"added 1 +5±0−0", "modified 2 +1±9−5"},
		"extension-change": {".go, added 1 +5±0−0", ".go, modified 1 +0±9−1", "no extension, modified 1 +1±0−4"},
		"change-extension": {"added, .go 1 +5±0−0", "modified, .go 1 +0±9−1", "modified, no extension 1 +1±0−4"},
		"repository":       {"one 2 +5±9−1", "two 1 +1±0−4"}, "": nil, "odd": nil,
	} {
		var got []string
		for _, g := range groupFiles(files, rollupChoice{By: by}) {
			got = append(got, g.Name+" "+num(len(g.Files))+" +"+num(g.Sum.Added)+"±"+num(g.Sum.Changed)+"−"+num(g.Sum.Removed))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("rolled up by %q (-want +got):\n%s", by, diff)
		}
	}
}

// The choice stands in the address, and the form keeps the rest of it.
func TestRollupChoice(t *testing.T) {
	w := newWorld(t)
	w.standIns()
	w.history()
	w.connect()
	w.user("root", ferry.LevelAdmin, true)
	b := w.as("root")
	b.page("/issues/DEMO-1?tab=rollup&by=extension&sort=name", `name="tab" value="rollup"`, `value="extension" selected`, `value="name" selected`, ".md: 1 file")
	b.page("/us-east-1/demo/compare/main...DEMO-1-letterbox?view=summary&by=change", `name="view" value="summary"`, "added: 1 file")
}
