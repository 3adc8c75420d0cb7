package web

import (
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// sees waits until the page shows a text.
func (b *tab) sees(text string) {
	b.t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for {
		html, err := chromedp.Run(b.ctx, chromedp.OuterHTML(chromedp.CSS("main")))
		if err == nil && strings.Contains(html, text) {
			return
		}
		if time.Now().After(deadline) {
			b.t.Fatalf("the page does not show %q:\n%.1500s", text, html)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// press clicks and waits for what the click brings.
func (b *tab) press(selector, then string) {
	b.t.Helper()
	b.do(chromedp.Click(chromedp.CSS(selector)))
	b.sees(then)
}

func (b *tab) fill(selector, value string) {
	b.t.Helper()
	b.do(chromedp.SetValue(chromedp.CSS(selector), value))
}

// From a fresh server to a branch made from an issue, with the script and
// without it.
func TestStories(t *testing.T) {
	for _, script := range []bool{true, false} {
		name := "with script"
		if !script {
			name = "without script"
		}
		t.Run(name, func(t *testing.T) {
			ctx := chromium(t)
			w := newWorld(t)
			w.standIns()
			w.history()
			b := w.open(ctx, "")
			b.script(script)
			b.size(1280, 900)
			w.must(w.server.FirstRun(t.Context()))

			b.goTo("/")
			b.sees("Set up gitferry")
			b.fill("#token", w.server.setup.token)
			b.fill("#password", testPassword)
			b.press("main button", "The administrator account is made")
			b.clean("set-up")

			b.press(`.todo a[href="/admin/integrations/new"]`, "Quick start")
			b.press(`a[href="/admin/integrations/new/codecommit"]`, "Secret access key")
			c := w.aws.Credentials()
			b.do(chromedp.Click(chromedp.CSS("form details summary")))
			b.fill("#region", "us-east-1")
			b.fill("#access_key_id", c.AccessKeyID)
			b.fill("#secret_access_key", "wrong")
			b.fill("#api_endpoint", w.awsURL)
			b.fill("#sns_endpoint", w.awsURL)
			b.fill("#git_endpoint", w.awsURL)
			b.do(chromedp.Click(chromedp.CSS("#private_network")))
			b.do(chromedp.Click(chromedp.CSS("main form button.primary")))
			b.sees(`role="alert"`)
			b.mu.Lock()
			b.faults = nil // the browser reports the 422 itself
			b.mu.Unlock()
			b.fill("#secret_access_key", c.SecretAccessKey)
			b.press("main form button.primary", "Connect all future repositories")
			b.press("main form button.primary", "connected.")
			b.clean("wizard")
			w.sync()
			b.goTo("/admin/repositories")
			b.sees("INDEXED")

			b.goTo("/issues/DEMO-4")
			b.sees("No commit names DEMO-4 yet")
			if script { // the same form, in the dialog
				b.do(chromedp.Click(chromedp.CSS(`a[href="/issues/DEMO-4/branches/new"]`)), chromedp.WaitVisible(chromedp.CSS("dialog[open] #d-name")))
				b.shot("14-create-branch-dialog")
				b.do(chromedp.Click(chromedp.CSS("dialog [data-close]")), chromedp.WaitNotVisible(chromedp.CSS("dialog #d-name")))
				b.do(chromedp.Click(chromedp.CSS(`a[href="/issues/DEMO-4/branches/new"]`)), chromedp.WaitVisible(chromedp.CSS("dialog[open] #d-name")))
				b.fill("dialog #d-name", "DEMO-4-story")
				b.press("dialog button.primary", "The branch DEMO-4-story is made")
			} else {
				b.press(`a[href="/issues/DEMO-4/branches/new"]`, "Branch name")
				b.fill("#d-name", "DEMO-4-story")
				b.press("main form button.primary", "The branch DEMO-4-story is made")
			}
			b.clean("create branch")

			b.goTo("/us-east-1/demo/commits?branch=DEMO-1-letterbox")
			b.press(`.commits li:nth-child(2) .subject a`, "hidden")
			b.do(chromedp.Click(chromedp.CSS(`.gap a`)), chromedp.WaitVisible(chromedp.CSS("#diff-0-R1")))
			b.clean("expand")
			b.goTo("/settings")
			b.fill("#theme", "dark")
			b.press(`#profile form:nth-of-type(2) button`, "Saved.")
			b.clean("theme")
			if script {
				b.script(true)
				if got := eval[string](b, "document.documentElement.dataset.theme"); got != "dark" {
					t.Errorf("theme is %q, want dark", got)
				}
			}
			b.do(chromedp.Click(chromedp.CSS(".top .menu summary")))
			b.press(`form[action="/logout"] button`, "Log in")
			b.clean("log-out")
		})
	}
}

// Everything can be reached with the Tab key, in sight, and the menus and the
// walk through lists answer to the keyboard.
func TestKeyboard(t *testing.T) {
	ctx := chromium(t)
	w, work := busy(t)
	b := w.open(ctx, "root")
	b.size(1280, 900)
	for _, path := range []string{"/issues/DEMO-1", "/us-east-1/demo/commits", "/admin/integrations", "/settings", "/admin/repositories", "/issues/DEMO-4/branches/new", "/us-east-1/demo/commit/" + work.OID("DEMO-1-letterbox~1").String(), "/us-east-1/demo/branches", "/admin/jira", "/"} {
		b.goTo(path)
		want := eval[int](b, `[...document.querySelectorAll('a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex="0"]')].filter(e => e.checkVisibility({visibilityProperty: true}) && e.tabIndex >= 0 && !e.disabled).length`)
		_ = eval[int](b, `(window.reached = new Set(), window.hiddenFocus = [], document.addEventListener('focusin', e => { reached.add(e.target); const r = e.target.getBoundingClientRect(); if (r.bottom < 0 || r.top > innerHeight) hiddenFocus.push(e.target.outerHTML.slice(0, 100)); }), 0)`)
		for range want + 5 {
			b.do(chromedp.KeyEvent("\t"))
		}
		reached := eval[int](b, "reached.size")
		if reached < want*9/10 { // groups of radio buttons count once
			t.Errorf("%s: Tab reaches %d of %d", path, reached, want)
		}
		if off := eval[string](b, "hiddenFocus.slice(0, 3).join('\\n')"); off != "" {
			t.Errorf("%s: focus out of sight on\n%s", path, off)
		}
	}
	b.goTo("/us-east-1/demo/commits")
	b.do(chromedp.KeyEvent("j"), chromedp.KeyEvent("j"))
	second := eval[string](b, "document.querySelectorAll('.subject')[1].textContent.trim()")
	if got := eval[string](b, "document.querySelector('.current .subject').textContent.trim()"); got != second {
		t.Errorf("after j j the current commit is %q, want %q", got, second)
	}
	b.do(chromedp.KeyEvent("/"))
	if got := eval[string](b, "document.activeElement.id"); got != "q-top" {
		t.Errorf("after / the focus is on %q", got)
	}
	b.clean("keyboard")
}
