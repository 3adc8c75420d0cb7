package jira

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gitferry/internal/ferry"

	"github.com/google/go-cmp/cmp"
)

var testNow = time.Date(2026, 11, 25, 10, 0, 0, 0, time.UTC)

// serveJira starts a server and returns a client for it with all credentials.
func serveJira(t *testing.T, kind Kind, h http.HandlerFunc) *Client {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	site := Site{Kind: kind, BaseURL: srv.URL, CloudID: "11111111-2222-3333-4444-555555555555", DevinfoBase: srv.URL,
		Email: "bot@example.com", APIToken: ferry.NewSecret("api-token"), ClientID: "client", ClientSecret: ferry.NewSecret("client-secret")}
	if kind == DataCenter {
		site = Site{Kind: kind, BaseURL: srv.URL + "/jira/", PersonalAccessToken: ferry.NewSecret("pat")}
	}
	c, err := New(site, Options{Now: func() time.Time { return testNow }})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestAnswerClasses(t *testing.T) {
	type answer struct {
		status int
		header map[string]string
		body   string
	}
	json := map[string]string{"Content-Type": "application/json;charset=UTF-8"}
	with := func(k, v string) map[string]string {
		return map[string]string{"Content-Type": "application/json", k: v}
	}
	created := `{"id":"10010","self":"https://x/comment/10010"}`
	for _, c := range []struct {
		name          string
		answer        answer
		write, read   Class // of AddComment and of Issue
		effect, shape bool  // of AddComment
		text          string
	}{
		{name: "refused", answer: answer{400, json, `{"errorMessages":["Comment body is not valid!"],"errors":{"comment":"bad"}}`},
			write: Permanent, read: Permanent, text: "Comment body is not valid!; comment: bad"},
		{name: "refused in plain text", answer: answer{400, map[string]string{"Content-Type": "text/plain"}, "no\x1b[31m way"}, write: Permanent, read: Permanent, text: "no[31m way"},
		{name: "gone", answer: answer{410, json, ``}, write: Permanent, read: Permanent},
		{name: "method not allowed", answer: answer{405, json, ``}, write: Permanent, read: Permanent},
		{name: "no such issue", answer: answer{404, json, `{"errorMessages":["Issue does not exist"],"errors":{}}`}, write: NotFound, read: NotFound, text: "Issue does not exist"},
		{name: "sign-in refused", answer: answer{401, map[string]string{"Content-Type": "text/plain"}, "Unauthorized"}, write: Credentials, read: Credentials, text: "Unauthorized"},
		{name: "forbidden", answer: answer{403, json, `{"errorMessages":["no"]}`}, write: Forbidden, read: Forbidden, text: "no"},
		{name: "captcha", answer: answer{403, with("X-Seraph-LoginReason", "AUTHENTICATION_DENIED"), `{}`}, write: Credentials, read: Credentials,
			text: "Jira asks for a captcha; sign in once with a browser"},
		{name: "conflict", answer: answer{409, json, ``}, write: Conflict, read: Temporary},
		{name: "too large", answer: answer{413, json, ``}, write: TooLarge, read: TooLarge},
		{name: "broken", answer: answer{500, json, `{"errorMessages":[{"message":"boom","errorTraceId":"x"}]}`}, write: Unknown, read: Temporary, effect: true, text: "boom"},
		{name: "gateway", answer: answer{502, json, ``}, write: Unknown, read: Temporary, effect: true},
		{name: "unavailable", answer: answer{503, json, ``}, write: Unknown, read: Temporary, effect: true},
		{name: "unavailable for a while", answer: answer{503, with("Retry-After", "7"), ``}, write: RateLimited, read: RateLimited},
		{name: "limited", answer: answer{429, with("Retry-After", "7"), ``}, write: RateLimited, read: RateLimited},
		{name: "too early", answer: answer{425, json, ``}, write: Temporary, read: Temporary},
		{name: "moved", answer: answer{302, with("Location", "https://new.example/x"), ``}, write: Moved, read: Moved},
		{name: "login page", answer: answer{201, map[string]string{"Content-Type": "text/html"}, "<html>"}, write: Credentials, read: Credentials, effect: true, shape: true,
			text: "a web page came instead of an answer; sign in again or look for a proxy in between"},
		{name: "not JSON", answer: answer{201, map[string]string{"Content-Type": "text/plain"}, created}, write: Unknown, read: Temporary, effect: true, shape: true,
			text: `the answer is of type "text/plain", not JSON`},
		{name: "cut JSON", answer: answer{201, json, created[:9]}, write: Unknown, read: Temporary, effect: true, shape: true, text: "the answer is not the JSON expected"},
		{name: "other JSON", answer: answer{201, json, `{"ok":true}`}, write: Unknown, read: Temporary, effect: true, shape: true, text: "the answer lacks what it must hold"},
		{name: "other success", answer: answer{200, json, created}, write: Unknown, effect: true, shape: true},
		{name: "too long", answer: answer{201, json, `{"id":"` + strings.Repeat("x", maxBody) + `"}`}, write: Unknown, read: Temporary, effect: true, shape: true, text: "the answer is larger than 10 MiB"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var calls atomic.Int32
			client := serveJira(t, Cloud, func(w http.ResponseWriter, r *http.Request) {
				calls.Add(1)
				for k, v := range c.answer.header {
					w.Header().Set(k, v)
				}
				status := c.answer.status
				if r.Method == http.MethodGet && status == 201 {
					status = 200
				}
				w.WriteHeader(status)
				io.WriteString(w, c.answer.body)
			})
			_, err := client.AddComment(t.Context(), "DEMO-1", Text{{Text: "x"}}, Marker{ID: "m"})
			var e *Error
			if !errors.As(err, &e) {
				t.Fatalf("AddComment: %v, want an *Error", err)
			}
			got := fmt.Sprint(e.Class, e.Effect, e.Shape, e.Text)
			if c.text == "" {
				got = fmt.Sprint(e.Class, e.Effect, e.Shape)
			}
			want := strings.TrimSuffix(fmt.Sprint(c.write, c.effect, c.shape, c.text), " ")
			if c.text == "" {
				want = fmt.Sprint(c.write, c.effect, c.shape)
			}
			if got != want {
				t.Errorf("AddComment: %s, want %s (%v)", got, want, err)
			}
			if _, err := client.Issue(t.Context(), "DEMO-1"); c.read != 0 && classOf(err) != c.read {
				t.Errorf("Issue: class %v, want %v (%v)", classOf(err), c.read, err)
			}
			if calls.Load() != 2 {
				t.Errorf("%d requests for two calls: something was repeated or followed", calls.Load())
			}
		})
	}
}

