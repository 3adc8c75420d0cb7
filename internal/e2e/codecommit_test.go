package e2e

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"
	awscodecommit "github.com/aws/aws-sdk-go-v2/service/codecommit"
	"github.com/google/go-cmp/cmp"

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

func (r *recorder) Header() http.Header         { return r.header }
func (r *recorder) WriteHeader(status int)      { r.status = status }
func (r *recorder) Write(p []byte) (int, error) { return r.body.Write(p) }

// Each action of the matrix is taken away in turn: exactly its feature is
// lost, the others stay, and the policy document names it alone.
func TestMissingPermissions(t *testing.T) {
	w := newWorld(t, options{config: "upstream: {poll: 1h, poll_max: 24h}\n"})
	w.waitTriggers("us-east-1", 1)
	w.waitIdle()
	type feature struct {
		ID, State string
		Missing   []string
	}
	type table struct {
		Features []feature
		Missing  []string
		Policy   string
	}
	base := func() table {
		var p table
		if code := w.ask("POST", "/integrations/us-east-1/permissions/check", nil, &p); code != 200 {
			t.Fatal(code)
		}
		return p
	}
	sync := func() { w.ask("POST", "/repositories/us-east-1/demo/sync", nil, nil); w.waitIdle() }
	if p := base(); len(p.Missing) != 0 || p.Policy != "" {
		t.Errorf("with all permissions: %+v", p)
	}
	for _, c := range []struct {
		action  string
		feature string
		use     func() // beyond the probe
	}{
		{"codecommit:ListRepositories", "read", nil},
		{"codecommit:BatchGetRepositories", "read", nil},
		{"codecommit:GitPull", "read", sync},
		{"codecommit:ListPullRequests", "pull-requests", nil},
		{"codecommit:GetRepositoryTriggers", "triggers", nil},
	} {
		deny(t, w.codecommit, c.action)
		if c.use != nil {
			c.use()
		}
		p := base()
		for _, f := range p.Features {
			if lost := f.ID == c.feature; lost != (f.State == "missing") {
				t.Errorf("without %s the feature %s is %s", c.action, f.ID, f.State)
			}
		}
		if diff := cmp.Diff([]string{c.action}, p.Missing); diff != "" {
			t.Errorf("without %s (-want +got):\n%s", c.action, diff)
		}
		if strings.Count(p.Policy, `"codecommit:`) != 1 || !strings.Contains(p.Policy, `"`+c.action+`"`) {
			t.Errorf("the policy for %s: %s", c.action, p.Policy)
		}
		deny(t, w.codecommit)
		if c.use != nil {
			c.use()
		}
		if p := base(); len(p.Missing) != 0 {
			t.Errorf("with %s again: missing %v", c.action, p.Missing)
		}
	}
}

// signed makes a message as SNS would, with a key of our own.
func signed(t testing.TB, key *rsa.PrivateKey, m map[string]string) []byte {
	t.Helper()
	var text strings.Builder
	for _, n := range []string{"Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"} {
		if v, ok := m[n]; ok {
			text.WriteString(n + "\n" + v + "\n")
		}
	}
	sum := sha256.Sum256([]byte(text.String()))
	signature, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, sum[:])
	must(t, err)
	m["Signature"] = base64.StdEncoding.EncodeToString(signature)
	b, err := json.Marshal(m)
	must(t, err)
	return b
}

