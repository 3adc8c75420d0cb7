package jira_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"gitferry/internal/sandbox/jira"
)

// A site is a stand-in on loopback with what opens it.
type site struct {
	t    *testing.T
	srv  *jira.Server
	url  string
	cred jira.Credentials
	tool string // access token of the development tool
}

func newSite(t *testing.T, cfg jira.Config) *site {
	t.Helper()
	srv := jira.New(cfg)
	web := httptest.NewServer(srv.Handler())
	t.Cleanup(web.Close)
	s := &site{t: t, srv: srv, url: web.URL, cred: srv.Credentials()}
	var tok struct {
		AccessToken string `json:"access_token"`
	}
	_, _, body := s.do("POST", "/oauth/token", "", fmt.Sprintf(`{"audience":"api.atlassian.com","grant_type":"client_credentials","client_id":%q,"client_secret":%q}`, s.cred.ClientID, s.cred.ClientSecret))
	if err := json.Unmarshal(body, &tok); err != nil || tok.AccessToken == "" {
		t.Fatalf("token: %s", body)
	}
	s.tool = tok.AccessToken
	return s
}

// request builds a request; as is "service", a person's name, "scoped", "pat",
// "pat:NAME", "tool" or "" for nobody.
func (s *site) request(method, path, as, body string) *http.Request {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), method, s.url+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	switch {
	case as == "":
	case as == "service":
		r.SetBasicAuth(s.cred.Email, s.cred.APIToken)
	case as == "scoped":
		r.SetBasicAuth(s.cred.Email, s.cred.ScopedAPIToken)
	case as == "pat":
		r.Header.Set("Authorization", "Bearer "+s.cred.PersonalAccessToken)
	case as == "tool":
		r.Header.Set("Authorization", "Bearer "+s.tool)
	case strings.HasPrefix(as, "pat:"):
		r.Header.Set("Authorization", "Bearer "+s.cred.People[as[4:]].PersonalAccessToken)
	default:
		r.SetBasicAuth(s.cred.People[as].Email, s.cred.People[as].APIToken)
	}
	return r
}

// client follows no redirect.
var client = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

func (s *site) send(r *http.Request) (int, http.Header, []byte) {
	s.t.Helper()
	resp, err := client.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, b
}

func (s *site) do(method, path, as, body string) (int, http.Header, []byte) {
	s.t.Helper()
	return s.send(s.request(method, path, as, body))
}

// must does a call that has to be answered with status and decodes the answer.
func (s *site) must(status int, method, path, as, body string) map[string]any {
	s.t.Helper()
	code, _, b := s.do(method, path, as, body)
	if code != status {
		s.t.Fatalf("%s %s = %d %s, want %d", method, path, code, b, status)
	}
	o := map[string]any{}
	if len(bytes.TrimSpace(b)) > 0 && b[0] == '{' {
		if err := json.Unmarshal(b, &o); err != nil {
			s.t.Fatalf("%s %s: %v", method, path, err)
		}
	}
	return o
}

// effects returns the effects in the ledger, one by one.
func (s *site) effects() []string {
	list := []string{}
	for _, e := range s.srv.Book().Entries(0) {
		if e.Effect != "" {
			list = append(list, strings.Split(e.Effect, "; ")...)
		}
	}
	return list
}

// An issueState is the part of an issue's state that tests look at.
type issueState struct {
	Status, Resolution, Assignee string
	Labels                       []string
	FixVersions                  []string `json:"fix_versions"`
	AffectsVersions              []string `json:"affects_versions"`
	Comments                     []struct {
		Author, Text string
		Properties   map[string]any
	}
	Worklogs []struct {
		Author, Text, Started string
		Seconds               int
		Properties            map[string]any
	}
	Properties  map[string]any
	RemoteLinks []map[string]any `json:"remote_links"`
	History     []struct {
		HistoryMetadata map[string]any `json:"history_metadata"`
	}
	Development struct {
		Commits, Branches []struct {
			Repository, ID string
			Sequence       int64 `json:"update_sequence_id"`
		}
		PullRequests []map[string]any `json:"pull_requests"`
	}
}

func (s *site) issue(key string) issueState {
	s.t.Helper()
	code, _, b := s.do("GET", "/_sandbox/state?issue="+key, "", "")
	var is issueState
	if err := json.Unmarshal(b, &is); err != nil || code != 200 {
		s.t.Fatalf("state of %s = %d %s: %v", key, code, b, err)
	}
	return is
}

func (s *site) devinfo(path string) string { return "/jira/devinfo/0.1/cloud/" + s.cred.CloudID + path }

