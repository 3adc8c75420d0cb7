package outbox

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gitferry/internal/ferry"
	"gitferry/internal/jira"
	"gitferry/internal/sandbox/faults"

	"github.com/google/go-cmp/cmp"
)

// scenario queues some of everything on three issues.
func (w *world) scenario() {
	w.t.Helper()
	one := w.apply(push{message: "DEMO-1 #start-progress on it #time 1h 30m #comment first\nDEMO-2 #label a b"}, []ferry.IssueKey{"DEMO-1", "DEMO-2"},
		`{"issue":"DEMO-1","type":"transition","command":"start-progress","text":"on it"}`,
		`{"issue":"DEMO-1","type":"worklog","time":"1h 30m"}`,
		`{"issue":"DEMO-1","type":"comment","text":"first *bold*\nsecond line"}`,
		`{"issue":"DEMO-2","type":"label","labels":["a","b"]}`,
		`{"issue":"DEMO-2","type":"assign","user":"alice@example.com"}`)
	two := w.apply(push{message: "DEMO-1 #in-review"}, []ferry.IssueKey{"DEMO-1"},
		`{"issue":"DEMO-1","type":"transition","command":"in-review"}`,
		`{"issue":"DEMO-1","type":"comment","text":"same"}`,
		`{"issue":"DEMO-1","type":"comment","text":"same"}`,
		`{"issue":"DEMO-1","type":"transition","command":"back-to-progress"}`,
		`{"issue":"DEMO-1","type":"transition","command":"in-review"}`,
		`{"issue":"DEMO-2","type":"fixVersion","version":"1.1"}`,
		`{"issue":"DEMO-2","type":"affectsVersion","version":"1.0"}`,
		`{"issue":"OPS-3","type":"worklog","time":"2h","text":"on call"}`)
	w.branch("refs/heads/feature/DEMO-2", ferry.OID{}, one, "DEMO-2")
	w.branch("refs/heads/main", ferry.OID{}, two)
}

func editions(t *testing.T, run func(*testing.T, jira.Kind)) {
	t.Helper()
	for _, kind := range []jira.Kind{jira.Cloud, jira.DataCenter} {
		t.Run(string(kind), func(t *testing.T) { run(t, kind) })
	}
}

// undisturbed is the end state of the scenario without failures.
func undisturbed(t *testing.T, kind jira.Kind) map[string]issueView {
	t.Helper()
	w := newWorld(t, kind)
	w.scenario()
	w.settle(time.Hour)
	if dead := w.deliveries("dead"); len(dead) > 0 || w.left() > 0 {
		t.Fatalf("undisturbed: %d left, dead: %v", w.left(), dead)
	}
	return w.view()
}

