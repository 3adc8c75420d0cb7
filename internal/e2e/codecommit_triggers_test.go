package e2e

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	aws "gitferry/internal/codecommit"
	"gitferry/internal/sandbox/codecommit"
)

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
	if state := control(t, w.awsURL, "GET", "state", ""); bytes.Contains(state, []byte("codecommit-gitferry-")) {
		t.Errorf("a topic of ours is there still: %s", state)
	}
}

// Many notifications for a few repositories lead to few looks.
func TestStorm(t *testing.T) {
	const repos, each = 5, 40
	w := newWorld(t, options{config: "upstream: {poll: 1h, poll_max: 24h}\n", fill: func(s *codecommit.Server) {
		for i := range repos {
			must(t, s.CreateRepository(t.Context(), "us-east-1", fmt.Sprintf("r%d", i), ""))
		}
	}})
	w.waitTriggers("us-east-1", repos)
	w.waitIdle()
	control(t, w.awsURL, "DELETE", "ledger", "")
	start := time.Now()
	for range each {
		for i := range repos {
			control(t, w.awsURL, "POST", "notify", fmt.Sprintf(`{"repository":"r%d","region":"us-east-1"}`, i))
		}
	}
	sent, failed := 0, 0
	within(t, time.Minute, "all messages are delivered", func() bool {
		sent, failed = 0, 0
		for _, e := range w.ledger() {
			if e.Method == "SEND" && e.Status == 200 {
				sent++
			} else if e.Method == "SEND" {
				failed++
			}
		}
		return sent >= repos*each
	})
	took := time.Since(start)
	time.Sleep(3 * time.Second)
	w.waitIdle()
	looks := 0
	for _, e := range w.ledger() {
		if e.Method == "GET" && strings.Contains(e.Path, "/info/refs") {
			looks++
		}
	}
	t.Logf("%d messages in %s, %d sent again, %d looks", sent, took, failed, looks)
	if most := repos * (2 + int(took/(2*time.Second))); looks > most {
		t.Errorf("%d looks after %d messages in %s, want at most %d", looks, sent, took, most)
	}
}