// What is not genuine is refused, without a request to anybody, and logged;
// what comes twice has its effect once.
func TestTriggerMessages(t *testing.T) {
	w := newWorld(t, options{config: "upstream: {poll: 1h, poll_max: 24h}\n"})
	set := w.waitTriggers("us-east-1", 1)
	w.waitIdle()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	foreign := listen(t)
	asked := false
	serveHTTP(t, foreign, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked = true }))
	message := func(change func(map[string]string)) []byte {
		m := map[string]string{"Type": "Notification", "MessageId": fmt.Sprint(time.Now().UnixNano()), "TopicArn": set.Topic, "Message": "{}",
			"Timestamp": time.Now().UTC().Format("2006-01-02T15:04:05.000Z"), "SignatureVersion": "2",
			"SigningCertURL": "https://sns.us-east-1.amazonaws.com/SimpleNotificationService-0123456789abcdef.pem"}
		change(m)
		return signed(t, key, m)
	}
	post := func(body []byte, header ...string) int {
		t.Helper()
		req, err := http.NewRequest("POST", set.Address, bytes.NewReader(body))
		must(t, err)
		req.Header.Set("Content-Type", "text/plain; charset=UTF-8")
		for i := 0; i < len(header); i += 2 {
			req.Header.Set(header[i], header[i+1])
		}
		start := time.Now()
		resp, err := http.DefaultClient.Do(req)
		must(t, err)
		resp.Body.Close()
		if took := time.Since(start); took > time.Second {
			t.Errorf("answered after %s", took)
		}
		return resp.StatusCode
	}
	kind := []string{"x-amz-sns-message-type", "Notification"}
	for name, c := range map[string]struct {
		body   []byte
		header []string
		want   int
		reason string
	}{
		"another topic": {message(func(m map[string]string) { m["TopicArn"] = strings.Replace(set.Topic, "gitferry", "other", 1) }), kind, 403, "is not registered"},
		"foreign host": {message(func(m map[string]string) {
			m["SigningCertURL"] = "http://" + foreign.Addr().String() + "/SimpleNotificationService-0123456789abcdef.pem"
		}), kind, 403, "host is not SNS"},
		"no SNS path": {message(func(m map[string]string) { m["SigningCertURL"] = w.awsURL + "/cert.pem" }), kind, 403, "not one of SNS"},
		"no JSON":     {[]byte("hello"), kind, 403, "not an SNS message"},
		"raw":         {[]byte("{}"), append(kind, "x-amz-sns-rawdelivery", "true"), 403, "raw message delivery"},
		"form":        {[]byte("a=b"), append(kind, "Content-Type", "application/x-www-form-urlencoded"), 415, "content type"},
	} {
		if got := post(c.body, c.header...); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
		if last := w.lastCalls(1)[0]; last.Result != "refused" || !strings.Contains(last.Detail, c.reason) {
			t.Errorf("%s: logged as %+v", name, last)
		}
	}
	if asked {
		t.Error("a foreign host was asked for a certificate")
	}
	// The stand-in's own variants: signed with its key, which is the right one.
	for _, c := range []struct{ kind, want string }{
		{`{"kind":"forged","repository":"demo","region":"us-east-1"}`, "refused"},
		{`{"kind":"test","repository":"demo","region":"us-east-1"}`, "test"},
		{`{"kind":"valid","repository":"demo","region":"us-east-1","age_ms":10800000}`, "late"},
		{`{"kind":"valid","repository":"demo","region":"us-east-1"}`, "accepted"},
	} {
		before := w.lastCalls(1)[0].ID
		control(t, w.awsURL, "POST", "notify", c.kind)
		within(t, 5*time.Second, c.kind+" is logged", func() bool { return w.lastCalls(1)[0].ID > before })
		if last := w.lastCalls(1)[0]; last.Result != c.want {
			t.Errorf("%s: logged as %+v, want %s", c.kind, last, c.want)
		}
	}
	control(t, w.awsURL, "POST", "notify", `{"kind":"duplicate","repository":"demo","region":"us-east-1"}`)
	within(t, 5*time.Second, "both copies are logged", func() bool {
		last := w.lastCalls(2)
		return last[0].Result == "duplicate" && last[1].Result == "accepted" && last[0].MessageID == last[1].MessageID
	})
	// A stranger's topic that points at our address is not confirmed.
	stranger, err := w.client("us-east-1").CreateTopic(t.Context(), "codecommit-stranger")
	must(t, err)
	_, err = w.client("us-east-1").Subscribe(t.Context(), stranger, set.Address)
	must(t, err)
	within(t, 5*time.Second, "the stranger is refused", func() bool {
		last := w.lastCalls(1)[0]
		return last.Result == "refused" && strings.Contains(last.Detail, "codecommit-stranger")
	})
	subscriptions, err := w.client("us-east-1").ListSubscriptions(t.Context(), stranger)
	must(t, err)
	if len(subscriptions) != 1 || strings.HasPrefix(subscriptions[0].ARN, "arn:") {
		t.Errorf("the stranger's subscription: %+v", subscriptions)
	}
	// Addresses with another secret do not exist.
	for _, c := range []struct {
		method, path string
		want         int
	}{
		{"POST", "/hooks/integration/1/WRONG", 404}, {"GET", "/hooks/install/WRONG", 404}, {"POST", "/hooks/repo/1/WRONG", 404},
		{"POST", "/hooks/repo/x/WRONG", 404}, {"DELETE", strings.TrimPrefix(set.Address, "http://"+w.http), 405}, {"HEAD", strings.TrimPrefix(set.Address, "http://"+w.http), 405},
		{"GET", strings.TrimPrefix(set.Address, "http://"+w.http), 200}, {"PUT", strings.TrimPrefix(set.Address, "http://"+w.http), 200},
	} {
		req, err := http.NewRequest(c.method, "http://"+w.http+c.path, nil)
		must(t, err)
		resp, err := http.DefaultClient.Do(req)
		must(t, err)
		resp.Body.Close()
		if resp.StatusCode != c.want {
			t.Errorf("%s %s: %d, want %d", c.method, c.path[:20], resp.StatusCode, c.want)
		}
	}
	if strings.Contains(w.log.String(), set.Address[len(set.Address)-20:]) {
		t.Error("the secret of an address is in the log")
	}
}

