package web

import (
	"net/http"
	"strings"
	"testing"

	"gitferry/internal/ferry"
)

// Every page of administration, filled and with its forms used.
func TestAdminPages(t *testing.T) {
	w := newWorld(t)
	w.standIns()
	work := w.history()
	w.connect()
	root := w.user("root", ferry.LevelAdmin, true)
	w.user("alice", ferry.LevelWrite, false)
	b := w.as("root")
	for path, want := range map[string]string{
		"/admin/integrations":                "CodeCommit us-east-1",
		"/admin/integrations?status=ERROR":   "No integration matches",
		"/admin/integrations/new":            "Quick start",
		"/admin/integrations/new/codecommit": "US East (N. Virginia)",
		"/admin/integrations/1/connection":   "Permissions",
		"/admin/integrations/1/repositories": "Connect all future repositories",
		"/admin/integrations/1/features":     "Require user PAT",
		"/admin/integrations/1/select":       "Connect repositories",
		"/admin/integrations/1/disconnect":   "2 repositories will be disconnected",
		"/admin/integrations/1/log":          "First copy and index",
		"/admin/repositories":                "us-east-1/demo",
		"/admin/repositories?status=EMPTY":   "us-east-1/empty",
		"/admin/repositories?q=nothing":      "No repository matches",
		"/admin/repositories/1":              "Carry out smart commits",
		"/admin/repositories/1/log":          "refs/heads/main",
		"/admin/queue":                       "First copy and index",
		"/admin/triggers":                    "No call yet",
		"/admin/smart-commits":               "No commit has carried a command yet",
		"/admin/delivery":                    "Waiting",
		"/admin/delivery?state=dead":         "No delivery in this state",
		"/admin/policy":                      "Dry run",
		"/admin/settings":                    "Smart commit processor",
		"/admin/jira":                        "Test again",
		"/admin/users":                       "Alice Tester",
		"/admin/users/1":                     "Take back",
		"/admin/audit":                       "Export as CSV",
		"/admin/doctor":                      "Find out",
		"/admin/activity":                    "Age of mirrors",
		"/settings":                          "Git tokens",
		"/help":                              "Smart commits",
		"/_components":                       "Lozenges",
	} {
		b.page(path, want)
	}
	if status, body, _ := b.get("/admin/repositories/1/log.txt"); status != http.StatusOK || !strings.Contains(body, "refs/heads/main none → ") {
		t.Errorf("log.txt: %d\n%s", status, body)
	}
	if status, body, h := b.get("/admin/audit.csv"); status != http.StatusOK || !strings.HasPrefix(body, "seq,at,actor") || !strings.Contains(h.Get("Content-Disposition"), "attachment") {
		t.Errorf("audit.csv: %d\n%s", status, body)
	}
	oid := work.OID("main")
	b.page("/admin/doctor?commit="+oid.String()+"&issue=DEMO-3", "Commit in the index")
	b.page("/admin/doctor?commit="+oid.String()+"&issue=OPS-7", "does not name OPS-7")
	b.page("/admin/doctor?commit=0123456789&issue=OPS-7", "No mirror has a commit")

	for _, c := range []struct {
		path   string
		fields []string
		to     string
		shows  string
	}{
		{"/admin/integrations", []string{"id", "1"}, "/admin/integrations", "2 repositories queued"},
		{"/admin/integrations/1/reindex", nil, "/admin/integrations", "queued"},
		{"/admin/integrations/1/switch", []string{"to", "disabled"}, "/admin/integrations", "is disabled"},
		{"/admin/integrations/1/switch", []string{"to", "enabled"}, "/admin/integrations", "is enabled"},
		{"/admin/integrations/1/features", []string{"personal_required", "1", "topic_arn", "arn:aws:sns:us-east-1:123456789012:codecommit-x"}, "/admin/integrations/1/features", "codecommit-x"},
		{"/admin/integrations/1/reconnect", nil, "/admin/integrations/1/connection", "The account answers"},
		{"/admin/repositories", []string{"id", "2", "do", "disable"}, "/admin/repositories", "1 repository disabled."},
		{"/admin/repositories", []string{"id", "2", "id", "1", "do", "reindex"}, "/admin/repositories", "1 disabled repository was passed over"},
		{"/admin/repositories/1", []string{"enabled", "1"}, "/admin/repositories/1", "Saved."},
		{"/admin/repositories/1/do", []string{"do", "sync"}, "/admin/repositories/1/log", "is queued"},
		{"/admin/queue/clear", nil, "/admin/queue", "removed"},
		{"/admin/delivery/pause", []string{"reason", "tests"}, "/admin/delivery", "paused since"},
		{"/admin/delivery/resume", nil, "/admin/delivery", "go on"},
		{"/admin/delivery/discard", []string{"id", "e1"}, "/admin/delivery", "discarded"},
		{"/admin/policy", []string{"do", "save", "require_key", "1"}, "/admin/policy", "Saved."},
		{"/admin/settings", []string{"rollup", "1", "resolution", "Fixed", "processor", "off"}, "/admin/settings", "Fixed"},
		{"/admin/users", []string{"name", "Carol", "level", "read", "glob", "us-east-1/*", "password", testPassword}, "/admin/users/3", "Carol"[1:]},
		{"/admin/users/3", []string{"display", "Carol C", "enabled", "1", "email", "carol@example.com", "aliases", "c@example.com"}, "/admin/users/3", "Saved."},
		{"/admin/users/3/do", []string{"do", "grant", "glob", "x/*", "level", "write"}, "/admin/users/3", "x/*"},
		{"/admin/users/3/do", []string{"do", "key", "name", "k", "key", "ssh-ed25519 AAAA"}, "/admin/users/3#keys", "SHA256:k"},
		{"/admin/users/3/do", []string{"do", "unkey", "id", "1"}, "/admin/users/3#keys", "No SSH key yet"},
		{"/admin/users/3/do", []string{"do", "password", "password", "another-good-one-4"}, "/admin/users/3", "The password is changed"},
		{"/admin/users/3/do", []string{"do", "sessions"}, "/admin/users/3", "ended"},
		{"/admin/users/3/do", []string{"do", "remove", "confirm", "carol"}, "/admin/users", "carol is removed"},
	} {
		status, body, h := b.post(c.path, c.fields...)
		if status != http.StatusSeeOther || h.Get("Location") != c.to {
			t.Errorf("POST %s %v: %d to %q, want 303 to %q\n%.300s", c.path, c.fields, status, h.Get("Location"), c.to, body)
			continue
		}
		b.page(strings.Split(c.to, "#")[0], c.shows)
	}
	status, body, _ := b.post("/admin/policy", "do", "try", "require_key", "1", "repo", "1")
	checkHTML(t, "dry run", body)
	if status != http.StatusOK || !strings.Contains(body, "would be refused") || !strings.Contains(body, "no key here") {
		t.Errorf("dry run: %d", status)
	}
	status, body, _ = b.post("/admin/jira/test")
	checkHTML(t, "test of Jira", body)
	if status != http.StatusOK || !strings.Contains(body, "Live test") || !strings.Contains(body, "Jira Cloud") {
		t.Errorf("test of Jira: %d", status)
	}
	for path, fields := range map[string][]string{
		"/admin/policy":                      {"do", "save", "pattern", "("},
		"/admin/users":                       {"name", "bad name!", "level", "read"},
		"/admin/integrations/new/codecommit": {"region", "us-east-1", "access_key_id", "short"},
		"/admin/integrations/new":            {"url", "https://127.0.0.1:1/x", "private_key", "ssh-rsa AAAA"},
		"/admin/jira":                        {"kind", "cloud", "url", "http://far.example"},
		"/admin/integrations/1/features":     {"topic_arn", "nonsense"},
		"/admin/users/1":                     {"enabled", "1"}, // the last administrator
	} {
		status, body, _ := b.post(path, fields...)
		checkHTML(t, path, body)
		if status != http.StatusUnprocessableEntity || !strings.Contains(body, `role="alert"`) {
			t.Errorf("POST %s %v: %d, want 422 with the reason", path, fields, status)
		}
	}
	_ = root
}
