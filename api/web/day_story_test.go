package web

import (
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"gitferry/internal/ferry"
)

// A day's work, with the script and without it: find a commit, compare, make
// and look at a pull request, delete the branch, make and revoke a token;
// then, as an administrator, pause deliveries, disable a repository, save the
// policy and find out where a commit is.
func TestDayStory(t *testing.T) {
	for _, script := range []bool{true, false} {
		name := "with script"
		if !script {
			name = "without script"
		}
		t.Run(name, func(t *testing.T) {
			ctx := chromium(t)
			w := newWorld(t)
			w.standIns()
			work := w.history()
			w.connect()
			w.user("alice", ferry.LevelWrite, false)
			w.user("root", ferry.LevelAdmin, true)
			b := w.open(ctx, "alice")
			b.script(script)
			b.size(1280, 900)

			b.goTo("/")
			b.fill("#q-top", work.OID("DEMO-1-letterbox").Short())
			b.do(chromedp.Submit(chromedp.CSS("#q-top")))
			b.sees("more of it")
			b.press(`nav.tabs a[href$="/commits"]`, "Merge side")
			b.press(`a[href*="filter=unlinked"]`, "no key here")
			b.press(`nav.tabs a[href$="/compare"]`, "with base")
			b.fill("#compare", "DEMO-1-letterbox")
			b.fill("#base", "main")
			b.press("main form button.primary", "Aggregated lines")
			b.press(`a[href*="view=issues"]`, "View in issue navigator")
			b.press(`a[href*="view=diff"]`, "letter.txt")
			b.clean("find and compare")

			b.goTo("/issues/DEMO-1")
			if script {
				b.do(chromedp.Click(chromedp.CSS(`a[href="/issues/DEMO-1/pulls/new"]`)), chromedp.WaitVisible(chromedp.CSS("dialog[open] #d-title")))
				b.press(`dialog button[value="create"]`, "is open")
			} else {
				b.press(`a[href="/issues/DEMO-1/pulls/new"]`, "Target branch")
				b.press(`main button[value="create"]`, "is open")
			}
			b.press(`aside a[href*="/pull/"]`, "Compare the branches")
			b.clean("pull request")
			b.goTo("/us-east-1/demo/branches")
			if script {
				b.do(chromedp.Click(chromedp.CSS(`a[href*="delete?name=DEMO-1-letterbox"]`)), chromedp.WaitVisible(chromedp.CSS("dialog[open] .danger")))
				if at := eval[string](b, "document.activeElement.textContent"); at != "Cancel" {
					t.Errorf("the focus of a dangerous dialog is on %q, want Cancel", at)
				}
				b.press("dialog .danger", "The branch DEMO-1-letterbox is deleted")
			} else {
				b.press(`a[href*="delete?name=DEMO-1-letterbox"]`, "on no other branch")
				b.press("main .danger", "The branch DEMO-1-letterbox is deleted")
			}
			b.clean("delete branch")

			b.goTo("/settings")
			b.do(chromedp.Click(chromedp.CSS("#tokens details summary")))
			b.fill("#token-name", "laptop")
			b.press("#tokens details button.primary", "shown this once")
			b.press(`#tokens button[aria-label="Revoke token laptop"]`, "REVOKED")
			b.clean("tokens")

			b.signIn("root")
			b.goTo("/admin/delivery")
			b.fill("#reason", "Jira moves house")
			b.press(`form[action="/admin/delivery/pause"] button`, "Jira moves house")
			b.press(`form[action="/admin/delivery/resume"] button`, "Deliveries go on")
			b.goTo("/admin/repositories")
			b.do(chromedp.Click(chromedp.CSS(`input[name="id"][value="1"]`)))
			b.press(`button[value="disable"]`, "1 repository disabled.")
			b.do(chromedp.Click(chromedp.CSS(`input[name="id"][value="1"]`)))
			b.press(`button[value="enable"]`, "1 repository enabled.")
			b.goTo("/admin/policy")
			b.do(chromedp.Click(chromedp.CSS("#require_key")))
			b.press(`button[value="try"]`, "no key here")
			b.press(`button[value="save"]`, "The rules hold for the next push")
			b.goTo("/admin/doctor")
			b.fill("#commit", work.OID("main").String())
			b.fill("#issue", "DEMO-3")
			b.press("main form button.primary", "Commit in the mirror")
			b.clean("administration")
			if html := w.as("root").page("/admin/audit"); !strings.Contains(html, "policy.update") || !strings.Contains(html, "delivery.pause") {
				t.Error("the audit does not name what was done")
			}
		})
	}
}
