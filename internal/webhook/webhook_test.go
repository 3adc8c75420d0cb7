package webhook

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gitferry/internal/ferry"
	"gitferry/internal/filelist"
	"gitferry/internal/ghshape"
	"gitferry/internal/git"
	"gitferry/internal/gittest"
	"gitferry/internal/store"
	"gitferry/mirror"
)

// world is a sender on a real store and a real mirror.
type world struct {
	*Sender
	t    *testing.T
	repo ferry.Repository
	work *gittest.Repo
	mu   sync.Mutex
	now  time.Time // guarded by mu
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, now: time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)}
	log := slog.New(slog.DiscardHandler)
	dir := t.TempDir()
	st, err := store.Open(t.Context(), filepath.Join(dir, "gitferry.db"), store.Options{MasterKey: make([]byte, 32), Now: w.clock, Log: log})
	w.must(err)
	t.Cleanup(func() { st.Close() })
	g, err := git.New(t.Context(), dir)
	w.must(err)
	m := &mirror.Dir{Root: dir, Git: g, Log: log}
	plain := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{DisableKeepAlives: true}}
	w.Sender = &Sender{Store: st, Client: func(bool) *http.Client { return plain }, Git: g, Mirror: m, Lists: &filelist.Lists{Store: st, Git: g, Mirror: m, Log: log},
		Shape: ghshape.Shape{Public: "https://ferry.example"}, PrivateNetwork: true, UserAgent: "gitferry/test", Log: log, Now: w.clock,
		Tick: 10 * time.Millisecond, Timeout: 500 * time.Millisecond}
	i, err := st.AddIntegration(t.Context(), ferry.Integration{Slug: "us-east-1", Kind: ferry.KindCodeCommit, Region: "us-east-1"}, ferry.Credentials{})
	w.must(err)
	w.repo, err = st.AddRepository(t.Context(), ferry.Repository{IntegrationID: i.ID, Name: "demo", Region: "us-east-1", HostID: "demo", DefaultBranch: "main"})
	w.must(err)
	w.work = gittest.New(t)
	path := m.Path(w.repo.ID)
	w.must(os.MkdirAll(filepath.Dir(path), 0o700))
	w.must(os.Symlink(filepath.Join(w.work.Dir, ".git"), path))
	w.must(os.WriteFile(filepath.Join(path, "gitferry-copied"), nil, 0o600))
	return w
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) advance(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

// moves notes movements as the index would.
func (w *world) moves(updates ...ferry.RefUpdate) {
	w.t.Helper()
	_, err := w.Store.Apply(w.t.Context(), store.Change{Repository: w.repo.ID, Updates: updates})
	w.must(err)
}

func (w *world) hook(to, contentType, secret string, events ...string) store.Webhook {
	w.t.Helper()
	h, err := w.Store.AddWebhook(w.t.Context(), store.Webhook{Repository: w.repo.ID, URL: to, ContentType: contentType, Secret: ferry.NewSecret(secret), Events: events, Active: true})
	w.must(err)
	return h
}

// run runs the sender until the test ends or stop is called.
func (w *world) run() (stop func()) {
	ctx, cancel := context.WithCancel(w.t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := w.Run(ctx); err != nil {
			w.t.Error(err)
		}
	}()
	stop = func() { cancel(); <-done }
	w.t.Cleanup(stop)
	return stop
}

// until waits for something that the sender does by itself.
func (w *world) until(what string, ok func() bool) {
	w.t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			w.t.Fatalf("waited for nothing: %s", what)
		}
	}
}

func (w *world) log(h store.Webhook) []store.WebhookDelivery {
	w.t.Helper()
	list, err := w.Store.WebhookDeliveries(w.t.Context(), h.ID, 0, 1000)
	w.must(err)
	slices.Reverse(list)
	return list
}

// A receiver keeps what it got.
type receiver struct {
	*httptest.Server
	mu       sync.Mutex
	requests []received                                          // guarded by mu
	behave   func(n int, w http.ResponseWriter, _ *http.Request) // guarded by mu; nil: 200
}

