package web

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	cdpage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"gitferry/internal/ferry"
)

// A tab is a page of a real browser that notes everything that must not be.
type tab struct {
	w   *world
	t   *testing.T
	ctx context.Context

	missing bool // files that are not there are no fault

	mu     sync.Mutex
	faults []string // guarded by mu
	seen   int      // requests; guarded by mu
}

// chromium starts a browser, or leaves the test out where there is none.
func chromium(t *testing.T) context.Context {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("left out: no chromium on the PATH (Debian package chromium)")
	}
	if testing.Short() {
		t.Skip("left out: browser tests, in short mode")
	}
	opts := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.WindowSize(1280, 900), chromedp.UserDataDir(t.TempDir()))
	for _, f := range []string{"disable-quic", "disable-component-update", "disable-background-networking", "disable-sync", "no-first-run"} {
		opts = append(opts, chromedp.Flag(f, true))
	}
	ctx, cancel := chromedp.NewExecAllocator(t.Context(), opts...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	return ctx
}

// open makes a tab that is signed in as name, "" for nobody.
func (w *world) open(ctx context.Context, name string) *tab {
	w.t.Helper()
	b := &tab{w: w, t: w.t, ctx: ctx}
	if err := chromedp.Do(ctx, chromedp.Navigate("about:blank")); err != nil {
		w.t.Fatal(err)
	}
	b.watch()
	if name != "" {
		u, err := w.store.UserByName(w.t.Context(), name)
		w.must(err)
		cookie, err := w.store.NewSession(w.t.Context(), u.ID, "127.0.0.1", "test")
		w.must(err)
		_, err = chromedp.Call(ctx, network.SetCookie, network.SetCookieParams{Name: "gf", Value: cookie.Reveal(), URL: w.url})
		w.must(err)
	}
	return b
}

// watch notes what a page must not do: errors in the console, reports of the
// content security policy, failed requests, requests to other hosts.
func (b *tab) watch() {
	fault := func(format string, args ...any) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.faults = append(b.faults, fmt.Sprintf(format, args...))
	}
	entries := chromedp.Events(b.ctx, log.EntryAdded)
	exceptions := chromedp.Events(b.ctx, runtime.ExceptionThrown)
	console := chromedp.Events(b.ctx, runtime.ConsoleAPICalled)
	requests := chromedp.Events(b.ctx, network.RequestWillBeSent)
	dialogs := chromedp.Events(b.ctx, cdpage.JavascriptDialogOpening)
	go func() {
		for e, err := range entries {
			if err != nil {
				return
			}
			if b.missing && strings.Contains(e.Entry.Text, "404") {
				continue
			}
			if e.Entry.Level == "error" || e.Entry.Level == "warning" {
				fault("%s: %s %s", e.Entry.Level, e.Entry.Text, e.Entry.URL)
			}
		}
	}()
	go func() {
		for e, err := range exceptions {
			if err != nil {
				return
			}
			fault("exception: %s", e.ExceptionDetails.Text)
		}
	}()
	go func() {
		for e, err := range console {
			if err != nil {
				return
			}
			fault("console.%s", e.Type)
		}
	}()
	go func() {
		for e, err := range requests {
			if err != nil {
				return
			}
			b.mu.Lock()
			b.seen++
			b.mu.Unlock()
			if u, err := url.Parse(e.Request.URL); err != nil || u.Scheme != "data" && u.Scheme != "about" && !strings.HasPrefix(e.Request.URL, b.w.url) {
				fault("request to %s", e.Request.URL)
			}
		}
	}()
	go func() {
		for e, err := range dialogs {
			if err != nil {
				return
			}
			fault("dialog: %s", e.Message)
			_, _ = chromedp.Call(b.ctx, cdpage.HandleJavaScriptDialog, cdpage.HandleJavaScriptDialogParams{Accept: true})
		}
	}()
}

// clean reports what was noted since the last call.
func (b *tab) clean(where string) {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, f := range b.faults {
		b.t.Errorf("%s: %s", where, f)
	}
	b.faults, b.seen = nil, 0
}

func (b *tab) do(actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, 30*time.Second)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		b.t.Fatal(err)
	}
}

func (b *tab) goTo(path string) { b.t.Helper(); b.do(chromedp.Navigate(b.w.url + path)) }

