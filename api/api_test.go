package api

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"gitferry/internal/ferry"
	"gitferry/internal/policy"
	"gitferry/internal/store"
)

func TestBodiesAreStrict(t *testing.T) {
	w := newWorld(t)
	for name, c := range map[string]struct {
		body   string
		status int
		words  string
	}{
		"unknown member":  {`{"name":"x","id":7}`, 400, `unknown field \"id\"`},
		"two values":      {`{"name":"x"} {}`, 400, "behind"},
		"not JSON":        {`name=x`, 400, "does not fit"},
		"wrong type":      {`{"name":7}`, 400, "does not fit"},
		"too large":       {`{"name":"` + strings.Repeat("x", 1<<20) + `"}`, 413, "1 MiB"},
		"too deep":        {strings.Repeat("[", 33), 400, "deeper than 32"},
		"too many values": {`{"aliases":[` + strings.Repeat(`"",`, 10_001) + `""]}`, 400, "more than 10000"},
		"no good name":    {`{"name":"Not A Name"}`, 422, "name"},
		"taken":           {`{"name":"root"}`, 409, ""},
	} {
		status, header, text := w.ask("admin", "POST", "/users", c.body)
		if status != c.status || !strings.Contains(string(text), c.words) {
			t.Errorf("%s: %d %s, want %d with %q", name, status, text, c.status, c.words)
		}
		var p problem
		if err := json.Unmarshal(text, &p); err != nil || p.RequestID == "" || p.RequestID != header.Get("X-Request-Id") ||
			header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: no problem with a request id: %s %v", name, text, header)
		}
	}
	if status, _, _ := w.ask("admin", "POST", "/users", `{"name":"x"}`, "Content-Type", "text/plain"); status != 415 {
		t.Errorf("text/plain: %d, want 415", status)
	}
	for _, q := range []string{"?access_token=x", "?token=x", "?limti=3", "?limit=101", "?limit=0", "?after=x"} {
		if status, _, text := w.ask("admin", "GET", "/users"+q, nil); status != 400 {
			t.Errorf("%s: %d %s, want 400", q, status, text)
		}
	}
	if status, header, _ := w.ask("", "GET", "/users", nil); status != 401 || header.Get("WWW-Authenticate") == "" {
		t.Errorf("anonymous: %d %v", status, header)
	}
}

func TestPeople(t *testing.T) {
	w := newWorld(t)
	var u User
	w.want(201, "admin", "POST", "/users", userIn{Name: "zoe", Email: "zoe@example.com"}, &u)
	w.want(200, "admin", "PATCH", "/users/zoe", map[string]any{"display": "Zoe", "aliases": []string{"z@example.org"}}, &u)
	if u.Display != "Zoe" || u.Email != "zoe@example.com" || len(u.Aliases) != 1 {
		t.Errorf("user = %+v", u)
	}
	w.want(409, "admin", "PATCH", "/users/root", map[string]any{"admin": false}, nil)
	w.want(409, "admin", "DELETE", "/users/root", nil, nil)
	var g Grant
	w.want(201, "admin", "POST", "/users/zoe/grants", map[string]any{"repositories": "us-*/*", "level": "write"}, &g)
	w.want(204, "admin", "DELETE", fmt.Sprintf("/users/zoe/grants/%d", g.ID), nil, nil)
	var k SSHKey
	w.want(201, "admin", "POST", "/users/zoe/keys", keyIn{Name: "laptop", Public: "ssh-ed25519 AAAA"}, &k)
	w.want(204, "admin", "DELETE", fmt.Sprintf("/users/zoe/keys/%d", k.ID), nil, nil)
	w.want(204, "admin", "PUT", "/users/zoe/jira-token", map[string]any{"token": "very-secret"}, nil)

	// Lists come in parts and hold each user once.
	var names []string
	for after := ""; ; {
		var p page[User]
		w.want(200, "admin", "GET", "/users?limit=3&after="+after, nil, &p)
		for _, u := range p.Items {
			names = append(names, u.Name)
		}
		if after = p.Next; after == "" {
			break
		}
	}
	if got := strings.Join(names, " "); got != "adam gone nora rita root will zoe" {
		t.Errorf("users = %s", got)
	}
	w.want(204, "admin", "DELETE", "/users/zoe", nil, nil)
	var log page[AuditEvent]
	w.want(200, "admin", "GET", "/audit?action=api.changeUser", nil, &log)
	if len(log.Items) != 2 || log.Items[0].Result != "failed" || log.Items[1].Object != "zoe" || log.Items[1].Actor != "root" || log.Items[1].Request == "" {
		t.Errorf("audit = %+v", log.Items)
	}
	if _, _, text := w.ask("admin", "GET", "/audit?limit=100", nil); strings.Contains(string(text), "very-secret") {
		t.Error("the audit holds a secret")
	}
	w.want(403, "read", "POST", "/users", userIn{Name: "eve"}, nil)
	w.want(200, "admin", "GET", "/audit?action=api.addUser", nil, &log)
	if log.Items[0].Result != "refused" || log.Items[0].Actor != "rita" {
		t.Errorf("a refused request is not in the audit: %+v", log.Items[0])
	}
	w.want(200, "admin", "GET", "/audit?action=api.setJiraToken", nil, &log)
	if log.Items[0].Detail != `{"token":"[redacted]"}` {
		t.Errorf("audit = %+v", log.Items[0])
	}
	var proof auditProof
	w.want(200, "admin", "GET", "/audit/proof", nil, &proof)
	if proof.Rows == 0 {
		t.Error("no audit rows")
	}
}