type received struct {
	header http.Header
	body   string
}

func newReceiver(t *testing.T) *receiver {
	r := &receiver{}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		r.mu.Lock()
		r.requests = append(r.requests, received{req.Header, string(body)})
		n, behave := len(r.requests), r.behave
		r.mu.Unlock()
		if behave != nil {
			behave(n, w, req)
		}
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) got() []received {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.requests)
}

// What moves is told in GitHub's form, signed, in both content types.
func TestPushCreateDelete(t *testing.T) {
	w := newWorld(t)
	asJSON, asForm := newReceiver(t), newReceiver(t)
	root := w.work.Commit("root", "a", "1\n", "gone", "x\n")
	w.moves(ferry.RefUpdate{Name: "refs/heads/main", New: root}) // before anybody asked
	h := w.hook(asJSON.URL+"/hook", "json", "It's a Secret to Everybody", "push", "create", "delete")
	w.hook(asForm.URL+"/sync", "form", "", "push")
	w.work.Run("rm", "--quiet", "gone")
	w.work.Commit("DEMO-1 one", "b", "2\n")
	two := w.work.Commit("two", "a", "1\n2\n")
	side := w.work.OID("HEAD~1")
	w.moves(ferry.RefUpdate{Name: "refs/heads/main", Old: root, New: two})
	w.moves(ferry.RefUpdate{Name: "refs/heads/side", New: side}, ferry.RefUpdate{Name: "refs/tags/v1", New: two})
	w.moves(ferry.RefUpdate{Name: "refs/heads/side", Old: side, New: root})
	w.moves(ferry.RefUpdate{Name: "refs/heads/side", Old: root})
	w.run()
	w.until("deliveries", func() bool { return len(asJSON.got()) == 8 && len(asForm.got()) == 5 })

	var kinds []string
	for _, r := range asJSON.got() {
		mac := hmac.New(sha256.New, []byte("It's a Secret to Everybody"))
		mac.Write([]byte(r.body))
		if r.header.Get("X-Hub-Signature-256") != "sha256="+hex.EncodeToString(mac.Sum(nil)) || r.header.Get("Content-Type") != "application/json" {
			t.Errorf("headers: %v", r.header)
		}
		var p struct{ Ref string }
		w.must(json.Unmarshal([]byte(r.body), &p))
		kinds = append(kinds, r.header.Get("X-GitHub-Event")+" "+p.Ref)
	}
	if d := cmp.Diff([]string{"push refs/heads/main", "create side", "push refs/heads/side", "create v1", "push refs/tags/v1", "push refs/heads/side", "delete side", "push refs/heads/side"}, kinds); d != "" {
		t.Errorf("events (-want +got):\n%s", d)
	}
	var push struct {
		Before, After string
		Forced        bool
		Compare       string
		Repository    struct {
			FullName string `json:"full_name"`
		}
		Commits []struct {
			ID, Message, TreeID      string
			Added, Removed, Modified []string
		}
		HeadCommit struct{ ID string } `json:"head_commit"`
	}
	w.must(json.Unmarshal([]byte(asJSON.got()[0].body), &push))
	if push.Before != root.String() || push.After != two.String() || push.Forced || len(push.Commits) != 2 || push.HeadCommit.ID != two.String() || push.Repository.FullName != "us-east-1/demo" {
		t.Errorf("push: %+v", push)
	} else if c := push.Commits[0]; c.Message != "DEMO-1 one" || !slices.Equal(c.Added, []string{"b"}) || !slices.Equal(c.Removed, []string{"gone"}) {
		t.Errorf("first commit: %+v", c)
	}
	w.must(json.Unmarshal([]byte(asJSON.got()[5].body), &push))
	if !push.Forced {
		t.Errorf("push backwards is not forced: %+v", push)
	}
	form, err := url.ParseQuery(asForm.got()[0].body)
	w.must(err)
	if !json.Valid([]byte(form.Get("payload"))) || asForm.got()[0].header.Get("X-GitHub-Event") != "push" || asForm.got()[0].header.Get("X-Hub-Signature-256") != "" {
		t.Errorf("form: %v", asForm.got()[0])
	}
	w.until("the log", func() bool {
		return !slices.ContainsFunc(w.log(h), func(d store.WebhookDelivery) bool { return d.State != store.WebhookDone })
	})

	// Again by hand, with the same GUID.
	first := w.log(h)[0]
	w.must(w.Store.RedeliverWebhook(t.Context(), h.ID, first.ID))
	w.until("the redelivery", func() bool { return len(asJSON.got()) == 9 })
	if again := asJSON.got()[8]; again.header.Get("X-GitHub-Delivery") != first.GUID || again.body != asJSON.got()[0].body {
		t.Errorf("redelivery: %v", again.header)
	}
}

