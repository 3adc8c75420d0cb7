package web

import (
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"gitferry/internal/ferry"
)

// A person links a commit to an issue by hand: with the script in the dialog,
// with a field that completes; without it by a search.
func TestLinkStory(t *testing.T) {
	for _, script := range []bool{true, false} {
		name := "with script"
		if !script {
			name = "without script"
		}
		t.Run(name, func(t *testing.T) {
			ctx := chromium(t)
			source := axe(t)
			w := newWorld(t)
			w.standIns()
			work := w.history()
			w.connect()
			w.user("root", ferry.LevelAdmin, true)
			commit := "/us-east-1/demo/commit/" + work.OID("DEMO-1-letterbox").String()
			words := w.summary("DEMO-7")
			b := w.open(ctx, "root")
			b.script(script)
			b.size(1280, 900)
			b.goTo(commit)
			b.sees("Link commit")
			link := `a[href="` + commit + `/issues"]`
			if script {
				field := "dialog[open] #link-q"
				b.do(chromedp.Click(chromedp.CSS(link)), chromedp.WaitVisible(chromedp.CSS(field)))
				b.do(chromedp.SendKeys(chromedp.CSS(field), words[:5]), chromedp.WaitVisible(chromedp.CSS("dialog .combo li")))
				b.judge(source, "the list of a field that completes")
				b.shot("43-link-issues-list")
				b.do(chromedp.KeyEvent(kb.Escape)) // Escape closes the list, not the dialog
				if open := eval[bool](b, "document.getElementById('dialog').open && document.querySelector('.combo ul').hidden"); !open {
					t.Error("Escape in the list does not close the list alone")
				}
				_ = eval[string](b, "document.querySelector('"+field+"').value = ''")
				b.do(chromedp.SendKeys(chromedp.CSS(field), "demo-7"))
				for end := time.Now().Add(20 * time.Second); eval[string](b, "[...document.querySelectorAll('dialog .combo li')].map(o => o.title).join()") != "DEMO-7"; time.Sleep(50 * time.Millisecond) {
					if time.Now().After(end) {
						t.Fatal("the list does not come to what fits the whole key")
					}
				}
				b.do(chromedp.Click(chromedp.CSS("dialog .combo li")))
				if got := eval[string](b, "document.querySelector('"+field+"').value"); got != "DEMO-7" {
					t.Errorf("the field holds %q, want DEMO-7", got)
				}
				_ = eval[bool](b, "setTimeout(() => document.querySelector('dialog button.primary').click()) > 0")
				b.sees("are changed. Jira is told.")
			} else {
				b.press(link, "Add an issue")
				b.fill("#link-q", words)
				b.press(`main button[value=find]`, "Found")
				b.do(chromedp.Click(chromedp.CSS("#hit-DEMO-7")))
				b.press("main button.primary", "are changed. Jira is told.")
			}
			b.sees("linked by hand")
			b.goTo("/issues/DEMO-7")
			b.sees("linked by hand by root")
			if script {
				for name, path := range map[string]string{"45-link-issues": commit + "/issues", "45-link-branch": "/us-east-1/demo/branches/issues?name=side", "45-issue-by-hand": "/issues/DEMO-7", "45-commit": commit} {
					b.look(source, view{name: name, path: path})
				}
			}
			b.clean("link by hand")
		})
	}
}