// fill indexes n commits that name DEMO-1 in a repository.
func (w *world) fill(r ferry.Repository, n int) {
	w.t.Helper()
	change := store.Change{Repository: r.ID, Indexed: true}
	for i := range n {
		var oid ferry.OID
		oid[0], oid[1], oid[2] = byte(r.ID), byte(i>>8), byte(i+1)
		change.Commits = append(change.Commits, store.Commit{OID: oid, Author: store.Person{Name: "A", Email: "a@example.com"},
			AuthoredAt: time.Unix(int64(i), 0), CommittedAt: time.Unix(int64(i), 0), Message: "DEMO-1 change", Links: []store.Link{{Key: "DEMO-1", Reason: "message"}}})
		change.Entities = append(change.Entities, store.Entity{Kind: store.EntityCommit, EntityID: oid.String(), Keys: []ferry.IssueKey{"DEMO-1"}})
	}
	last := change.Commits[n-1].OID
	change.Updates = []ferry.RefUpdate{{Name: "refs/heads/DEMO-1-work", New: last}}
	change.RefLinks = map[ferry.RefName][]ferry.IssueKey{"refs/heads/DEMO-1-work": {"DEMO-1"}}
	_, err := w.store.Apply(w.t.Context(), change)
	w.must(err)
}

func TestIndexIsShownToWhoMaySeeIt(t *testing.T) {
	w := newWorld(t)
	w.fill(w.repo, 130)
	w.fill(w.other, 250) // hidden from rita, and between the others by date
	seen := make(map[string]bool)
	for after := ""; ; {
		var p page[commit]
		w.want(200, "read", "GET", "/issues/demo-1/commits?limit=50&after="+after, nil, &p)
		for _, c := range p.Items {
			if c.Repository != "us-east-1/demo" || seen[c.OID.String()] {
				t.Fatalf("commit %s of %s", c.OID, c.Repository)
			}
			seen[c.OID.String()] = true
		}
		if after = p.Next; after == "" {
			break
		}
	}
	if len(seen) != 130 {
		t.Errorf("rita sees %d commits of DEMO-1, want 130", len(seen))
	}
	var i issue
	w.want(200, "read", "GET", "/issues/DEMO-1", nil, &i)
	if len(i.Branches) != 1 || i.Branches[0].Name != "refs/heads/DEMO-1-work" || i.Exists != nil {
		t.Errorf("issue = %+v", i)
	}
	w.want(404, "no grant", "GET", "/issues/DEMO-1", nil, nil)
	w.want(404, "read", "GET", "/issues/nonsense", nil, nil)
	var refs page[ref]
	w.want(200, "read", "GET", "/repositories/us-east-1/demo/refs", nil, &refs)
	if len(refs.Items) != 1 {
		t.Errorf("refs = %+v", refs)
	}
	var moves page[movement]
	w.want(200, "read", "GET", "/repositories/us-east-1/demo/movements", nil, &moves)
	if len(moves.Items) != 1 || moves.Next == "" {
		t.Errorf("movements = %+v", moves)
	}
	w.want(200, "read", "GET", "/repositories/us-east-1/demo/movements?after="+moves.Next, nil, &moves)
	if len(moves.Items) != 0 {
		t.Errorf("movements after the last = %+v", moves)
	}
	var d commitDetail
	w.want(200, "read", "GET", "/repositories/us-east-1/demo/commits/"+refs.Items[0].OID.String(), nil, &d)
	if len(d.Deliveries) != 1 || d.Deliveries[0].State != "pending" || d.Issues[0] != "DEMO-1" || !d.Reachable {
		t.Errorf("commit = %+v", d)
	}
	// A commit of another repository is not there under this one.
	hidden, err := w.store.Refs(t.Context(), w.other.ID)
	w.must(err)
	w.want(404, "admin", "GET", "/repositories/us-east-1/demo/commits/"+hidden["refs/heads/DEMO-1-work"].String(), nil, nil)
	var found hits
	w.want(200, "read", "GET", "/search?q=DEMO-1", nil, &found)
	if len(found.Issues) != 1 {
		t.Errorf("search = %+v", found)
	}
	w.want(200, "read", "GET", "/search?q="+refs.Items[0].OID.String(), nil, &found)
	if len(found.Commits) != 1 {
		t.Errorf("search = %+v", found)
	}
	w.want(404, "no grant", "GET", "/repositories/us-east-1/demo/commits", nil, nil)
	w.want(400, "read", "GET", "/repositories/us-east-1/demo/commits?filter=odd", nil, nil)
}