type triggerCall struct {
	ID                               int64
	Result, Detail, MessageID, Level string
}

// lastCalls returns the latest n calls in the log of triggers, newest first.
func (w *world) lastCalls(n int) []triggerCall {
	w.t.Helper()
	var p struct {
		Items []struct {
			ID                    int64 `json:"id"`
			Result, Detail, Level string
			MessageID             string `json:"message_id"`
		}
	}
	if code := w.ask("GET", fmt.Sprintf("/trigger-calls?limit=%d", n), nil, &p); code != 200 {
		w.t.Fatal(code)
	}
	out := make([]triggerCall, n)
	for i, c := range p.Items {
		out[i] = triggerCall{ID: c.ID, Result: c.Result, Detail: c.Detail, MessageID: c.MessageID, Level: c.Level}
	}
	return out
}

// Triggers of others are the same before and after; a full list gives a notice.
func TestForeignTriggers(t *testing.T) {
	others := make(map[string][]aws.Trigger)
	w := newWorld(t, options{config: "upstream: {poll: 1h, poll_max: 24h}\n", fill: func(s *codecommit.Server) {
		for _, name := range []string{"some", "full"} {
			must(t, s.CreateRepository(t.Context(), "us-east-1", name, ""))
		}
	}})
	c := w.client("us-east-1")
	topic, err := c.CreateTopic(t.Context(), "codecommit-theirs")
	must(t, err)
	for name, n := range map[string]int{"some": 9, "full": 10} {
		// Ours is there already; the list is theirs from now on.
		w.waitTriggers("us-east-1", 2)
		for i := range n {
			others[name] = append(others[name], aws.Trigger{Name: fmt.Sprintf("theirs-%d", i), Destination: topic, CustomData: fmt.Sprintf(`{"n": %d, "text": "ü"}`, i),
				Branches: []string{"main", "release/1"}, Events: []string{"updateReference", "deleteReference"}})
		}
	}
	for name, list := range others {
		must(t, c.PutTriggers(t.Context(), name, list))
	}
	// A change of the address has everything looked at again.
	if code := w.ask("DELETE", "/integrations/us-west-2?force=true", nil, nil); code != 200 {
		t.Fatal(code)
	}
	w.gitferry("integration", "set", "us-east-1", "--topic-arn", topic)
	if code := w.ask("POST", "/integrations/us-east-1/triggers", nil, nil); code != 202 {
		t.Fatal(code)
	}
	var s triggerSetup
	within(t, 20*time.Second, "both repositories were looked at", func() bool {
		s = w.triggers("us-east-1")
		return s.Set == 1 && len(s.Without) == 1 && s.Topic == topic && s.Notice != ""
	})
	if s.Without[0].Repository != "us-east-1/full" || !strings.Contains(s.Notice, "full") || !strings.Contains(s.Notice, "10 triggers") {
		t.Errorf("the notice: %+v", s)
	}
	want := others["some"]
	got, err := c.Triggers(t.Context(), "some")
	must(t, err)
	ours := aws.Trigger{Name: "gitferry", Destination: topic, Branches: []string{}, Events: []string{"all"}}
	if diff := cmp.Diff(append(slices.Clone(want), ours), got); diff != "" {
		t.Errorf("triggers while connected (-want +got):\n%s", diff)
	}
	// Disconnected: everything of ours is gone, everything of theirs is there.
	within(t, 30*time.Second, "the integration is removed", func() bool {
		var removal struct{ Removed bool }
		return w.ask("DELETE", "/integrations/us-east-1?force=true", nil, &removal) == 200 && removal.Removed
	})
	for name, want := range others {
		got, err := c.Triggers(t.Context(), name)
		must(t, err)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("triggers of %s after (-want +got):\n%s", name, diff)
		}
	}
	subscriptions, err := c.ListSubscriptions(t.Context(), topic)
	must(t, err)
	if len(subscriptions) != 0 {
		t.Errorf("subscriptions of their topic after: %v", subscriptions)
	}
}

