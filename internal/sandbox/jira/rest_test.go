package jira_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gitferry/internal/sandbox/jira"
)

const dcRest, cloudRest = "/dc/rest/api/2", "/rest/api/3"

// TestOneState writes through each face and reads through the other.
func TestOneState(t *testing.T) {
	s := newSite(t, jira.Config{})
	s.must(201, "POST", cloudRest+"/issue/DEMO-1/comment", "alice", `{"body":{"type":"doc","version":1,"content":[
		{"type":"paragraph","content":[{"type":"text","text":"see "},{"type":"text","text":"1a2b3c4","marks":[{"type":"link","attrs":{"href":"http://h/c"}}]},{"type":"hardBreak"},{"type":"text","text":"next"}]},
		{"type":"bulletList","content":[{"type":"listItem","content":[{"type":"paragraph","content":[{"type":"text","text":"one"}]}]}]},
		{"type":"codeBlock","content":[{"type":"text","text":"x := 1"}]}]}}`)
	s.must(201, "POST", dcRest+"/issue/DEMO-1/comment", "pat:bob", `{"body":"first\nsecond\n\nlast"}`)
	dc := s.must(200, "GET", dcRest+"/issue/DEMO-1/comment", "pat", "")["comments"].([]any)
	if got, want := dc[0].(map[string]any)["body"], "see [1a2b3c4|http://h/c]\nnext\n* one\n{code}\nx := 1\n{code}"; got != want {
		t.Errorf("wiki body = %q, want %q", got, want)
	}
	if got := dc[1].(map[string]any)["author"].(map[string]any)["name"]; got != "bob" {
		t.Errorf("author = %v, want bob", got)
	}
	cloud := s.must(200, "GET", cloudRest+"/issue/DEMO-1/comment?orderBy=-created&maxResults=1", "service", "")["comments"].([]any)
	body, err := json.Marshal(cloud[0].(map[string]any)["body"])
	if err != nil {
		t.Fatal(err)
	}
	want := `{"content":[{"content":[{"text":"first","type":"text"},{"type":"hardBreak"},{"text":"second","type":"text"}],"type":"paragraph"},{"content":[{"text":"last","type":"text"}],"type":"paragraph"}],"type":"doc","version":1}`
	if string(body) != want {
		t.Errorf("document = %s, want %s", body, want)
	}
	if err := jira.ValidateADF(body); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff([]string{"comment DEMO-1 10001", "comment DEMO-1 10002"}, s.effects()); diff != "" {
		t.Errorf("effects (-want +got):\n%s", diff)
	}
}

