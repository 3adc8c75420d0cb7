package issues

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gitferry/internal/ferry"
	"gitferry/internal/outbox"
	standin "gitferry/internal/sandbox/jira"
	"gitferry/internal/store"
)

// newLookup connects a Lookup to the stand-in's Data Center face; stop decides
// for each request whether it hangs.
func newLookup(t *testing.T, stop *atomic.Bool, asked *atomic.Int32) *Lookup {
	t.Helper()
	ended := make(chan struct{})
	l, _ := lookupVia(t, func(site http.Handler, w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if stop.Load() {
			<-ended // a body that nobody reads hides that the client is gone
			return
		}
		site.ServeHTTP(w, r)
	}, func() { close(ended) })
	asked.Store(0)
	return l
}

// lookupVia connects a Lookup to the stand-in's Data Center face; via answers
// each request, and end is called before the server closes.
func lookupVia(t *testing.T, via func(site http.Handler, w http.ResponseWriter, r *http.Request), end func()) (*Lookup, standin.Credentials) {
	t.Helper()
	site := standin.New(standin.Config{})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { via(site.Handler(), w, r) }))
	t.Cleanup(func() { end(); srv.Close() })
	key := make([]byte, 32)
	_, _ = rand.Read(key)
	st, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "books.db"), store.Options{MasterKey: key})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	l := &Lookup{Store: st, Sites: &outbox.Sites{Store: st, Product: "test"}, Deadline: 500 * time.Millisecond, Log: slog.New(slog.DiscardHandler)}
	if states := l.States(t.Context(), []ferry.IssueKey{"DEMO-1"}); len(states) != 0 {
		t.Errorf("States without a site = %v", states)
	}
	if err := l.Refresh(t.Context()); !errors.Is(err, ferry.ErrNotFound) {
		t.Errorf("Refresh without a site = %v, want ferry.ErrNotFound", err)
	}
	if err := st.SetJiraSite(t.Context(), store.JiraSite{Kind: "datacenter", URL: srv.URL + "/dc", PAT: ferry.NewSecret(site.Credentials().PersonalAccessToken), Processor: "gitferry"}); err != nil {
		t.Fatal(err)
	}
	return l, site.Credentials()
}

// What Jira said is remembered; what it does not say in time is not checked,
// and that is not the same as missing.
func TestStates(t *testing.T) {
	t.Parallel()
	var stop atomic.Bool
	var asked atomic.Int32
	l := newLookup(t, &stop, &asked)
	keys := []ferry.IssueKey{"DEMO-1", "OPS-2", "DEMO-999"}
	exists := func() map[ferry.IssueKey]bool {
		got := make(map[ferry.IssueKey]bool)
		for k, i := range l.States(context.Background(), keys) {
			got[k] = i.Exists
		}
		return got
	}
	want := map[ferry.IssueKey]bool{"DEMO-1": true, "OPS-2": true, "DEMO-999": false}
	if diff := cmp.Diff(want, exists()); diff != "" {
		t.Errorf("States (-want +got):\n%s", diff)
	}
	before := asked.Load()
	if diff := cmp.Diff(want, exists()); diff != "" || asked.Load() != before {
		t.Errorf("States again asked Jira %d times (-want +got):\n%s", asked.Load()-before, diff)
	}
	stop.Store(true)
	keys = append(keys, "DEMO-2")
	start := time.Now()
	if diff := cmp.Diff(want, exists()); diff != "" {
		t.Errorf("States while Jira hangs (-want +got):\n%s", diff)
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("States while Jira hangs took %s", took)
	}
}

// The list of projects is read, and who asked to hears when it is another
// list, also one of the same length.
func TestProjects(t *testing.T) {
	t.Parallel()
	var stop atomic.Bool
	var asked, changed atomic.Int32
	l := newLookup(t, &stop, &asked)
	l.ProjectsChanged = func(context.Context) { changed.Add(1) }
	for i, before := range [][]string{nil, {"DEMO", "OPS"}, {"DEMO", "OLD"}} {
		if before != nil {
			if err := l.Store.PutProjects(t.Context(), before); err != nil {
				t.Fatal(err)
			}
		}
		if err := l.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		if want := []int32{1, 1, 2}[i]; changed.Load() != want {
			t.Errorf("after a list that was %v: %d changes, want %d", before, changed.Load(), want)
		}
	}
	keys, known, _, err := l.Store.Projects(t.Context())
	if err != nil || !known || !sameKeys(keys, []string{"OPS", "DEMO"}) {
		t.Errorf("Projects = %v, %t, %v", keys, known, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx) }()
	l.Wake()
	cancel()
	select {
	case err := <-done:
		if err != nil {
			t.Errorf("Run = %v", err)
		}
	case <-time.After(5 * time.Second):
		t.Error("Run does not end with its context")
	}
}

// What somebody may know follows from his account at Jira, and is nothing
// while Jira does not answer.
func TestMayKnow(t *testing.T) {
	t.Parallel()
	var stop atomic.Bool
	var asked atomic.Int32
	l := newLookup(t, &stop, &asked)
	for _, tt := range []struct {
		emails []string
		want   map[string]bool
	}{
		{[]string{"alice@example.com"}, map[string]bool{"DEMO": true, "OPS": true}},
		{[]string{"a@elsewhere.example", "bob@example.com"}, map[string]bool{"DEMO": true, "OPS": true}},
		{[]string{"a@elsewhere.example"}, map[string]bool{}},
		{nil, map[string]bool{}},
	} {
		got := l.MayKnow(t.Context(), tt.emails, []string{"DEMO", "OPS", "GONE"})
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("MayKnow(%v) (-want +got):\n%s", tt.emails, diff)
		}
	}
	stop.Store(true)
	if got := l.MayKnow(t.Context(), []string{"root@example.com"}, []string{"DEMO"}); len(got) > 0 {
		t.Errorf("MayKnow while Jira hangs = %v", got)
	}
}
