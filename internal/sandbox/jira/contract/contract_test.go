package contract

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// A notebook is a testing.TB that keeps the errors reported to it.
type notebook struct {
	testing.TB
	mu    sync.Mutex
	notes []string // guarded by mu
}

func (n *notebook) Errorf(format string, args ...any) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.notes = append(n.notes, fmt.Sprintf(format, args...))
}

func (n *notebook) take() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	all := strings.Join(n.notes, "\n")
	n.notes = nil
	return all
}

const (
	doc    = `{"type":"doc","version":1,"content":[{"type":"paragraph","content":[{"type":"text","text":"x"}]}]}`
	site   = "/rest/api/3"
	center = "/dc/rest/api/2"
	tool   = "/jira/devinfo/0.1/cloud/0b1c/bulk"
)

// commitJSON is a commit as submitted.
func commitJSON(id string, sequence int, message, keys string) string {
	return fmt.Sprintf(`{"id":%q,"updateSequenceId":%d,"issueKeys":[%s],"message":%q,"author":{"name":"A"},"fileCount":0,"url":"http://h/c","authorTimestamp":"2026-11-23T10:00:00.000Z","displayId":%q}`, id, sequence, keys, message, id)
}

func branchJSON(id string, sequence int, last string) string {
	return fmt.Sprintf(`{"id":%q,"updateSequenceId":%d,"issueKeys":["DEMO-1"],"name":%q,"url":"http://h/b","lastCommit":%s}`, id, sequence, id, last)
}

// bulkJSON is a submission for repository r; more holds further members.
func bulkJSON(more, commits, branches string) string {
	return fmt.Sprintf(`{%s"repositories":[{"id":"r","name":"r","url":"http://h/","updateSequenceId":1,"commits":[%s],"branches":[%s]}]}`, more, commits, branches)
}

func TestViolations(t *testing.T) {
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	jira := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusTeapot)
	}))
	defer jira.Close()
	one := commitJSON("c1", 5, "m", `"DEMO-1"`)
	tests := []struct {
		name, method, path, body string
		want                     string // part of the violation; "" for none
	}{
		{"good comment", "POST", site + "/issue/DEMO-1/comment", `{"body":` + doc + `}`, ""},
		{"good scoped call", "GET", "/ex/jira/0b1c/rest/api/3/myself", "", ""},
		{"good Data Center call", "GET", "/rest/api/2/myself", "", ""},
		{"changelog", "GET", site + "/issue/DEMO-1/changelog", "", ""},
		{"hook", "POST", "/dc/rest/bitbucket/1.0/repository/1/sync", "x", ""},
		{"unknown path", "GET", "/rest/dev-status/1.0/issue", "", "no description has this path"},
		{"unknown operation", "PATCH", site + "/issue/DEMO-1", "", "does not have this operation"},
		{"unknown parameter", "GET", site + "/issue/DEMO-1?feilds=summary", "", "no query parameter feilds"},
		{"string body", "POST", site + "/issue/DEMO-1/comment", `{"body":"x"}`, "request body has an error"},
		{"document with an unknown node", "POST", site + "/issue/DEMO-1/comment", `{"body":{"type":"doc","version":1,"content":[{"type":"poem"}]}}`, "Atlassian Document Format"},
		{"document in a transition", "POST", site + "/issue/DEMO-1/transitions", `{"transition":{"id":"1"},"update":{"comment":[{"add":{"body":"x"}}]}}`, "Atlassian Document Format"},
		{"both time fields", "POST", site + "/issue/DEMO-1/worklog", `{"started":"2026-11-23T10:00:00.000+0000","timeSpent":"1h","timeSpentSeconds":60}`, "request body has an error"},
		{"worklog in the future", "POST", site + "/issue/DEMO-1/worklog", `{"started":"2026-11-25T12:00:03.000+0000","timeSpentSeconds":60}`, "starts in the future"},
		{"worklog now", "POST", site + "/issue/DEMO-1/worklog", `{"started":"2026-11-25T13:00:00.000+0100","timeSpentSeconds":60}`, ""},
		{"properties of a worklog on Data Center", "POST", center + "/issue/DEMO-1/worklog", `{"started":"2026-11-23T10:00:00.000+0000","timeSpentSeconds":60,"properties":[]}`, "no properties"},
		{"worklog of an edit in the future", "PUT", center + "/issue/DEMO-1", `{"update":{"worklog":[{"add":{"started":"2027-11-23T10:00:00.000+0000","timeSpent":"1h"}}]}}`, "starts in the future"},
		{"label with a blank", "PUT", site + "/issue/DEMO-1", `{"update":{"labels":[{"add":"a\u00a0b"}]}}`, "has a blank"},
		{"label of fields", "PUT", center + "/issue/DEMO-1", `{"fields":{"labels":["ok","a b"]}}`, "has a blank"},
		{"good submission", "POST", tool, bulkJSON("", one, branchJSON("b", 5, one)), ""},
		{"both key forms", "POST", tool, bulkJSON("", strings.Replace(one, `"fileCount"`, `"associations":[{"associationType":"issueKeys","values":["DEMO-1"]}],"fileCount"`, 1), ""), "request body has an error"},
		{"commit twice", "POST", tool, bulkJSON("", one+","+one, ""), "is given twice"},
		{"different numbers", "POST", tool, bulkJSON("", one, branchJSON("b", 5, commitJSON("c1", 6, "m", `"DEMO-1"`))), "as last commit"},
		{"property key", "POST", tool, bulkJSON(`"properties":{"_x":"y"},`, one, ""), "property key"},
		{"live command", "POST", tool, bulkJSON("", commitJSON("c1", 5, "DEMO-1 #comment x", `"DEMO-1"`), ""), "live command"},
		{"live command of a branch", "POST", tool, bulkJSON("", "", branchJSON("b", 5, commitJSON("c1", 5, "DEMO-1 #done", ""))), "live command"},
		{"prevented command", "POST", tool, bulkJSON(`"preventTransitions":true,`, commitJSON("c1", 5, "DEMO-1 #comment x", `"DEMO-1"`), ""), ""},
		{"defused command", "POST", tool, bulkJSON("", commitJSON("c1", 5, "DEMO-1 #\u2060comment x", `"DEMO-1"`), ""), ""},
		{"good properties query", "GET", "/jira/devinfo/0.1/cloud/0b1c/existsByProperties?instance=i", "", ""},
		{"token", "POST", "/oauth/token", `{"grant_type":"client_credentials","client_id":"a","client_secret":"b"}`, "a credential is sent"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			notes := &notebook{TB: t}
			web := &http.Client{Transport: Transport(notes, nil, Now(func() time.Time { return now }))}
			send(t, web, tt.method, jira.URL+tt.path, tt.body)
			got := notes.take()
			if tt.want == "" && got != "" || !strings.Contains(got, tt.want) {
				t.Errorf("violations %q, want %q", got, tt.want)
			}
		})
	}
}