func TestRefusedBodies(t *testing.T) {
	s := newSite(t, jira.Config{})
	long := strings.Repeat("x", 32768)
	doc := func(text string) string {
		return fmt.Sprintf(`{"body":{"type":"doc","version":1,"content":[{"type":"paragraph","content":[{"type":"text","text":%q}]}]}}`, text)
	}
	tests := []struct {
		name, method, path, as, body string
		status                       int
	}{
		{"string for a document", "POST", cloudRest + "/issue/DEMO-1/comment", "service", `{"body":"text"}`, 400},
		{"empty text node", "POST", cloudRest + "/issue/DEMO-1/comment", "service", doc(""), 400},
		{"text too long", "POST", cloudRest + "/issue/DEMO-1/comment", "service", doc(long), 400},
		{"longest text", "POST", cloudRest + "/issue/DEMO-1/comment", "service", doc(long[1:]), 201},
		{"unknown order", "GET", cloudRest + "/issue/DEMO-1/comment?orderBy=author", "service", "", 400},
		{"document for a string", "POST", dcRest + "/issue/DEMO-1/comment", "pat", doc("x"), 400},
		{"blank comment", "POST", dcRest + "/issue/DEMO-1/comment", "pat", `{"body":" "}`, 400},
		{"not JSON", "POST", dcRest + "/issue/DEMO-1/comment", "pat", `{`, 400},
		{"property without value", "POST", dcRest + "/issue/DEMO-1/comment", "pat", `{"body":"x","properties":[{"key":"a"}]}`, 400},
		{"started as RFC 3339", "POST", cloudRest + "/issue/DEMO-1/worklog", "service", `{"started":"2026-11-23T10:00:00.000Z","timeSpentSeconds":60}`, 400},
		{"offset with colon", "POST", cloudRest + "/issue/DEMO-1/worklog", "service", `{"started":"2026-11-23T10:00:00.000+00:00","timeSpentSeconds":60}`, 400},
		{"both times", "POST", cloudRest + "/issue/DEMO-1/worklog", "service", `{"started":"2026-11-23T10:00:00.000+0000","timeSpent":"1m","timeSpentSeconds":60}`, 400},
		{"no time", "POST", cloudRest + "/issue/DEMO-1/worklog", "service", `{"started":"2026-11-23T10:00:00.000+0000"}`, 400},
		{"under a minute", "POST", cloudRest + "/issue/DEMO-1/worklog", "service", `{"started":"2026-11-23T10:00:00.000+0000","timeSpentSeconds":59}`, 400},
		{"no duration", "POST", cloudRest + "/issue/DEMO-1/worklog", "service", `{"started":"2026-11-23T10:00:00.000+0000","timeSpent":"soon"}`, 400},
		{"new estimate missing", "POST", cloudRest + "/issue/DEMO-1/worklog?adjustEstimate=new", "service", `{"started":"2026-11-23T10:00:00.000+0000","timeSpentSeconds":60}`, 400},
		{"properties on Data Center", "POST", dcRest + "/issue/DEMO-1/worklog", "pat", `{"started":"2026-11-23T10:00:00.000+0000","timeSpentSeconds":60,"properties":[{"key":"a","value":1}]}`, 400},
		{"label with blank", "PUT", cloudRest + "/issue/DEMO-1", "service", `{"update":{"labels":[{"add":"a b"}]}}`, 400},
		{"field twice", "PUT", cloudRest + "/issue/DEMO-1", "service", `{"fields":{"labels":["a"]},"update":{"labels":[{"add":"b"}]}}`, 400},
		{"unknown version", "PUT", cloudRest + "/issue/DEMO-1", "service", `{"update":{"fixVersions":[{"add":{"name":"9"}}]}}`, 400},
		{"transition without id", "POST", cloudRest + "/issue/DEMO-1/transitions", "service", `{}`, 400},
		{"comment without screen", "POST", dcRest + "/issue/DEMO-1/transitions", "pat", `{"transition":{"id":"11"},"update":{"comment":[{"add":{"body":"x"}}]}}`, 400},
		{"link without title", "POST", cloudRest + "/issue/DEMO-1/remotelink", "service", `{"object":{"url":"http://h/"}}`, 400},
		{"globalId too long", "POST", cloudRest + "/issue/DEMO-1/remotelink", "service", fmt.Sprintf(`{"globalId":%q,"object":{"url":"http://h/","title":"t"}}`, long[:256]), 400},
		{"property too long", "PUT", cloudRest + "/issue/DEMO-1/properties/a", "service", `"` + long + `"`, 400},
		{"no permissions named", "GET", cloudRest + "/mypermissions", "service", "", 400},
		{"too many keys", "POST", cloudRest + "/issue/bulkfetch", "service", `{"issueIdsOrKeys":["A-1"` + strings.Repeat(`,"A-1"`, 100) + `]}`, 400},
	}
	for _, tt := range tests {
		if code, _, b := s.do(tt.method, tt.path, tt.as, tt.body); code != tt.status {
			t.Errorf("%s = %d %s, want %d", tt.name, code, b, tt.status)
		}
	}
	plain := s.request("POST", cloudRest+"/issue/DEMO-1/comment", "service", doc("x"))
	plain.Header.Set("Content-Type", "text/plain")
	if code, _, _ := s.send(plain); code != 415 {
		t.Errorf("body of type text/plain = %d, want 415", code)
	}
	if got := s.effects(); len(got) != 1 {
		t.Errorf("effects = %q, want the one good comment", got)
	}
}

