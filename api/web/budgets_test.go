package web

import (
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/html"

	"gitferry/internal/ferry"
)

// Budgets of a page (web-ui.md, 13). Times are measured by BenchmarkPages and
// not asserted.
const (
	maxIssuePage  = 30_000 // bytes on the wire, of 50 commits
	maxStyle      = 8_000  // bytes on the wire
	maxScript     = 4_000  // bytes on the wire
	maxScriptRaw  = 10_000 // bytes
	maxRequests   = 4
	maxNodes      = 1_500
	maxLargeNodes = 60_000
)

// counting counts what git is started for.
type counting struct{ n atomic.Int64 }

func (c *counting) Enabled(context.Context, slog.Level) bool  { return true }
func (c *counting) Handle(context.Context, slog.Record) error { c.n.Add(1); return nil }
func (c *counting) WithAttrs([]slog.Attr) slog.Handler        { return c }
func (c *counting) WithGroup(string) slog.Handler             { return c }

// largest is a world with the history of 9,907 commits as us-east-1/storm, and
// the issue that most of them name.
func largest(t testing.TB) (w *world, key ferry.IssueKey, runs *counting) {
	t.Helper()
	w = newWorld(t)
	w.standIns()
	f, err := os.Open(filepath.Join("..", "..", "internal", "e2e", "testdata", "commits-apache.jsonl.gz"))
	w.must(err)
	defer f.Close()
	n, err := w.aws.Load(t.Context(), "us-east-1", "storm", f)
	w.must(err)
	w.connect()
	w.repo, err = w.store.RepositoryByPath(t.Context(), "us-east-1", "storm")
	w.must(err)
	if n != 9907 {
		t.Fatalf("the history has %d commits, want 9,907", n)
	}
	w.user("alice", ferry.LevelRead, false)
	most := 0
	for i := range 4000 {
		k := ferry.IssueKey(fmt.Sprintf("STORM-%d", i+1))
		c, err := w.store.IssueSummary(t.Context(), k)
		w.must(err)
		if c.Commits > most {
			most, key = c.Commits, k
		}
	}
	t.Logf("%s is named by %d commits", key, most)
	runs = &counting{}
	w.server.Git.Log = slog.New(runs)
	return w, key, runs
}

// weigh asks for a page as a browser does and returns its bytes on the wire,
// its elements and the further requests that it makes.
func (b *browser) weigh(path string) (wire, nodes int, requests []string) {
	b.w.t.Helper()
	req, err := http.NewRequestWithContext(b.w.t.Context(), http.MethodGet, b.w.url+path, nil)
	b.w.must(err)
	req.Header.Set("Accept-Encoding", "gzip")
	resp, err := b.c.Do(req)
	b.w.must(err)
	defer resp.Body.Close()
	sent := &counter{r: resp.Body}
	z, err := gzip.NewReader(sent)
	b.w.must(err)
	doc, err := html.Parse(z)
	b.w.must(err)
	if resp.StatusCode != http.StatusOK {
		b.w.t.Fatalf("GET %s: %d", path, resp.StatusCode)
	}
	for n := range doc.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		nodes++
		for _, a := range n.Attr {
			if a.Key == "src" || n.Data == "link" && a.Key == "href" {
				requests = append(requests, a.Val)
			}
		}
	}
	return sent.n, nodes, requests
}

type counter struct {
	r io.Reader
	n int
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += n
	return n, err
}

// The stylesheet and the script are one file each, ours, and small.
func TestAssetBudgets(t *testing.T) {
	w := newWorld(t)
	for name, most := range map[string]int{"app.css": maxStyle, "app.js": maxScript} {
		a := w.server.static[strings.TrimPrefix(w.server.assets[name], "/static/")]
		t.Logf("%s: %d bytes, %d on the wire", name, len(a.plain), len(a.gzip))
		if len(a.gzip) > most {
			t.Errorf("%s has %d bytes on the wire, want at most %d", name, len(a.gzip), most)
		}
		if name == "app.js" && len(a.plain) > maxScriptRaw {
			t.Errorf("the script has %d bytes, want at most %d", len(a.plain), maxScriptRaw)
		}
	}
	if len(w.server.static) != 3 {
		t.Errorf("%d static files, want a stylesheet, a script and an icon", len(w.server.static))
	}
}

