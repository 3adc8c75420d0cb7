package outbox

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gitferry/internal/ferry"
	"gitferry/internal/jira"
	sandbox "gitferry/internal/sandbox/jira"
	"gitferry/internal/sandbox/jira/contract"
	"gitferry/internal/store"
)

// A clock that tests move by hand.
type clock struct {
	mu sync.Mutex
	at time.Time // guarded by mu
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) step(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

var start = time.Date(2026, 11, 25, 10, 0, 0, 0, time.UTC)

// A world is books, a stand-in for Jira and an outbox between them, all on
// one clock. Every request is checked against the published descriptions.
type world struct {
	t      *testing.T
	kind   jira.Kind
	clock  *clock
	jira   *sandbox.Server
	store  *store.Store
	repo   ferry.Repository
	users  map[string]ferry.UserID // with a Jira token of their own
	outbox *Outbox
	worker *worker
	oids   int // commits made so far; they are named by their number
	// lose, if set, is asked after each request that reached Jira whether
	// its answer gets lost; it may be called concurrently.
	lose func(*http.Request) bool
	// answer, if set, may answer a request in Jira's place with a status and
	// a body; 0 passes it on.
	answer func(r *http.Request, body string) (int, string)
}

func newWorld(t *testing.T, kind jira.Kind, options ...contract.Option) *world {
	t.Helper()
	w := &world{t: t, kind: kind, clock: &clock{at: start}, users: map[string]ferry.UserID{}}
	w.jira = sandbox.New(sandbox.Config{Now: w.clock.now})
	srv := httptest.NewServer(w.jira.Handler())
	t.Cleanup(srv.Close)
	dir := t.TempDir()
	var err error
	w.store, err = store.Open(t.Context(), filepath.Join(dir, "gitferry.db"), store.Options{MasterKey: make([]byte, 32), Now: w.clock.now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.store.Close() })
	ctx := t.Context()
	integration, err := w.store.AddIntegration(ctx, ferry.Integration{Slug: "us-east-1", Name: "us-east-1", Kind: ferry.KindCodeCommit, Region: "us-east-1", GitAuth: ferry.GitAuthBasic}, ferry.Credentials{})
	if err != nil {
		t.Fatal(err)
	}
	w.repo, err = w.store.AddRepository(ctx, ferry.Repository{IntegrationID: integration.ID, Owner: "us-east-1", Name: "demo", Region: "us-east-1",
		CloneURL: "https://git-codecommit.us-east-1.amazonaws.com/v1/repos/demo", DefaultBranch: "main", State: ferry.RepositoryEnabled, SmartCommits: true})
	if err != nil {
		t.Fatal(err)
	}
	cr := w.jira.Credentials()
	site := store.JiraSite{Kind: string(kind), URL: srv.URL, Processor: "gitferry", HoursPerDay: 8, DaysPerWeek: 5}
	if kind == jira.Cloud {
		site.Email, site.APIToken, site.CloudID = cr.Email, ferry.NewSecret(cr.APIToken), cr.CloudID
		site.DevinfoURL, site.ClientID, site.ClientSecret = srv.URL, cr.ClientID, ferry.NewSecret(cr.ClientSecret)
	} else {
		site.URL, site.PAT = srv.URL+"/dc", ferry.NewSecret(cr.PersonalAccessToken)
	}
	if err := w.store.SetJiraSite(ctx, site); err != nil {
		t.Fatal(err)
	}
	options = append(options, contract.Now(w.clock.now))
	transport := contract.Transport(t, &lossy{world: w, base: http.DefaultTransport.(*http.Transport).Clone()}, options...)
	w.outbox = &Outbox{
		Store: w.store, Links: Links{Base: "https://git.example"}, Journal: filepath.Join(dir, "outbox.log"), Boot: "boot-1", Now: w.clock.now,
		Sites: &Sites{Store: w.store, Transport: transport, Product: "gitferry/test", Now: w.clock.now},
		Files: func(context.Context, ferry.RepositoryID, ferry.OID) ([]FileChange, int, error) {
			return []FileChange{{Path: "dir/a b.go", Change: "modified", Added: 2, Removed: 1}}, 12, nil
		},
	}
	w.restart()
	return w
}

// restart begins a new run, as after a crash.
func (w *world) restart() {
	w.t.Helper()
	var err error
	if w.worker, err = w.outbox.start(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
}

// lossy loses answers.
type lossy struct {
	world *world
	base  http.RoundTripper
}

func (l *lossy) RoundTrip(r *http.Request) (*http.Response, error) {
	if l.world.answer != nil {
		var body []byte
		if r.Body != nil {
			body, _ = io.ReadAll(r.Body)
			r.Body = io.NopCloser(bytes.NewReader(body))
		}
		if status, text := l.world.answer(r, string(body)); status != 0 {
			return &http.Response{StatusCode: status, Header: http.Header{"Content-Type": {"application/json"}},
				Body: io.NopCloser(strings.NewReader(text)), Request: r}, nil
		}
	}
	resp, err := l.base.RoundTrip(r)
	if err == nil && l.world.lose != nil && l.world.lose(r) {
		resp.Body.Close()
		return nil, fmt.Errorf("the answer to %s %s is lost", r.Method, r.URL.Path)
	}
	return resp, err
}

// A push is one commit by Jane Roe with its commands.
type push struct {
	message  string
	actor    string
	authored time.Time
	backfill bool
}

type sandboxSettings = sandbox.Settings

// apply queues what the index would for a commit: its development
// information and one action per command. Commands are those of the JSON
// form, by issue.
func (w *world) apply(p push, keys []ferry.IssueKey, commands ...string) ferry.OID {
	w.t.Helper()
	w.oids++
	oid, err := ferry.ParseOID(fmt.Sprintf("%040x", 0xabcdef0000+w.oids))
	if err != nil {
		w.t.Fatal(err)
	}
	if p.authored.IsZero() {
		p.authored = w.clock.now().Add(-time.Hour)
	}
	who := store.Person{Name: "Jane Roe", Email: "jane@example.com"}
	c := store.Commit{OID: oid, Author: who, AuthoredAt: p.authored, Committer: who, CommittedAt: p.authored, Message: p.message}
	for _, k := range keys {
		c.Links = append(c.Links, store.Link{Key: k, Reason: "message"})
	}
	change := store.Change{Repository: w.repo.ID, Commits: []store.Commit{c},
		Entities: []store.Entity{{Repository: w.repo.ID, Kind: store.EntityCommit, EntityID: oid.String(), Keys: keys, Backfill: p.backfill}}}
	for i, command := range commands {
		var issue struct{ Issue ferry.IssueKey }
		if err := json.Unmarshal([]byte(command), &issue); err != nil {
			w.t.Fatal(err)
		}
		change.Actions = append(change.Actions, store.Action{
			Identity: fmt.Sprintf("sc1-%s-%d", oid, i), Repository: w.repo.ID, OID: oid, Key: issue.Issue, Ordinal: i,
			Command: json.RawMessage(command), Author: who, AuthoredAt: p.authored, Actor: w.users[p.actor],
		})
	}
	if _, err := w.store.Apply(w.t.Context(), change); err != nil {
		w.t.Fatal(err)
	}
	return oid
}

// branch moves a branch to oid and queues it.
func (w *world) branch(name ferry.RefName, old, oid ferry.OID, keys ...ferry.IssueKey) {
	w.t.Helper()
	_, err := w.store.Apply(w.t.Context(), store.Change{Repository: w.repo.ID, Updates: []ferry.RefUpdate{{Name: name, Old: old, New: oid}},
		RefLinks: map[ferry.RefName][]ferry.IssueKey{name: keys},
		Entities: []store.Entity{{Repository: w.repo.ID, Kind: store.EntityBranch, EntityID: string(name), Keys: keys}}})
	if err != nil {
		w.t.Fatal(err)
	}
}

// once does what is due now and waits for it. It returns how long to wait.
func (w *world) once() time.Duration {
	w.t.Helper()
	wait, err := w.worker.round(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	w.worker.running.Wait()
	return wait
}

// settle works and moves the clock until nothing is left to be done, or for
// at most the given time.
func (w *world) settle(most time.Duration) {
	w.t.Helper()
	for end := w.clock.now().Add(most); w.clock.now().Before(end); {
		for range 200 { // what is due now
			before := w.left()
			w.once()
			if w.left() == before {
				break
			}
		}
		if w.left() == 0 {
			return
		}
		w.clock.step(max(w.once(), most/1000))
	}
}

// left counts the rows that are not in a final state.
func (w *world) left() int {
	w.t.Helper()
	c, err := w.store.Counts(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	n := 0
	for s, k := range c.Actions {
		if s != store.ActionDone && s != store.ActionDead && s != store.ActionSkipped {
			n += k
		}
	}
	for s, k := range c.Entities {
		if s != store.EntityDone && s != store.EntityDead && s != store.EntityWaiting {
			n += k
		}
	}
	return n
}

// deliveries lists state and problem of everything in a state.
func (w *world) deliveries(state string) []string {
	w.t.Helper()
	ds, err := w.store.Deliveries(w.t.Context(), store.DeliveryFilter{State: state, Limit: 1000})
	if err != nil {
		w.t.Fatal(err)
	}
	var out []string
	for _, d := range ds {
		out = append(out, fmt.Sprintf("%s %v %s: %s", d.Kind, d.Keys, d.State, d.Problem))
	}
	slices.Sort(out)
	return out
}

// An issueView is what an issue looks like, without ids and times of making.
type issueView struct {
	Status, Resolution, Assignee string
	Labels, Fix, Affected        []string
	Comments, Worklogs, Moves    []string
	Commits, Branches, Links     []string
}

// view reads the state of all issues that are not as they were made.
func (w *world) view() map[string]issueView {
	w.t.Helper()
	var st struct {
		Issues map[string]map[string]json.RawMessage
	}
	if err := json.Unmarshal(w.jira.State(), &st); err != nil {
		w.t.Fatal(err)
	}
	out := map[string]issueView{}
	for key, is := range st.Issues {
		v := viewIssue(w.t, is)
		if fmt.Sprint(v) != fmt.Sprint(issueView{Status: "To Do"}) {
			out[key] = v
		}
	}
	return out
}

func viewIssue(t *testing.T, is map[string]json.RawMessage) issueView {
	t.Helper()
	get := func(name string, into any) {
		if raw, ok := is[name]; ok {
			if err := json.Unmarshal(raw, into); err != nil {
				t.Fatalf("%s: %v in %.300s", name, err, raw)
			}
		}
	}
	var v issueView
	get("status", &v.Status)
	get("resolution", &v.Resolution)
	get("assignee", &v.Assignee)
	get("labels", &v.Labels)
	get("fix_versions", &v.Fix)
	get("affects_versions", &v.Affected)
	var comments, worklogs []map[string]any
	var history []struct {
		Items []struct{ Field, FromString, ToString string }
	}
	var links []struct {
		GlobalID string `json:"global_id"`
		Request  struct{ Object struct{ Title, URL string } }
	}
	get("comments", &comments)
	get("worklogs", &worklogs)
	get("history", &history)
	get("remote_links", &links)
	for _, c := range comments {
		v.Comments = append(v.Comments, fmt.Sprintf("%v: %v", c["author"], c["text"]))
	}
	for _, l := range worklogs {
		v.Worklogs = append(v.Worklogs, fmt.Sprintf("%v: %v %v %v", l["author"], l["seconds"], l["started"], l["text"]))
	}
	for _, h := range history {
		for _, i := range h.Items {
			if i.Field == "status" {
				v.Moves = append(v.Moves, i.FromString+" -> "+i.ToString)
			}
		}
	}
	for _, l := range links {
		_, id, _ := strings.Cut(strings.TrimPrefix(l.GlobalID, "gitferry:"), ":")
		v.Links = append(v.Links, id+" "+l.Request.Object.Title+" "+l.Request.Object.URL)
	}
	var dev struct{ Commits, Branches []struct{ ID string } }
	get("development", &dev)
	for _, c := range dev.Commits {
		v.Commits = append(v.Commits, c.ID)
	}
	for _, b := range dev.Branches {
		v.Branches = append(v.Branches, b.ID)
	}
	slices.Sort(v.Commits)
	slices.Sort(v.Branches)
	slices.Sort(v.Links)
	return v
}
