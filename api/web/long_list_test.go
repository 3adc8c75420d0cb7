package web

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"gitferry/internal/ferry"
)

// many adds so many repositories that no plain select holds them.
func (w *world) many() {
	w.t.Helper()
	for i := range maxNative + 5 {
		_, err := w.store.AddRepository(w.t.Context(), ferry.Repository{IntegrationID: w.repo.IntegrationID, Name: fmt.Sprintf("app-%02d", i), Region: "us-east-1", HostID: fmt.Sprint("h", i), CloneURL: "https://upstream.example/x"})
		w.must(err)
	}
}

// With many repositories the dialogs take a path that is typed.
func TestLongListOfRepositories(t *testing.T) {
	w := newWorld(t)
	w.standIns()
	w.history()
	w.connect()
	w.many()
	w.user("root", ferry.LevelAdmin, true)
	b := w.as("root")
	const path = "/issues/DEMO-4/branches/new"
	b.page(path, `list="l-repo"`, `<option value="us-east-1/app-03">`)
	status, body, _ := b.post(path, "repo", "us-east-1/demo", "do", "reload")
	checkHTML(t, "reload", body)
	if status != http.StatusOK || !strings.Contains(body, `value="us-east-1/demo" list`) || !strings.Contains(body, ">main<") {
		t.Errorf("after choosing by path: %d\n%.1500s", status, body)
	}
	for _, at := range []string{path, "/issues/DEMO-4/pulls/new"} {
		if status, body, _ := b.post(at, "repo", "us-east-1/none", "do", "create", "name", "x", "source", "main", "target", "side", "title", "x"); status != http.StatusUnprocessableEntity || !strings.Contains(body, "There is no such repository") {
			t.Errorf("%s for a repository that is not there: %d", at, status)
		}
	}
	b.page("/settings", `list="l-def-repo"`)
	if status, _, _ := b.post("/settings", "do", "default-repo", "project", "DEMO", "repo", "us-east-1/none"); status != http.StatusUnprocessableEntity {
		t.Errorf("a default that is not there: %d, want 422", status)
	}
	b.post("/settings", "do", "default-repo", "project", "DEMO", "repo", "us-east-1/app-07")
	b.page("/settings", "app-07")
}

// The list of a long field is searched and chosen from by keyboard.
func TestLongListInABrowser(t *testing.T) {
	ctx := chromium(t)
	source := axe(t)
	w := newWorld(t)
	w.standIns()
	w.history()
	w.connect()
	w.many()
	w.user("root", ferry.LevelAdmin, true)
	b := w.open(ctx, "root")
	b.size(1280, 900)
	b.goTo("/issues/DEMO-4/branches/new")
	const field = "#d-repo"
	b.do(chromedp.Click(chromedp.CSS(field)))
	_ = eval[string](b, "document.querySelector('"+field+"').value = ''")
	b.do(chromedp.SendKeys(chromedp.CSS(field), "dem"), chromedp.WaitVisible(chromedp.CSS(".combo li")))
	if got := eval[int](b, "document.querySelectorAll('.combo li').length"); got != 1 {
		t.Errorf("the list shows %d repositories for “dem”, want 1", got)
	}
	b.judge(source, "a long list")
	b.shot("14-create-branch-long")
	b.do(chromedp.KeyEvent(kb.ArrowDown), chromedp.KeyEvent(kb.Enter))
	b.sees(`value="us-east-1/demo"`)
	b.sees(">side<")
	b.clean("long list")
}