// Pages of a repository of 9,907 commits: bytes, elements, requests, and git
// processes once they are warm.
func TestBudgets(t *testing.T) {
	if testing.Short() {
		t.Skip("left out: indexes 9,907 commits, in short mode")
	}
	w, key, runs := largest(t)
	b := w.as("alice")
	body := b.page("/us-east-1/storm/commits")
	commit := regexp.MustCompile(`/us-east-1/storm/commit/[0-9a-f]{40}`).FindString(body)
	for _, p := range []struct {
		path  string
		wire  int // most bytes on the wire
		nodes int
		runs  int64 // most git processes of a second look
	}{
		{"/issues/" + string(key), maxIssuePage, maxNodes, 0},
		{"/issues/" + string(key) + "?tab=rollup", maxIssuePage, maxNodes, 0},
		{"/", maxIssuePage, maxNodes, 0},
		{"/repos", maxIssuePage, maxNodes, 0},
		{"/us-east-1/storm", maxIssuePage, maxNodes, 3},
		{"/us-east-1/storm/commits", maxIssuePage, maxNodes, 1},
		{commit, maxIssuePage, maxNodes, 5},
		{"/projects/STORM", maxIssuePage, maxNodes, 0},
	} {
		b.page(p.path)
		before := runs.n.Load()
		wire, nodes, requests := b.weigh(p.path)
		ran := runs.n.Load() - before
		t.Logf("%-70s %6d bytes, %5d elements, %d requests, %d git", p.path, wire, nodes, 1+len(requests), ran)
		if wire > p.wire || nodes > p.nodes || 1+len(requests) > maxRequests || ran > p.runs {
			t.Errorf("%s: %d bytes on the wire (at most %d), %d elements (at most %d), %d requests (at most %d), %d git processes (at most %d)",
				p.path, wire, p.wire, nodes, p.nodes, 1+len(requests), maxRequests, ran, p.runs)
		}
		for _, r := range requests {
			if !strings.HasPrefix(r, "/static/") {
				t.Errorf("%s asks for %s", p.path, r)
			}
		}
	}
}

// The largest difference that is shown stays within what a browser copes with.
func TestLargestDiff(t *testing.T) {
	w := newWorld(t)
	w.standIns()
	work := w.history()
	var text strings.Builder
	for i := range 19_000 {
		fmt.Fprintf(&text, "\tfmt.Println(\"line\", %d, true) // of many\n", i)
	}
	large := work.Commit("DEMO-5 a large file", "large.go", "package main\n\nfunc f() {\n"+text.String()+"}\n", "small.go", "package main\n")
	work.Run("push", "-q", w.cloneURL("demo"), "main")
	w.connect()
	w.user("alice", ferry.LevelRead, false)
	path := "/us-east-1/demo/commit/" + large.String() + "?load=0"
	b := w.as("alice")
	b.page(path, "more lines are not shown")
	wire, nodes, _ := b.weigh(path)
	t.Logf("%d bytes on the wire, %d elements", wire, nodes)
	if nodes > maxLargeNodes || nodes < maxLargeNodes/2 {
		t.Errorf("the largest difference has %d elements, want at most %d", nodes, maxLargeNodes)
	}
}

// BenchmarkPages tells how long the server takes for warm pages of a
// repository of 9,907 commits, as half and as 95 of 100 requests have it.
func BenchmarkPages(b *testing.B) {
	w, key, _ := largest(b)
	alice := w.as("alice")
	commits, err := w.store.RecentCommits(b.Context(), 1)
	w.must(err)
	for name, path := range map[string]string{"issue": "/issues/" + string(key), "commits": "/us-east-1/storm/commits", "files": "/us-east-1/storm", "commit": "/us-east-1/storm/commit/" + commits[0].OID.String()} {
		b.Run(name, func(b *testing.B) {
			alice.get(path)
			var took []time.Duration
			for b.Loop() {
				began := time.Now()
				if status, _, _ := alice.get(path); status != http.StatusOK {
					b.Fatalf("GET %s: %d", path, status)
				}
				took = append(took, time.Since(began))
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "ms-p50")
			b.ReportMetric(float64(took[len(took)*95/100].Microseconds())/1000, "ms-p95")
		})
	}
}