func TestSignIn(t *testing.T) {
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	s := newSite(t, jira.Config{Now: func() time.Time { return now }})
	ex := "/ex/jira/" + s.cred.CloudID
	tests := []struct {
		path, as string
		status   int
	}{
		{"/rest/api/3/serverInfo", "", 200},
		{"/rest/api/3/myself", "", 401},
		{"/rest/api/3/myself", "service", 200},
		{"/rest/api/3/myself", "alice", 200},
		{"/rest/api/3/myself", "scoped", 401},
		{"/rest/api/3/myself", "tool", 401},
		{"/rest/api/3/myself", "pat", 401},
		{"/rest/api/2/myself", "service", 200},
		{"/rest/api/2/myself", "pat", 200},
		{"/rest/api/2/search/jql?jql=key=DEMO-1", "pat", 404},
		{"/rest/api/2/search?jql=key=DEMO-1", "service", 404},
		{ex + "/rest/api/3/myself", "scoped", 200},
		{ex + "/rest/api/3/myself", "service", 401},
		{"/ex/jira/another/rest/api/3/myself", "scoped", 404},
		{"/dc/rest/api/2/myself", "pat", 200},
		{"/dc/rest/api/2/myself", "service", 401},
		{"/dc/rest/api/2/myself", "", 401},
		{s.devinfo("/existsByProperties?a=b"), "tool", 200},
		{s.devinfo("/existsByProperties?a=b"), "service", 401},
		{s.devinfo("/existsByProperties?a=b"), "", 401},
		{"/jira/devinfo/0.1/cloud/another/existsByProperties?a=b", "tool", 404},
	}
	for _, tt := range tests {
		if code, _, b := s.do("GET", tt.path, tt.as, ""); code != tt.status {
			t.Errorf("GET %s as %q = %d %s, want %d", tt.path, tt.as, code, b, tt.status)
		}
	}
	if _, h, _ := s.do("GET", "/dc/rest/api/2/myself", "pat:bob", ""); h.Get("X-AUSERNAME") != "bob" {
		t.Errorf("X-AUSERNAME = %q, want bob", h.Get("X-AUSERNAME"))
	}
	now = now.Add(15 * time.Minute)
	if code, _, _ := s.do("GET", s.devinfo("/existsByProperties?a=b"), "tool", ""); code != 401 {
		t.Errorf("a token of 15 minutes ago is answered with %d, want 401", code)
	}
	if code, _, _ := s.do("POST", "/oauth/token", "", `{"grant_type":"client_credentials","client_id":"x","client_secret":"y"}`); code != 401 {
		t.Errorf("wrong secret = %d, want 401", code)
	}
	form := s.request("POST", "/oauth/token", "", "grant_type=client_credentials&client_id="+s.cred.ClientID+"&client_secret="+s.cred.ClientSecret)
	form.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if code, _, b := s.send(form); code != 200 {
		t.Errorf("token by form = %d %s, want 200", code, b)
	}
}

func TestFaults(t *testing.T) {
	s := newSite(t, jira.Config{})
	comment := `{"body":{"type":"doc","version":1,"content":[{"type":"paragraph","content":[{"type":"text","text":"x"}]}]}}`
	path := "/rest/api/3/issue/DEMO-1/comment"
	set := func(rules string) {
		t.Helper()
		s.must(204, "PUT", "/_sandbox/faults", "", rules)
	}

	set(`[{"operation":"addComment","status":429,"retry_after":"7","times":1}]`)
	code, h, _ := s.do("POST", path, "service", comment)
	if code != 429 || h.Get("Retry-After") != "7" || h.Get("RateLimit-Reason") != "jira-burst-based" {
		t.Errorf("rate limit = %d %v", code, h)
	}
	set(`[{"path":"/rest/**","status":302,"times":1}]`)
	if code, h, _ := s.do("POST", path, "service", comment); code != 302 || !strings.Contains(h.Get("Location"), "suspended") {
		t.Errorf("suspended site = %d %v", code, h)
	}
	set(`[{"body":"<html>sign in</html>","content_type":"text/html","times":1}]`)
	if code, h, _ := s.do("POST", path, "service", comment); code != 200 || h.Get("Content-Type") != "text/html" {
		t.Errorf("log-in page = %d %v", code, h)
	}
	if n := len(s.issue("DEMO-1").Comments); n != 0 {
		t.Fatalf("%d comments, want none so far", n)
	}
	set(`[{"operation":"addComment","drop":"after","times":1}]`)
	if _, err := client.Do(s.request("POST", path, "service", comment)); !errors.Is(err, io.EOF) {
		t.Errorf("cut connection: %v, want EOF", err)
	}
	if n := len(s.issue("DEMO-1").Comments); n != 1 {
		t.Errorf("%d comments after the cut, want 1", n)
	}
	if got := s.effects(); len(got) != 1 || got[0] != "comment DEMO-1 10001" {
		t.Errorf("effects = %q", got)
	}
}

func TestPerIssueLimit(t *testing.T) {
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	s := newSite(t, jira.Config{Now: func() time.Time { return now }, Settings: jira.Settings{PerIssueLimit: true}})
	label := func(key string) (int, http.Header) {
		code, h, _ := s.do("PUT", "/rest/api/3/issue/"+key, "service", `{"update":{"labels":[{"add":"x"}]}}`)
		return code, h
	}
	for range 20 {
		if code, _ := label("DEMO-1"); code != 204 {
			t.Fatalf("write = %d, want 204", code)
		}
	}
	code, h := label("DEMO-1")
	if code != 429 || h.Get("RateLimit-Reason") != "jira-per-issue-on-write" || h.Get("Retry-After") != "2" {
		t.Errorf("21st write in 2 s = %d %v", code, h)
	}
	if code, _ := label("DEMO-2"); code != 204 {
		t.Errorf("another issue = %d, want 204", code)
	}
	now = now.Add(2 * time.Second)
	if code, _ := label("DEMO-1"); code != 204 {
		t.Errorf("2 s later = %d, want 204", code)
	}
}
