package jira_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gitferry/internal/sandbox/jira"
)

func TestControl(t *testing.T) {
	s := newSite(t, jira.Config{Empty: true, Projects: []jira.Project{{Key: "STORM", Name: "Storm", Issues: 30}}})
	made := s.must(201, "POST", "/_sandbox/issues", "", `{"project":"NEW","summary":"First","count":2}`)["issues"].([]any)
	if len(made) != 2 || made[1].(map[string]any)["key"] != "NEW-2" {
		t.Errorf("made = %v", made)
	}
	for _, body := range []string{`{"project":"x"}`, `{"key":"NEW-2"}`, `{"key":"NEW-02"}`, `{"project":"NEW","count":10001}`, `[`} {
		s.must(400, "POST", "/_sandbox/issues", "", body)
	}
	s.must(201, "POST", "/_sandbox/issues", "", `{"key":"NEW-50"}`)
	created := s.must(201, "POST", cloudRest+"/issue", "alice", `{"fields":{"project":{"key":"NEW"},"summary":"By hand","issuetype":{"name":"Task"}}}`)
	if created["key"] != "NEW-51" {
		t.Errorf("created = %v, want NEW-51", created)
	}
	var state struct {
		Issues   map[string]any
		Projects []struct{ Key, Name string }
	}
	if err := json.Unmarshal(s.srv.State(), &state); err != nil {
		t.Fatal(err)
	}
	if len(state.Issues) != 34 || len(state.Projects) != 2 || state.Projects[0].Name != "Storm" {
		t.Errorf("state has %d issues and projects %v", len(state.Issues), state.Projects)
	}
	s.must(204, "PUT", "/_sandbox/settings", "", `{"time_tracking_off":true}`)
	if got := s.must(200, "GET", "/_sandbox/settings", "", "")["time_tracking_off"]; got != true {
		t.Errorf("settings say %v, want true", got)
	}
	s.must(400, "POST", cloudRest+"/issue/NEW-1/worklog", "service", `{"started":"2026-11-23T10:00:00.000+0000","timeSpentSeconds":60}`)
	if got := s.must(200, "GET", dcRest+"/configuration", "pat", "")["timeTrackingEnabled"]; got != false {
		t.Errorf("time tracking = %v, want off", got)
	}
	s.must(204, "POST", "/_sandbox/tokens/expire", "", "")
	s.must(401, "GET", s.devinfo("/existsByProperties?a=b"), "tool", "")
}

// TestConnectorHook covers the call that asks the DVCS connector to look.
func TestConnectorHook(t *testing.T) {
	s := newSite(t, jira.Config{})
	s.must(200, "POST", "/dc/rest/bitbucket/1.0/repository/17/sync", "", `payload=x`)
	s.must(200, "POST", "/rest/bitbucket/1.0/repository/18/sync", "", "")
	if diff := cmp.Diff([]string{"dvcs sync 17", "dvcs sync 18"}, s.effects()); diff != "" {
		t.Errorf("effects (-want +got):\n%s", diff)
	}
}

func TestPages(t *testing.T) {
	s := newSite(t, jira.Config{})
	s.must(201, "POST", dcRest+"/issue/DEMO-1/comment", "pat:alice", `{"body":"<script>alert(1)</script>"}`)
	s.must(201, "POST", dcRest+"/issue/DEMO-1/worklog", "pat:bob", `{"started":"2026-11-23T10:00:00.000+0000","timeSpent":"2h","comment":"spike"}`)
	s.must(201, "POST", dcRest+"/issue/DEMO-1/remotelink", "pat", `{"object":{"url":"javascript://h/%0aalert(1)","title":"odd"}}`)
	s.must(204, "POST", dcRest+"/issue/DEMO-1/transitions", "pat", `{"transition":{"id":"11"}}`)
	s.bulk(nil, commit("c1", 1, "DEMO-1 subject line\n\nbody", "DEMO-1"))
	tests := []struct {
		path  string
		holds []string
	}{
		{"/browse/DEMO-1", []string{"&lt;script&gt;", "spike", "2h", "In Progress", "subject line", `href="http://127.0.0.1/c/c1"`, "Alice Adams", "To Do → In Progress"}},
		{"/dc/browse/demo-1", []string{`href="/dc/"`}},
		{"/", []string{`href="/browse/DEMO-20"`, "Operations"}},
	}
	for _, tt := range tests {
		code, h, b := s.do("GET", tt.path, "", "")
		if code != 200 || !strings.HasPrefix(h.Get("Content-Type"), "text/html") {
			t.Errorf("GET %s = %d %s", tt.path, code, h.Get("Content-Type"))
		}
		for _, text := range tt.holds {
			if !strings.Contains(string(b), text) {
				t.Errorf("%s does not show %q", tt.path, text)
			}
		}
		if strings.Contains(string(b), "<script") || strings.Contains(string(b), "javascript:") {
			t.Errorf("%s holds a script", tt.path)
		}
	}
	if code, _, _ := s.do("GET", "/browse/NOPE-1", "", ""); code != http.StatusNotFound {
		t.Errorf("page of an unknown issue = %d, want 404", code)
	}
}
