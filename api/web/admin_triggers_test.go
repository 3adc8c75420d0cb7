package web

import (
	"net/http"
	"strings"
	"testing"

	"gitferry/internal/ferry"
	"gitferry/internal/store"
)

func TestTriggersPage(t *testing.T) {
	w := newWorld(t)
	w.standIns()
	w.history()
	w.connect()
	w.user("root", ferry.LevelAdmin, true)
	b := w.as("root")
	w.must(w.store.AddTriggerCall(t.Context(), store.TriggerCall{Route: "install", Address: "192.0.2.7", Result: "accepted"}))
	secret := func(route store.TriggerRoute) string {
		t.Helper()
		have, err := w.store.TriggerSecret(t.Context(), route)
		w.must(err)
		return have.Reveal()
	}
	install, repo := store.TriggerRoute{Route: "install"}, store.TriggerRoute{Route: "repo", Repository: w.repo.ID}
	if body := b.page("/admin/triggers", "Whole installation", "192.0.2.7"); strings.Contains(body, secret(install)) {
		t.Error("the page shows a secret that nobody asked for")
	}
	ask := func(what string, route store.TriggerRoute, fields ...string) {
		t.Helper()
		status, body, _ := b.post("/admin/triggers", append([]string{"do", what, "level", route.Route}, fields...)...)
		if at := w.url + "/hooks/" + route.Route + "/"; status != http.StatusOK || !strings.Contains(body, at) || !strings.Contains(body, secret(route)) {
			t.Errorf("%s of %s: %d, want its address", what, route.Route, status)
		}
		checkHTML(t, what, body)
	}
	ask("show", install)
	old := secret(install)
	ask("renew", install)
	if secret(install) == old {
		t.Error("the secret is still the old one")
	}
	one := store.TriggerRoute{Route: "integration", Integration: w.repo.IntegrationID}
	ask("renew", one, "id", "1")
	if j, ok, err := w.store.ClaimJob(t.Context(), "test"); err != nil || !ok || j.Op != store.OpTriggers {
		t.Errorf("after a new secret: job %+v, %v", j, err)
	}
	ask("show", repo, "id", "1")
	for _, bad := range [][]string{{"do", "show", "level", "other", "id", "1"}, {"do", "nothing"}, {"do", "setup", "level", "install"}} {
		if status, _, _ := b.post("/admin/triggers", bad...); status != http.StatusUnprocessableEntity {
			t.Errorf("%v: %d, want 422", bad, status)
		}
	}
	b.post("/admin/triggers", "do", "switch")
	if body := b.page("/admin/triggers", "Triggers are ignored"); strings.Contains(body, `name="enabled" value="1" checked`) {
		t.Error("the switch is still on")
	}
	b.post("/admin/triggers", "do", "clear")
	b.page("/admin/triggers", "No call yet")
	b.page("/admin/audit", "triggers.renew", "triggers.show")
}

// The button queues the history of each repository, and the page says so.
func TestSendHistory(t *testing.T) {
	w := newWorld(t)
	w.standIns()
	w.history()
	w.connect()
	w.user("root", ferry.LevelAdmin, true)
	b := w.as("root")
	b.page("/admin/delivery", "Send history")
	if status, _, _ := b.post("/admin/delivery/history", "since", "x"); status != http.StatusUnprocessableEntity {
		t.Errorf("no number of days: %d, want 422", status)
	}
	b.post("/admin/delivery/history", "since", "30")
	b.page("/admin/delivery", "The history of 2 repositories", "2 repositories wait")
	for range 2 {
		if j, ok, err := w.store.ClaimJob(t.Context(), "test"); err != nil || !ok || j.Op != store.OpHistory {
			t.Errorf("job %+v, %v, %v", j, ok, err)
		}
	}
}
