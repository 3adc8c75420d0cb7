package jira_test

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"

	"gitferry/internal/sandbox/jira"
	"gitferry/internal/sandbox/jira/contract"
)

const adf = `{"type":"doc","version":1,"content":[{"type":"paragraph","content":[{"type":"text","text":"corrected the indent"}]}]}`

// A faceCall is one call of the tables below.
type faceCall struct {
	method, path, body string
	status             int
}

// cloudCalls run in order on one site; {P} is the path of the REST API.
var cloudCalls = []faceCall{
	{"GET", "/serverInfo", "", 200},
	{"GET", "/myself", "", 200},
	{"GET", "/mypermissions?permissions=BROWSE_PROJECTS,ADD_COMMENTS,ADMINISTER", "", 200},
	{"GET", "/mypermissions?permissions=NO_SUCH", "", 400},
	{"GET", "/mypermissions?permissions=BROWSE_PROJECTS&issueKey=DEMO-99", "", 404},
	{"POST", "/permissions/check", `{"projectPermissions":[{"permissions":["ADD_COMMENTS"],"projects":[10000],"issues":[10001]}],"globalPermissions":["ADMINISTER"]}`, 200},
	{"GET", "/configuration", "", 200},
	{"GET", "/configuration/timetracking/options", "", 403},
	{"GET", "/project/search", "", 200},
	{"GET", "/project/search?maxResults=1", "", 200},
	{"GET", "/project/search?startAt=-1", "", 400},
	{"GET", "/project/DEMO", "", 200},
	{"GET", "/project/NONE", "", 404},
	{"GET", "/project/DEMO/versions", "", 200},
	{"POST", "/issue/bulkfetch", `{"issueIdsOrKeys":["DEMO-1","demo-2","NOPE-1"],"fields":["summary","status","project","issuetype"],"properties":["gitferry.t"]}`, 200},
	{"GET", "/issue/DEMO-1", "", 200},
	{"GET", "/issue/demo-1?fields=summary,status&properties=a", "", 200},
	{"GET", "/issue/NOPE-1", "", 404},
	{"GET", "/issue/DEMO-1?expand=transitions", "", 200},
	{"GET", "/issue/DEMO-1/editmeta", "", 200},
	{"GET", "/issue/limit/report", "", 200},
	{"GET", "/search/jql?jql=key%20in%20(DEMO-1,OPS-2)&fields=summary", "", 200},
	{"POST", "/search/jql", `{"jql":"project = DEMO ORDER BY key","maxResults":3,"fields":["key","status"]}`, 200},
	{"POST", "/search/jql", `{"jql":"key in (DEMO-1, NOPE-1)"}`, 400},
	{"POST", "/search/jql", `{"jql":"summary ~ x"}`, 400},

	{"POST", "/issue/DEMO-1/comment", `{"body":` + adf + `,"properties":[{"key":"gitferry.action","value":{"id":"a"}}]}`, 201},
	{"GET", "/issue/DEMO-1/comment?orderBy=-created&expand=properties&maxResults=10", "", 200},
	{"GET", "/issue/DEMO-1/comment/10001", "", 200},
	{"GET", "/issue/DEMO-2/comment/10001", "", 404},
	{"PUT", "/issue/DEMO-1/comment/10001", `{"body":` + adf + `}`, 200},
	{"POST", "/comment/list?expand=properties", `{"ids":[10001,5]}`, 200},
	{"GET", "/comment/10001/properties", "", 200},
	{"GET", "/comment/10001/properties/gitferry.action", "", 200},
	{"GET", "/comment/10001/properties/none", "", 404},
	{"PUT", "/comment/10001/properties/b", `[1]`, 201},
	{"PUT", "/comment/10001/properties/b", `"x"`, 200},
	{"DELETE", "/comment/10001/properties/b", "", 204},

	{"POST", "/issue/DEMO-1/worklog?adjustEstimate=leave", `{"started":"2026-11-23T10:00:00.000+0000","timeSpentSeconds":5400,"comment":` + adf + `,"properties":[{"key":"gitferry.action","value":{"id":"w"}}]}`, 201},
	{"POST", "/issue/DEMO-1/worklog", `{"started":"2026-11-23T10:00:00.000+0000","timeSpent":"1h 30m"}`, 201},
	{"GET", "/issue/DEMO-1/worklog?startedAfter=1795428000000&expand=properties", "", 200},
	{"GET", "/issue/DEMO-1/worklog/20001?expand=properties", "", 200},
	{"GET", "/issue/DEMO-1/worklog/1", "", 404},
	{"PUT", "/issue/DEMO-1/worklog/20001", `{"timeSpentSeconds":60}`, 200},
	{"POST", "/worklog/list?expand=properties", `{"ids":[20001]}`, 200},
	{"GET", "/worklog/updated?since=0", "", 200},
	{"GET", "/issue/DEMO-1/worklog/20001/properties", "", 200},
	{"GET", "/issue/DEMO-1/worklog/20001/properties/gitferry.action", "", 200},
	{"PUT", "/issue/DEMO-1/worklog/20001/properties/c", `{}`, 201},
	{"DELETE", "/issue/DEMO-1/worklog/20001/properties/c", "", 204},
	{"DELETE", "/issue/DEMO-1/worklog/20002", "", 204},

	{"GET", "/issue/DEMO-1/transitions?expand=transitions.fields&includeUnavailableTransitions=true", "", 200},
	{"POST", "/issue/DEMO-1/transitions", `{"transition":{"id":"11"},"properties":[{"key":"gitferry.t.1","value":1}],"historyMetadata":{"type":"gitferry:smartcommit","actor":{"id":"jane"}}}`, 204},
	{"POST", "/issue/DEMO-1/transitions", `{"transition":{"id":"11"}}`, 400},
	{"POST", "/issue/DEMO-1/transitions", `{"transition":{"id":"31"},"fields":{"resolution":{"name":"Done"}}}`, 400},
	{"PUT", "/issue/DEMO-1/assignee", `{"accountId":"-1"}`, 204},
	{"PUT", "/issue/DEMO-1/assignee", `{"accountId":"nobody"}`, 400},
	{"PUT", "/issue/DEMO-1", `{"update":{"labels":[{"add":"x"}],"fixVersions":[{"add":{"name":"1.0"}}],"versions":[{"add":{"name":"1.1"}}]}}`, 204},
	{"PUT", "/issue/DEMO-1?returnIssue=true", `{"update":{"labels":[{"add":"y"}]}}`, 200},
	{"PUT", "/issue/DEMO-1", `{"update":{"fixVersions":[{"add":{"name":"0.9"}}],"colour":[{"set":1}]}}`, 400},
	{"PUT", "/issue/NOPE-1", `{"update":{"labels":[{"add":"x"}]}}`, 404},

	{"POST", "/issue/DEMO-1/remotelink", `{"globalId":"g1","application":{"name":"gitferry"},"relationship":"commit","object":{"url":"http://example.com/c/1","title":"1a2b3c4"}}`, 201},
	{"POST", "/issue/DEMO-1/remotelink", `{"globalId":"g1","object":{"url":"http://example.com/c/1","title":"1a2b3c4"}}`, 200},
	{"GET", "/issue/DEMO-1/remotelink?globalId=g1", "", 200},
	{"GET", "/issue/DEMO-1/remotelink/30001", "", 200},
	{"PUT", "/issue/DEMO-1/remotelink/30001", `{"globalId":"g1","object":{"url":"http://example.com/c/1","title":"x"}}`, 204},
	{"DELETE", "/issue/DEMO-1/remotelink/30001", "", 204},
	{"DELETE", "/issue/DEMO-1/remotelink?globalId=g1", "", 404},

	{"GET", "/issue/DEMO-1/properties", "", 200},
	{"GET", "/issue/DEMO-1/properties/gitferry.t.1", "", 200},
	{"PUT", "/issue/DEMO-1/properties/a%2Fb", `{"any":"thing"}`, 201},
	{"GET", "/issue/DEMO-1/properties/a%2Fb", "", 200},
	{"DELETE", "/issue/DEMO-1/properties/gitferry.t.1", "", 204},
	{"GET", "/issue/DEMO-1/properties/gitferry.t.1", "", 404},

	{"GET", "/user?accountId=none", "", 404},
	{"GET", "/user/search?query=alice@example.com", "", 200},
	{"GET", "/user/assignable/search?query=al&issueKey=DEMO-1", "", 200},
	{"GET", "/user/assignable/search?query=al&issueKey=NOPE-1", "", 404},
	{"DELETE", "/issue/DEMO-1/comment/10001", "", 204},
}

