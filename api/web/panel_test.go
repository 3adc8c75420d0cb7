package web

import (
	"fmt"
	"strings"
	"testing"

	"gitferry/internal/ferry"
)

// The panel shows the three newest tags and the oldest; more come five at a
// time.
func TestPanelTags(t *testing.T) {
	w := newWorld(t)
	w.standIns()
	work := w.history()
	for i := range 9 {
		work.Run("tag", "-a", "-m", "x", fmt.Sprintf("r%d", i), "main")
	}
	work.Run("push", "-q", w.cloneURL("demo"), "--tags")
	w.connect()
	w.user("root", ferry.LevelAdmin, true)
	b := w.as("root")
	tags := func(path string) int {
		t.Helper()
		_, panel, _ := strings.Cut(b.page(path), `<details open id="tags">`)
		return strings.Count(panel, "#i-tag")
	}
	for path, want := range map[string]int{"/issues/DEMO-1": 4, "/issues/DEMO-1?tags=8": 9, "/issues/DEMO-1?tags=13": 11, "/issues/DEMO-1?tags=x": 4} {
		if got := tags(path); got != want {
			t.Errorf("%s shows %d tags, want %d", path, got, want)
		}
	}
	b.page("/issues/DEMO-1", "11 tags", "?tags=8")
}
