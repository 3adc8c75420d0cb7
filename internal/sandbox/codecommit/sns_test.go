package codecommit

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"encoding/xml"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// form makes a query-protocol call and returns status and body.
func (st *stand) form(service string, signed bool, pairs ...string) (int, string) {
	st.t.Helper()
	v := url.Values{"Version": {"2010-03-31"}}
	for i := 0; i < len(pairs); i += 2 {
		v.Set(pairs[i], pairs[i+1])
	}
	body := []byte(v.Encode())
	req, err := http.NewRequestWithContext(st.t.Context(), "POST", st.url+"/", bytes.NewReader(body))
	if err != nil {
		st.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	if signed {
		sign(req, body, st.cred, "us-east-1", service, st.clock())
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		st.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, _ := io.ReadAll(resp.Body)
	st.checkXML(v.Get("Action"), resp.StatusCode, b)
	return resp.StatusCode, string(b)
}

// checkXML checks the elements of an answer against the SNS model.
func (st *stand) checkXML(action string, status int, body []byte) {
	st.t.Helper()
	raw, err := os.ReadFile("testdata/sns.service.json")
	if err != nil {
		st.t.Fatal(err)
	}
	var m serviceModel
	if err := json.Unmarshal(raw, &m); err != nil {
		st.t.Fatal(err)
	}
	op, ok := m.Operations[action]
	if !ok || status != 200 {
		return
	}
	known := map[string]bool{action + "Response": true, action + "Result": true, "ResponseMetadata": true, "RequestId": true, "member": true, "entry": true, "key": true, "value": true}
	var walk func(shape string)
	walk = func(shape string) {
		for name, ref := range m.Shapes[shape].Members {
			known[name] = true
			walk(ref.Shape)
		}
		if member := m.Shapes[shape].Member; member != nil {
			walk(member.Shape)
		}
	}
	if op.Output != nil {
		walk(op.Output.Shape)
	}
	for dec := xml.NewDecoder(bytes.NewReader(body)); ; {
		token, err := dec.Token()
		if err != nil {
			return
		}
		if e, ok := token.(xml.StartElement); ok && !known[e.Name.Local] {
			st.t.Errorf("%s answers with an element %s, which the model has not", action, e.Name.Local)
		}
	}
}

func (st *stand) mustForm(pairs ...string) string {
	st.t.Helper()
	code, body := st.form("sns", true, pairs...)
	if code != 200 {
		st.t.Fatalf("%v = %d %s", pairs, code, body)
	}
	return body
}

// between returns the text of the first element of that name.
func between(text, name string) string {
	_, rest, _ := strings.Cut(text, "<"+name+">")
	inner, _, _ := strings.Cut(rest, "</"+name+">")
	return inner
}

// A message is what an endpoint received.
type message struct {
	header http.Header
	body   map[string]string
	raw    string
}

// endpoint starts a receiver that answers with the given statuses, then 200.
func endpoint(t *testing.T, statuses ...int) (string, chan message) {
	t.Helper()
	got := make(chan message, 100)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		m := message{header: r.Header, raw: string(b)}
		json.Unmarshal(b, &m.body)
		got <- m
		if len(statuses) > 0 {
			w.WriteHeader(statuses[0])
			statuses = statuses[1:]
		}
	}))
	t.Cleanup(srv.Close)
	return srv.URL, got
}

func next(t *testing.T, got chan message) message {
	t.Helper()
	select {
	case m := <-got:
		return m
	case <-time.After(10 * time.Second):
		t.Fatal("no message came")
		return message{}
	}
}

func nothing(t *testing.T, got chan message) {
	t.Helper()
	select {
	case m := <-got:
		t.Errorf("an unexpected message: %s", m.raw)
	case <-time.After(200 * time.Millisecond):
	}
}