func TestLostAnswers(t *testing.T) {
	client := serveJira(t, Cloud, func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		panic(http.ErrAbortHandler) // cuts the connection
	})
	_, err := client.AddComment(t.Context(), "DEMO-1", nil, Marker{ID: "m"})
	if got := classOf(err); got != Unknown {
		t.Errorf("comment cut off: class %v, want unknown (%v)", got, err)
	}
	_, err = client.Issue(t.Context(), "DEMO-1")
	if got := classOf(err); got != Temporary || !errors.Is(err, ferry.ErrUnavailable) {
		t.Errorf("issue cut off: class %v, want temporary and ferry.ErrUnavailable (%v)", got, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	client = serveJira(t, Cloud, func(w http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body); <-r.Context().Done() })
	_, err = client.AddComment(ctx, "DEMO-1", nil, Marker{ID: "m"})
	if got := classOf(err); got != Unknown {
		t.Errorf("comment timed out: class %v, want unknown (%v)", got, err)
	}

	gone := httptest.NewServer(nil)
	gone.Close()
	client, err = New(Site{Kind: DataCenter, BaseURL: gone.URL}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = client.AddComment(t.Context(), "DEMO-1", nil, Marker{ID: "m"})
	if got := classOf(err); got != Temporary {
		t.Errorf("nobody listens: class %v, want temporary (%v)", got, err)
	}
}

func TestRateLimitHeaders(t *testing.T) {
	for _, c := range []struct {
		name   string
		header map[string]string
		wait   time.Duration
		none   bool
		scope  Scope
	}{
		{"seconds", map[string]string{"Retry-After": "12"}, 12 * time.Second, false, ScopeSite},
		{"date, server's clock ahead", map[string]string{"Retry-After": "Wed, 25 Nov 2026 11:00:30 GMT", "Date": "Wed, 25 Nov 2026 11:00:00 GMT"}, 30 * time.Second, false, ScopeSite},
		{"capped", map[string]string{"Retry-After": "86400"}, time.Hour, false, ScopeSite},
		{"per issue", map[string]string{"Retry-After": "2", "RateLimit-Reason": "jira-per-issue-on-write"}, 2 * time.Second, false, ScopeIssue},
		{"burst", map[string]string{"Retry-After": "1", "RateLimit-Reason": "jira-burst-based"}, time.Second, false, ScopeEndpoint},
		{"quota until reset", map[string]string{"Retry-After": "1", "RateLimit-Reason": "jira-quota-tenant-based", "X-RateLimit-Reset": "2026-11-25T10:20:00Z"}, 20 * time.Minute, false, ScopeSite},
		{"nothing said", map[string]string{}, 0, true, ScopeSite},
		{"nonsense", map[string]string{"Retry-After": "-5"}, 0, true, ScopeSite},
	} {
		client := serveJira(t, Cloud, func(w http.ResponseWriter, r *http.Request) {
			for k, v := range c.header {
				w.Header().Set(k, v)
			}
			w.WriteHeader(429)
		})
		_, err := client.Myself(t.Context())
		var e *Error
		if !errors.As(err, &e) || e.Class != RateLimited {
			t.Fatalf("%s: %v, want a rate limit", c.name, err)
		}
		want := testNow.Add(c.wait)
		if c.none {
			want = time.Time{}
		}
		if !e.Until.Equal(want) || e.Scope != c.scope {
			t.Errorf("%s: until %v for %s, want %v for %s", c.name, e.Until, e.Scope, want, c.scope)
		}
	}
}

func TestTokenIsRenewedOnce(t *testing.T) {
	var tokens, submits int
	good := "token-2"
	client := serveJira(t, Cloud, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.URL.Path == "/oauth/token" {
			if r.Header.Get("Authorization") != "" {
				t.Error("the token request carries another credential")
			}
			tokens++
			fmt.Fprintf(w, `{"access_token":"token-%d","expires_in":900,"token_type":"Bearer"}`, tokens)
			return
		}
		submits++
		if r.Header.Get("Authorization") != "Bearer "+good {
			w.WriteHeader(401)
			return
		}
		w.WriteHeader(202)
		io.WriteString(w, `{"acceptedDevinfoEntities":{},"unknownIssueKeys":["UTF-8"],"failedDevinfoEntities":{"1":{"commits":[{"id":"c","errorMessages":[{"message":"bad"}]}]}}}`)
	})
	got, err := client.Submit(t.Context(), Submission{})
	if err != nil || tokens != 2 || submits != 2 {
		t.Fatalf("Submit: %v after %d tokens and %d requests, want success after 2 and 2", err, tokens, submits)
	}
	want := Submitted{Failed: map[EntityRef]string{{"1", CommitEntity, "c"}: "bad"}, Refused: map[string]string{}, Unknown: map[ferry.IssueKey]bool{"UTF-8": true}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Submit (-want +got):\n%s", diff)
	}
	good = "none"
	_, err = client.Submit(t.Context(), Submission{})
	if classOf(err) != Credentials || tokens != 3 || submits != 4 {
		t.Errorf("Submit with a dead client: %v after %d tokens and %d requests, want credentials after 3 and 4", err, tokens, submits)
	}
}

