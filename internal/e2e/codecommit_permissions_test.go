package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	aws "gitferry/internal/codecommit"
)

// refusal calls the API as root and returns the text of its refusal, or "".
func (w *world) refusal(method, path string, in any) string {
	w.t.Helper()
	b, err := json.Marshal(in)
	must(w.t, err)
	req, err := http.NewRequest(method, "http://"+w.http+"/api/v1"+path, bytes.NewReader(b))
	must(w.t, err)
	req.Header.Set("Authorization", "Bearer "+w.people["root"].token)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	must(w.t, err)
	defer resp.Body.Close()
	b, err = io.ReadAll(resp.Body)
	must(w.t, err)
	if resp.StatusCode < 300 {
		return ""
	}
	var problem struct{ Detail string }
	must(w.t, json.Unmarshal(b, &problem))
	return problem.Detail
}

// accountLog returns what people read about an integration.
func (w *world) accountLog(slug string) string {
	w.t.Helper()
	var log struct{ Lines []struct{ Text string } }
	if code := w.ask("GET", "/integrations/"+slug+"/log", nil, &log); code != 200 {
		w.t.Fatal(code)
	}
	var all strings.Builder
	for _, l := range log.Lines {
		all.WriteString(l.Text + "\n")
	}
	return all.String()
}