// verify checks a message's signature with the certificate that it names.
func (st *stand) verify(m message) error {
	st.t.Helper()
	if !strings.HasPrefix(m.body["SigningCertURL"], st.url+"/SimpleNotificationService-") {
		st.t.Fatalf("certificate at %q", m.body["SigningCertURL"])
	}
	resp, err := http.Get(m.body["SigningCertURL"])
	if err != nil {
		st.t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, _ := io.ReadAll(resp.Body)
	block, _ := pem.Decode(raw)
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		st.t.Fatal(err)
	}
	signature, err := base64.StdEncoding.DecodeString(m.body["Signature"])
	if err != nil {
		st.t.Fatal(err)
	}
	names := []string{"Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"}
	if m.body["Type"] != "Notification" {
		names = []string{"Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"}
	}
	var b strings.Builder
	for _, n := range names {
		if v, ok := m.body[n]; ok {
			b.WriteString(n + "\n" + v + "\n")
		}
	}
	if m.body["SignatureVersion"] == "1" {
		sum := sha1.Sum([]byte(b.String()))
		return rsa.VerifyPKCS1v15(cert.PublicKey.(*rsa.PublicKey), crypto.SHA1, sum[:], signature)
	}
	sum := sha256.Sum256([]byte(b.String()))
	return rsa.VerifyPKCS1v15(cert.PublicKey.(*rsa.PublicKey), crypto.SHA256, sum[:], signature)
}

// subscribed makes a topic with a confirmed subscription of url.
func (st *stand) subscribed(url string, got chan message) (topic, subscription string) {
	st.t.Helper()
	topic = between(st.mustForm("Action", "CreateTopic", "Name", "codecommit-test"), "TopicArn")
	st.mustForm("Action", "SetTopicAttributes", "TopicArn", topic, "AttributeName", "SignatureVersion", "AttributeValue", "2")
	answer := st.mustForm("Action", "Subscribe", "TopicArn", topic, "Protocol", "http", "Endpoint", url)
	if arn := between(answer, "SubscriptionArn"); arn != "pending confirmation" {
		st.t.Errorf("Subscribe = %q", arn)
	}
	m := next(st.t, got)
	if err := st.verify(m); err != nil || m.body["Type"] != "SubscriptionConfirmation" || m.header.Get("X-Amz-Sns-Message-Type") != m.body["Type"] {
		st.t.Errorf("confirmation message: %v %v", err, m.body)
	}
	if list := st.mustForm("Action", "ListSubscriptionsByTopic", "TopicArn", topic); !strings.Contains(list, "PendingConfirmation") {
		st.t.Errorf("subscriptions before the confirmation: %s", list)
	}
	answer = st.mustForm("Action", "ConfirmSubscription", "TopicArn", topic, "Token", m.body["Token"], "AuthenticateOnUnsubscribe", "true")
	return topic, between(answer, "SubscriptionArn")
}