func TestWorkflow(t *testing.T) {
	s := newSite(t, jira.Config{})
	path := cloudRest + "/issue/DEMO-1/transitions"
	open := func() string {
		var names []string
		for _, v := range s.must(200, "GET", path, "service", "")["transitions"].([]any) {
			o := v.(map[string]any)
			names = append(names, fmt.Sprintf("%v %v->%v", o["id"], o["name"], o["to"].(map[string]any)["name"]))
		}
		return strings.Join(names, ", ")
	}
	steps := []struct{ id, body, open string }{
		{"11", "", "21 Stop Progress->To Do, 31 In Review->In Review"},
		{"31", "", "41 Back to Progress->In Progress, 51 Done->Done, 61 Decline->Done"},
		{"51", "", "71 Reopen->To Do"},
		{"71", "", "11 Start Progress->In Progress"},
		{"11", "", "21 Stop Progress->To Do, 31 In Review->In Review"},
		{"31", "", "41 Back to Progress->In Progress, 51 Done->Done, 61 Decline->Done"},
		{"61", `,"fields":{"resolution":{"name":"Duplicate"}},"update":{"comment":[{"add":{"body":` + adf + `}}]},"properties":[{"key":"p","value":7}],"historyMetadata":{"type":"t"}`, "71 Reopen->To Do"},
	}
	if got := open(); got != "11 Start Progress->In Progress" {
		t.Errorf("open at first: %s", got)
	}
	s.must(400, "POST", path, "service", `{"transition":{"id":"51"}}`)
	for _, st := range steps {
		s.must(204, "POST", path, "service", `{"transition":{"id":"`+st.id+`"}`+st.body+`}`)
		if got := open(); got != st.open {
			t.Errorf("open after %s: %s, want %s", st.id, got, st.open)
		}
		if st.id == "51" {
			if is := s.issue("DEMO-1"); is.Status != "Done" || is.Resolution != "Done" {
				t.Errorf("status %s, resolution %q after Done", is.Status, is.Resolution)
			}
		}
	}
	is := s.issue("DEMO-1")
	if is.Resolution != "Duplicate" || len(is.Comments) != 1 || is.Properties["p"] != float64(7) {
		t.Errorf("after Decline: %+v", is)
	}
	if last := is.History[len(is.History)-1]; last.HistoryMetadata["type"] != "t" {
		t.Errorf("history metadata = %v", last.HistoryMetadata)
	}

	// A screen's required field is named in the refusal.
	for _, id := range []string{"71", "11", "31"} {
		s.must(204, "POST", path, "service", `{"transition":{"id":"`+id+`"}}`)
	}
	no := s.must(400, "POST", path, "service", `{"transition":{"id":"61"},"properties":[{"key":"q","value":1}]}`)
	if no["errors"].(map[string]any)["resolution"] == nil {
		t.Errorf("refusal = %v, want one that names resolution", no)
	}
	if is := s.issue("DEMO-1"); is.Status != "In Review" || is.Properties["q"] != nil {
		t.Errorf("a refused transition left status %s, properties %v", is.Status, is.Properties)
	}
}

func TestEditIsRepeatable(t *testing.T) {
	s := newSite(t, jira.Config{})
	body := `{"update":{"labels":[{"add":"x"}],"fixVersions":[{"add":{"name":"1.0"}}]}}`
	for range 2 {
		s.must(204, "PUT", cloudRest+"/issue/DEMO-3", "service", body)
	}
	bob := s.must(200, "GET", cloudRest+"/myself", "bob", "")["accountId"]
	for range 2 {
		s.must(204, "PUT", cloudRest+"/issue/DEMO-3/assignee", "service", fmt.Sprintf(`{"accountId":%q}`, bob))
	}
	is := s.issue("DEMO-3")
	if diff := cmp.Diff([]string{"x"}, is.Labels); diff != "" || is.Assignee != "bob" || len(is.FixVersions) != 1 {
		t.Errorf("issue = %+v", is)
	}
	if got := s.effects(); len(got) != 3 {
		t.Errorf("effects = %q, want one for each change", got)
	}
	s.must(204, "PUT", cloudRest+"/issue/DEMO-3", "service", `{"fields":{"labels":["y","z"],"summary":"New"},"update":{"fixVersions":[{"remove":{"name":"1.0"}}]}}`)
	s.must(204, "PUT", cloudRest+"/issue/DEMO-3/assignee", "service", `{"accountId":null}`)
	if is := s.issue("DEMO-3"); len(is.Labels) != 2 || len(is.FixVersions) != 0 || is.Assignee != "" {
		t.Errorf("issue = %+v", is)
	}
	history := s.must(200, "GET", cloudRest+"/issue/DEMO-3/changelog", "service", "")["values"].([]any)
	if len(history) != 7 {
		t.Errorf("%d entries of history, want 7", len(history))
	}
}

func TestMarkersAreFound(t *testing.T) {
	s := newSite(t, jira.Config{})
	at := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	s.must(201, "POST", cloudRest+"/issue/DEMO-1/worklog", "service", `{"started":"2026-11-23T10:00:00.000+0000","timeSpentSeconds":5400,"properties":[{"key":"gitferry.action","value":{"id":"w1"}}]}`)
	within := func(after, before int64) int {
		o := s.must(200, "GET", fmt.Sprintf("%s/issue/DEMO-1/worklog?startedAfter=%d&startedBefore=%d&expand=properties", cloudRest, after, before), "service", "")
		return len(o["worklogs"].([]any))
	}
	ms := at.UnixMilli()
	if n := within(ms-1, ms+1); n != 1 {
		t.Errorf("within one millisecond: %d worklogs, want 1", n)
	}
	if n := within(ms, ms+10); n != 0 {
		t.Errorf("after its own start: %d worklogs, want 0", n)
	}
	one := s.must(200, "GET", cloudRest+"/issue/DEMO-1/worklog/20001?expand=properties", "service", "")
	if one["timeSpent"] != "1h 30m" || fmt.Sprint(one["properties"]) != "[map[key:gitferry.action value:map[id:w1]]]" {
		t.Errorf("worklog = %v", one)
	}
	if is := s.issue("DEMO-1"); len(is.Worklogs) != 1 || is.Worklogs[0].Seconds != 5400 || is.Worklogs[0].Author != "gitferry" {
		t.Errorf("state = %+v", is.Worklogs)
	}
}

