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
	t   testing.TB
	ctx context.Context

	missing bool // answers that are no success are no fault

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
			if b.missing && strings.Contains(e.Entry.Text, "Failed to load resource: the server responded") {
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
	ctx, cancel := context.WithTimeout(b.ctx, time.Minute)
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
	b.w.must(os.MkdirAll(dir, 0o755))
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

// signIn makes the browser somebody else, "nobody" for no one.
func (b *tab) signIn(name string) {
	b.t.Helper()
	value := ""
	if name != "nobody" {
		u, err := b.w.store.UserByName(b.w.t.Context(), name)
		b.w.must(err)
		cookie, err := b.w.store.NewSession(b.w.t.Context(), u.ID, "127.0.0.1", "Mozilla/5.0 (X11; Linux x86_64) Chrome/156.0")
		b.w.must(err)
		value = cookie.Reveal()
	}
	_, err := chromedp.Call(b.ctx, network.SetCookie, network.SetCookieParams{Name: "gf", Value: value, URL: b.w.url})
	b.w.must(err)
}

// show opens a view: its address, or what its form answers.
func (b *tab) show(v view) {
	b.t.Helper()
	if v.form == nil {
		b.goTo(v.path)
		return
	}
	b.goTo("/help")
	fields, err := json.Marshal(append([]string{v.path}, v.form...))
	b.w.must(err)
	eval[int](b, `(([path, ...fields]) => {
		const f = document.createElement('form'); f.method = 'post'; f.action = path;
		for (let i = 0; i < fields.length; i += 2) { const x = document.createElement('input'); x.type = 'hidden'; x.name = fields[i]; x.value = fields[i + 1]; f.append(x); }
		document.body.append(f); window.before = true; HTMLFormElement.prototype.submit.call(f); return 0;
	})(`+string(fields)+`)`)
	deadline := time.Now().Add(30 * time.Second)
	for {
		there, err := chromedp.Run(b.ctx, chromedp.Evaluate[bool](`!window.before && document.readyState === 'complete'`))
		if err == nil && there {
			return
		}
		if time.Now().After(deadline) {
			b.t.Fatalf("%s: no answer to the form: %v", v.path, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// look judges a view in both schemes and at phone width.
func (b *tab) look(source string, v view) {
	b.t.Helper()
	for _, on := range []struct {
		name, scheme  string
		width, height int64
	}{{"light", "light", 1280, 900}, {"dark", "dark", 1280, 900}, {"phone", "light", 390, 844}} {
		where := v.name + " " + on.name
		b.scheme(on.scheme)
		b.size(on.width, on.height)
		b.show(v)
		b.judge(source, where)
		if over := eval[int](b, "document.documentElement.scrollWidth - document.documentElement.clientWidth"); over > 0 {
			wide := eval[string](b, `[...document.querySelectorAll('body *')].filter(e => !e.closest('.scroll, .vh, pre, .skip') && e.getBoundingClientRect().right > document.documentElement.clientWidth + 1).slice(0, 3).map(e => e.outerHTML.slice(0, 120)).join('\n')`)
			b.t.Errorf("%s: scrolls sideways by %d\n%s", where, over, wide)
		}
		if small := eval[string](b, `[...document.querySelectorAll('button, .btn, summary, select, input:not([type=hidden]):not([type=checkbox]):not([type=radio])')].filter(e => e.checkVisibility() && !e.closest('.vh') && e.getBoundingClientRect().height < 24).slice(0, 3).map(e => e.outerHTML.slice(0, 120)).join('\n')`); small != "" {
			b.t.Errorf("%s: too small to hit:\n%s", where, small)
		}
		if n := eval[int](b, `[...document.querySelectorAll('main .primary')].filter(e => e.checkVisibility()).length`); n > 1 {
			b.t.Errorf("%s: %d primary buttons, want at most one", where, n)
		}
		b.shot(v.name + "-" + on.name)
		b.clean(where)
	}
}

// The pages that people see before they are somebody.
func TestBrowserFirstRun(t *testing.T) {
	ctx := chromium(t)
	source := axe(t)
	w := newWorld(t)
	b := w.open(ctx, "")
	b.look(source, firstRun[0])
	w.user("root", ferry.LevelAdmin, true)
	b.look(source, firstRun[1])
	b.missing = true
	b.look(source, view{name: "01-login-wrong", path: "/login", form: []string{"name", "root", "password", "no"}})
	b.signIn("root")
	for name, path := range map[string]string{"03-home-empty": "/", "04-integrations-empty": "/admin/integrations", "08-repositories-empty": "/admin/repositories", "09-repos-empty": "/repos",
		"19-smart-empty": "/admin/smart-commits", "20-delivery-empty": "/admin/delivery", "33-audit-empty": "/admin/audit?actor=x", "36-queue-empty": "/admin/queue", "37-triggers-empty": "/admin/triggers", "13-issue-empty": "/issues/DEMO-1", "44-project-empty": "/projects/DEMO"} {
		b.look(source, view{name: name, path: path})
	}
}

// Every page in both schemes and at phone width: nothing in the console, no
// report of the policy, no other host, nothing for axe, no sideways scrolling.
func TestBrowserPages(t *testing.T) {
	ctx := chromium(t)
	source := axe(t)
	w, work := busy(t)
	b := w.open(ctx, "root")
	b.missing = true // the pages for what failed are among them
	for _, v := range w.views(work) {
		t.Run(v.name, func(t *testing.T) {
			b.t = t
			if v.before != nil {
				v.before()
			}
			if v.as != "" {
				b.signIn(v.as)
				defer b.signIn("root")
			}
			b.look(source, v)
		})
	}
}

// Where people choose colours of their own, nothing is said by colour alone.
func TestBrowserForcedColours(t *testing.T) {
	ctx := chromium(t)
	w, work := busy(t)
	b := w.open(ctx, "root")
	b.size(1280, 900)
	_, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "forced-colors", Value: "active"}, {Name: "prefers-color-scheme", Value: "dark"}}})
	w.must(err)
	for name, path := range map[string]string{"24-forced-issue": "/issues/DEMO-1", "24-forced-commit": "/us-east-1/demo/commit/" + work.OID("DEMO-1-letterbox~1").String()} {
		b.goTo(path)
		if bare := eval[int](b, `[...document.querySelectorAll('.loz, .note, .tile')].filter(e => e.checkVisibility() && getComputedStyle(e).borderTopStyle === 'none').length`); bare > 0 {
			t.Errorf("%s: %d marks have no border where their colour is taken away", name, bare)
		}
		if same := eval[bool](b, `(t => t.length > 1 && t.every(e => getComputedStyle(e).borderBottomColor === getComputedStyle(t[0]).borderBottomColor))([...document.querySelectorAll('.tabs a')])`); same {
			t.Errorf("%s: the current tab looks like the others", name)
		}
		b.shot(name)
		b.clean(name)
	}
}