func TestCloudFollowsTheContract(t *testing.T) {
	for _, tt := range []struct{ name, prefix, as string }{
		{"site", "/rest/api/3", "service"},
		{"scoped token", "/ex/jira/{cloud}/rest/api/3", "scoped"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newSite(t, jira.Config{})
			s.runAll(strings.Replace(tt.prefix, "{cloud}", s.cred.CloudID, 1), tt.as, cloudCalls)
		})
	}
}

// runAll makes the calls and checks status, request and answer.
func (s *site) runAll(prefix, as string, calls []faceCall) {
	s.t.Helper()
	checked := &http.Client{Transport: contract.Transport(s.t, nil)}
	for _, c := range calls {
		r := s.request(c.method, prefix+c.path, as, c.body)
		resp, err := checked.Do(r)
		if err != nil {
			s.t.Fatal(err)
		}
		s.compare(r, resp, c)
	}
}

func (s *site) compare(r *http.Request, resp *http.Response, c faceCall) {
	s.t.Helper()
	body := make([]byte, 0, 4096)
	defer resp.Body.Close()
	for buf := make([]byte, 4096); ; {
		n, err := resp.Body.Read(buf)
		body = append(body, buf[:n]...)
		if err != nil {
			break
		}
	}
	if resp.StatusCode != c.status {
		s.t.Errorf("%s %s = %d %s, want %d", c.method, c.path, resp.StatusCode, body, c.status)
	}
	if err := contract.Response(r, resp.StatusCode, resp.Header, body); err != nil {
		s.t.Errorf("%s %s: the answer breaks the contract: %v\n%s", c.method, c.path, err, body)
	}
}

