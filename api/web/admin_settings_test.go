package web

import (
	"net/http"
	"strings"
	"testing"

	"gitferry/internal/ferry"
	"gitferry/internal/store"
)

// What the general settings switch off is gone from the pages, and refused.
func TestGeneralSettings(t *testing.T) {
	w := newWorld(t)
	w.standIns()
	w.history()
	w.connect()
	w.user("root", ferry.LevelAdmin, true)
	w.user("alice", ferry.LevelWrite, false)
	b, a := w.as("root"), w.as("alice")
	a.page("/issues/DEMO-1", "Create branch", "Create pull request", `aria-label="Development"`)
	a.page("/us-east-1/demo")
	set := func(ticked ...string) {
		t.Helper()
		fields := []string{"resolution", "Done", "template", "${issuekey}", "separator", "-", "max", "100"}
		for _, name := range ticked {
			fields = append(fields, name, "1")
		}
		if status, body, _ := b.post("/admin/settings", fields...); status != http.StatusSeeOther {
			t.Fatalf("settings %v: %d\n%.500s", ticked, status, body)
		}
	}
	set("rollup", "tags", "panel")
	body := a.page("/issues/DEMO-1", `aria-label="Development"`)
	if strings.Contains(body, "Create branch") || strings.Contains(body, "Create pull request") {
		t.Error("what is switched off is still offered")
	}
	if status, _, _ := a.get("/us-east-1/demo"); status != http.StatusNotFound {
		t.Errorf("a repository without the browser: %d, want 404", status)
	}
	b.page("/us-east-1/demo")
	for path, fields := range map[string][]string{
		"/issues/DEMO-4/branches/new": {"repo", "1", "source", "main", "name", "DEMO-4-x", "do", "create"},
		"/issues/DEMO-4/pulls/new":    {"repo", "1", "source", "side", "target", "main", "title", "DEMO-4", "do", "create"},
	} {
		if status, body, _ := a.post(path, fields...); status != http.StatusUnprocessableEntity || !strings.Contains(body, "switched off") {
			t.Errorf("POST %s: %d, want 422 and the reason", path, status)
		}
	}
	set("branches", "pulls", "browser")
	if body := a.page("/issues/DEMO-1"); strings.Contains(body, `aria-label="Development"`) || strings.Contains(body, "Git Roll Up") {
		t.Error("the panel or the roll-up is still shown")
	}
	b.page("/admin/settings", "Clear development information")
	b.post("/admin/settings/clear")
	b.page("/admin/delivery", "is withdrawn")
	if j, ok, err := w.store.ClaimJob(t.Context(), "test"); err != nil || !ok || j.Op != store.OpWithdraw {
		t.Errorf("job %+v, %v, %v", j, ok, err)
	}
}