// Two integrations in one region and one in another, each with a repository
// of the same name, have paths of their own.
func TestEqualNames(t *testing.T) {
	w := newWorld(t, options{config: "upstream: {poll: 1h, poll_max: 24h}\n", fill: func(s *codecommit.Server) {
		for _, region := range []string{"us-east-1", "us-west-2"} {
			must(t, s.CreateRepository(t.Context(), region, "demo", ""))
		}
	}})
	c := w.codecommit.Credentials()
	secret := w.path("secret")
	must(t, os.WriteFile(secret, []byte(c.SecretAccessKey), 0o600))
	w.gitferry("integration", "add", "--region", "us-east-1", "--access-key-id", c.AccessKeyID, "--secret-access-key-file", secret,
		"--api-endpoint", w.awsURL, "--sns-endpoint", w.awsURL, "--git-endpoint", w.awsURL, "--private-network")
	w.commitUpstream("us-east-1", "demo", "main", "east")
	w.commitUpstream("us-west-2", "demo", "main", "west")
	w.waitIdle()
	for path, want := range map[string]string{"us-east-1/demo": "east", "us-east-1-2/demo": "east", "us-west-2/demo": "west", "us-west-2/v1/repos/demo": "west"} {
		work := filepath.Join(t.TempDir(), "work")
		w.git("alice", w.dir, "clone", "-q", w.url(path), work)
		if got := strings.TrimSpace(w.git("alice", work, "log", "-1", "--format=%s")); got != want {
			t.Errorf("%s holds %q, want %q", path, got, want)
		}
	}
	if out, err := w.try("alice", w.dir, "ls-remote", w.url("demo")); err == nil || !strings.Contains(out, "us-east-1-2/demo") {
		t.Errorf("a name that several have: %v %s", err, out)
	}
}

// Without one of the actions of set-up there is polling, which the notice says
// with the action's name; everything else goes on.
func TestTriggerPermissions(t *testing.T) {
	w := newWorld(t, options{config: "upstream: {poll: 1h, poll_max: 24h}\n"})
	w.waitTriggers("us-east-1", 1)
	for _, action := range []string{"sns:CreateTopic", "sns:SetTopicAttributes", "sns:Subscribe", "codecommit:GetRepositoryTriggers", "codecommit:PutRepositoryTriggers"} {
		// A new secret has subscription and triggers made anew.
		must(t, w.client("us-east-1").PutTriggers(t.Context(), "demo", nil))
		deny(t, w.codecommit, action)
		if code := w.ask("POST", "/integrations/us-east-1/triggers/secret", nil, nil); code != 202 {
			t.Fatal(code)
		}
		var s triggerSetup
		within(t, 20*time.Second, "the notice about "+action+" is given", func() bool { s = w.triggers("us-east-1"); return s.State == "polling" })
		if !slices.Contains(s.Missing, action) || !strings.Contains(s.Notice, action) {
			t.Errorf("without %s: missing %v, notice %q", action, s.Missing, s.Notice)
		}
		var state struct {
			Integrations []struct{ Slug, Status, Triggers, Notice string }
		}
		must(t, w.api("GET", "/api/v1/admin/state", &state))
		for _, i := range state.Integrations {
			if i.Slug == "us-east-1" && (i.Status == "ERROR" || i.Triggers != "polling" || i.Notice == "") {
				t.Errorf("without %s: %+v; polling is no error", action, i)
			}
		}
		deny(t, w.codecommit)
		if code := w.ask("POST", "/integrations/us-east-1/triggers", nil, nil); code != 202 {
			t.Fatal(code)
		}
		w.waitTriggers("us-east-1", 1)
	}
}