// Whoever pushed through this server is the one who is named.
func TestPusher(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	r := newReceiver(t)
	u, err := w.Store.AddUser(ctx, ferry.User{Name: "alice", Email: "alice@example.com"})
	w.must(err)
	w.hook(r.URL, "json", "", "push")
	update := ferry.RefUpdate{Name: "refs/heads/main", New: w.work.Commit("one")}
	id, err := w.Store.ReleasePush(ctx, store.Push{Repository: w.repo.ID, User: u.ID, Updates: []ferry.RefUpdate{update}})
	w.must(err)
	w.must(w.Store.ResolvePush(ctx, id, []store.PushResult{{Name: update.Name, Outcome: store.OutcomeOK}}))
	_, err = w.Store.Apply(ctx, store.Change{Repository: w.repo.ID, Updates: []ferry.RefUpdate{update}, Push: id})
	w.must(err)
	w.moves(ferry.RefUpdate{Name: "refs/heads/main", Old: update.New, New: w.work.Commit("found by looking")})
	w.run()
	w.until("deliveries", func() bool { return len(r.got()) == 2 })
	for i, want := range []string{"alice alice@example.com alice User", "gitferry  gitferry Bot"} {
		var p struct {
			Pusher struct{ Name, Email string }
			Sender struct{ Login, Type string }
		}
		w.must(json.Unmarshal([]byte(r.got()[i].body), &p))
		if got := p.Pusher.Name + " " + p.Pusher.Email + " " + p.Sender.Login + " " + p.Sender.Type; got != want {
			t.Errorf("push %d is by %q, want %q", i, got, want)
		}
	}
}

// Pull requests are told as the difference to what was told last.
func TestPullRequests(t *testing.T) {
	w := newWorld(t)
	r := newReceiver(t)
	root := w.work.Commit("root")
	p := store.PullRequest{Number: 3, Title: "DEMO-1", Source: "refs/heads/f", Destination: "refs/heads/main", SourceOID: root, DestinationOID: root, Status: "open",
		Author: "arn:aws:iam::1:user/alice", CreatedAt: w.clock(), UpdatedAt: w.clock()}
	old := p
	old.Number = 1
	w.must(w.Store.PutPullRequests(t.Context(), w.repo.ID, []store.PullRequest{old}, nil))
	w.hook(r.URL, "json", "", "pull_request")
	put := func(change func()) {
		change()
		p.UpdatedAt = p.UpdatedAt.Add(time.Minute)
		w.must(w.Store.PutPullRequests(t.Context(), w.repo.ID, []store.PullRequest{old, p}, nil))
		w.must(w.Tell(t.Context()))
	}
	put(func() {})
	put(func() { p.Title = "DEMO-1 better" })
	put(func() { p.SourceOID = w.work.Commit("more") })
	put(func() { p.Status, p.Merged = "closed", true })
	w.must(w.Tell(t.Context()))
	w.run()
	w.until("deliveries", func() bool { return len(r.got()) == 4 })
	var actions []string
	for _, q := range r.got() {
		var e struct {
			Action      string
			Number      int
			PullRequest struct {
				Merged bool
				State  string
			} `json:"pull_request"`
		}
		w.must(json.Unmarshal([]byte(q.body), &e))
		actions = append(actions, fmt.Sprintf("%s %d %s %v", e.Action, e.Number, e.PullRequest.State, e.PullRequest.Merged))
	}
	if d := cmp.Diff([]string{"opened 3 open false", "edited 3 open false", "synchronize 3 open false", "closed 3 closed true"}, actions); d != "" {
		t.Errorf("actions (-want +got):\n%s", d)
	}
}