func TestDeliveriesAndJobs(t *testing.T) {
	w := newWorld(t)
	w.fill(w.repo, 3)
	var list page[Delivery]
	w.want(200, "admin", "GET", "/deliveries?limit=2&state=pending", nil, &list)
	if len(list.Items) != 2 || list.Next == "" || list.Items[0].Repository != "us-east-1/demo" {
		t.Errorf("deliveries = %+v", list)
	}
	id := list.Items[0].ID
	w.want(204, "admin", "POST", "/deliveries/"+id+"/retry", nil, nil)
	w.want(204, "admin", "POST", "/deliveries/"+id+"/discard", nil, nil)
	w.want(409, "admin", "POST", "/deliveries/"+id+"/discard", nil, nil)
	w.want(404, "admin", "POST", "/deliveries/e999/retry", nil, nil)
	var p Pause
	w.want(200, "admin", "PUT", "/pause", pauseIn{Reason: "upgrade of Jira"}, &p)
	if !p.Paused || p.Reason != "upgrade of Jira" {
		t.Errorf("pause = %+v", p)
	}
	w.want(204, "admin", "DELETE", "/pause", nil, nil)

	var j Job
	w.want(202, "repo admin", "POST", "/repositories/us-east-1/demo/reindex", nil, &j)
	if j.Op != store.OpReindex || j.State != store.JobQueued || j.Source != "manual" {
		t.Errorf("job = %+v", j)
	}
	w.want(403, "write", "POST", "/repositories/us-east-1/demo/reindex", nil, nil)
	w.want(204, "admin", "POST", fmt.Sprintf("/jobs/%d/cancel", j.ID), nil, nil)
	w.want(409, "admin", "POST", fmt.Sprintf("/jobs/%d/cancel", j.ID), nil, nil)
	var r Repository
	w.want(200, "repo admin", "PATCH", "/repositories/us-east-1/demo", map[string]any{"enabled": false, "smart_commits": true}, &r)
	if r.State != ferry.RepositoryDisabled || !r.SmartCommits {
		t.Errorf("repository = %+v", r)
	}
	w.want(409, "admin", "POST", "/repositories/us-east-1/demo/sync", nil, nil)
	var state stateJSON
	w.want(200, "admin", "GET", "/admin/state", nil, &state)
	if state.Counts["job_canceled"] != 1 || len(state.Repositories) != 2 {
		t.Errorf("state = %+v", state)
	}
}

