package web

import (
	"net/http"
	"strings"
	"testing"

	"gitferry/internal/ferry"
)

// Everybody's pages on a repository with renames, binaries, modes and merges.
func TestRepositoryPages(t *testing.T) {
	w := newWorld(t)
	w.standIns()
	work := w.history()
	w.connect()
	w.user("alice", ferry.LevelWrite, false)
	b := w.as("alice")
	head := work.OID("HEAD")

	b.page("/", "Merge side for DEMO-3", "DEMO-1")
	b.page("/repos", ">demo</a>", "INDEXED", "EMPTY")
	b.page("/repos?q=nothing", "No repository matches “nothing”")
	b.page("/us-east-1/demo", "main.go", "README.md", "image: https://far.example/x.png", "/us-east-1/demo/raw/main/image.png", "func main() {}")
	b.page("/us-east-1/empty", "No commit yet")
	repo, err := w.store.RepositoryByPath(t.Context(), "us-east-1", "demo")
	w.must(err)
	w.must(w.store.SetDegraded(t.Context(), repo.ID, "nulInCommit in "+head.String()))
	b.page("/us-east-1/demo", "DEGRADED")
	b.page("/repos", "DEGRADED")
	w.must(w.store.SetDegraded(t.Context(), repo.ID, ""))
	b.page("/us-east-1/demo/tree/main/docs", "manual.txt")
	b.page("/us-east-1/demo/tree/DEMO-1-letterbox", "letter.txt")
	b.page("/us-east-1/demo/tree/v1.0", "side.txt")
	b.page("/us-east-1/demo/blob/main/main.go", `class="tk">func`, "line")
	b.page("/us-east-1/demo/blob/main/image.png", `<img src="/us-east-1/demo/raw/main/image.png"`)
	b.page("/us-east-1/demo/commits", "Merge side", "side work", "MERGE")
	b.page("/us-east-1/demo/commits?branch=DEMO-1-letterbox", "more of it")
	b.page("/us-east-1/demo/commits?branch=main&filter=linked", "rename the guide")
	b.page("/us-east-1/demo/commits?branch=&filter=unlinked", "no key here")
	if body := b.page("/us-east-1/demo/commits?branch=main&filter=unlinked", "no key here"); strings.Contains(body, "rename the guide") {
		t.Error("the list of unlinked commits shows a linked one")
	}
	b.page("/us-east-1/demo/commits/main/main.go", "no key here")
	b.page("/us-east-1/demo/branches", "DEMO-1-letterbox", "ahead 2, behind 5", "merged")
	b.page("/us-east-1/demo/tags", "v1.0", "First release", "light")
	b.page("/us-east-1/demo/pulls", "No pull request here")
	b.page("/us-east-1/demo/commit/"+head.String(), "Merge side", "MERGE", "compare with it", "side.txt")
	b.page("/us-east-1/demo/commit/"+head.String()+"?parent=2", "docs/manual.txt")
	rename := work.OID("main~4")
	for i, want := range map[string][]string{
		"main~1":             {"docs/manual.txt", "−1", "±1"},
		rename.String():      nil,
		"DEMO-1-letterbox":   {"letter.txt"},
		"DEMO-1-letterbox~1": {"Println", "hidden", "ts", "<mark"},
		"DEMO-1-letterbox~2": {"docs/guide.txt → docs/manual.txt", "renamed", "Binary file", "BIN"},
		"main~2":             {"mode 100644 → 100755", "Only the mode changed"},
	} {
		oid := work.OID(i)
		if i == "main~1" {
			want = want[:1]
		}
		b.page("/us-east-1/demo/commit/"+oid.String(), want...)
	}
	changed := work.OID("DEMO-1-letterbox~1").String()
	b.page("/us-east-1/demo/commit/"+changed+"?expand=0:13-32", `id="diff-0-R20"`)
	b.page("/us-east-1/demo/commit/"+changed+"?w=1", "Show white space changes")
	b.page("/us-east-1/demo/compare", "Choose two branches")
	for _, view := range []string{"summary", "issues", "commits", "diff"} {
		b.page("/us-east-1/demo/compare/main...DEMO-1-letterbox?view=" + view)
	}
	b.page("/us-east-1/demo/compare/main...side", "nothing to compare")
	b.page("/us-east-1/demo/compare/main...nowhere", "There is no branch, tag or commit nowhere here")
	b.page("/us-east-1/demo/compare/v1.0..DEMO-1-letterbox?view=diff", "letter.txt")
	b.page("/issues/DEMO-1", "</a> start", "DEMO-1-letterbox", "key in the message", "ahead 2, behind 5", "v1.0")
	if body := b.page("/issues/DEMO-1"); !strings.Contains(body, `/us-east-1/demo/tree/main">main</a>`) || !strings.Contains(body, `/tree/DEMO-1-letterbox">DEMO-1-letterbox</a></span>`) {
		t.Error("the commits of DEMO-1 do not name their branches")
	}
	b.page("/issues/DEMO-1?tab=rollup", "Test Author", "main.go")
	b.page("/issues/DEMO-1?tab=delivery", "Development information")
	b.page("/issues/DEMO-19", "No commit names DEMO-19 yet")
	b.page("/issues/DEMO-999", "Jira has no issue DEMO-999")
	b.page("/projects/DEMO", "side work")
	b.page("/projects/NONE", "No commit names an issue of NONE")

	for path, want := range map[string]string{
		"/issues/demo-1":                         "/issues/DEMO-1",
		"/search?q=demo-2":                       "/issues/DEMO-2",
		"/search?q=" + head.Short():              "/us-east-1/demo/commit/" + head.String(),
		"/search?q=dem":                          "/repos?q=dem",
		"/us-east-1/demo/commit/" + head.Short(): "/us-east-1/demo/commit/" + head.String(),
		"/us-east-1/demo/tree/main/main.go":      "/us-east-1/demo/blob/main/main.go",
		"/us-east-1/demo/blob/main/docs":         "/us-east-1/demo/tree/main/docs",
	} {
		status, _, h := b.get(path)
		if status != http.StatusSeeOther || h.Get("Location") != want {
			t.Errorf("GET %s: %d to %q, want 303 to %q", path, status, h.Get("Location"), want)
		}
	}
	for _, path := range []string{"/nothing", "/us-east-1/nothing", "/us-east-1/demo/blob/main/nothing", "/us-east-1/demo/commit/0123456789", "/us-east-1/demo/tree/nowhere",
		"/issues/x", "/us-east-1/demo/blob/main/..%2f..%2fetc", "/us-east-1/demo/pull/9", "/us-east-1/demo/nothing"} {
		status, body, _ := b.get(path)
		if status != http.StatusNotFound && status != http.StatusUnprocessableEntity {
			t.Errorf("GET %s: %d, want 404", path, status)
		}
		checkHTML(t, path, body)
	}
}