// A receiver that fails, stalls or lies loses nothing and holds up nobody.
func TestBadReceivers(t *testing.T) {
	w := newWorld(t)
	target := newReceiver(t) // where the redirect leads
	bad := map[string]func(n int, w http.ResponseWriter, _ *http.Request){
		"fails": func(_ int, w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) },
		"redirects": func(_ int, w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, target.URL, http.StatusTemporaryRedirect)
		},
		"stalls": func(_ int, _ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"drips": func(_ int, w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				io.WriteString(w, "x")
				w.(http.Flusher).Flush()
				time.Sleep(20 * time.Millisecond)
			}
		},
		"lies about length": func(_ int, w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			io.WriteString(w, "short")
		},
		"hangs up": func(_ int, w http.ResponseWriter, _ *http.Request) {
			conn, _, err := w.(http.Hijacker).Hijack()
			if err == nil {
				conn.(*net.TCPConn).SetLinger(0)
				conn.Close()
			}
		},
	}
	receivers := map[string]*receiver{}
	hooks := map[string]store.Webhook{}
	for name, behave := range bad {
		r := newReceiver(t)
		healed := func(n int, rw http.ResponseWriter, req *http.Request) {
			if n <= 2 {
				behave(n, rw, req)
			}
		}
		r.behave = healed
		receivers[name], hooks[name] = r, w.hook(r.URL, "json", "", "push")
	}
	dead := w.hook("http://127.0.0.1:1/nobody", "json", "", "push")
	good := newReceiver(t)
	goodHook := w.hook(good.URL, "json", "", "push")
	before := ferry.OID{}
	const pushes = 5
	for i := range pushes {
		now := w.work.Commit(fmt.Sprint("push ", i))
		w.moves(ferry.RefUpdate{Name: "refs/heads/main", Old: before, New: now})
		before = now
	}
	stop := w.run()
	w.until("the good receiver", func() bool { return len(good.got()) == pushes })
	if !slices.ContainsFunc(w.log(hooks["stalls"]), func(d store.WebhookDelivery) bool { return d.State != store.WebhookDone }) {
		t.Error("the good receiver waited for the one that stalls")
	}
	// As often as it takes, the clock going on.
	settled := func() bool {
		for name := range hooks {
			if slices.ContainsFunc(w.log(hooks[name]), func(d store.WebhookDelivery) bool { return d.State != store.WebhookDone }) {
				return false
			}
		}
		return true
	}
	for end := time.Now().Add(30 * time.Second); !settled() && time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		w.advance(10 * time.Second)
	}
	for name, h := range hooks {
		seen := map[string]bool{}
		for _, r := range receivers[name].got() {
			seen[r.header.Get("X-GitHub-Delivery")] = true
		}
		list := w.log(h)
		for _, d := range list {
			if d.State != store.WebhookDone || !seen[d.GUID] {
				t.Errorf("%s: delivery %s is %s after %d attempts: %s", name, d.GUID, d.State, d.Attempts, d.Problem)
			}
		}
		if len(list) != pushes {
			t.Errorf("%s: %d deliveries, want %d", name, len(list), pushes)
		}
	}
	if n := len(target.got()); n != 0 {
		t.Errorf("%d calls followed a redirect", n)
	}
	if n := len(w.log(goodHook)); n != pushes {
		t.Errorf("%d deliveries to the good receiver", n)
	}
	for _, d := range w.log(dead) {
		if d.State != store.WebhookPending || d.Problem == "" || strings.Contains(d.Problem, "nobody") {
			t.Errorf("dead receiver: %s %q", d.State, d.Problem)
		}
	}
	stop()

	// Nobody ever answers: given up in the end, and kept in the log.
	ctx := t.Context()
	for range len(Retries) + 5 {
		w.advance(25 * time.Hour)
		due, err := w.Store.ClaimWebhookDeliveries(ctx, lease, 100)
		w.must(err)
		for _, d := range due {
			w.deliver(ctx, d)
		}
	}
	first := w.log(dead)[0]
	if first.State != store.WebhookDead || first.Attempts != len(Retries)+1 {
		t.Errorf("dead receiver: %s after %d attempts", first.State, first.Attempts)
	}
}