// eval evaluates an expression in the page; promises are waited for.
func eval[T any](b *tab, js string) T {
	b.t.Helper()
	v, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](js, chromedp.EvalAwaitPromise))
	if err != nil {
		b.t.Fatalf("evaluating %.80q: %v", js, err)
	}
	return v
}

// size and scheme change what the page is shown on.
func (b *tab) size(width, height int64) { b.t.Helper(); b.do(chromedp.EmulateViewport(width, height)) }

func (b *tab) scheme(name string) {
	b.t.Helper()
	_, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: name}}})
	b.w.must(err)
}

func (b *tab) script(on bool) {
	b.t.Helper()
	_, err := chromedp.Call(b.ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: !on})
	b.w.must(err)
}

// shot writes a picture of the whole page for people to look at, if
// GITFERRY_SHOTS names a directory.
func (b *tab) shot(name string) {
	b.t.Helper()
	dir := os.Getenv("GITFERRY_SHOTS")
	if dir == "" {
		return
	}
	png, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
	b.w.must(err)
	b.w.must(os.WriteFile(filepath.Join(dir, name+".png"), png, 0o644))
}

// axeVersion is the release of axe-core that judges pages.
const axeVersion = "4.14.1"

// axe returns the source of axe-core from the cache of tests, into which npm
// puts it once; "" with a reason if that is not possible.
func axe(t *testing.T) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	dir := filepath.Join(cache, "gitferry-tests")
	file := filepath.Join(dir, "axe-"+axeVersion+".min.js")
	if b, err := os.ReadFile(file); err == nil {
		return string(b)
	}
	if _, err := exec.LookPath("npm"); err != nil {
		t.Log("axe is left out: no npm to fetch axe-core with")
		return ""
	}
	tmp := t.TempDir()
	cmd := exec.CommandContext(t.Context(), "sh", "-c", "npm pack --silent axe-core@"+axeVersion+" && tar -xzf axe-core-*.tgz package/axe.min.js")
	cmd.Dir = tmp
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Logf("axe is left out: %v\n%s", err, out)
		return ""
	}
	b, err := os.ReadFile(filepath.Join(tmp, "package", "axe.min.js"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(dir, 0o755); err == nil {
		_ = os.WriteFile(file, b, 0o644)
	}
	return string(b)
}

// judge runs axe on the page as it is.
func (b *tab) judge(source, where string) {
	b.t.Helper()
	if source == "" {
		return
	}
	raw := eval[string](b, source+`;axe.run(document, {runOnly: ['wcag2a','wcag2aa','wcag21a','wcag21aa','wcag22aa','best-practice'], resultTypes: ['violations']})
		.then(r => JSON.stringify(r.violations.map(v => ({id: v.id, help: v.help, nodes: v.nodes.slice(0, 3).map(n => n.html.slice(0, 200) + ' ' + (n.any.concat(n.all)[0]||{message:''}).message)}))))`)
	var found []struct {
		ID, Help string
		Nodes    []string
	}
	b.w.must(json.Unmarshal([]byte(raw), &found))
	for _, f := range found {
		b.t.Errorf("%s: axe %s: %s\n  %s", where, f.ID, f.Help, strings.Join(f.Nodes, "\n  "))
	}
}

// busy makes a world in which every page has something to show.
func busy(t *testing.T) (*world, string) {
	w := newWorld(t)
	w.standIns()
	work := w.history()
	w.connect()
	w.user("root", ferry.LevelAdmin, true)
	w.user("alice", ferry.LevelWrite, false)
	work.Run("checkout", "-q", "main")
	work.Commit("DEMO-1 #comment a command #time 1h fits", "later.txt", "x\n")
	work.Run("push", "-q", w.cloneURL("demo"), "main")
	w.sync()
	return w, work.OID("DEMO-1-letterbox~1").String()
}

// look judges a page in both schemes and at phone width.
func (b *tab) look(source, name, path string) {
	b.t.Helper()
	for _, v := range []struct {
		name, scheme  string
		width, height int64
	}{{"light", "light", 1280, 900}, {"dark", "dark", 1280, 900}, {"phone", "light", 390, 844}} {
		where := name + " " + v.name
		b.scheme(v.scheme)
		b.size(v.width, v.height)
		b.goTo(path)
		b.judge(source, where)
		if over := eval[int](b, "document.documentElement.scrollWidth - document.documentElement.clientWidth"); over > 0 {
			wide := eval[string](b, `[...document.querySelectorAll('body *')].filter(e => !e.closest('.scroll, .vh, pre, .skip') && e.getBoundingClientRect().right > document.documentElement.clientWidth + 1).slice(0, 3).map(e => e.outerHTML.slice(0, 120)).join('\n')`)
			b.t.Errorf("%s: scrolls sideways by %d\n%s", where, over, wide)
		}
		if small := eval[string](b, `[...document.querySelectorAll('button, .btn, summary, select, input:not([type=hidden]):not([type=checkbox]):not([type=radio])')].filter(e => e.checkVisibility() && !e.closest('.vh') && e.getBoundingClientRect().height < 20).slice(0, 3).map(e => e.outerHTML.slice(0, 120)).join('\n')`); small != "" {
			b.t.Errorf("%s: too small to hit:\n%s", where, small)
		}
		b.shot(name + "-" + v.name)
		b.clean(where)
	}
}

// The pages that people see before they are somebody.
func TestBrowserFirstRun(t *testing.T) {
	ctx := chromium(t)
	source := axe(t)
	w := newWorld(t)
	b := w.open(ctx, "")
	b.look(source, "02-setup", "/setup")
	w.user("root", ferry.LevelAdmin, true)
	b.look(source, "01-login", "/login")
	b = w.open(ctx, "root")
	b.look(source, "03-home-empty", "/")
	b.look(source, "04-integrations-empty", "/admin/integrations")
	b.look(source, "08-repositories-empty", "/admin/repositories")
	b.look(source, "09-repos-empty", "/repos")
}

// Every page in both schemes and at phone width: nothing in the console, no
// report of the policy, no other host, nothing for axe, no sideways scrolling.
func TestBrowserPages(t *testing.T) {
	ctx := chromium(t)
	source := axe(t)
	w, changed := busy(t)
	b := w.open(ctx, "root")
	b.missing = true // the page for what is not there is one of them
	for name, path := range map[string]string{
		"03-home": "/", "09-repos": "/repos", "09-repo": "/us-east-1/demo", "09-empty": "/us-east-1/empty", "09-file": "/us-east-1/demo/blob/main/main.go",
		"10-commits": "/us-east-1/demo/commits", "11-compare-summary": "/us-east-1/demo/compare/main...DEMO-1-letterbox", "11-compare-diff": "/us-east-1/demo/compare/main...DEMO-1-letterbox?view=diff",
		"11-compare-nothing": "/us-east-1/demo/compare/main...side", "12-commit": "/us-east-1/demo/commit/" + changed, "13-issue": "/issues/DEMO-1", "13-issue-none": "/issues/DEMO-19",
		"13-issue-rollup": "/issues/DEMO-1?tab=rollup", "13-issue-delivery": "/issues/DEMO-1?tab=delivery", "04-integrations": "/admin/integrations", "05-wizard1": "/admin/integrations/new",
		"05-wizard2": "/admin/integrations/new/codecommit", "05-wizard3": "/admin/integrations/1/select", "06-permissions": "/admin/integrations/1/connection", "06-features": "/admin/integrations/1/features", "07-log": "/admin/repositories/1/log",
		"08-repositories": "/admin/repositories", "08-repository": "/admin/repositories/1", "17-settings": "/settings", "18-general": "/admin/settings", "19-smart": "/admin/smart-commits",
		"20-delivery": "/admin/delivery", "21-doctor": "/admin/doctor?commit=" + changed + "&issue=DEMO-1", "22-404": "/nothing/here", "23-components": "/_components",
		"30-policy": "/admin/policy", "31-users": "/admin/users", "32-user": "/admin/users/2", "33-audit": "/admin/audit", "34-activity": "/admin/activity", "35-jira": "/admin/jira",
		"36-queue": "/admin/queue", "37-triggers": "/admin/triggers", "38-disconnect": "/admin/integrations/1/disconnect", "39-help": "/help", "14-create-branch": "/issues/DEMO-4/branches/new", "15-create-pull": "/issues/DEMO-1/pulls/new?repo=1&source=DEMO-1-letterbox&target=main", "15-create-pull-nothing": "/issues/DEMO-1/pulls/new?repo=1&source=side&target=main",
		"16-delete-branch": "/us-east-1/demo/branches/delete?name=DEMO-1-letterbox", "40-branches": "/us-east-1/demo/branches", "41-tags": "/us-east-1/demo/tags",
	} {
		t.Run(name, func(t *testing.T) {
			b.t = t
			b.look(source, name, path)
		})
	}
}