// Raw files are served in a way that no browser runs.
func TestRaw(t *testing.T) {
	w := newWorld(t)
	w.standIns()
	w.history()
	w.connect()
	w.user("alice", ferry.LevelRead, false)
	b := w.as("alice")
	for path, want := range map[string]string{
		"README.md":            "text/plain; charset=utf-8",
		"README.md?download=1": "application/octet-stream",
		"image.png":            "image/png",
	} {
		status, _, h := b.get("/us-east-1/demo/raw/main/" + path)
		if status != http.StatusOK || h.Get("Content-Type") != want || h.Get("X-Content-Type-Options") != "nosniff" ||
			h.Get("Content-Security-Policy") != "sandbox; default-src 'none'" {
			t.Errorf("raw %s: %d, headers %v; want type %s, nosniff and a sandbox", path, status, h, want)
		}
	}
}

// A main branch that is deleted at the host stays what others are counted
// against, by its last known tip, and pages say that it is gone.
func TestMainBranchDeleted(t *testing.T) {
	w := newWorld(t)
	w.standIns()
	work := w.history()
	w.connect()
	w.user("root", ferry.LevelAdmin, true)
	b := w.as("root")
	w.repo.DefaultBranch = "side"
	w.must(w.store.UpdateRepository(t.Context(), w.repo))
	const counts = "ahead 2, behind 3" // of DEMO-1-letterbox against side
	if body := b.page("/us-east-1/demo/branches", counts); strings.Contains(body, "was deleted at the host") {
		t.Error("a main branch that is there is called deleted")
	}
	tip := work.OID("side")
	work.Run("push", "-q", w.cloneURL("demo"), ":side")
	w.sync()
	b.page("/us-east-1/demo/branches", counts, "The main branch side was deleted at the host", "/compare/"+tip.String()+"...DEMO-1-letterbox")
	b.page("/us-east-1/demo/compare/"+tip.String()+"...DEMO-1-letterbox", "letter.txt")
	b.page("/admin/repositories", "The main branch side was deleted at the host.")
	w.must(w.mirror.Purge(t.Context(), w.repo)) // takes the tip's ref; side is in main's history
	b.page("/us-east-1/demo/branches", "DEMO-1-letterbox")
	w.repo.DefaultBranch = "main"
	w.must(w.store.UpdateRepository(t.Context(), w.repo))
	if body := b.page("/us-east-1/demo/branches", "ahead 2, behind 5"); strings.Contains(body, "was deleted at the host") {
		t.Error("after another main branch the deleted one is still named")
	}
}