func TestMovedIssue(t *testing.T) {
	s := newSite(t, jira.Config{})
	if got := s.must(200, "POST", "/_sandbox/issues/DEMO-2/move", "", `{"project":"OPS"}`)["key"]; got != "OPS-21" {
		t.Fatalf("new key = %v, want OPS-21", got)
	}
	if got := s.must(200, "GET", cloudRest+"/issue/demo-2?fields=summary", "service", "")["key"]; got != "OPS-21" {
		t.Errorf("former key leads to %v, want OPS-21", got)
	}
	list := s.must(200, "POST", cloudRest+"/issue/bulkfetch", "service", `{"issueIdsOrKeys":["DEMO-2","OPS-21","DEMO-1","DEMO-77"],"fields":["summary"]}`)["issues"].([]any)
	var keys []string
	for _, v := range list {
		keys = append(keys, v.(map[string]any)["key"].(string))
	}
	if diff := cmp.Diff([]string{"DEMO-1", "OPS-21"}, keys); diff != "" {
		t.Errorf("bulkfetch (-want +got):\n%s", diff)
	}
}

func TestUsersByAddress(t *testing.T) {
	s := newSite(t, jira.Config{Users: []jira.User{
		{Name: "carol", Display: "Carol Clark", Email: "carol@example.com", HideEmail: true},
		{Name: "dave", Email: "dave@example.com", Inactive: true},
	}})
	find := func(path, as string) string {
		_, _, b := s.do("GET", path, as, "")
		var list []map[string]any
		if err := json.Unmarshal(b, &list); err != nil {
			t.Fatalf("%s: %s", path, b)
		}
		var found []string
		for _, u := range list {
			found = append(found, fmt.Sprintf("%v %v %v", u["displayName"], u["emailAddress"], u["active"]))
		}
		return strings.Join(found, ", ")
	}
	tests := []struct{ path, as, want string }{
		{cloudRest + "/user/search?query=" + url.QueryEscape("alice@example.com"), "service", "Alice Adams alice@example.com true"},
		{cloudRest + "/user/search?query=carol@example.com", "service", "Carol Clark <nil> true"},
		{cloudRest + "/user/search?query=dave@example.com", "service", "dave dave@example.com false"},
		{cloudRest + "/user/search?query=brown", "service", "Bob Brown bob@example.com true"},
		{cloudRest + "/user/search?query=example.com", "service", ""},
		{cloudRest + "/user/assignable/search?query=dave&project=DEMO", "service", ""},
		{dcRest + "/user/search?username=example.com&includeInactive=false&maxResults=2", "pat", "gitferry gitferry@example.com true, Alice Adams alice@example.com true"},
		{dcRest + "/user/search?username=dave&includeInactive=true", "pat", "dave dave@example.com false"},
	}
	for _, tt := range tests {
		if got := find(tt.path, tt.as); got != tt.want {
			t.Errorf("%s finds %q, want %q", tt.path, got, tt.want)
		}
	}
}

func TestSearches(t *testing.T) {
	s := newSite(t, jira.Config{Projects: []jira.Project{{Key: "STORM", Issues: 4000}}})
	first := s.must(200, "POST", cloudRest+"/search/jql", "service", `{"jql":"project = STORM","maxResults":3000}`)
	if first["isLast"] != false || first["total"] != nil {
		t.Errorf("first page: isLast %v, total %v", first["isLast"], first["total"])
	}
	second := s.must(200, "POST", cloudRest+"/search/jql", "service", fmt.Sprintf(`{"jql":"project = STORM","maxResults":3000,"nextPageToken":%q}`, first["nextPageToken"]))
	if n := len(second["issues"].([]any)); n != 1000 || second["isLast"] != true {
		t.Errorf("second page: %d issues, isLast %v", n, second["isLast"])
	}
	warned := s.must(200, "GET", dcRest+"/search?validateQuery=false&fields=summary&jql="+url.QueryEscape("key in (DEMO-1,NOPE-1)"), "pat", "")
	if warned["total"] != float64(1) || len(warned["warningMessages"].([]any)) != 1 {
		t.Errorf("search with an unknown key = %v", warned)
	}
}