func TestSecretsDoNotFollowAMovedEndPoint(t *testing.T) {
	w := newWorld(t)
	move := map[string]any{"api_endpoint": "https://elsewhere.example"}
	w.want(422, "admin", "PATCH", "/integrations/us-east-1", move, nil)
	move["secret_access_key"] = "fresh-secret"
	var i Integration
	w.want(200, "admin", "PATCH", "/integrations/us-east-1", move, &i)
	have, err := w.store.Credentials(t.Context(), i.ID)
	w.must(err)
	if have.SecretAccessKey.Reveal() != "fresh-secret" || i.APIEndpoint != "https://elsewhere.example" {
		t.Errorf("integration = %+v", i)
	}
	// Without a move what is not given stays.
	w.want(200, "admin", "PATCH", "/integrations/us-east-1", map[string]any{"name": "Main"}, &i)
	if have, _ = w.store.Credentials(t.Context(), i.ID); have.SecretAccessKey.Reveal() != "fresh-secret" || i.Name != "Main" {
		t.Errorf("integration = %+v", i)
	}
	for _, path := range []string{"/integrations", "/integrations/us-east-1", "/audit"} {
		if _, _, text := w.ask("admin", "GET", path, nil); strings.Contains(string(text), "fresh-secret") || strings.Contains(string(text), "sealed-secret") {
			t.Errorf("%s shows a secret: %s", path, text)
		}
	}
	site := map[string]any{"kind": "cloud", "url": "https://one.example", "email": "bot@example.com", "api_token": "jira-secret"}
	var j JiraSite
	w.want(200, "admin", "PUT", "/jira", site, &j)
	delete(site, "api_token")
	w.want(200, "admin", "PUT", "/jira", site, &j)
	if !j.APITokenSet {
		t.Errorf("jira = %+v", j)
	}
	site["url"] = "https://two.example"
	if w.want(200, "admin", "PUT", "/jira", site, &j); j.APITokenSet {
		t.Error("the token of one host was kept for another")
	}
	w.want(422, "admin", "PUT", "/jira", jiraIn{Kind: "cloud", URL: "http://two.example"}, nil)
}

func TestPolicySettingsAndExplain(t *testing.T) {
	w := newWorld(t)
	var rules policy.Rules
	w.want(200, "admin", "PUT", "/policy", map[string]any{"require_key": true, "message_pattern": "^[A-Z]"}, &rules)
	w.want(200, "admin", "GET", "/policy", nil, &rules)
	if !rules.RequireKey || rules.MessagePattern.String() != "^[A-Z]" || rules.ProtectDefaultBranch {
		t.Errorf("policy = %+v", rules)
	}
	w.want(400, "admin", "PUT", "/policy", map[string]any{"message_pattern": "("}, nil)
	var s settings
	w.want(200, "admin", "PATCH", "/settings", map[string]any{"jira_prevent_transitions": true}, &s)
	if s.Resolution != "Done" || !s.PreventTransitions {
		t.Errorf("settings = %+v", s)
	}
	var e struct {
		Keys    []string
		Actions []map[string]any
	}
	w.want(200, "read", "POST", "/explain", explainIn{Message: "DEMO-1 #comment hello", Projects: []string{"*"}}, &e)
	if len(e.Keys) != 1 || len(e.Actions) != 1 || e.Actions[0]["text"] != "hello" {
		t.Errorf("explain = %+v", e)
	}
}

func TestEvents(t *testing.T) {
	w := newWorld(t)
	lines := w.follow("read", "/repositories/us-east-1/demo/events")
	counts := w.follow("admin", "/deliveries/events")
	expect(t, counts, `data: {"counts":{},"idle":true,"unresolved_pushes":0}`)
	w.fill(w.repo, 2)
	expect(t, lines, "event: movement")
	expect(t, lines, "id: 1")
	expect(t, lines, `"ref":"refs/heads/DEMO-1-work"`)
	expect(t, counts, `"entity_pending":2`)
	_, err := w.store.Enqueue(t.Context(), store.Job{Repository: w.repo.ID, Op: store.OpSync, Source: "manual"})
	w.must(err)
	expect(t, lines, "event: job")
	expect(t, w.follow("read", "/repositories/us-east-1/demo/events", "Last-Event-ID", "0"), "event: movement")
	w.want(404, "no grant", "GET", "/repositories/us-east-1/demo/events", nil, nil)
	// A token that is revoked ends its stream.
	w.must(w.store.RevokeToken(t.Context(), 1))
	for range counts {
	}
}

// follow reads a stream line by line until it ends; the test ends it.
func (w *world) follow(who, path string, headers ...string) <-chan string {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 30*time.Second)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, w.url+"/api/v1"+path, nil)
	w.must(err)
	req.Header.Set("Authorization", "Bearer "+w.tokens[who])
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	w.must(err)
	w.t.Cleanup(func() { cancel(); resp.Body.Close() })
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "text/event-stream" {
		w.t.Fatalf("%s: %s", path, resp.Status)
	}
	lines := make(chan string, 100)
	go func() { // ends with the response
		defer close(lines)
		for in := bufio.NewScanner(resp.Body); in.Scan(); {
			lines <- in.Text()
		}
	}()
	return lines
}

// expect reads lines until one holds the words.
func expect(t *testing.T, lines <-chan string, words string) {
	t.Helper()
	for {
		select {
		case l, ok := <-lines:
			if !ok {
				t.Fatalf("the stream ended before %q", words)
			}
			if strings.Contains(l, words) {
				return
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("not within 10 s: %q", words)
		}
	}
}