func TestCredentialsStayWithTheirSite(t *testing.T) {
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		t.Errorf("another host got %s %s", r.Method, r.URL)
	}))
	defer other.Close()
	client := serveJira(t, Cloud, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, other.URL+r.URL.Path, http.StatusTemporaryRedirect)
	})
	_, err := client.Submit(t.Context(), Submission{})
	if classOf(err) != Moved {
		t.Errorf("Submit: %v, want class moved", err)
	}
	for _, err := range []error{client.DeleteRemoteLink(t.Context(), "DEMO-1", "g"), client.Assign(t.Context(), "DEMO-1", Account{ID: "x"})} {
		if classOf(err) != Moved || strings.Contains(err.Error(), "token") {
			t.Errorf("call: %v, want class moved and no secret", err)
		}
	}
	for _, u := range []string{"http://jira.example.com", "ftp://x", "https://user:pw@x", "jira.example.com", "https://x?y=1"} {
		if _, err := New(Site{Kind: Cloud, BaseURL: u}, Options{}); !errors.Is(err, ferry.ErrInvalid) {
			t.Errorf("New(%q): %v, want ferry.ErrInvalid", u, err)
		}
	}
	if s := fmt.Sprintf("%v %+v %#v", client.Site(), client.Site(), client.Site()); strings.Contains(s, "api-token") || strings.Contains(s, "client-secret") {
		t.Errorf("a printed site shows its secrets: %s", s)
	}
}

