package web

import (
	"net/http"
	"strings"
	"testing"

	"gitferry/internal/ferry"
)

// Jira decides with a person's own token who sees an issue and its
// development information; without a token the repositories do.
func TestIssueRights(t *testing.T) {
	w := newWorld(t)
	w.instead = func(rw http.ResponseWriter, r *http.Request) bool {
		if !strings.HasSuffix(r.URL.Path, "/mypermissions") {
			return false
		}
		rw.Header().Set("Content-Type", "application/json")
		switch r.URL.Query().Get("issueKey") + r.URL.Query().Get("projectKey") {
		case "DEMO-1", "OPS":
			rw.WriteHeader(http.StatusNotFound)
			_, _ = rw.Write([]byte(`{}`))
		case "DEMO-2":
			_, _ = rw.Write([]byte(`{"permissions":{"BROWSE_PROJECTS":{"havePermission":true},"VIEW_DEV_TOOLS":{"havePermission":false}}}`))
		default:
			_, _ = rw.Write([]byte(`{"permissions":{"BROWSE_PROJECTS":{"havePermission":true},"VIEW_DEV_TOOLS":{"havePermission":true}}}`))
		}
		return true
	}
	w.standIns()
	w.history()
	w.connect()
	w.user("bob", ferry.LevelWrite, false)
	root := w.user("root", ferry.LevelAdmin, true)
	alice := w.user("alice", ferry.LevelWrite, false)
	c := w.jira.Credentials().People["alice"]
	for _, u := range []ferry.User{alice, root} {
		w.must(w.store.SetJiraToken(t.Context(), u.ID, ferry.NewSecret(c.APIToken), c.Email))
	}
	a := w.as("alice")
	for path, want := range map[string]int{
		"/issues/DEMO-1": 404, "/issues/DEMO-1?tab=rollup": 404, "/issues/DEMO-1/branches/new": 404, "/issues/DEMO-1/pulls/new": 404,
		"/issues/DEMO-2/branches/new": 404, "/projects/OPS": 404, "/projects/DEMO": 200, "/issues/DEMO-3": 200,
	} {
		if status, body, _ := a.get(path); status != want || want == 404 && strings.Contains(body, w.summary("DEMO-1")) {
			t.Errorf("alice gets %s: %d, want %d", path, status, want)
		}
	}
	if body := a.page("/issues/DEMO-2", "No permission to view development data", w.summary("DEMO-2")); strings.Contains(body, "rename the guide") || strings.Contains(body, "Create branch") {
		t.Error("development data are shown without the permission")
	}
	w.as("bob").page("/issues/DEMO-1", "The first lines.")
	w.as("root").page("/issues/DEMO-1", "The first lines.")
	w.as("root").page("/issues/DEMO-2", "rename the guide")
	// Who has no account at Jira is told nothing that Jira says.
	w.user("stranger", ferry.LevelRead, false)
	if body := w.as("stranger").page("/issues/DEMO-3"); strings.Contains(body, w.summary("DEMO-3")) {
		t.Error("somebody without an account at Jira is told the summary")
	}
}