// A process that ends while it sends leaves a lease behind; the delivery goes
// out again with the same GUID.
func TestLeaseEnds(t *testing.T) {
	w := newWorld(t)
	r := newReceiver(t)
	h := w.hook(r.URL, "json", "", "push")
	w.moves(ferry.RefUpdate{Name: "refs/heads/main", New: w.work.Commit("one")})
	w.must(w.Tell(t.Context()))
	w.must(w.Tell(t.Context()))
	taken, err := w.Store.ClaimWebhookDeliveries(t.Context(), lease, 10)
	if w.must(err); len(taken) != 1 {
		t.Fatalf("claimed %d deliveries, want 1", len(taken))
	}
	again, err := w.Store.ClaimWebhookDeliveries(t.Context(), lease, 10)
	if w.must(err); len(again) != 0 {
		t.Fatalf("claimed %d deliveries under a lease", len(again))
	}
	w.advance(lease + time.Second)
	w.run()
	w.until("the delivery", func() bool { return len(r.got()) == 1 })
	if r.got()[0].header.Get("X-GitHub-Delivery") != taken[0].GUID {
		t.Error("another GUID after the lease")
	}
	if n := len(w.log(h)); n != 1 {
		t.Errorf("%d deliveries, want 1", n)
	}
}

func TestCheckURL(t *testing.T) {
	w := newWorld(t)
	w.PrivateNetwork = false
	w.must(w.Store.SetJiraSite(t.Context(), store.JiraSite{Kind: "datacenter", URL: "http://jira.intern:8080/jira", Processor: "gitferry"}))
	for _, c := range []struct {
		url         string
		plain, jira bool // accepted
	}{
		{"https://ci.example.com/hook?key=1", true, false},
		{"http://ci.example.com/hook", false, false},
		{"http://jira.intern:8080/jira/rest/bitbucket/1.0/repository/17/sync", true, true},
		{"http://jira.intern:8080/jira/rest/bitbucket/1.0/repository/17/sync?x=1", false, false},
		{"http://jira.intern:8080/jira/rest/bitbucket/1.0/repository/../../x/sync", false, false},
		{"http://jira.intern:8080/rest/bitbucket/1.0/repository/17/sync", false, false},
		{"http://jira.intern:80/jira/rest/bitbucket/1.0/repository/17/sync", false, false},
		{"https://user:pw@ci.example.com/", false, false},
		{"ftp://ci.example.com/", false, false},
		{"/hook", false, false},
	} {
		plain, jira := w.CheckURL(t.Context(), c.url, false), w.CheckURL(t.Context(), c.url, true)
		if (plain == nil) != c.plain || (jira == nil) != c.jira {
			t.Errorf("CheckURL(%q) = %v, for Jira only %v", c.url, plain, jira)
		}
		private, err := w.mayUsePrivate(t.Context(), store.Webhook{URL: c.url})
		if err != nil || private != c.jira {
			t.Errorf("private network for %q: %v, %v", c.url, private, err)
		}
	}
}