func TestEntityID(t *testing.T) {
	for _, c := range []struct{ name, want string }{
		{"main", "main"}, {"v1.0_x-y", "v1.0_x-y"}, {"feature/DEMO-1", "~666561747572652f44454d4f2d31"}, {"修复", "~e4bfaee5a48d"},
	} {
		if got := EntityID(c.name); got != c.want {
			t.Errorf("EntityID(%q) = %q, want %q", c.name, got, c.want)
		}
	}
	if got := EntityID(strings.Repeat("/", 600)); !strings.HasPrefix(got, "~sha256-") || len(got) != 72 {
		t.Errorf("EntityID of a long name = %q, want ~sha256- and 64 digits", got)
	}
}

func TestPickUser(t *testing.T) {
	jane := Account{ID: "1", Type: "atlassian", Email: "jane@example.com", Display: "Jane Roe", Active: true}
	hidden := Account{ID: "2", Type: "atlassian", Display: "Jan Hidden", Active: true}
	app := Account{ID: "3", Type: "app", Email: "jane@example.com", Active: true}
	left := Account{ID: "4", Type: "atlassian", Email: "jane@example.com"}
	for _, c := range []struct {
		name, who string
		found     []Account
		want      string
		err       error
	}{
		{"equal address", "JANE@example.com", []Account{jane, hidden, app, left}, "1", nil},
		{"hidden address", "jan@example.com", []Account{hidden, app}, "2", nil},
		{"other address", "jan@example.com", []Account{jane}, "", ferry.ErrNotFound},
		{"name", "jane roe", []Account{hidden, jane}, "1", nil},
		{"prefix of one", "jane", []Account{jane}, "1", nil},
		{"prefix of two", "jan", []Account{jane, hidden}, "", ferry.ErrConflict},
		{"two hidden", "j@example.com", []Account{hidden, {ID: "5", Active: true}}, "", ferry.ErrConflict},
		{"only gone ones", "jane@example.com", []Account{left, app}, "", ferry.ErrNotFound},
	} {
		got, err := (&Client{site: Site{Kind: Cloud}}).pick(c.who, c.found)
		if got.ID != c.want || !errors.Is(err, c.err) {
			t.Errorf("%s: pick(%q) = %q, %v, want %q, %v", c.name, c.who, got.ID, err, c.want, c.err)
		}
	}
}