// Repositories that appear, are renamed, lose their default branch to another
// or go away behind the server's back are followed at the next look.
func TestAccountChanges(t *testing.T) {
	w := newWorld(t, options{config: "upstream: {poll: 1h, poll_max: 24h}\n", fill: func(s *codecommit.Server) {
		for _, name := range []string{"demo", "old-name", "doomed"} {
			must(t, s.CreateRepository(t.Context(), "us-east-1", name, ""))
		}
	}})
	for _, name := range []string{"demo", "old-name", "doomed"} {
		w.commitUpstream("us-east-1", name, "main", "DEMO-1 first of "+name)
	}
	w.commitUpstream("us-east-1", "demo", "trunk", "DEMO-2 on trunk")
	w.waitIdle()
	w.waitTriggers("us-east-1", 3)
	must(t, w.codecommit.CreateRepository(t.Context(), "us-east-1", "fresh", ""))
	must(t, w.codecommit.RenameRepository("us-east-1", "old-name", "new-name"))
	must(t, w.codecommit.DeleteRepository("us-east-1", "doomed"))
	w.defaultBranch("us-east-1", "demo", "trunk")
	sent := w.effects("devinfo branch .* trunk")
	var found struct{ Added, Renamed, Missing []string }
	if code := w.ask("POST", "/integrations/us-east-1/sync", nil, &found); code != 200 {
		t.Fatal(code)
	}
	if fmt.Sprint(found) != "{[us-east-1/fresh] [us-east-1/new-name] [us-east-1/doomed]}" {
		t.Errorf("found %v", found)
	}
	w.waitIdle()
	for path, branch := range map[string]string{"us-east-1/new-name": "main", "us-east-1/old-name": "main", "us-east-1/doomed": "main", "us-east-1/demo": "trunk"} {
		if out := w.git("alice", w.dir, "ls-remote", "--symref", w.url(path), "HEAD"); !strings.Contains(out, "ref: refs/heads/"+branch+"\tHEAD") {
			t.Errorf("HEAD of %s: %s, want %s", path, out, branch)
		}
	}
	if got := w.effects("devinfo branch .* trunk"); got <= sent {
		t.Errorf("Jira was told of trunk %d times before it became the default branch and %d times after", sent, got)
	}
	var doomed struct {
		State  string
		Mirror struct{ Status string }
	}
	if code := w.ask("GET", "/repositories/us-east-1/doomed", nil, &doomed); code != 200 || doomed.Mirror.Status != "MISSING" {
		t.Errorf("the repository that is gone: %d %+v", code, doomed)
	}
	work := filepath.Join(t.TempDir(), "work")
	w.git("alice", w.dir, "clone", "-q", w.url("us-east-1/doomed"), work)
	w.git("alice", work, "commit", "-q", "--allow-empty", "-m", "too late")
	if out, err := w.try("alice", work, "push", "origin", "HEAD:main"); err == nil {
		t.Errorf("a push to a repository that is gone: %s", out)
	}
	// A new repository takes the name; the look tells them apart by their ids.
	must(t, w.codecommit.CreateRepository(t.Context(), "us-east-1", "doomed", ""))
	if code := w.ask("POST", "/integrations/us-east-1/sync", nil, &found); code != 200 || fmt.Sprint(found.Added) != "[us-east-1/doomed]" {
		t.Errorf("found %v", found)
	}
	w.waitTriggers("us-east-1", 5) // that of the repository that is gone counts until it is disconnected
	// One that people disconnect does not come back by itself, and has no trigger.
	var removal struct{ Removed bool }
	if code := w.ask("DELETE", "/repositories/us-east-1/fresh?force=true", nil, &removal); code != 200 || !removal.Removed {
		t.Errorf("disconnecting: %d %+v", code, removal)
	}
	if code := w.ask("POST", "/integrations/us-east-1/sync", nil, &found); code != 200 || len(found.Added) != 0 {
		t.Errorf("found %v", found)
	}
	list, err := w.client("us-east-1").Triggers(t.Context(), "fresh")
	must(t, err)
	if len(list) != 0 {
		t.Errorf("triggers of a disconnected repository: %v", list)
	}
}

// defaultBranch sets a default branch at the stand-in.
func (w *world) defaultBranch(region, name, branch string) {
	w.t.Helper()
	c := w.codecommit.Credentials()
	client := awscodecommit.New(awscodecommit.Options{Region: region, BaseEndpoint: &w.awsURL,
		Credentials: credentials.NewStaticCredentialsProvider(c.AccessKeyID, c.SecretAccessKey, "")})
	_, err := client.UpdateDefaultBranch(w.t.Context(), &awscodecommit.UpdateDefaultBranchInput{RepositoryName: &name, DefaultBranchName: &branch})
	must(w.t, err)
}

