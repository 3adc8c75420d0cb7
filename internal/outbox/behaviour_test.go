package outbox

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gitferry/internal/ferry"
	"gitferry/internal/jira"
	"gitferry/internal/sandbox/faults"
	"gitferry/internal/sandbox/jira/contract"
	"gitferry/internal/store"

	"github.com/google/go-cmp/cmp"
)

func comments(v map[string]issueView, key string) []string {
	var out []string
	for _, c := range v[key].Comments {
		who, text, _ := strings.Cut(c, ": ")
		if _, rest, ok := strings.Cut(text, "\n"); ok && who == "gitferry" {
			text = rest
		}
		out = append(out, who+": "+text)
	}
	return out
}

func (w *world) rules(rules ...faults.Rule) {
	w.t.Helper()
	if err := w.jira.Book().SetRules(rules); err != nil {
		w.t.Fatal(err)
	}
}

func TestRefusalsAreToldAndHoldUpNothing(t *testing.T) {
	editions(t, func(t *testing.T, kind jira.Kind) {
		w := newWorld(t, kind)
		w.apply(push{}, nil,
			`{"issue":"DEMO-1","type":"transition","command":"fly"}`,
			`{"issue":"DEMO-1","type":"worklog","time":"5w"}`,
			`{"issue":"DEMO-1","type":"assign","user":"nobody@example.com"}`,
			`{"issue":"DEMO-1","type":"fixVersion","version":"0.9"}`,
			`{"issue":"DEMO-1","type":"comment","text":"after all"}`)
		w.settle(time.Hour)
		got := w.deliveries("dead")
		want := []string{"5w", "fly", "nobody@example.com", "0.9"}
		if len(got) != len(want) || w.left() != 0 {
			t.Fatalf("%d left, dead:\n%s", w.left(), strings.Join(got, "\n"))
		}
		for _, part := range []string{"Start Progress", "no assignable user", "more than 4 weeks", "not archived"} {
			if !strings.Contains(strings.Join(got, "\n"), part) {
				t.Errorf("no refusal says %q:\n%s", part, strings.Join(got, "\n"))
			}
		}
		if diff := cmp.Diff([]string{"gitferry: after all"}, comments(w.view(), "DEMO-1")); diff != "" {
			t.Errorf("comments (-want +got):\n%s", diff)
		}
	})
}

func TestATransitionThatDemandsFields(t *testing.T) {
	w := newWorld(t, jira.Cloud)
	var commands []string
	for _, c := range []string{"start-progress", "in-review", "decline"} {
		commands = append(commands, `{"issue":"DEMO-1","type":"transition","command":"`+c+`"}`)
	}
	if err := w.store.SetSetting(t.Context(), SettingResolution, "Duplicate"); err != nil {
		t.Fatal(err)
	}
	w.apply(push{}, nil, commands...)
	w.settle(time.Hour)
	if v := w.view()["DEMO-1"]; v.Status != "Done" || v.Resolution != "Duplicate" {
		t.Errorf("DEMO-1 is %+v, dead: %v", v, w.deliveries("dead"))
	}
	// Where it stands already, nothing is to be done.
	w.apply(push{}, nil, `{"issue":"DEMO-1","type":"transition","command":"done"}`)
	w.settle(time.Hour)
	if dead := w.deliveries("dead"); len(dead) > 0 {
		t.Errorf("dead: %v", dead)
	}
}