func TestTriggers(t *testing.T) {
	st := start(t)
	at, got := endpoint(t, 200, 500) // the first notification fails once
	topic, _ := st.subscribed(at+"/hooks/secret", got)
	one := in{"name": "gitferry", "destinationArn": topic, "branches": []string{}, "events": []string{"all"}, "customData": "mine"}
	put := func(triggers ...in) in { return in{"repositoryName": "demo", "triggers": triggers} }
	before := st.mustCall("GetRepositoryTriggers", in{"repositoryName": "demo"})
	id := st.mustCall("PutRepositoryTriggers", put(one))["configurationId"]
	after := st.mustCall("GetRepositoryTriggers", in{"repositoryName": "demo"})
	if after["configurationId"] != id || before["configurationId"] == id || len(after["triggers"].([]any)) != 1 {
		t.Errorf("triggers = %v, before %v", after, before)
	}
	change := func(member string, v any) in {
		c := in{"name": "x", "destinationArn": topic, "branches": []string{}, "events": []string{"all"}}
		if v == nil {
			delete(c, member)
		} else {
			c[member] = v
		}
		return put(c)
	}
	st.refuses("RepositoryTriggerBranchNameListRequiredException", "PutRepositoryTriggers", change("branches", nil))
	st.refuses("InvalidRepositoryTriggerNameException", "PutRepositoryTriggers", change("name", "a b"))
	st.refuses("InvalidRepositoryTriggerNameException", "PutRepositoryTriggers", put(one, one))
	st.refuses("InvalidRepositoryTriggerDestinationArnException", "PutRepositoryTriggers", change("destinationArn", topic+".fifo"))
	st.refuses("InvalidRepositoryTriggerRegionException", "PutRepositoryTriggers", change("destinationArn", strings.Replace(topic, "us-east-1", "us-west-2", 1)))
	st.refuses("InvalidRepositoryTriggerEventsException", "PutRepositoryTriggers", change("events", []string{"all", "createReference"}))
	st.refuses("RepositoryTriggerEventsListRequiredException", "PutRepositoryTriggers", change("events", []string{}))
	st.refuses("MaximumBranchesExceededException", "PutRepositoryTriggers", change("branches", strings.Split("abcdefghijk", "")))
	st.refuses("InvalidRepositoryTriggerCustomDataException", "PutRepositoryTriggers", change("customData", strings.Repeat("x", 1001)))
	var eleven []in
	for _, c := range "abcdefghijk" {
		eleven = append(eleven, in{"name": string(c), "destinationArn": topic, "branches": []string{}, "events": []string{"all"}})
	}
	st.refuses("MaximumRepositoryTriggersExceededException", "PutRepositoryTriggers", put(eleven...))

	dir := st.work("/v1/repos/demo")
	st.mustGit(dir, "push", "-q", "origin", "main", "main:other")
	head := st.mustGit(dir, "rev-parse", "HEAD")
	first, again := next(t, got), next(t, got)
	if first.raw != again.raw || st.verify(again) != nil || again.header.Get("X-Amz-Sns-Subscription-Arn") == "" || again.header.Get("Content-Type") != "text/plain; charset=UTF-8" {
		t.Errorf("notification and its retry: %s\n%s", first.raw, again.raw)
	}
	if again.body["Subject"] != "UPDATE: AWS CodeCommit us-east-1 push: demo" {
		t.Errorf("subject %q", again.body["Subject"])
	}
	type record struct {
		EventName, EventSource, EventSourceARN, AwsRegion, EventTriggerName, UserIdentityARN, CustomData, EventTime string
		CodeCommit                                                                                                  struct {
			References []struct {
				Commit, Ref      string
				Created, Deleted bool
			}
		}
	}
	records := func(m message) []record {
		var v struct{ Records []record }
		if err := json.Unmarshal([]byte(m.body["Message"]), &v); err != nil {
			t.Fatal(err)
		}
		return v.Records
	}
	r := records(again)[0]
	if _, err := time.Parse("2006-01-02T15:04:05.000-0700", r.EventTime); err != nil {
		t.Error(err)
	}
	if r.EventName != "ReferenceChanges" || r.EventSourceARN != "arn:aws:codecommit:us-east-1:123456789012:demo" || r.CustomData != "mine" || r.EventSource != "aws:codecommit" {
		t.Errorf("record %+v", r)
	}
	type reference = struct {
		Commit, Ref      string
		Created, Deleted bool
	}
	if diff := cmp.Diff([]reference{{head, "refs/heads/main", true, false}, {head, "refs/heads/other", true, false}}, r.CodeCommit.References); diff != "" {
		t.Errorf("references (-want +got):\n%s", diff)
	}

	st.mustCall("DeleteBranch", in{"repositoryName": "demo", "branchName": "other"})
	if got := records(next(t, got))[0].CodeCommit.References; len(got) != 1 || !got[0].Deleted {
		t.Errorf("deletion: %+v", got)
	}
	out := st.mustCall("TestRepositoryTriggers", put(one, in{"name": "bad", "destinationArn": topic + "x", "branches": []string{}, "events": []string{"all"}}))
	if diff := cmp.Diff([]any{"gitferry"}, out["successfulExecutions"]); diff != "" || len(out["failedExecutions"].([]any)) != 1 {
		t.Errorf("TestRepositoryTriggers = %v", out)
	}
	if r := records(next(t, got))[0]; r.EventName != "TriggerEventTest" {
		t.Errorf("test event: %+v", r)
	}

	// Only branch "side" and only creations.
	st.mustCall("PutRepositoryTriggers", put(in{"name": "some", "destinationArn": topic, "branches": []string{"side"}, "events": []string{"createReference"}}))
	st.mustGit(dir, "push", "-q", "origin", "main:x", "main:side")
	if refs := records(next(t, got))[0].CodeCommit.References; len(refs) != 1 || refs[0].Ref != "refs/heads/side" {
		t.Errorf("filtered: %+v", refs)
	}
	st.mustGit(dir, "push", "-q", "origin", ":side")
	nothing(t, got)
}

