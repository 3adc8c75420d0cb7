package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	aws "gitferry/internal/codecommit"
	"gitferry/internal/ferry"
	"gitferry/internal/sandbox/codecommit"
	"gitferry/internal/sandbox/faults"
)

// client calls the stand-in as its user, past the server.
func (w *world) client(region string) *aws.Client {
	w.t.Helper()
	c := w.codecommit.Credentials()
	client, err := aws.New(context.Background(), aws.Config{HTTP: http.DefaultClient,
		Integration: ferry.Integration{Region: region, AccessKeyID: c.AccessKeyID, APIEndpoint: w.awsURL, SNSEndpoint: w.awsURL, PrivateNetwork: true},
		Credentials: ferry.Credentials{SecretAccessKey: ferry.NewSecret(c.SecretAccessKey)}})
	must(w.t, err)
	return client
}

// atHost is the URL of a repository at the stand-in, with the user's git credentials.
func (w *world) atHost(region, name string) string {
	c := w.codecommit.Credentials()
	return strings.Replace(w.awsURL, "://", "://"+url.QueryEscape(c.GitUsername)+":"+url.QueryEscape(c.GitPassword)+"@", 1) + "/" + region + "/v1/repos/" + name
}

// commitUpstream pushes one commit to a branch behind the server's back and
// returns its id.
func (w *world) commitUpstream(region, name, branch, message string) string {
	w.t.Helper()
	work := filepath.Join(w.t.TempDir(), "work")
	w.git("alice", w.dir, "clone", "-q", w.atHost(region, name), work)
	w.git("alice", work, "commit", "-q", "--allow-empty", "-m", message)
	w.git("alice", work, "push", "-q", "origin", "HEAD:refs/heads/"+branch)
	return w.oid(work, "HEAD")
}

// ask calls the API as root with a JSON body and returns the status.
func (w *world) ask(method, path string, in, into any) int {
	w.t.Helper()
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		must(w.t, err)
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequest(method, "http://"+w.http+"/api/v1"+path, body)
	must(w.t, err)
	req.Header.Set("Authorization", "Bearer "+w.people["root"].token)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	must(w.t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	must(w.t, err)
	if into != nil && resp.StatusCode < 300 {
		must(w.t, json.Unmarshal(b, into))
	} else if resp.StatusCode >= 300 {
		w.t.Logf("%s %s: %s %s", method, path, resp.Status, b)
	}
	return resp.StatusCode
}

// within waits until a condition holds.
func within(t testing.TB, limit time.Duration, what string, holds func() bool) time.Duration {
	t.Helper()
	for start := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		if holds() {
			return time.Since(start)
		}
		if time.Since(start) > limit {
			t.Fatalf("after %s still not: %s", limit, what)
		}
	}
}

type triggerSetup struct {
	State, Notice, Topic, Address string
	Missing                       []string
	Set                           int
	Without                       []struct{ Repository, Problem string }
}

func (w *world) triggers(slug string) triggerSetup {
	w.t.Helper()
	var s triggerSetup
	if code := w.ask("GET", "/integrations/"+slug+"/triggers", nil, &s); code != 200 {
		w.t.Fatalf("triggers of %s: %d", slug, code)
	}
	return s
}

// hasCommit reports whether a commit is in the index.
func (w *world) hasCommit(repo, oid string) bool {
	req, err := http.NewRequest("GET", "http://"+w.http+"/api/v1/repositories/"+repo+"/commits/"+oid, nil)
	must(w.t, err)
	req.Header.Set("Authorization", "Bearer "+w.people["root"].token)
	resp, err := http.DefaultClient.Do(req)
	must(w.t, err)
	resp.Body.Close()
	return resp.StatusCode == 200
}

// waitTriggers waits until triggers of an account are set up and confirmed.
func (w *world) waitTriggers(slug string, set int) triggerSetup {
	w.t.Helper()
	var s triggerSetup
	within(w.t, 30*time.Second, "triggers of "+slug+" are confirmed", func() bool {
		s = w.triggers(slug)
		return s.State == "confirmed" && s.Set == set
	})
	return s
}