// Each action of the matrix is taken away in turn: exactly its feature is lost,
// what people are told names the action, the policy document grants it alone,
// and with the action back everything is as before. An action of the matrix
// without a row here fails the test.
func TestPermissionMatrix(t *testing.T) {
	const demo, account = "/repositories/us-east-1/demo", "/integrations/us-east-1"
	w := newWorld(t, options{config: "upstream: {poll: 1h, poll_max: 24h}\n"})
	w.commitUpstream("us-east-1", "demo", "main", "begin")
	w.waitTriggers("us-east-1", 1)
	w.commitUpstream("us-east-1", "demo", "DEMO-1-source", "DEMO-1 work")
	within(t, 20*time.Second, "both branches are there", func() bool { return w.refExists("main") && w.refExists("DEMO-1-source") })
	host := w.client("us-east-1")
	theirs, err := host.CreateTopic(t.Context(), "codecommit-theirs")
	must(t, err)
	must(t, host.SetTopicAttribute(t.Context(), theirs, "SignatureVersion", "2"))
	work := filepath.Join(t.TempDir(), "work")
	w.git("alice", w.dir, "clone", "-q", w.url("us-east-1/demo"), work)

	type table struct {
		Features []struct{ ID, State string }
		Missing  []string
		Policy   string
	}
	check := func() (p table) {
		t.Helper()
		if code := w.ask("POST", account+"/permissions/check", nil, &p); code != 200 {
			t.Fatal(code)
		}
		return p
	}
	// The ways in which people use what an action allows; each returns what
	// they are told if it is missing.
	log := func() string { return w.accountLog("us-east-1") }
	look := func() string { w.refusal("POST", account+"/sync", nil); return log() }
	pull := func() string {
		w.ask("POST", demo+"/sync", nil, nil)
		w.waitIdle()
		var r struct {
			Mirror struct{ Status, Problem string }
		}
		w.ask("GET", demo, nil, &r)
		return r.Mirror.Status + " " + r.Mirror.Problem
	}
	pulls := func() string {
		check()
		if got := w.pullState(1); got != "open merged=false" {
			t.Errorf("the pull request is %q in the index", got)
		}
		return log()
	}
	n := 0
	branch := func() string {
		n++
		return w.refusal("POST", demo+"/branches", map[string]string{"source": "main", "name": fmt.Sprintf("DEMO-2-made-%d", n), "issue": "DEMO-2"})
	}
	doomed := func() string {
		n++
		name := fmt.Sprintf("DEMO-3-doomed-%d", n)
		if said := w.refusal("POST", demo+"/branches", map[string]string{"source": "main", "name": name, "issue": "DEMO-3"}); said != "" {
			t.Fatal(said)
		}
		return w.refusal("DELETE", demo+"/branches?branch="+name, nil)
	}
	open := func() string {
		n++
		name := fmt.Sprintf("DEMO-4-open-%d", n)
		w.git("alice", work, "commit", "-q", "--allow-empty", "-m", "DEMO-4 work")
		w.git("alice", work, "push", "-q", "origin", "HEAD:refs/heads/"+name)
		within(t, 20*time.Second, "the branch is indexed", func() bool { return w.refExists(name) })
		return w.refusal("POST", demo+"/pulls", map[string]string{"source": name, "target": "main", "issue": "DEMO-4"})
	}
	push := func() string {
		w.git("alice", work, "commit", "-q", "--allow-empty", "-m", "DEMO-5 work")
		w.git("alice", work, "fetch", "-q", "origin")
		out, err := w.try("alice", work, "push", "origin", "HEAD:refs/heads/pushed")
		if err == nil {
			return ""
		}
		return out
	}
	// A new secret has the subscription made anew, and the trigger if it is
	// gone. Without one of the actions there is polling, which is no error.
	anew := func() string {
		if code := w.ask("POST", account+"/triggers/secret", nil, nil); code != 202 {
			t.Fatal(code)
		}
		w.waitIdle()
		if s := w.triggers("us-east-1"); s.State == "polling" {
			var state struct {
				Integrations []struct{ Slug, Status, Triggers, Notice string }
			}
			must(t, w.api("GET", "/api/v1/admin/state", &state))
			for _, i := range state.Integrations {
				if i.Slug == "us-east-1" && (i.Status == "ERROR" || i.Triggers != "polling" || i.Notice != s.Notice) {
					t.Errorf("with triggers refused: %+v", i)
				}
			}
			return s.Notice
		}
		w.waitTriggers("us-east-1", 1)
		return ""
	}
	// Changing to another topic and back takes the own one and its subscription
	// away, and then those of the other.
	change := func() string {
		for _, topic := range []string{theirs, ""} {
			w.waitIdle()
			if code := w.ask("PATCH", account, map[string]any{"topic_arn": topic}, nil); code != 200 {
				t.Fatal(code)
			}
			within(t, 30*time.Second, "the topic is changed", func() bool {
				s := w.triggers("us-east-1")
				return s.State == "confirmed" && (s.Topic == theirs) == (topic == theirs) && s.Set == 1
			})
		}
		return log()
	}
	test := func() string { return w.refusal("POST", demo+"/trigger-test", nil) }

	if said := open(); said != "" { // pull request 1
		t.Fatal(said)
	}
	rows := map[string]struct {
		feature string
		use     func() string
		told    string // beside the action
	}{
		"codecommit:ListRepositories":       {"read", look, "reading the list of repositories"},
		"codecommit:GitPull":                {"read", pull, "ERROR"},
		"codecommit:BatchGetRepositories":   {"read", look, "missing"},
		"codecommit:ListPullRequests":       {"pull-requests", pulls, "missing"},
		"codecommit:GetPullRequest":         {"pull-requests", pulls, "missing"},
		"codecommit:CreatePullRequest":      {"create-pull-request", open, "add the permission to their policy"},
		"codecommit:CreateBranch":           {"create-branch", branch, "add the permission to their policy"},
		"codecommit:DeleteBranch":           {"delete-branch", doomed, "add the permission to their policy"},
		"codecommit:GetRepositoryTriggers":  {"triggers", anew, "polling only"},
		"codecommit:PutRepositoryTriggers":  {"triggers", anew, "polling only"},
		"sns:CreateTopic":                   {"triggers", anew, "polling only"},
		"sns:DeleteTopic":                   {"triggers", change, "could not be removed at AWS"},
		"sns:Subscribe":                     {"triggers", anew, "polling only"},
		"codecommit:GitPush":                {"push", push, "remote:"},
		"codecommit:TestRepositoryTriggers": {"test-triggers", test, "add the permission to their policy"},
		"sns:Unsubscribe":                   {"test-triggers", change, "could not be removed at AWS"},
		"sns:SetTopicAttributes":            {"test-triggers", anew, "polling only"},
	}
	if p := check(); len(p.Missing) != 0 || p.Policy != "" {
		t.Errorf("with all permissions: %+v", p)
	}
	for _, f := range aws.Features() {
		for _, action := range f.Actions {
			row, ok := rows[action]
			if !ok {
				t.Errorf("the matrix has %s for %s, the test has not", action, f.ID)
				continue
			}
			if row.feature != f.ID {
				t.Errorf("%s belongs to %s, want %s", action, f.ID, row.feature)
			}
			w.waitIdle()
			must(t, host.PutTriggers(t.Context(), "demo", nil))
			if row.feature == "test-triggers" && action != "sns:SetTopicAttributes" { // they need the trigger
				anew()
			}
			deny(t, w.codecommit, action)
			if said := row.use(); !strings.Contains(said, action) || !strings.Contains(said, row.told) {
				t.Errorf("without %s people are told: %s; want %q", action, said, row.told)
			}
			p := check()
			for _, g := range p.Features {
				if lost := g.ID == f.ID; lost != (g.State == "missing") {
					t.Errorf("without %s the feature %s is %s", action, g.ID, g.State)
				}
			}
			if diff := cmp.Diff([]string{action}, p.Missing); diff != "" {
				t.Errorf("missing without %s (-want +got):\n%s", action, diff)
			}
			if strings.Count(p.Policy, `"codecommit:`)+strings.Count(p.Policy, `"sns:`) != 1 || !strings.Contains(p.Policy, `"`+action+`"`) {
				t.Errorf("the policy for %s: %s", action, p.Policy)
			}
			if said := log(); !strings.Contains(said, "the permission "+action+" is missing") {
				t.Errorf("the log without %s:\n%s", action, said)
			}
			deny(t, w.codecommit)
			row.use()
			if p := check(); len(p.Missing) != 0 {
				t.Errorf("with %s again: missing %v", action, p.Missing)
			}
			if said := log(); !strings.Contains(said, "the permission "+action+" is there again") {
				t.Errorf("the log with %s again:\n%s", action, said)
			}
		}
	}

	// With people's own keys it is they who lack the action, and they are told
	// so; nothing is said of the integration's.
	c := w.codecommit.Credentials()
	if code := w.ask("PUT", "/user/aws-credentials/us-east-1", map[string]string{"access_key_id": c.AccessKeyID, "secret_access_key": c.SecretAccessKey}, nil); code != 200 {
		t.Fatal(code)
	}
	for action, use := range map[string]func() string{"codecommit:CreateBranch": branch, "codecommit:DeleteBranch": doomed, "codecommit:CreatePullRequest": open} {
		deny(t, w.codecommit, action)
		said := use()
		if !strings.Contains(said, c.ARN+" lacks the permission "+action) || !strings.Contains(said, "your own AWS credentials were used") {
			t.Errorf("without %s people with own keys are told: %s", action, said)
		}
		if p := check(); len(p.Missing) != 0 {
			t.Errorf("without %s for a person: the integration misses %v", action, p.Missing)
		}
		deny(t, w.codecommit)
		if said := use(); said != "" {
			t.Errorf("with %s: %s", action, said)
		}
	}
	w.waitIdle()
	w.consistent()
}
