package faults

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// serve starts a stand-in with one counting effect behind a book.
func serve(t *testing.T) (url string, effects *int) {
	t.Helper()
	n := 0
	b := NewBook(nil)
	mux := http.NewServeMux()
	mux.Handle("/_sandbox/", b.Handler())
	mux.Handle("/", b.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n++
		Effect(r.Context(), "counted %d", n)
		w.WriteHeader(http.StatusCreated)
		io.WriteString(w, "a real answer")
	}), func(r *http.Request) string { return r.Header.Get("Op") }))
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	return srv.URL, &n
}

func do(t *testing.T, method, url, body string) (int, string, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Op", "Count")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b), err
}

func ledger(t *testing.T, url string) []Entry {
	t.Helper()
	_, body, err := do(t, "GET", url+"/_sandbox/ledger", "")
	if err != nil {
		t.Fatal(err)
	}
	var list []Entry
	for dec := json.NewDecoder(strings.NewReader(body)); ; {
		var e Entry
		if err := dec.Decode(&e); errors.Is(err, io.EOF) {
			return list
		} else if err != nil {
			t.Fatal(err)
		}
		list = append(list, e)
	}
}

func TestRules(t *testing.T) {
	tests := []struct {
		name, rule string
		status     int // 0: the connection is cut before an answer
		body       string
		readErr    bool
		entry      Entry
		effects    int
	}{
		{"none", `[]`, 201, "a real answer", false, Entry{Status: 201, Effect: "counted 1"}, 1},
		{"other operation", `[{"operation":"X","status":500}]`, 201, "a real answer", false, Entry{Status: 201, Effect: "counted 1"}, 1},
		{"status", `[{"operation":"Count","status":503,"retry_after":"7"}]`, 503, "Service Unavailable\n", false, Entry{Status: 503, Fault: "status 503 before"}, 0},
		{"status after", `[{"path":"/a/**","status":502,"after":true}]`, 502, "Bad Gateway\n", false, Entry{Status: 502, Effect: "counted 1", Fault: "status 502 after"}, 1},
		{"foreign body", `[{"method":"POST","body":"<html>","content_type":"text/html"}]`, 200, "<html>", false, Entry{Status: 200, Fault: "status 200 before"}, 0},
		{"drop before", `[{"drop":"before"}]`, 0, "", false, Entry{Fault: "drop before"}, 0},
		{"drop after", `[{"drop":"after"}]`, 0, "", false, Entry{Effect: "counted 1", Fault: "drop after"}, 1},
		{"truncated", `[{"truncate":6}]`, 201, "a real", true, Entry{Status: 201, Effect: "counted 1", Fault: "truncate 6"}, 1},
		{"delay", `[{"delay_ms":20}]`, 201, "a real answer", false, Entry{Status: 201, Effect: "counted 1", Fault: "delay 20 ms"}, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			url, effects := serve(t)
			if code, body, err := do(t, "PUT", url+"/_sandbox/faults", tt.rule); code != 204 {
				t.Fatalf("PUT faults = %d %q %v", code, body, err)
			}
			code, body, err := do(t, "POST", url+"/a/b?secret=1", "x")
			if tt.status == 0 && err == nil {
				t.Errorf("answer %d %q, want a cut connection", code, body)
			}
			if code != tt.status || body != tt.body || (err != nil) != (tt.readErr || tt.status == 0) {
				t.Errorf("answer = %d %q %v, want %d %q", code, body, err, tt.status, tt.body)
			}
			tt.entry.Seq, tt.entry.Method, tt.entry.Operation, tt.entry.Path = 1, "POST", "Count", "/a/b"
			got := ledger(t, url)
			if diff := cmp.Diff([]Entry{tt.entry}, got, cmpopts.IgnoreFields(Entry{}, "Time")); diff != "" {
				t.Errorf("ledger (-want +got):\n%s", diff)
			}
			if *effects != tt.effects {
				t.Errorf("effects = %d, want %d", *effects, tt.effects)
			}
		})
	}
}

func TestHowOften(t *testing.T) {
	url, _ := serve(t)
	do(t, "PUT", url+"/_sandbox/faults", `[{"status":429,"skip":1,"times":2}]`)
	var got []int
	for range 5 {
		code, _, _ := do(t, "GET", url+"/", "")
		got = append(got, code)
	}
	if diff := cmp.Diff([]int{201, 429, 429, 201, 201}, got); diff != "" {
		t.Errorf("statuses (-want +got):\n%s", diff)
	}
	do(t, "DELETE", url+"/_sandbox/ledger", "")
	if list := ledger(t, url); len(list) != 0 {
		t.Errorf("after DELETE the ledger has %d entries", len(list))
	}
	do(t, "GET", url+"/", "")
	if list := ledger(t, url); len(list) != 1 || list[0].Seq != 6 {
		t.Errorf("after DELETE and a request the ledger is %+v, want number 6 only", list)
	}
}

func TestBadRules(t *testing.T) {
	url, _ := serve(t)
	for _, rule := range []string{`{}`, `[{"drop":"sometimes"}]`, `[{"stauts":500}]`, `[{"status":42}]`, `[{"delay_ms":-1}]`, `[{"path":"["}]`, `[{"truncate":-1}]`} {
		if code, _, _ := do(t, "PUT", url+"/_sandbox/faults", rule); code != 400 {
			t.Errorf("PUT faults %s = %d, want 400", rule, code)
		}
	}
}

func TestNotHTTP(t *testing.T) {
	b := NewBook(func() time.Time { return time.Unix(1, 0) })
	c := b.Begin("SSH", "git-upload-pack", "/v1/repos/demo")
	Effect(WithCall(t.Context(), c), "read")
	c.Status(200)
	Effect(t.Context(), "nowhere")
	want := []Entry{{Seq: 1, Time: time.Unix(1, 0).UTC(), Method: "SSH", Operation: "git-upload-pack", Path: "/v1/repos/demo", Status: 200, Effect: "read"}}
	if diff := cmp.Diff(want, b.Entries(0)); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
}