// Throttled for a while, the server asks less, and nothing is lost.
func TestThrottling(t *testing.T) {
	w := newWorld(t, options{config: "upstream: {poll: 1s, poll_max: 1s}\n", fill: func(s *codecommit.Server) {
		for i := range 20 {
			must(t, s.CreateRepository(t.Context(), "us-east-1", fmt.Sprintf("r%d", i), ""))
		}
	}})
	w.waitTriggers("us-east-1", 20)
	w.waitIdle()
	const rules = `[
		{"method":"POST","path":"/","status":400,"content_type":"application/x-amz-json-1.1","body":"{\"__type\":\"ThrottlingException\",\"message\":\"Rate exceeded\"}"},
		{"path":"/v1/repos/**","status":429},{"path":"/us-east-1/v1/repos/**","status":429}]`
	control(t, w.awsURL, "PUT", "faults", rules)
	control(t, w.awsURL, "DELETE", "ledger", "")
	for range 3 {
		w.ask("POST", "/integrations/us-east-1/sync", nil, nil)
		time.Sleep(4 * time.Second)
	}
	entries := w.ledger()
	if limit := 12 * 25; len(entries) > limit { // 20 a second at most, and looks of git
		t.Errorf("%d requests in 12 s of throttling, want at most %d", len(entries), limit)
	}
	t.Logf("%d requests in 12 s of throttling", len(entries))
	control(t, w.awsURL, "PUT", "faults", "[]")
	oid := w.commitUpstream("us-east-1", "r7", "main", "DEMO-7 after the storm")
	within(t, 30*time.Second, "the commit is indexed", func() bool { return w.hasCommit("us-east-1/r7", oid) })
	var found struct{ Added, Missing []string }
	within(t, 30*time.Second, "the account can be read", func() bool {
		return w.ask("POST", "/integrations/us-east-1/sync", nil, &found) == 200
	})
	if len(found.Missing) != 0 {
		t.Errorf("repositories missing after throttling: %v", found.Missing)
	}
	w.waitIdle()
	w.consistent()
}

// An account of 1,100 repositories, two pages of the list, is connected.
func TestLargeAccount(t *testing.T) {
	if testing.Short() {
		t.Skip("1,100 repositories take a while")
	}
	const n = 1100
	w := newWorld(t, options{config: "upstream: {poll: 1h, poll_max: 24h}\n", fill: func(s *codecommit.Server) {
		for i := range n {
			must(t, s.CreateRepository(t.Context(), "us-east-1", fmt.Sprintf("service-%04d", i), ""))
		}
	}})
	start := time.Now()
	var repos struct {
		Items []struct{ Path string }
		Next  string
	}
	total, after := 0, ""
	for first := true; first || after != ""; first = false {
		repos.Items, repos.Next = nil, ""
		path := "/repositories?limit=100"
		if after != "" {
			path += "&after=" + after
		}
		if code := w.ask("GET", path, nil, &repos); code != 200 {
			t.Fatal(code)
		}
		total, after = total+len(repos.Items), repos.Next
	}
	if total != n {
		t.Fatalf("%d repositories are connected, want %d", total, n)
	}
	last := w.commitUpstream("us-east-1", "service-1099", "main", "DEMO-9 in the last one")
	within(t, 10*time.Minute, "the last repository is indexed", func() bool {
		time.Sleep(time.Second)
		return w.hasCommit("us-east-1/service-1099", last)
	})
	t.Logf("the last of %d repositories was indexed after %s", n, time.Since(start))
	within(t, 10*time.Minute, "all triggers are set", func() bool {
		time.Sleep(2 * time.Second)
		return w.triggers("us-east-1").Set == n
	})
	t.Logf("all triggers were set after %s", time.Since(start))
	must(t, w.codecommit.RenameRepository("us-east-1", "service-0500", "renamed"))
	var found struct{ Renamed []string }
	began := time.Now()
	if code := w.ask("POST", "/integrations/us-east-1/sync", nil, &found); code != 200 || fmt.Sprint(found.Renamed) != "[us-east-1/renamed]" {
		t.Errorf("found %v", found)
	}
	t.Logf("a look at the account took %s", time.Since(began))
}
