package api

import (
	"net/http"
	"strings"
	"testing"
)

// Metrics are for administrators, name no repository or person, and count
// requests by their route, never by what was asked for.
func TestMetrics(t *testing.T) {
	w := newWorld(t)
	for who, want := range map[string]int{"": 401, "expired": 401, "no grant": 403, "write": 403, "dvcs scope": 403, "repo:read": 403, "api:read": 200, "admin": 200} {
		if status, _, body := w.request(who, "GET", "/metrics", nil); status != want {
			t.Errorf("%q got %d, want %d: %.200s", who, status, want, body)
		}
	}
	for range 3 {
		w.request("admin", "GET", "/api/v1/repositories/us-east-1/demo", nil)
		w.request("", "GET", "/nobody/asked/for/this?secret=1", nil)
	}
	status, header, body := w.request("api:read", "GET", "/metrics", nil)
	text := string(body)
	if status != http.StatusOK || !strings.HasPrefix(header.Get("Content-Type"), "text/plain") {
		t.Errorf("metrics: %d %s", status, header.Get("Content-Type"))
	}
	for _, want := range []string{"gitferry_repositories 2\n", `gitferry_build_info{version="test"} 1`, "gitferry_unresolved_pushes 0\n",
		`gitferry_actions{state="dead"} 0`,
		`gitferry_http_request_seconds_count{method="GET",route="/api/v1/repositories/:owner/:name",status="200"} 3`} {
		if !strings.Contains(text, want) {
			t.Errorf("metrics lack %q in\n%s", want, text)
		}
	}
	for _, bad := range []string{"demo", "us-east-1", "root", "asked"} {
		if strings.Contains(text, bad) {
			t.Errorf("metrics hold %q:\n%s", bad, text)
		}
	}
	if status, _, body := w.request("", "GET", "/healthz", nil); status != http.StatusOK || string(body) != "ok\n" {
		t.Errorf("/healthz = %d %q", status, body)
	}
}