func TestAnIssueThatIsNotThereYet(t *testing.T) {
	w := newWorld(t, jira.Cloud)
	w.apply(push{}, []ferry.IssueKey{"DEMO-21"}, `{"issue":"DEMO-21","type":"comment","text":"early"}`)
	w.settle(5 * time.Minute)
	if w.left() != 2 {
		t.Fatalf("%d left, dead: %v", w.left(), w.deliveries("dead"))
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.siteURL()+"/rest/api/2/issue",
		strings.NewReader(`{"fields":{"project":{"key":"DEMO"},"summary":"new","issuetype":{"name":"Task"}}}`))
	if err != nil {
		t.Fatal(err)
	}
	cr := w.jira.Credentials()
	req.SetBasicAuth(cr.Email, cr.APIToken)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil || resp.StatusCode != http.StatusCreated {
		t.Fatalf("making DEMO-21: %v, %v", resp, err)
	}
	resp.Body.Close()
	w.settle(time.Hour)
	v := w.view()
	if got := comments(v, "DEMO-21"); len(got) != 1 || len(v["DEMO-21"].Commits) != 1 {
		t.Errorf("DEMO-21 is %+v", v["DEMO-21"])
	}
	// One that never appears is given up.
	w.apply(push{}, []ferry.IssueKey{"DEMO-99"}, `{"issue":"DEMO-99","type":"comment","text":"never"}`)
	w.settle(48 * time.Hour)
	if dead, waiting := w.deliveries("dead"), w.deliveries("waiting"); len(dead) != 1 || len(waiting) != 1 || w.left() != 0 {
		t.Errorf("%d left, dead: %v, waiting: %v", w.left(), dead, waiting)
	}
}