func TestScenario(t *testing.T) {
	editions(t, func(t *testing.T, kind jira.Kind) {
		got := undisturbed(t, kind)
		one, two := fmt.Sprintf("%040x", 0xabcdef0001), fmt.Sprintf("%040x", 0xabcdef0002)
		by := "gitferry: Jane Roe in commit [0000000|https://git.example/us-east-1/demo/commit/" + one + "] (us-east-1/demo)"
		bold := "*bold*"
		if kind == jira.DataCenter {
			bold = `\*bold\*`
		}
		by2 := strings.ReplaceAll(by, one, two)
		spent := func(by string, seconds int, text string) string {
			user, text1, _ := strings.Cut(by, ": ")
			return fmt.Sprintf("%s: %d 2026-11-25T09:00:00.000+0000 %s%s", user, seconds, text1, text)
		}
		want := map[string]issueView{
			"DEMO-1": {Status: "In Review",
				Comments: []string{by + "\non it", by + "\nfirst " + bold + "\nsecond line", by2 + "\nsame", by2 + "\nsame"},
				Worklogs: []string{spent(by, 5400, "")},
				Moves:    []string{"To Do -> In Progress", "In Progress -> In Review", "In Review -> In Progress", "In Progress -> In Review"},
				Commits:  []string{one, two}},
			"DEMO-2": {Status: "To Do", Assignee: "alice", Labels: []string{"a", "b"}, Fix: []string{"1.1"}, Affected: []string{"1.0"},
				Commits: []string{one}, Branches: []string{jira.EntityID("feature/DEMO-2")}},
			"OPS-3": {Status: "To Do", Worklogs: []string{spent(by2, 7200, "\non call")}},
		}
		if kind == jira.DataCenter {
			for key, v := range want {
				for _, c := range v.Commits {
					v.Links = append(v.Links, fmt.Sprintf("1:commit:%s %s", c, map[string]string{
						one: "0000000 DEMO-1 #start-progress on it #time 1h 30m #comment first https://git.example/us-east-1/demo/commit/" + one,
						two: "0000000 DEMO-1 #in-review https://git.example/us-east-1/demo/commit/" + two}[c]))
				}
				for _, b := range v.Branches {
					v.Links = append(v.Links, "1:branch:"+b+" feature/DEMO-2 https://git.example/us-east-1/demo/tree/feature/DEMO-2")
				}
				slices.Sort(v.Links)
				v.Commits, v.Branches = nil, nil
				want[key] = v
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("issues (-want +got):\n%s", diff)
		}
	})
}

func pointer[T any](v T) *T { return &v }

// The ways in which a call fails, and the calls that are made.
var (
	failures = map[string]faults.Rule{
		"500":                      {Status: 500},
		"503":                      {Status: 503},
		"503 for a while":          {Status: 503, RetryAfter: "40"},
		"429":                      {Status: 429, RetryAfter: "30"},
		"429 without a time":       {Status: 429},
		"409":                      {Status: 409},
		"401":                      {Status: 401},
		"moved":                    {Status: 302},
		"login page":               {Body: pointer("<html>log in</html>"), Type: "text/html"},
		"cut before":               {Drop: "before"},
		"cut after":                {Drop: "after"},
		"502 although it is done":  {Status: 502, After: true},
		"page although it is done": {Body: pointer("<html>oops</html>"), Type: "text/html", After: true},
		"half an answer":           {Truncate: pointer(5)},
	}
	operations = map[jira.Kind][]string{
		jira.Cloud: {"addComment", "addWorklog", "doTransition", "editIssue", "assignIssue", "getTransitions", "getIssue", "getComments",
			"getIssueWorklog", "getIssueProperty", "findAssignableUsers", "getProjectVersions", "storeDevelopmentInformation", "getToken"},
		jira.DataCenter: {"addComment", "addWorklog", "doTransition", "editIssue", "assignIssue", "getTransitions",
			"createOrUpdateRemoteIssueLink"},
	}
)

// recovers runs the scenario with calls that fail by rules, and wants the end
// state of the undisturbed run.
func recovers(t *testing.T, kind jira.Kind, want map[string]issueView, rules ...faults.Rule) {
	t.Helper()
	w := newWorld(t, kind)
	w.rules(rules...)
	w.scenario()
	w.settle(8 * time.Hour)
	if dead := w.deliveries("dead"); len(dead) > 0 || w.left() > 0 {
		t.Fatalf("%d left, dead: %v", w.left(), dead)
	}
	if diff := cmp.Diff(want, w.view()); diff != "" {
		t.Errorf("end state (-undisturbed +got):\n%s", diff)
	}
}

// TestEachCallFails lets each kind of call fail in each way, twice.
func TestEachCallFails(t *testing.T) {
	if testing.Short() {
		t.Skip("left out: takes more than a minute, in short mode; TestAllCallsFail is the short form")
	}
	editions(t, func(t *testing.T, kind jira.Kind) {
		want := undisturbed(t, kind)
		for _, op := range operations[kind] {
			for name, rule := range failures {
				rule.Operation, rule.Times = op, 2
				t.Run(op+" "+name, func(t *testing.T) {
					t.Parallel()
					recovers(t, kind, want, rule)
				})
			}
		}
	})
}

// TestAllCallsFail lets all kinds of calls fail in one way, in one run.
func TestAllCallsFail(t *testing.T) {
	editions(t, func(t *testing.T, kind jira.Kind) {
		want := undisturbed(t, kind)
		for name, rule := range failures {
			var rules []faults.Rule
			for _, op := range operations[kind] {
				rule.Operation, rule.Times = op, 1
				rules = append(rules, rule)
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				recovers(t, kind, want, rules...)
			})
		}
	})
}

// TestLostAnswers loses three answers in ten, over restarts.
func TestLostAnswers(t *testing.T) {
	editions(t, func(t *testing.T, kind jira.Kind) {
		want := undisturbed(t, kind)
		for seed := range uint64(8) {
			w := newWorld(t, kind)
			random := rand.New(rand.NewPCG(seed, 7))
			var mu sync.Mutex
			w.lose = func(*http.Request) bool {
				mu.Lock()
				defer mu.Unlock()
				return random.IntN(10) < 3
			}
			w.scenario()
			for range 5 {
				w.settle(20 * time.Second)
				w.outbox.Boot += "x"
				w.restart()
			}
			w.settle(12 * time.Hour)
			if dead := w.deliveries("dead"); len(dead) > 0 || w.left() > 0 {
				t.Fatalf("seed %d: %d left, dead: %v", seed, w.left(), dead)
			}
			if diff := cmp.Diff(want, w.view()); diff != "" {
				t.Errorf("seed %d: end state (-undisturbed +got):\n%s", seed, diff)
			}
		}
	})
}
