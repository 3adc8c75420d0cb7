package web

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"gitferry/internal/ferry"
)

// Large commits and directories are shown in part, and what has no end stops.
func TestBounds(t *testing.T) {
	if testing.Short() {
		t.Skip("left out: what has no end takes its time, in short mode")
	}
	w := newWorld(t)
	w.standIns()
	work := w.history()
	var many []string
	for i := range 320 {
		many = append(many, fmt.Sprintf("many/%03d.txt", i), fmt.Sprintf("file %d\n", i))
	}
	files := work.Commit("DEMO-5 many files", many...)
	var long strings.Builder
	for i := range 25_000 {
		fmt.Fprintf(&long, "line %d\n", i)
	}
	lines := work.Commit("DEMO-5 many lines", "long.txt", long.String())
	var wide []string
	for i := range 1100 {
		wide = append(wide, fmt.Sprintf("wide/%04d", i), "x")
	}
	work.Commit("a wide directory", wide...)
	// Twelve objects that describe 10^10 paths.
	tree := strings.TrimSpace(work.Input("100644 blob "+work.Output("rev-parse", "HEAD:tab.txt")+"\tf\n", "mktree"))
	for range 10 {
		var level strings.Builder
		for i := range 10 {
			fmt.Fprintf(&level, "040000 tree %s\td%d\n", tree, i)
		}
		tree = strings.TrimSpace(work.Input(level.String(), "mktree"))
	}
	bomb := strings.TrimSpace(work.Output("commit-tree", "-p", "HEAD", "-m", "DEMO-5 bomb", tree))
	work.Run("push", "-q", w.cloneURL("demo"), "main", bomb+":refs/heads/bomb")
	w.connect()
	w.user("alice", ferry.LevelRead, false)
	b := w.as("alice")

	b.page("/us-east-1/demo/commit/"+files.String(), "300 of 320 files are shown")
	body := b.page("/us-east-1/demo/commit/"+lines.String(), "25,000 changed lines.", "Load diff")
	if strings.Contains(body, "line 20000") {
		t.Error("a large file is shown without being asked for")
	}
	if body := b.page("/us-east-1/demo/commit/" + lines.String() + "?load=0"); !strings.Contains(body, "at most 20,000 lines") {
		t.Errorf("the lines of a page are not bounded: %d bytes", len(body))
	}
	b.page("/us-east-1/demo/tree/main/wide", "Only the first 1,000 entries are shown", "0999")
	b.page("/us-east-1/demo/tree/bomb", ">d9<")
	b.page("/us-east-1/demo/tree/bomb/d1/d2/d3", ">d9<")

	start := time.Now()
	status, body, _ := b.get("/us-east-1/demo/commit/" + bomb)
	checkHTML(t, "bomb", body)
	if took := time.Since(start); took > 15*time.Second || status != http.StatusOK && status != http.StatusServiceUnavailable {
		t.Errorf("the commit without end: %d after %v", status, took)
	}
	for range 2 {
		b.page("/issues/DEMO-5", "bomb", "many files", "Too large to count")
	}
	start = time.Now()
	b.page("/issues/DEMO-5", "bomb")
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("the page of its issue takes %v the third time", took)
	}
}