func (w *world) siteURL() string {
	w.t.Helper()
	s, err := w.store.JiraSite(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	return s.URL
}

func TestRateLimitsAreObeyed(t *testing.T) {
	t.Run("with a time", func(t *testing.T) {
		w := newWorld(t, jira.Cloud)
		w.rules(faults.Rule{Operation: "addComment", Status: 429, RetryAfter: "300", Times: 1})
		w.apply(push{}, nil, `{"issue":"DEMO-1","type":"comment","text":"x"}`)
		w.settle(299 * time.Second)
		if n := len(w.jira.Book().Entries(0)); n != 1 {
			t.Errorf("%d requests within the time that Jira asked for, want the one that was limited", n)
		}
		w.settle(10 * time.Second)
		if got := comments(w.view(), "DEMO-1"); len(got) != 1 {
			t.Errorf("comments: %v", got)
		}
	})
	t.Run("for 2 minutes without a time, 100 queued", func(t *testing.T) { // T-FP6
		w := newWorld(t, jira.Cloud)
		end := start.Add(2 * time.Minute)
		requests := 0
		w.answer = func(r *http.Request, _ string) (int, string) {
			if w.clock.now().Before(end) {
				requests++
				return http.StatusTooManyRequests, ""
			}
			return 0, ""
		}
		for i := range 100 {
			w.apply(push{}, nil, fmt.Sprintf(`{"issue":"DEMO-%d","type":"comment","text":"x"}`, i%20+1))
		}
		w.settle(3*time.Minute + 10*time.Second)
		if requests > 30 || w.left() > 0 {
			t.Errorf("%d requests while limited, want at most 30; %d left", requests, w.left())
		}
	})
	t.Run("of one issue", func(t *testing.T) {
		w := newWorld(t, jira.Cloud)
		w.jira.Change(func(s *sandboxSettings) { s.RateLimitReason = "jira-per-issue-on-write" })
		w.rules(faults.Rule{Operation: "addComment", Path: "/rest/api/3/issue/DEMO-1/comment", Status: 429, RetryAfter: "60", Times: 1})
		w.apply(push{}, nil, `{"issue":"DEMO-1","type":"comment","text":"x"}`, `{"issue":"DEMO-2","type":"comment","text":"x"}`)
		w.once()
		w.once()
		if len(comments(w.view(), "DEMO-2")) != 1 || len(comments(w.view(), "DEMO-1")) != 0 {
			t.Errorf("issues: %+v", w.view())
		}
		w.settle(2 * time.Minute)
		if len(comments(w.view(), "DEMO-1")) != 1 {
			t.Errorf("issues: %+v", w.view())
		}
	})
}

func TestBrokenCredentialsPause(t *testing.T) {
	editions(t, func(t *testing.T, kind jira.Kind) {
		w := newWorld(t, kind)
		good, err := w.store.JiraSite(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		bad := good
		bad.APIToken, bad.PAT, bad.ClientSecret = ferry.NewSecret("expired"), ferry.NewSecret("expired"), ferry.NewSecret("expired")
		if err := w.store.SetJiraSite(t.Context(), bad); err != nil {
			t.Fatal(err)
		}
		w.scenario()
		w.settle(4 * time.Hour)
		n := len(w.jira.Book().Entries(0))
		if n > 80 { // probes every 15 minutes in the end
			t.Errorf("%d requests in 4 hours with refused credentials", n)
		}
		pause, ok, err := w.store.Paused(t.Context())
		if err != nil || pause.Reason == "" || strings.Contains(pause.Reason, "expired") {
			t.Errorf("Paused = %+v, %v, %v", pause, ok, err)
		}
		if len(w.deliveries("dead")) > 0 || len(w.view()) > 0 {
			t.Errorf("dead: %v, issues: %v", w.deliveries("dead"), w.view())
		}
		if err := w.store.SetJiraSite(t.Context(), good); err != nil {
			t.Fatal(err)
		}
		w.settle(time.Minute)
		if w.left() > 0 || len(w.deliveries("dead")) > 0 {
			t.Errorf("%d left a minute after new credentials, dead: %v", w.left(), w.deliveries("dead"))
		}
	})
}

func TestPersonalTokens(t *testing.T) {
	editions(t, func(t *testing.T, kind jira.Kind) {
		w := newWorld(t, kind)
		ctx := t.Context()
		people := w.jira.Credentials().People
		for name, token := range map[string]string{"alice": people["alice"].APIToken, "bob": "revoked"} {
			if kind == jira.DataCenter && name == "alice" {
				token = people["alice"].PersonalAccessToken
			}
			u, err := w.store.AddUser(ctx, ferry.User{Name: name, Email: name + "@example.com"})
			if err != nil {
				t.Fatal(err)
			}
			if err := w.store.SetJiraToken(ctx, u.ID, ferry.NewSecret(token), people[name].Email); err != nil {
				t.Fatal(err)
			}
			w.users[name] = u.ID
		}
		w.apply(push{actor: "alice"}, nil, `{"issue":"DEMO-1","type":"comment","text":"by her"}`, `{"issue":"DEMO-1","type":"assign","user":"me"}`)
		w.apply(push{actor: "bob"}, nil, `{"issue":"DEMO-2","type":"comment","text":"for him"}`, `{"issue":"DEMO-2","type":"transition","command":"start-progress","text":"too"}`)
		w.settle(time.Hour)
		v := w.view()
		if diff := cmp.Diff([]string{"alice: by her"}, comments(v, "DEMO-1")); diff != "" || v["DEMO-1"].Assignee != "alice" {
			t.Errorf("DEMO-1 is assigned to %q, comments (-want +got):\n%s", v["DEMO-1"].Assignee, diff)
		}
		if diff := cmp.Diff([]string{"gitferry: for him", "gitferry: too"}, comments(v, "DEMO-2")); diff != "" || v["DEMO-2"].Status != "In Progress" {
			t.Errorf("DEMO-2 is %q, comments (-want +got):\n%s", v["DEMO-2"].Status, diff)
		}
		if _, paused, _ := w.store.Paused(ctx); paused {
			t.Error("one refused personal token paused the site")
		}
	})
}

// A commit names its author, or a colleague, by an address that only we know:
// Jira is asked for the main one.
func TestAssignByAlias(t *testing.T) {
	editions(t, func(t *testing.T, kind jira.Kind) {
		w := newWorld(t, kind)
		_, err := w.store.AddUser(t.Context(), ferry.User{Name: "bob", Email: "bob@example.com", Aliases: []string{"bob@home.example", "b@old.example"}})
		if err != nil {
			t.Fatal(err)
		}
		w.apply(push{}, nil, `{"issue":"DEMO-1","type":"assign","user":"B@old.example"}`, `{"issue":"DEMO-2","type":"assign","user":"stranger@home.example"}`)
		w.settle(time.Hour)
		if v := w.view(); v["DEMO-1"].Assignee != "bob" || v["DEMO-2"].Assignee != "" {
			t.Errorf("DEMO-1 is assigned to %q, want bob; DEMO-2, named by an address of nobody, to %q", v["DEMO-1"].Assignee, v["DEMO-2"].Assignee)
		}
	})
}

// TestTheBooksAreLost delivers, loses the database but not the journal, and
// queues the same actions again.
func TestTheBooksAreLost(t *testing.T) {
	w := newWorld(t, jira.Cloud)
	// One outcome is open when the books get lost: it was done, the answer
	// was not heard.
	w.rules(faults.Rule{Operation: "addComment", Path: "/rest/api/3/issue/OPS-1/comment", Drop: "after", Times: 1})
	queue := func() {
		w.apply(push{}, nil, `{"issue":"OPS-1","type":"comment","text":"open"}`, `{"issue":"OPS-2","type":"comment","text":"heard"}`)
	}
	queue()
	w.once()
	w.once()

	next := newWorld(t, jira.Cloud)
	next.jira = w.jira
	site, err := w.store.JiraSite(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := next.store.SetJiraSite(t.Context(), site); err != nil {
		t.Fatal(err)
	}
	if err := next.worker.journal.close(); err != nil {
		t.Fatal(err)
	}
	next.outbox.Journal = filepath.Join(filepath.Dir(w.outbox.Journal), "outbox.log")
	next.restart()
	w = next
	queue()
	w.settle(time.Hour)
	for _, key := range []string{"OPS-1", "OPS-2"} {
		if got := comments(w.view(), key); len(got) != 1 {
			t.Errorf("%s: %v, want one comment", key, got)
		}
	}
	if w.left() > 0 || len(w.deliveries("dead")) > 0 {
		t.Errorf("%d left, dead: %v", w.left(), w.deliveries("dead"))
	}
}

type submission struct {
	PreventTransitions bool
	OperationType      string
	Properties         map[string]string
	Repositories       []struct {
		ID      string
		Commits []struct {
			ID, Message string
			FileCount   int
			Files       []any
			Sequence    int64 `json:"updateSequenceId"`
		}
		Branches []struct {
			LastCommit struct {
				ID       string
				Keys     []string `json:"issueKeys"`
				Sequence int64    `json:"updateSequenceId"`
			}
		}
	}
}

// watch collects what is submitted.
func (w *world) watch(answer func(s submission) int) *[]submission {
	var all []submission
	w.answer = func(r *http.Request, body string) (int, string) {
		if !strings.HasSuffix(r.URL.Path, "/bulk") {
			return 0, ""
		}
		var s submission
		if err := json.Unmarshal([]byte(body), &s); err != nil {
			w.t.Errorf("submission: %v", err)
		}
		all = append(all, s)
		if answer != nil {
			return answer(s), `{"errorMessages":[{"message":"no"}]}`
		}
		return 0, ""
	}
	return &all
}

func TestProcessors(t *testing.T) {
	const message = "DEMO-1 #comment hello"
	for _, c := range []struct {
		processor        Processor
		prevent          bool // the setting
		backfill         bool
		wantPrevent      bool
		wantType         string
		wantLive         bool // the message holds a live command
		commentByGitferr bool
	}{
		{ProcessorGitferry, false, false, false, "NORMAL", false, true},
		{ProcessorGitferry, true, false, true, "NORMAL", false, true},
		{ProcessorGitferry, false, true, true, "BACKFILL", false, true},
		{ProcessorJira, false, false, false, "NORMAL", true, false},
		{ProcessorJira, false, true, true, "BACKFILL", true, false},
		{ProcessorOff, false, false, false, "NORMAL", false, false},
	} {
		t.Run(fmt.Sprint(c.processor, c.prevent, c.backfill), func(t *testing.T) {
			var options []contract.Option
			if c.wantLive {
				options = append(options, contract.CommandsAllowed())
			}
			w := newWorld(t, jira.Cloud, options...)
			w.jira.Change(func(s *sandboxSettings) { s.NativeOff = true })
			site, err := w.store.JiraSite(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			site.Processor = string(c.processor)
			if err := w.store.SetJiraSite(t.Context(), site); err != nil {
				t.Fatal(err)
			}
			if err := w.store.SetSetting(t.Context(), SettingPreventTransitions, c.prevent); err != nil {
				t.Fatal(err)
			}
			got := w.watch(nil)
			w.apply(push{message: message, backfill: c.backfill}, []ferry.IssueKey{"DEMO-1"}, `{"issue":"DEMO-1","type":"comment","text":"hello"}`)
			w.settle(time.Hour)
			if len(*got) != 1 {
				t.Fatalf("%d submissions", len(*got))
			}
			s := (*got)[0]
			live := s.Repositories[0].Commits[0].Message == message
			if s.PreventTransitions != c.wantPrevent || s.OperationType != c.wantType || live != c.wantLive {
				t.Errorf("prevent %v, type %s, live %v, want %v, %s, %v", s.PreventTransitions, s.OperationType, live, c.wantPrevent, c.wantType, c.wantLive)
			}
			if n := len(comments(w.view(), "DEMO-1")); (n == 1) != c.commentByGitferr {
				t.Errorf("%d comments", n)
			}
		})
	}
}

func TestOneBadEntityHoldsUpNoOther(t *testing.T) {
	w := newWorld(t, jira.Cloud)
	var bad string
	got := w.watch(func(s submission) int {
		for _, c := range s.Repositories[0].Commits {
			if c.ID == bad {
				return http.StatusBadRequest
			}
		}
		return 0
	})
	for i := range 50 {
		oid := w.apply(push{message: "DEMO-1"}, []ferry.IssueKey{"DEMO-1"})
		if i == 20 {
			bad = oid.String()
		}
	}
	w.settle(time.Hour)
	if dead := w.deliveries("dead"); len(dead) != 1 || len(w.view()["DEMO-1"].Commits) != 49 {
		t.Errorf("dead: %v; %d commits at the issue, want 49", dead, len(w.view()["DEMO-1"].Commits))
	}
	if len(*got) > 15 {
		t.Errorf("%d submissions to find one of 50", len(*got))
	}
}

func TestTooLargeIsHalvedAndTrimmed(t *testing.T) {
	w := newWorld(t, jira.Cloud)
	w.watch(func(s submission) int {
		if len(s.Repositories[0].Commits) > 1 || len(s.Repositories[0].Commits[0].Files) > 0 {
			return http.StatusRequestEntityTooLarge
		}
		return 0
	})
	for range 4 {
		w.apply(push{message: "DEMO-1"}, []ferry.IssueKey{"DEMO-1"})
	}
	w.settle(time.Hour)
	if n := len(w.view()["DEMO-1"].Commits); n != 4 || w.left() > 0 {
		t.Errorf("%d commits at the issue, %d left, dead: %v", n, w.left(), w.deliveries("dead"))
	}
}

func TestEntitiesRefusedOneByOne(t *testing.T) {
	w := newWorld(t, jira.Cloud)
	one := w.apply(push{message: "DEMO-1"}, []ferry.IssueKey{"DEMO-1"})
	w.apply(push{message: "DEMO-1"}, []ferry.IssueKey{"DEMO-1"})
	w.jira.Change(func(s *sandboxSettings) { s.FailEntities = map[string]string{one.String(): "not this one"} })
	w.settle(time.Hour)
	dead := w.deliveries("dead")
	if len(dead) != 1 || !strings.Contains(dead[0], "not this one") || len(w.view()["DEMO-1"].Commits) != 1 {
		t.Errorf("dead: %v, issue: %+v", dead, w.view()["DEMO-1"])
	}
}

func TestWithdrawing(t *testing.T) {
	editions(t, func(t *testing.T, kind jira.Kind) {
		w := newWorld(t, kind)
		oid := w.apply(push{message: "DEMO-1 DEMO-2"}, []ferry.IssueKey{"DEMO-1", "DEMO-2"})
		w.branch("refs/heads/DEMO-1", ferry.OID{}, oid, "DEMO-1")
		w.settle(time.Hour)
		if v := w.view(); len(v) != 2 {
			t.Fatalf("issues: %+v", v)
		}
		w.branch("refs/heads/DEMO-1", oid, ferry.OID{}) // deleted
		_, err := w.store.Apply(t.Context(), store.Change{Repository: w.repo.ID, Lost: []ferry.OID{oid},
			Entities: []store.Entity{{Repository: w.repo.ID, Kind: store.EntityCommit, EntityID: oid.String(), Keys: []ferry.IssueKey{"DEMO-2"}}}})
		if err != nil {
			t.Fatal(err)
		}
		w.settle(time.Hour)
		v := w.view()
		if _, still := v["DEMO-1"]; still || len(v["DEMO-2"].Commits)+len(v["DEMO-2"].Links) != 1 {
			t.Errorf("after taking one key away: %+v", v)
		}
		_, err = w.store.Apply(t.Context(), store.Change{Repository: w.repo.ID,
			Entities: []store.Entity{{Repository: w.repo.ID, Kind: store.EntityCommit, EntityID: oid.String()}}})
		if err != nil {
			t.Fatal(err)
		}
		w.settle(time.Hour)
		if v := w.view(); len(v) != 0 || w.left() != 0 {
			t.Errorf("after withdrawing: %+v, %d left", v, w.left())
		}
	})
}

// What Jira shows beside an issue leads to our pages: on Cloud a branch has the
// address that opens a pull request from it, on Data Center every link says in
// a summary what it is.
func TestWaysToOurPages(t *testing.T) {
	editions(t, func(t *testing.T, kind jira.Kind) {
		w := newWorld(t, kind)
		oid := w.apply(push{message: "DEMO-1 DEMO-2"}, []ferry.IssueKey{"DEMO-1", "DEMO-2"})
		w.branch("refs/heads/topic/DEMO-1 & more+x", ferry.OID{}, oid, "DEMO-1", "DEMO-2")
		w.branch("refs/heads/main", ferry.OID{}, oid, "DEMO-2")
		w.branch("refs/heads/DEMO-2-"+ferry.RefName(strings.Repeat("ü", 180)), ferry.OID{}, oid, "DEMO-2")
		err := w.store.PutPullRequests(t.Context(), w.repo.ID, []store.PullRequest{{Repository: w.repo.ID, Number: 7, Title: "DEMO-1", Source: "refs/heads/x",
			Destination: "refs/heads/main", Status: "open", Author: "jane", CreatedAt: start, UpdatedAt: start, Keys: []ferry.IssueKey{"DEMO-1"}}},
			[]store.Entity{{Repository: w.repo.ID, Kind: store.EntityPullRequest, EntityID: "7", Keys: []ferry.IssueKey{"DEMO-1"}}})
		if err != nil {
			t.Fatal(err)
		}
		w.settle(time.Hour)
		if dead := w.deliveries("dead"); len(dead) > 0 {
			t.Fatal(dead)
		}
		state := strings.ReplaceAll(string(w.jira.State()), `\u0026`, "&")
		want := []string{`"summary":"Jane Roe in us-east-1/demo"`, `"summary":"branch in us-east-1/demo"`, `"summary":"open in us-east-1/demo"`}
		if kind == jira.Cloud {
			want = []string{`"createPullRequestUrl":"https://git.example/issues/DEMO-1/pulls/new?repo=` + fmt.Sprint(w.repo.ID) + `&source=topic%2FDEMO-1+%26+more%2Bx"`,
				`"url":"https://git.example/us-east-1/demo/commit/` + oid.String() + `"`, `"url":"https://git.example/us-east-1/demo/pull/7"`}
			if strings.Contains(state, "source=main") {
				t.Error("the main branch has an address for a pull request from it")
			}
		}
		for _, words := range want {
			if !strings.Contains(state, words) {
				t.Errorf("Jira does not have %s:\n%s", words, state)
			}
		}
	})
	l := Links{Base: "https://git.example"}
	if got := l.NewPull(ferry.Repository{ID: 1}, "DEMO-1", ferry.RefName("refs/heads/"+strings.Repeat("ü", 400))); got != "" {
		t.Errorf("an address of %d characters is given", len(got))
	}
}

func TestPullRequests(t *testing.T) {
	editions(t, func(t *testing.T, kind jira.Kind) {
		w := newWorld(t, kind)
		// Of two of those whom AWS names it is known who they are here.
		const jane, eve = "arn:aws:iam::123456789012:user/jane", "arn:aws:iam::123456789012:user/eve"
		for arn, u := range map[string]ferry.User{jane: {Name: "jd", Display: "Jane Doe", Email: "jane@example.org"}, eve: {Name: "eve", Email: "eve@example.org"}} {
			u, err := w.store.AddUser(t.Context(), u)
			if err == nil {
				err = w.store.AddAWSPerson(t.Context(), store.AWSPerson{ARN: arn, User: u.ID})
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		pull := store.PullRequest{Repository: w.repo.ID, Number: 7, Title: "DEMO-1 better", Source: "refs/heads/feature/DEMO-1", Destination: "refs/heads/main",
			Status: "open", Author: "jane", AuthorARN: jane, Reviewers: []store.Reviewer{{Name: "bob@example.com", ARN: "arn:aws:sts::123456789012:assumed-role/Dev/bob@example.com", Approved: true}, {Name: "eve", ARN: eve}, {Name: "mallory"}},
			CreatedAt: start, UpdatedAt: start, Keys: []ferry.IssueKey{"DEMO-1"}}
		for _, merged := range []bool{false, true} {
			if pull.Merged = merged; merged {
				pull.Status = "closed"
			}
			err := w.store.PutPullRequests(t.Context(), w.repo.ID, []store.PullRequest{pull},
				[]store.Entity{{Repository: w.repo.ID, Kind: store.EntityPullRequest, EntityID: "7", Keys: pull.Keys}})
			if err != nil {
				t.Fatal(err)
			}
			w.settle(time.Hour)
			want := map[bool]string{false: "open", true: "merged"}[merged]
			if state := strings.ToLower(string(w.jira.State())); !strings.Contains(state, want) || !strings.Contains(state, "demo-1 better") {
				t.Errorf("no %s pull request at Jira; dead: %v", want, w.deliveries("dead"))
			} else if reviewers := `"reviewers":[{"name":"bob@example.com","email":"bob@example.com","approvalstatus":"approved"},{"name":"eve","email":"eve@example.org","approvalstatus":"unapproved"},{"name":"mallory","approvalstatus":"unapproved"}]`; kind == jira.Cloud && !strings.Contains(state, reviewers) {
				t.Errorf("its reviewers are not at Jira: %s", state)
			} else if author := `"author":{"name":"jane doe","email":"jane@example.org"}`; kind == jira.Cloud && !strings.Contains(state, author) {
				t.Errorf("its author is not at Jira: %s", state)
			}
		}
	})
}

func TestDevelopmentInformationIsForbidden(t *testing.T) {
	w := newWorld(t, jira.Cloud)
	w.rules(faults.Rule{Operation: "storeDevelopmentInformation", Status: 403, Times: 3})
	w.scenario()
	w.settle(time.Minute)
	if got := w.view(); len(got["DEMO-1"].Comments) != 4 || len(got["DEMO-1"].Commits) != 0 {
		t.Errorf("DEMO-1 is %+v, want the commands carried out and no commits", got["DEMO-1"])
	}
	if s, err := w.store.JiraSite(t.Context()); err != nil || !strings.Contains(s.Problem, "403") {
		t.Errorf("problem of the site = %q, %v", s.Problem, err)
	}
	w.settle(time.Hour)
	if s, err := w.store.JiraSite(t.Context()); err != nil || s.Problem != "" || w.left() > 0 {
		t.Errorf("problem of the site = %q, %v; %d left", s.Problem, err, w.left())
	}
}

func TestGivingUpAfterSevenDays(t *testing.T) {
	w := newWorld(t, jira.Cloud)
	w.answer = func(*http.Request, string) (int, string) { return http.StatusBadGateway, "" }
	w.apply(push{}, nil, `{"issue":"DEMO-1","type":"comment","text":"x"}`)
	for range 8 * 24 * 2 { // in half hours, or the test takes long
		w.once()
		w.clock.step(30 * time.Minute)
	}
	dead := w.deliveries("dead")
	if len(dead) != 1 || !strings.Contains(dead[0], "7 days") {
		t.Errorf("dead: %v, %d left", dead, w.left())
	}
}

func TestRun(t *testing.T) {
	w := newWorld(t, jira.Cloud)
	if err := w.worker.journal.close(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- w.outbox.Run(ctx) }()
	w.apply(push{message: "DEMO-1"}, []ferry.IssueKey{"DEMO-1"}, `{"issue":"DEMO-1","type":"comment","text":"x"}`)
	w.outbox.Wake()
	for end := time.Now().Add(10 * time.Second); w.left() > 0 && time.Now().Before(end); {
		time.Sleep(10 * time.Millisecond)
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Run: %v", err)
	}
	if w.left() > 0 || len(comments(w.view(), "DEMO-1")) != 1 {
		t.Errorf("%d left, issues: %+v", w.left(), w.view())
	}
}
