package jira_test

import (
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gitferry/internal/sandbox/jira"
)

// TestKeep changes everything, starts again from the file after each of two
// ends, one of them in the middle of a line, and compares the states.
func TestKeep(t *testing.T) {
	file := filepath.Join(t.TempDir(), "jira.ndjson")
	start := func() *site {
		t.Helper()
		srv := jira.New(jira.Config{})
		if err := srv.Keep(file); err != nil {
			t.Fatal(err)
		}
		web := httptest.NewServer(srv.Handler())
		t.Cleanup(func() {
			web.Close()
			if err := srv.Close(); err != nil {
				t.Error(err)
			}
		})
		s := &site{t: t, srv: srv, url: web.URL, cred: srv.Credentials()}
		s.tool = s.must(200, "POST", "/oauth/token", "", `{"grant_type":"client_credentials","client_id":"`+s.cred.ClientID+`","client_secret":"`+s.cred.ClientSecret+`"}`)["access_token"].(string)
		return s
	}
	s := start()
	s.runAll(cloudRest, "service", cloudCalls)
	s.must(201, "POST", dcRest+"/issue/DEMO-3/comment", "pat:bob", `{"body":"stays","properties":[{"key":"a","value":1}]}`)
	s.must(201, "POST", dcRest+"/issue/DEMO-3/worklog", "pat:bob", `{"started":"2026-11-23T10:00:00.000+0000","timeSpent":"2h","comment":"stays"}`)
	s.must(201, "POST", "/_sandbox/issues", "", `{"key":"NEW-7"}`)
	s.must(200, "POST", "/_sandbox/issues/DEMO-5/move", "", `{"project":"NEW"}`)
	s.bulk(nil, commit("c1", 1, "OPS-1 #comment native", "OPS-1"), commit("c2", 1, "m", "OPS-1"))
	s.must(202, "DELETE", s.devinfo("/repository/repo-1/commit/c2"), "tool", "")
	want := s.srv.State()

	f, err := os.OpenFile(file, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(`{"issue":{"ID":1,"Ke`); err != nil {
		t.Fatal(err)
	}
	f.Close()
	for range 2 {
		s = start()
		if diff := cmp.Diff(string(want), string(s.srv.State())); diff != "" {
			t.Fatalf("state after a start (-want +got):\n%s", diff)
		}
	}
	if got := s.must(200, "GET", cloudRest+"/issue/DEMO-5?fields=summary", "service", "")["key"]; got != "NEW-8" {
		t.Errorf("former key leads to %v, want NEW-8", got)
	}
	if got := s.must(201, "POST", dcRest+"/issue/DEMO-3/comment", "pat", `{"body":"next"}`)["id"]; got != "10004" {
		t.Errorf("next comment has id %v, want 10004", got)
	}
}