// A push past the server is in the index within two seconds of its
// notification, and Jira hears of it once.
func TestNotification(t *testing.T) {
	w := newWorld(t, options{config: "upstream: {poll: 1h, poll_max: 24h}\n"})
	w.waitTriggers("us-east-1", 1)
	w.waitIdle()
	oid := w.commitUpstream("us-east-1", "demo", "main", "DEMO-3 #comment by the side door")
	took := within(t, 2*time.Second, "the commit is indexed", func() bool { return w.hasCommit("us-east-1/demo", oid) })
	t.Logf("indexed %s after the push", took)
	w.waitIdle()
	w.wantEffects("DEMO-3", map[string]int{"comment DEMO-3 ": 1})
	// A branch made by the API tells of itself too. It is the second hint
	// within two seconds, so it waits for these to pass. Jira's id of a branch
	// is its name in hexadecimal digits.
	must(t, w.client("us-east-1").CreateBranch(t.Context(), "demo", "feature/DEMO-4-x", mustOID(t, oid)))
	within(t, 4*time.Second, "the branch is at Jira", func() bool {
		return w.effects(fmt.Sprintf("devinfo branch .*~%x", "feature/DEMO-4-x")) == 1
	})
	w.consistent()

	// With one ls-refs an unchanged repository is done.
	w.waitIdle()
	control(t, w.awsURL, "DELETE", "ledger", "")
	if code := w.ask("POST", "/repositories/us-east-1/demo/sync", nil, nil); code != 202 {
		t.Fatal(code)
	}
	w.waitIdle()
	gits := 0
	for _, e := range w.ledger() {
		if strings.Contains(e.Path, "/v1/repos/") {
			gits++
		}
	}
	if gits > 2 { // the advertisement, and the command ls-refs
		t.Errorf("a look that finds nothing took %d requests of git", gits)
	}
}

// ledger returns what the stand-in CodeCommit was asked for.
func (w *world) ledger() []faults.Entry {
	w.t.Helper()
	var list []faults.Entry
	for line := range bytes.Lines(control(w.t, w.awsURL, "GET", "ledger", "")) {
		var e faults.Entry
		must(w.t, json.Unmarshal(line, &e))
		list = append(list, e)
	}
	return list
}

func mustOID(t testing.TB, s string) ferry.OID {
	t.Helper()
	oid, err := ferry.ParseOID(s)
	must(t, err)
	return oid
}

// Without any permission for triggers everything works by polling, and says so.
func TestPolling(t *testing.T) {
	w := newWorld(t, options{config: "upstream: {poll: 1s, poll_max: 2s}\n", fill: func(s *codecommit.Server) {
		must(t, s.CreateRepository(t.Context(), "us-east-1", "demo", ""))
		deny(t, s, "sns:*")
	}})
	var s triggerSetup
	within(t, 20*time.Second, "the notice is given", func() bool { s = w.triggers("us-east-1"); return s.State == "polling" })
	if !strings.Contains(s.Notice, "polling only") || !slices.Contains(s.Missing, "sns:CreateTopic") {
		t.Errorf("notice %q, missing %v", s.Notice, s.Missing)
	}
	w.waitIdle()
	oid := w.commitUpstream("us-east-1", "demo", "main", "DEMO-3 by the side door")
	within(t, 5*time.Second, "the commit is indexed", func() bool { return w.hasCommit("us-east-1/demo", oid) })

	// The permission is given, and somebody presses "try again".
	deny(t, w.codecommit)
	if code := w.ask("POST", "/integrations/us-east-1/triggers", nil, nil); code != 202 {
		t.Fatal(code)
	}
	w.waitTriggers("us-east-1", 1)
}

// deny takes IAM actions away at the stand-in.
func deny(t testing.TB, s *codecommit.Server, actions ...string) {
	t.Helper()
	if actions == nil {
		actions = []string{}
	}
	b, err := json.Marshal(actions)
	must(t, err)
	req, err := http.NewRequest("PUT", "/_sandbox/deny", bytes.NewReader(b))
	must(t, err)
	rec := &recorder{header: http.Header{}}
	s.Handler().ServeHTTP(rec, req)
	if rec.status >= 300 {
		t.Fatalf("deny: %d %s", rec.status, rec.body.String())
	}
}

type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (r *recorder) Header() http.Header { return r.header }

func (r *recorder) WriteHeader(status int) { r.status = status }

func (r *recorder) Write(p []byte) (int, error) { return r.body.Write(p) }