func send(t *testing.T, web *http.Client, method, url, body string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer x")
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	resp, err := web.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusTeapot {
		t.Errorf("the request did not reach its target: %d", resp.StatusCode)
	}
}

// TestNumbersGrow follows one entity over several requests, through the proxy.
func TestNumbersGrow(t *testing.T) {
	jira := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusTeapot) }))
	defer jira.Close()
	notes := &notebook{TB: t}
	url := Proxy(notes, jira.URL, CommandsAllowed()) + tool
	steps := []struct {
		commit, want string
	}{
		{commitJSON("c1", 5, "DEMO-1 #comment live", `"DEMO-1"`), ""},
		{commitJSON("c1", 5, "m", `"DEMO-1"`), ""},
		{commitJSON("c1", 5, "m", `"DEMO-2"`), "comes again with other keys"},
		{commitJSON("c1", 7, "m", `"DEMO-2"`), ""},
		{commitJSON("c1", 6, "m", `"DEMO-2"`), "number 6 after 7"},
		{commitJSON("c2", 1, "m", `"DEMO-2"`), ""},
	}
	for _, s := range steps {
		send(t, http.DefaultClient, "POST", url, bulkJSON("", s.commit, ""))
		if got := notes.take(); s.want == "" && got != "" || !strings.Contains(got, s.want) {
			t.Errorf("%s: violations %q, want %q", s.commit, got, s.want)
		}
	}
	many := make([]string, 1001)
	for i := range many {
		many[i] = commitJSON(fmt.Sprintf("m%d", i), 1, "m", `"DEMO-1"`)
	}
	send(t, http.DefaultClient, "POST", url, bulkJSON("", strings.Join(many, ","), ""))
	if got := notes.take(); !strings.Contains(got, "1001 entities") {
		t.Errorf("violations %.200q, want the number of entities", got)
	}
}

// TestProxyCuts checks that a connection cut by the target reaches the client
// as a cut connection and not as an answer.
func TestProxyCuts(t *testing.T) {
	jira := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	defer jira.Close()
	resp, err := http.Get(Proxy(t, jira.URL) + "/rest/api/3/serverInfo")
	if err == nil {
		resp.Body.Close()
		t.Errorf("answer %d, want a cut connection", resp.StatusCode)
	}
}

func TestResponse(t *testing.T) {
	get := func(path string) *http.Request { return httptest.NewRequest("GET", path, nil) }
	json := http.Header{"Content-Type": {"application/json;charset=UTF-8"}}
	if err := Response(get(site+"/myself"), 200, json, []byte(`{"accountId":"a","active":true}`)); err != nil {
		t.Errorf("good answer: %v", err)
	}
	if err := Response(get(site+"/myself"), 200, json, []byte(`{"colour":"red"}`)); err == nil {
		t.Error("an answer with an unknown member passes")
	}
	if err := Response(get(site+"/myself"), 418, json, []byte(`{}`)); err == nil {
		t.Error("an answer with an unknown status passes")
	}
}
