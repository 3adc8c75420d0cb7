package jira_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gitferry/internal/sandbox/jira"
)

// commit returns a commit as it is submitted.
func commit(id string, sequence int64, message string, keys ...string) map[string]any {
	return map[string]any{
		"id": id, "updateSequenceId": sequence, "issueKeys": keys, "message": message,
		"author": map[string]any{"name": "Alice Adams", "email": "alice@example.com"}, "fileCount": 0,
		"url": "http://127.0.0.1/c/" + id, "authorTimestamp": time.Now().UTC().Format("2006-01-02T15:04:05.000Z"), "displayId": id,
	}
}

// bulk submits commits of repository repo-1 and returns the answer.
func (s *site) bulk(top map[string]any, commits ...map[string]any) map[string]any {
	s.t.Helper()
	body := map[string]any{"repositories": []any{map[string]any{
		"id": "repo-1", "name": "demo", "url": "http://127.0.0.1/demo", "updateSequenceId": 1, "commits": commits,
	}}}
	for k, v := range top {
		body[k] = v
	}
	raw, err := json.Marshal(body)
	if err != nil {
		s.t.Fatal(err)
	}
	return s.must(202, "POST", s.devinfo("/bulk"), "tool", string(raw))
}

// linked returns the commits that the issue shows, as "id sequence".
func (s *site) linked(key string) []string {
	list := []string{}
	for _, c := range s.issue(key).Development.Commits {
		list = append(list, fmt.Sprintf("%s %d", c.ID, c.Sequence))
	}
	return list
}