var dcCalls = []faceCall{
	{"GET", "/serverInfo", "", 200},
	{"GET", "/myself", "", 200},
	{"GET", "/mypermissions?issueKey=DEMO-1", "", 200},
	{"GET", "/mypermissions?projectKey=NOPE", "", 404},
	{"GET", "/configuration", "", 200},
	{"GET", "/project", "", 200},
	{"GET", "/project/DEMO", "", 200},
	{"GET", "/project/DEMO/versions", "", 200},
	{"GET", "/project/NOPE/versions", "", 404},
	{"GET", "/issue/DEMO-1?fields=summary,status", "", 200},
	{"GET", "/issue/DEMO-1", "", 200},
	{"GET", "/issue/NOPE-1", "", 404},
	{"GET", "/issue/DEMO-1/editmeta", "", 200},
	{"GET", "/search?jql=key%20in%20(DEMO-1)&fields=summary", "", 200},
	{"POST", "/search", `{"jql":"key in (DEMO-1, NOPE-1)","validateQuery":false,"fields":["summary"],"startAt":0,"maxResults":100}`, 200},
	{"POST", "/search", `{"jql":"key in (DEMO-1, NOPE-1)"}`, 400},
	{"POST", "/issue/DEMO-1/comment", `{"body":"corrected *the* indent","properties":[{"key":"gitferry.action","value":{"id":"a"}}]}`, 201},
	{"GET", "/issue/DEMO-1/comment?orderBy=-created&expand=properties", "", 200},
	{"GET", "/issue/DEMO-1/comment/10001", "", 200},
	{"PUT", "/issue/DEMO-1/comment/10001", `{"body":"x"}`, 200},
	{"GET", "/comment/10001/properties", "", 200},
	{"GET", "/comment/10001/properties/gitferry.action", "", 200},
	{"GET", "/comment/10001/properties/none", "", 404},
	{"POST", "/issue/DEMO-1/worklog", `{"started":"2026-11-23T10:00:00.000+0000","timeSpentSeconds":5400,"comment":"note"}`, 201},
	{"GET", "/issue/DEMO-1/worklog", "", 200},
	{"GET", "/issue/DEMO-1/worklog/20001", "", 200},
	{"POST", "/worklog/list", `{"ids":[20001]}`, 200},
	{"GET", "/worklog/updated?since=0", "", 200},
	{"GET", "/issue/DEMO-1/transitions?expand=transitions.fields", "", 200},
	{"POST", "/issue/DEMO-1/transitions", `{"transition":{"id":"11"},"historyMetadata":{"type":"gitferry:smartcommit"}}`, 204},
	{"POST", "/issue/DEMO-1/transitions", `{"transition":{"id":"71"}}`, 400},
	{"PUT", "/issue/DEMO-1/assignee", `{"name":"alice"}`, 204},
	{"PUT", "/issue/DEMO-1/assignee", `{"name":"nobody"}`, 400},
	{"PUT", "/issue/DEMO-1", `{"update":{"labels":[{"add":"x"}],"worklog":[{"add":{"timeSpent":"30m","started":"2026-11-23T10:00:00.000+0000"}}]},"properties":[{"key":"gitferry.w","value":1}]}`, 204},
	{"PUT", "/issue/DEMO-1", `{"update":{"fixVersions":[{"add":{"name":"none"}}]}}`, 400},
	{"POST", "/issue/DEMO-1/remotelink", `{"globalId":"g1","object":{"url":"http://example.com/c/1","title":"t"}}`, 201},
	{"POST", "/issue/DEMO-1/remotelink", `{"globalId":"g1","object":{"url":"http://example.com/c/1","title":"t"}}`, 200},
	{"GET", "/issue/DEMO-1/remotelink?globalId=g1", "", 200},
	{"DELETE", "/issue/DEMO-1/remotelink?globalId=g1", "", 204},
	{"GET", "/issue/DEMO-1/properties", "", 200},
	{"GET", "/issue/DEMO-1/properties/gitferry.w", "", 200},
	{"GET", "/issue/DEMO-1/properties/none", "", 404},
	{"DELETE", "/issue/DEMO-1/properties/gitferry.w", "", 204},
	{"GET", "/user?username=alice", "", 200},
	{"GET", "/user/search?username=alice@example.com&includeActive=true&includeInactive=false", "", 200},
	{"GET", "/user/assignable/search?username=ali&issueKey=DEMO-1", "", 200},
	{"DELETE", "/issue/DEMO-1/worklog/20001", "", 204},
	{"DELETE", "/issue/DEMO-1/comment/10001", "", 204},
}