func TestNotify(t *testing.T) {
	st := start(t)
	at, got := endpoint(t)
	topic, _ := st.subscribed(at, got)
	st.put("main", "a", "b", "")
	st.mustCall("PutRepositoryTriggers", in{"repositoryName": "demo", "triggers": []in{{"name": "t", "destinationArn": topic, "branches": []string{}, "events": []string{"all"}}}})
	st.control("POST", "notify", `{"kind":"valid","repository":"demo"}`)
	if m := next(t, got); st.verify(m) != nil || !strings.Contains(m.body["Message"], "refs/heads/main") {
		t.Errorf("valid: %s", m.raw)
	}
	st.control("POST", "notify", `{"kind":"duplicate","repository":"demo"}`)
	if a, b := next(t, got), next(t, got); a.raw != b.raw {
		t.Errorf("duplicates differ: %s\n%s", a.raw, b.raw)
	}
	st.control("POST", "notify", `{"kind":"forged","repository":"demo"}`)
	if m := next(t, got); st.verify(m) == nil {
		t.Errorf("a forged message verifies: %s", m.raw)
	}
	began := time.Now()
	st.control("POST", "notify", `{"kind":"delayed","repository":"demo","delay_ms":300,"age_ms":10800000}`)
	m := next(t, got)
	if stamp, err := time.Parse(time.RFC3339, m.body["Timestamp"]); err != nil || time.Since(stamp) < 2*time.Hour || time.Since(began) < 300*time.Millisecond {
		t.Errorf("delayed: %v after %v", m.body["Timestamp"], time.Since(began))
	}
	nothing(t, got)
}