func TestSequenceDecides(t *testing.T) {
	s := newSite(t, jira.Config{})
	s.bulk(nil, commit("c1", 10, "m", "DEMO-1", "DEMO-2"))
	s.bulk(nil, commit("c1", 9, "m", "OPS-1")) // lower: dropped in silence
	same := s.bulk(nil, commit("c1", 10, "m", "OPS-1"))
	if got := fmt.Sprint(same["acceptedDevinfoEntities"].(map[string]any)["repo-1"].(map[string]any)["commits"]); got != "[c1]" {
		t.Errorf("a dropped entity is listed as %s, want accepted", got)
	}
	if got := s.linked("OPS-1"); len(got) != 0 {
		t.Errorf("OPS-1 shows %q, want nothing", got)
	}
	s.bulk(nil, commit("c1", 11, "m", "DEMO-2")) // the key list is set anew
	if got := s.linked("DEMO-1"); len(got) != 0 {
		t.Errorf("DEMO-1 shows %q, want nothing", got)
	}
	if diff := cmp.Diff([]string{"c1 11"}, s.linked("DEMO-2")); diff != "" {
		t.Errorf("DEMO-2 (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"devinfo commit repo-1 c1 10", "devinfo commit repo-1 c1 11"}, s.effects()); diff != "" {
		t.Errorf("effects (-want +got):\n%s", diff)
	}
}

func TestUnknownAndFailedEntities(t *testing.T) {
	s := newSite(t, jira.Config{})
	s.srv.Change(func(c *jira.Settings) { c.FailEntities = map[string]string{"bad": "not today"} })
	got := s.bulk(nil, commit("c1", 1, "m", "NOPE-1", "DEMO-1"), commit("c2", 1, "m", "NOPE-1", "UTF-8"), commit("bad", 1, "m", "DEMO-1"), commit("c3", 1, "m", "MY_APP-1"))
	if diff := cmp.Diff([]any{"NOPE-1", "UTF-8"}, got["unknownIssueKeys"]); diff != "" {
		t.Errorf("unknown keys (-want +got):\n%s", diff)
	}
	accepted := got["acceptedDevinfoEntities"].(map[string]any)["repo-1"].(map[string]any)["commits"]
	if diff := cmp.Diff([]any{"c1", "c2"}, accepted); diff != "" {
		t.Errorf("accepted (-want +got):\n%s", diff)
	}
	failed := got["failedDevinfoEntities"].(map[string]any)["repo-1"].(map[string]any)["commits"].([]any)
	if len(failed) != 2 || !strings.Contains(fmt.Sprint(failed), "not today") {
		t.Errorf("failed = %v", failed)
	}
	if diff := cmp.Diff([]string{"c1 1"}, s.linked("DEMO-1")); diff != "" {
		t.Errorf("DEMO-1 (-want +got):\n%s", diff)
	}
	// The issue turns up, and the same entity sent again is kept.
	s.must(201, "POST", "/_sandbox/issues", "", `{"key":"NOPE-1"}`)
	s.bulk(nil, commit("c2", 1, "m", "NOPE-1"))
	if diff := cmp.Diff([]string{"c2 1"}, s.linked("NOPE-1")); diff != "" {
		t.Errorf("NOPE-1 (-want +got):\n%s", diff)
	}
}

func TestLastCommitIsTheSameEntity(t *testing.T) {
	s := newSite(t, jira.Config{})
	branch := map[string]any{
		"id": "main", "updateSequenceId": 12, "issueKeys": []string{"DEMO-1"}, "name": "main", "url": "http://127.0.0.1/b",
		"lastCommit": commit("c1", 12, "m"),
	}
	branch["lastCommit"].(map[string]any)["issueKeys"] = []string{}
	s.bulk(nil, commit("c1", 10, "m", "DEMO-1"))
	raw, err := json.Marshal(map[string]any{"repositories": []any{map[string]any{
		"id": "repo-1", "name": "demo", "url": "http://127.0.0.1/demo", "updateSequenceId": 1, "branches": []any{branch},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	s.must(202, "POST", s.devinfo("/bulk"), "tool", string(raw))
	is := s.issue("DEMO-1")
	if len(is.Development.Branches) != 1 || len(is.Development.Commits) != 0 {
		t.Errorf("development = %+v, want the branch, and the commit gone with its keys", is.Development)
	}
}

func TestDeletes(t *testing.T) {
	s := newSite(t, jira.Config{})
	own := map[string]any{"properties": map[string]any{"instance": "i1", "integration": "7"}}
	other := map[string]any{"properties": map[string]any{"instance": "i1", "integration": "8"}}
	s.bulk(own, commit("c1", 10, "m", "DEMO-1"), commit("c2", 20, "m", "DEMO-1"))
	s.bulk(other, commit("c3", 30, "m", "DEMO-1"))
	remove := func(path string, left ...string) {
		t.Helper()
		s.must(202, "DELETE", s.devinfo(path), "tool", "")
		if diff := cmp.Diff(left, s.linked("DEMO-1")); diff != "" {
			t.Errorf("after %s (-want +got):\n%s", path, diff)
		}
	}
	remove("/repository/repo-1/commit/c2?_updateSequenceId=19", "c1 10", "c2 20", "c3 30")
	remove("/repository/repo-1/commit/c2?_updateSequenceId=20", "c1 10", "c3 30")
	remove("/bulkByProperties?instance=i1&integration=9", "c1 10", "c3 30")
	remove("/bulkByProperties?instance=i1&integration=8", "c1 10")
	if got := s.must(200, "GET", s.devinfo("/existsByProperties?integration=8"), "tool", "")["hasDataMatchingProperties"]; got != false {
		t.Errorf("exists = %v, want false", got)
	}
	remove("/repository/repo-1", []string{}...)
	s.must(404, "GET", s.devinfo("/repository/repo-1"), "tool", "")
	s.must(400, "DELETE", s.devinfo("/bulkByProperties"), "tool", "")
	s.must(400, "DELETE", s.devinfo("/repository/repo-1/tag/x"), "tool", "")
}

func TestStoredLater(t *testing.T) {
	now := time.Now()
	s := newSite(t, jira.Config{Now: func() time.Time { return now }, Settings: jira.Settings{DevinfoDelayMS: 2000}})
	s.bulk(nil, commit("c1", 1, "m", "DEMO-1"))
	shown := func() int {
		return len(s.must(200, "GET", s.devinfo("/repository/repo-1"), "tool", "")["commits"].([]any))
	}
	if n := shown(); n != 0 {
		t.Errorf("%d commits shown at once, want 0", n)
	}
	now = now.Add(2 * time.Second)
	if n := shown(); n != 1 {
		t.Errorf("%d commits shown after 2 s, want 1", n)
	}
}

func TestSubmissionLimits(t *testing.T) {
	s := newSite(t, jira.Config{})
	many := func(n int) []map[string]any {
		list := make([]map[string]any, n)
		for i := range list {
			list[i] = commit(fmt.Sprintf("c%d", i), 1, "m", "DEMO-1")
		}
		return list
	}
	repositories := func(commits ...[]map[string]any) string {
		var list []any
		for i, c := range commits {
			list = append(list, map[string]any{"id": fmt.Sprintf("r%d", i), "name": "n", "url": "http://h/", "updateSequenceId": 1, "commits": c})
		}
		raw, err := json.Marshal(map[string]any{"repositories": list})
		if err != nil {
			t.Fatal(err)
		}
		return string(raw)
	}
	one := func(change func(map[string]any)) string {
		c := commit("c", 1, "m", "DEMO-1")
		change(c)
		return repositories([]map[string]any{c})
	}
	tests := []struct {
		name, body string
		status     int
	}{
		{"1000 entities", repositories(many(400), many(400), many(200)), 202},
		{"1001 entities", repositories(many(400), many(400), many(201)), 400},
		{"401 commits", repositories(many(401)), 400},
		{"commit twice", repositories(append(many(1), many(1)...)), 400},
		{"repository twice", strings.Replace(repositories(many(1), many(1)), `"id":"r1"`, `"id":"r0"`, 1), 400},
		{"no keys", one(func(c map[string]any) { c["issueKeys"] = []string{} }), 400},
		{"501 keys", one(func(c map[string]any) { c["issueKeys"] = strings.Split(strings.Repeat("DEMO-1,", 501)[:501*7-1], ",") }), 400},
		{"id with blank", one(func(c map[string]any) { c["id"] = "a b" }), 202},
		{"id with slash", one(func(c map[string]any) { c["id"] = "a/b" }), 400},
		{"no sequence", one(func(c map[string]any) { delete(c, "updateSequenceId") }), 400},
		{"local time", one(func(c map[string]any) { c["authorTimestamp"] = "2026-11-23 10:00" }), 400},
		{"address of git over SSH", one(func(c map[string]any) { c["url"] = "ssh://h/r" }), 400},
		{"unknown flag", one(func(c map[string]any) { c["flags"] = []string{"ODD"} }), 400},
		{"eleven files", one(func(c map[string]any) {
			f := map[string]any{"path": "p", "url": "http://h/", "changeType": "ADDED", "linesAdded": 0, "linesRemoved": 0}
			c["files"] = []any{f, f, f, f, f, f, f, f, f, f, f}
		}), 400},
		{"associations", one(func(c map[string]any) {
			delete(c, "issueKeys")
			c["associations"] = []any{map[string]any{"associationType": "issueIdOrKeys", "values": []string{"DEMO-1"}}}
		}), 202},
		{"long message", one(func(c map[string]any) { c["message"] = strings.Repeat("x", 5000) }), 202},
		{"property key", strings.Replace(repositories(many(1)), `{`, `{"properties":{"_a":"b"},`, 1), 400},
		{"operation type", strings.Replace(repositories(many(1)), `{`, `{"operationType":"SLOW",`, 1), 400},
	}
	for _, tt := range tests {
		if code, _, b := s.do("POST", s.devinfo("/bulk"), "tool", tt.body); code != tt.status {
			t.Errorf("%s = %d %.300s, want %d", tt.name, code, b, tt.status)
		}
	}
}

// TestNativeCommands shows when Jira itself runs the commands of a submitted
// message.
func TestNativeCommands(t *testing.T) {
	const message = "DEMO-1 #time 1h 30m note #comment fixed #start-progress"
	ran := []string{"native worklog DEMO-1 20001 5400s", "native comment DEMO-1 10001", "native transition DEMO-1 To Do -> In Progress"}
	quiet := map[string]any{"preventTransitions": true}
	old := commit("c1", 1, message, "DEMO-1")
	old["authorTimestamp"] = time.Now().Add(-15 * 24 * time.Hour).UTC().Format(time.RFC3339)
	stranger := commit("c1", 1, message, "DEMO-1")
	stranger["author"] = map[string]any{"email": "stranger@example.com"}
	tests := []struct {
		name   string
		top    map[string]any
		commit map[string]any
		off    bool
		want   []string
	}{
		{"live", nil, commit("c1", 1, message, "DEMO-1"), false, ran},
		{"keys come from the message", nil, commit("c1", 1, message, "OPS-1"), false, ran},
		{"transitions prevented", quiet, commit("c1", 1, message, "DEMO-1"), false, nil},
		{"switched off", nil, commit("c1", 1, message, "DEMO-1"), true, nil},
		{"defused", nil, commit("c1", 1, strings.ReplaceAll(message, "#", "#\u2060"), "DEMO-1"), false, nil},
		{"too old", nil, old, false, nil},
		{"unknown author", nil, stranger, false, []string{"native error: no user has the address of the author"}},
		{"no such transition", nil, commit("c1", 1, "DEMO-1 #assign bob", "DEMO-1"), false, []string{"native error DEMO-1 #assign: no such transition"}},
		{"no key on the line", nil, commit("c1", 1, "DEMO-1 x\n#time 1h", "DEMO-1"), false, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newSite(t, jira.Config{Settings: jira.Settings{NativeOff: tt.off}})
			s.bulk(tt.top, tt.commit)
			s.bulk(tt.top, tt.commit) // a stored commit does not fire again
			var got []string
			for _, e := range s.effects() {
				if strings.HasPrefix(e, "native") {
					got = append(got, e)
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("native effects (-want +got):\n%s", diff)
			}
			if is := s.issue("DEMO-1"); len(tt.want) == 3 && (len(is.Comments) != 1 || is.Comments[0].Author != "alice" || len(is.Worklogs) != 1 || is.Status != "In Progress") {
				t.Errorf("issue = %+v", is)
			}
		})
	}
}