func TestDataCenterFollowsTheContract(t *testing.T) {
	for _, prefix := range []string{"/dc/rest/api/2", "/rest/api/2"} {
		t.Run(prefix, func(t *testing.T) {
			newSite(t, jira.Config{}).runAll(prefix, "pat", dcCalls)
		})
	}
}

func TestDevinfoFollowsTheContract(t *testing.T) {
	s := newSite(t, jira.Config{})
	bulk, err := os.ReadFile("testdata/bulk.json")
	if err != nil {
		t.Fatal(err)
	}
	s.runAll(s.devinfo(""), "tool", []faceCall{
		{"POST", "/bulk", string(bulk), 202},
		{"GET", "/repository/repo-1", "", 200},
		{"GET", "/repository/none", "", 404},
		{"GET", "/existsByProperties?instance=i1&integration=7", "", 200},
		{"DELETE", "/repository/repo-1/commit/1a2b3c4d?_updateSequenceId=5", "", 202},
		{"DELETE", "/bulkByProperties?instance=i1", "", 202},
		{"DELETE", "/repository/repo-1?_updateSequenceId=5", "", 202},
	})
	s.runAll("", "", []faceCall{
		{"GET", "/_edge/tenant_info", "", 200},
		{"POST", "/oauth/token", fmt.Sprintf(`{"audience":"api.atlassian.com","grant_type":"client_credentials","client_id":%q,"client_secret":%q}`, s.cred.ClientID, s.cred.ClientSecret), 200},
	})
	for name, body := range map[string]string{
		"both key forms":  strings.Replace(string(bulk), `"issueKeys": ["DEMO-1"]`, `"issueKeys": ["DEMO-1"], "associations": [{"associationType":"issueIdOrKeys","values":["DEMO-1"]}]`, 1),
		"slash in id":     strings.Replace(string(bulk), `"id": "repo-1"`, `"id": "a/b"`, 1),
		"unknown member":  strings.Replace(string(bulk), `"name": "demo"`, `"name": "demo", "colour": "red"`, 1),
		"no author":       strings.Replace(string(bulk), `"author": {"name": "Alice Adams", "email": "alice@example.com"},`, "", 1),
		"no repositories": `{}`,
		"not JSON":        `{`,
	} {
		r := s.request("POST", s.devinfo("/bulk"), "tool", body)
		code, h, b := s.send(r)
		if code != 400 {
			t.Errorf("%s: %d %s, want 400", name, code, b)
		} else if err := contract.Response(r, code, h, b); err != nil {
			t.Errorf("%s: the answer breaks the contract: %v", name, err)
		}
	}
}