func TestSubscriptions(t *testing.T) {
	st := start(t)
	at, got := endpoint(t)
	topic, sub := st.subscribed(at, got)
	if code, body := st.form("sns", false, "Action", "Unsubscribe", "SubscriptionArn", sub); code != 403 {
		t.Errorf("unsigned Unsubscribe of an authenticated subscription = %d %s", code, body)
	}
	st.mustForm("Action", "Publish", "TopicArn", topic, "Message", "hello", "Subject", "s")
	if m := next(t, got); m.body["Message"] != "hello" || st.verify(m) != nil {
		t.Errorf("published: %s", m.raw)
	}
	st.mustForm("Action", "SetSubscriptionAttributes", "SubscriptionArn", sub, "AttributeName", "RawMessageDelivery", "AttributeValue", "true")
	st.mustForm("Action", "Publish", "TopicArn", topic, "Message", "bare")
	if m := next(t, got); m.raw != "bare" || m.header.Get("X-Amz-Sns-Rawdelivery") != "true" {
		t.Errorf("raw: %s", m.raw)
	}
	if body := st.mustForm("Action", "GetSubscriptionAttributes", "SubscriptionArn", sub); !strings.Contains(body, "RawMessageDelivery") {
		t.Errorf("attributes: %s", body)
	}
	if body := st.mustForm("Action", "GetTopicAttributes", "TopicArn", topic); !strings.Contains(body, "SignatureVersion") {
		t.Errorf("attributes: %s", body)
	}
	if body := st.mustForm("Action", "ListTopics"); !strings.Contains(body, topic) {
		t.Errorf("topics: %s", body)
	}
	st.mustForm("Action", "Unsubscribe", "SubscriptionArn", sub)

	// Confirmed over the link: then anyone with the other link may end it, and
	// the endpoint is told.
	st.mustForm("Action", "SetTopicAttributes", "TopicArn", topic, "AttributeName", "SignatureVersion", "AttributeValue", "1")
	st.mustForm("Action", "Subscribe", "TopicArn", topic, "Protocol", "http", "Endpoint", at, "ReturnSubscriptionArn", "true")
	m := next(t, got)
	get := func(u string) int {
		resp, err := http.Get(u)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	if code := get(m.body["SubscribeURL"]); code != 200 {
		t.Errorf("GET SubscribeURL = %d", code)
	}
	st.mustForm("Action", "Publish", "TopicArn", topic, "Message", "with SHA-1")
	m = next(t, got)
	if m.body["SignatureVersion"] != "1" || st.verify(m) != nil {
		t.Errorf("version 1: %s", m.raw)
	}
	if code := get(m.body["UnsubscribeURL"]); code != 200 {
		t.Errorf("GET UnsubscribeURL = %d", code)
	}
	if m := next(t, got); m.body["Type"] != "UnsubscribeConfirmation" || st.verify(m) != nil {
		t.Errorf("after unsubscribing: %s", m.raw)
	}
	st.mustForm("Action", "Publish", "TopicArn", topic, "Message", "to nobody")
	nothing(t, got)
	st.mustForm("Action", "DeleteTopic", "TopicArn", topic)
	st.mustForm("Action", "DeleteTopic", "TopicArn", topic)

	for want, pairs := range map[string][]string{
		"404 NotFound":          {"Action", "Publish", "TopicArn", topic, "Message", "x"},
		"400 InvalidParameter":  {"Action", "CreateTopic", "Name", "a b"},
		"400 InvalidAction":     {"Action", "Nothing"},
		"400 InvalidParameter ": {"Action", "ConfirmSubscription", "TopicArn", "x", "Token", "y"},
	} {
		code, body := st.form("sns", true, pairs...)
		if got := itoa(int64(code)) + " " + between(body, "Code"); got != strings.TrimSpace(want) {
			t.Errorf("%v = %s %s, want %s", pairs, got, body, want)
		}
	}
	if code, body := st.form("sns", false, "Action", "ListTopics"); code != 403 || between(body, "Code") != "MissingAuthenticationToken" {
		t.Errorf("unsigned: %d %s", code, body)
	}
	if code, body := st.form("codecommit", true, "Action", "ListTopics"); code != 400 && code != 403 {
		t.Errorf("scoped to another service: %d %s", code, body)
	}
	st.control("PUT", "deny", `["sns:CreateTopic"]`)
	if code, body := st.form("sns", true, "Action", "CreateTopic", "Name", "x"); code != 403 || between(body, "Code") != "AuthorizationError" || !strings.Contains(body, "SNS:CreateTopic on resource: arn:aws:sns:us-east-1:123456789012:x") {
		t.Errorf("denied: %d %s", code, body)
	}
}

func TestSecurityTokenService(t *testing.T) {
	st := start(t)
	if _, body := st.form("sts", true, "Action", "GetCallerIdentity"); between(body, "Arn") != st.cred.ARN || between(body, "Account") != "123456789012" {
		t.Errorf("GetCallerIdentity = %s", body)
	}
	_, body := st.form("sts", true, "Action", "GetSessionToken")
	cred := Credentials{AccessKeyID: between(body, "AccessKeyId"), SecretAccessKey: between(body, "SecretAccessKey"), SessionToken: between(body, "SessionToken")}
	if _, code := st.callAs(cred, "us-east-1", "ListRepositories", in{}); code != "" {
		t.Errorf("a call with temporary credentials = %s", code)
	}
}

// A role is had by its ARN and the external id that its trust policy asks
// for; whatever else is asked is refused as AWS refuses it. The session says
// who it is and ends.
func TestAssumeRole(t *testing.T) {
	st := start(t)
	const arn = "arn:aws:iam::123456789012:role/app/gitferry"
	st.control("PUT", "roles", `[{"arn":"`+arn+`","external_id":"their-id"},{"arn":"arn:aws:iam::123456789012:role/open"}]`)
	ask := func(pairs ...string) (int, string) {
		return st.form("sts", true, append([]string{"Action", "AssumeRole"}, pairs...)...)
	}
	for _, c := range []struct {
		pairs []string
		want  string // status and code
		says  string
	}{
		{[]string{"RoleArn", arn, "RoleSessionName", "me"}, "403 AccessDenied", "User: " + st.cred.ARN + " is not authorized to perform: sts:AssumeRole on resource: " + arn + "<"},
		{[]string{"RoleArn", arn, "RoleSessionName", "me", "ExternalId", "another"}, "403 AccessDenied", "sts:AssumeRole"},
		{[]string{"RoleArn", arn + "x", "RoleSessionName", "me", "ExternalId", "their-id"}, "403 AccessDenied", "sts:AssumeRole"},
		{[]string{"RoleArn", arn}, "400 ValidationError", "roleSessionName"},
		{[]string{"RoleArn", arn, "RoleSessionName", "a b"}, "400 ValidationError", `[\w+=,.@-]*`},
		{[]string{"RoleArn", "arn:x", "RoleSessionName", "me"}, "400 ValidationError", "greater than or equal to 20"},
		{[]string{"RoleArn", arn, "RoleSessionName", strings.Repeat("m", 65)}, "400 ValidationError", "less than or equal to 64"},
		{[]string{"RoleArn", arn, "RoleSessionName", "me", "DurationSeconds", "899"}, "400 ValidationError", "between 900 and 43200"},
	} {
		code, body := ask(c.pairs...)
		if got := itoa(int64(code)) + " " + between(body, "Code"); got != c.want || !strings.Contains(body, c.says) {
			t.Errorf("%v = %s\n%s\nwant %s, %s", c.pairs, got, body, c.want, c.says)
		}
	}
	if code, body := ask("RoleArn", "arn:aws:iam::123456789012:role/open", "RoleSessionName", "me"); code != 200 {
		t.Errorf("a role that asks for no external id: %d %s", code, body)
	}
	code, body := ask("RoleArn", arn, "RoleSessionName", "a@b.example", "ExternalId", "their-id", "DurationSeconds", "900")
	const session = "arn:aws:sts::123456789012:assumed-role/gitferry/a@b.example"
	if code != 200 || between(body, "Arn") != session || !strings.HasSuffix(between(body, "AssumedRoleId"), ":a@b.example") || !strings.HasPrefix(between(body, "AccessKeyId"), "ASIA") {
		t.Fatalf("AssumeRole = %d %s", code, body)
	}
	cred := Credentials{AccessKeyID: between(body, "AccessKeyId"), SecretAccessKey: between(body, "SecretAccessKey"), SessionToken: between(body, "SessionToken")}
	if _, code := st.callAs(cred, "us-east-1", "ListRepositories", in{}); code != "" {
		t.Errorf("a call in the session = %s", code)
	}
	st.control("PUT", "deny", `["codecommit:GetRepository"]`)
	if out, code := st.callAs(cred, "us-east-1", "GetRepository", in{"repositoryName": "demo"}); code != "AccessDeniedException" || !strings.Contains(out["message"].(string), "User: "+session+" is") {
		t.Errorf("a denied call in the session = %s %v", code, out)
	}
	st.setClock(time.Now().Add(901 * time.Second))
	if _, code := st.callAs(cred, "us-east-1", "ListRepositories", in{}); code != "ExpiredTokenException" {
		t.Errorf("a call after the session's end = %q", code)
	}
}

func TestGiveUp(t *testing.T) {
	st := start(t)
	at, got := endpoint(t, 200, 500, 503, 500, 500, 500)
	topic, _ := st.subscribed(at, got)
	st.mustForm("Action", "Publish", "TopicArn", topic, "Message", "lost")
	for range 4 { // once and three retries
		next(t, got)
	}
	nothing(t, got)
	st.mustForm("Action", "SetTopicAttributes", "TopicArn", topic, "AttributeName", "DeliveryPolicy", "AttributeValue", `{"http":{"defaultHealthyRetryPolicy":{"numRetries":0}}}`)
	st.mustForm("Action", "Publish", "TopicArn", topic, "Message", "lost at once")
	next(t, got)
	nothing(t, got)
}

// Rules reach messages too: one is lost, one comes late after a failure.
func TestLostMessage(t *testing.T) {
	st := start(t)
	at, got := endpoint(t)
	topic, _ := st.subscribed(at, got)
	st.control("PUT", "faults", `[{"method":"SEND","operation":"Notification","drop":"before","times":1},{"method":"SEND","status":503,"times":1}]`)
	st.mustForm("Action", "Publish", "TopicArn", topic, "Message", "lost")
	nothing(t, got)
	st.mustForm("Action", "Publish", "TopicArn", topic, "Message", "late")
	if m := next(t, got); m.body["Message"] != "late" {
		t.Errorf("got %s", m.raw)
	}
	var faults []string
	for _, e := range st.ledger() {
		if e.Method == "SEND" && e.Operation == "Notification" {
			faults = append(faults, e.Fault)
		}
	}
	if diff := cmp.Diff([]string{"drop before", "status 503 before", ""}, faults); diff != "" {
		t.Errorf("faults in the ledger (-want +got):\n%s", diff)
	}
}
