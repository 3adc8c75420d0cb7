package discovery

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"gitferry/internal/codecommit"
	"gitferry/internal/ferry"
	"gitferry/internal/git"
	standin "gitferry/internal/sandbox/codecommit"
	"gitferry/internal/store"
	"gitferry/internal/upstream"
)

// world is an account at the stand-in and books whose clock can be moved.
type world struct {
	*Discovery
	t       *testing.T
	account *standin.Server
	url     string
	i       ferry.Integration
	ahead   time.Duration
	gone    []string // what Disconnect was called with
}

func newWorld(t *testing.T, source string, names ...string) *world {
	t.Helper()
	w := &world{t: t}
	log := slog.New(slog.DiscardHandler)
	now := func() time.Time { return time.Now().Add(w.ahead) }
	g, err := git.New(t.Context(), t.TempDir())
	w.must(err)
	ts := httptest.NewUnstartedServer(nil)
	w.url = "http://" + ts.Listener.Addr().String()
	w.account, err = standin.New(standin.Config{Dir: t.TempDir(), Git: g, Log: log, URL: w.url})
	w.must(err)
	ts.Config.Handler = w.account.Handler()
	ts.Start()
	t.Cleanup(ts.Close)
	for _, name := range names {
		w.must(w.account.CreateRepository(t.Context(), "us-east-1", name, ""))
	}
	st, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "gitferry.db"), store.Options{MasterKey: make([]byte, 32), Log: log, Now: now})
	w.must(err)
	t.Cleanup(func() { st.Close() })
	dialer := upstream.NewDialer(log, "test")
	t.Cleanup(dialer.Close)
	w.Discovery = &Discovery{Store: st, Dialer: dialer, Log: log, Now: now}
	w.Disconnect = func(ctx context.Context, r ferry.Repository) (int, error) {
		w.gone = append(w.gone, r.Name)
		return 0, st.RemoveRepository(ctx, r.ID)
	}
	c := w.account.Credentials()
	i := ferry.Integration{Kind: ferry.KindCodeCommit, Region: "us-east-1", GitAuth: ferry.GitAuthSigV4, ConnectAll: true,
		APIEndpoint: w.url, SNSEndpoint: w.url, GitEndpoint: w.url, PrivateNetwork: true}
	var secrets ferry.Credentials
	if source == "environment" {
		t.Setenv("AWS_ACCESS_KEY_ID", c.AccessKeyID)
		t.Setenv("AWS_SECRET_ACCESS_KEY", c.SecretAccessKey)
		i.CredentialSource = source
	} else {
		i.AccessKeyID, secrets.SecretAccessKey = c.AccessKeyID, ferry.NewSecret(c.SecretAccessKey)
	}
	w.i, err = st.AddIntegration(t.Context(), i, secrets)
	w.must(err)
	return w
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) look() Found {
	w.t.Helper()
	f, err := w.Look(w.t.Context(), w.i.ID, nil)
	w.must(err)
	return f
}

func (w *world) paths(state ferry.RepositoryState) []string {
	w.t.Helper()
	repos, err := w.Store.Repositories(w.t.Context(), store.RepositoryFilter{Integration: w.i.ID, State: state})
	w.must(err)
	var out []string
	for _, r := range repos {
		out = append(out, r.Name)
	}
	return out
}

// A repository that is gone is missing at once, and disconnected by the second
// look, an hour later, that misses it; a look that fails counts for nothing.
func TestGone(t *testing.T) {
	w := newWorld(t, "", "a", "b", "c")
	if f := w.look(); len(f.Added) != 3 {
		t.Fatalf("the first look added %d", len(f.Added))
	}
	w.must(w.account.DeleteRepository("us-east-1", "b"))
	if f := w.look(); len(f.Missing) != 1 || f.Missing[0].Name != "b" {
		t.Errorf("missing: %v", f.Missing)
	}
	w.ahead = 30 * time.Minute
	if f := w.look(); len(f.Missing) != 0 || len(w.gone) != 0 {
		t.Errorf("half an hour later: %v, disconnected %v", f.Missing, w.gone)
	}
	// A slip of permissions: nothing changes but the problem that is shown.
	w.ahead = 2 * time.Hour
	w.deny("codecommit:ListRepositories")
	if _, err := w.Look(t.Context(), w.i.ID, nil); !errors.Is(err, ferry.ErrDenied) {
		t.Errorf("a look without permission: %v", err)
	}
	if i, err := w.Store.Integration(t.Context(), w.i.ID); err != nil || !strings.Contains(i.Problem, "codecommit:ListRepositories") {
		t.Errorf("problem: %q, %v", i.Problem, err)
	}
	if got := w.paths(ferry.RepositoryEnabled); !slices.Equal(got, []string{"a", "c"}) || len(w.gone) != 0 {
		t.Errorf("after a failed look: %v, disconnected %v", got, w.gone)
	}
	w.deny()
	w.look()
	if !slices.Equal(w.gone, []string{"b"}) {
		t.Errorf("two hours later: disconnected %v", w.gone)
	}
	if i, err := w.Store.Integration(t.Context(), w.i.ID); err != nil || i.Problem != "" || i.Account == "" {
		t.Errorf("after a good look: %+v, %v", i, err)
	}
	lines, err := w.Store.Log(t.Context(), 0, w.i.ID, 0)
	w.must(err)
	if len(lines) < 4 || lines[len(lines)-1].Text != "us-east-1/b was disconnected: it is gone at the host" {
		t.Errorf("log: %v", lines)
	}
}

// deny takes IAM actions away at the stand-in.
func (w *world) deny(actions ...string) {
	w.t.Helper()
	body := "[]"
	if len(actions) > 0 {
		body = `["` + strings.Join(actions, `","`) + `"]`
	}
	rec := httptest.NewRecorder()
	w.account.Handler().ServeHTTP(rec, httptest.NewRequest("PUT", "/_sandbox/deny", strings.NewReader(body)))
	if rec.Code >= 300 {
		w.t.Fatal(rec.Body)
	}
}

// Without the right to read details, repositories are connected by name.
func TestWithoutDetails(t *testing.T) {
	w := newWorld(t, "", "a")
	w.deny("codecommit:BatchGetRepositories")
	f := w.look()
	if len(f.Added) != 1 || f.Added[0].CloneURL != w.url+"/v1/repos/a" || f.Added[0].HostID == "" {
		t.Errorf("added %+v", f.Added)
	}
	p, err := w.Permissions(t.Context(), w.i)
	w.must(err)
	if !slices.Equal(p.Missing, []string{"codecommit:BatchGetRepositories"}) || p.Features[0].State != codecommit.StateMissing {
		t.Errorf("permissions: %+v", p)
	}
	if r, err := w.Describe(t.Context(), f.Added[0]); err != nil || r != f.Added[0] {
		t.Errorf("Describe without permission: %+v, %v", r, err)
	}
}

// An access key of the environment works for the API and for git.
func TestEnvironment(t *testing.T) {
	w := newWorld(t, "environment", "a")
	f := w.look()
	if len(f.Added) != 1 {
		t.Fatal(f)
	}
	target, err := w.Target(t.Context(), f.Added[0])
	w.must(err)
	if _, err := w.Dialer.Look(t.Context(), target); err != nil {
		t.Error(err)
	}
}

// A role is assumed, with the external id that its trust policy asks for, at
// an end point of STS that is none of the API's; the session serves API and
// git. Another external id is refused in words that say where to look.
func TestAssumedRole(t *testing.T) {
	w := newWorld(t, "", "a")
	const arn = "arn:aws:iam::123456789012:role/gitferry"
	rec := httptest.NewRecorder()
	w.account.Handler().ServeHTTP(rec, httptest.NewRequest("PUT", "/_sandbox/roles", strings.NewReader(`[{"arn":"`+arn+`","external_id":"right"}]`)))
	if rec.Code >= 300 {
		t.Fatal(rec.Body)
	}
	asked := 0 // requests that STS got; they come one after the other
	sts := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		asked++
		w.account.Handler().ServeHTTP(rw, r)
	}))
	t.Cleanup(sts.Close)
	w.i.RoleARN, w.i.ExternalID, w.i.STSEndpoint = arn, "wrong", sts.URL
	secrets, err := w.Store.Credentials(t.Context(), w.i.ID)
	w.must(err)
	w.must(w.Store.UpdateIntegration(t.Context(), w.i, &secrets))
	_, err = w.Look(t.Context(), w.i.ID, nil)
	if !errors.Is(err, ferry.ErrDenied) || codecommit.MissingAction(err) != "sts:AssumeRole" || !strings.Contains(err.Error(), "external id") {
		t.Errorf("with another external id: %v", err)
	}
	w.i.ExternalID = "right"
	w.must(w.Store.UpdateIntegration(t.Context(), w.i, nil))
	before := asked
	f := w.look()
	if len(f.Added) != 1 || asked != before+2 { // AssumeRole, and who it is for the account's number
		t.Fatalf("in the role: %+v after %d requests to STS", f, asked-before)
	}
	c, err := w.Client(t.Context(), w.i)
	w.must(err)
	who, err := c.Identity(t.Context())
	w.must(err)
	if who.ARN != "arn:aws:sts::123456789012:assumed-role/gitferry/gitferry" {
		t.Errorf("the session is %+v", who)
	}
	target, err := w.Target(t.Context(), f.Added[0])
	w.must(err)
	if target.Credentials.SessionToken.IsZero() || target.AccessKeyID == w.i.AccessKeyID {
		t.Errorf("git signs with the stored key %s", target.AccessKeyID)
	}
	if _, err := w.Dialer.Look(t.Context(), target); err != nil {
		t.Error(err)
	}
	if i, err := w.Store.Integration(t.Context(), w.i.ID); err != nil || i.Problem != "" {
		t.Errorf("problem: %q, %v", i.Problem, err)
	}
}

// Looks at one account take turns: what is new is connected once, and no look
// fails because of another.
func TestLooksTakeTurns(t *testing.T) {
	w := newWorld(t, "", "a", "b", "c", "d")
	const n = 6
	added, failed := make(chan int, n), make(chan error, n)
	for range n {
		go func() {
			f, err := w.Look(t.Context(), w.i.ID, nil)
			added <- len(f.Added)
			failed <- err
		}()
	}
	sum := 0
	for range n {
		sum += <-added
		w.must(<-failed)
	}
	if sum != 4 {
		t.Errorf("%d looks connected %d repositories, want 4", n, sum)
	}
}

// A secret that is replaced counts from then on, for the API and for git,
// without anything being made anew; one for another host is needed anew.
func TestRotation(t *testing.T) {
	w := newWorld(t, "", "a")
	added := w.look().Added[0]
	right, err := w.Store.Credentials(t.Context(), w.i.ID)
	w.must(err)
	use := func() error {
		target, err := w.Target(t.Context(), added)
		if err != nil {
			return err
		}
		_, git := w.Dialer.Look(t.Context(), target)
		_, api := w.Look(t.Context(), w.i.ID, nil)
		if (git == nil) != (api == nil) {
			t.Errorf("git: %v, the API: %v", git, api)
		}
		return api
	}
	for n, secret := range []ferry.Secret{ferry.NewSecret("inactive"), right.SecretAccessKey} {
		w.must(w.Store.UpdateIntegration(t.Context(), w.i, &ferry.Credentials{SecretAccessKey: secret}))
		if err := use(); (err == nil) != (n == 1) || n == 0 && !errors.Is(err, ferry.ErrDenied) {
			t.Errorf("with secret %d: %v", n, err)
		}
	}
	elsewhere := w.i
	elsewhere.APIEndpoint = "https://codecommit.example.com"
	w.must(w.Store.UpdateIntegration(t.Context(), elsewhere, nil))
	if err := use(); !errors.Is(err, ferry.ErrInvalid) || !strings.Contains(err.Error(), "secret access key") {
		t.Errorf("with another host: %v, want that a secret is asked for", err)
	}
}

// GitPull may be missing on one repository only: the table says missing until
// that one can be read again.
func TestGitPermission(t *testing.T) {
	w := newWorld(t, "", "a", "b")
	f := w.look()
	a, b := f.Added[0], f.Added[1]
	denied := &ferry.Message{Kind: ferry.ErrDenied, Text: "refused"}
	state := func() string {
		known, err := w.Store.Permissions(t.Context(), w.i.ID)
		w.must(err)
		return known[GitPull].State
	}
	for n, step := range []struct {
		repo ferry.Repository
		err  error
		want string
	}{
		{a, nil, "ok"}, {b, denied, "missing"}, {a, nil, "missing"},
		{b, &ferry.Message{Kind: ferry.ErrUnavailable, Text: "away"}, "missing"}, {b, nil, "ok"},
	} {
		w.Git(t.Context(), step.repo, GitPull, step.err)
		if got := state(); got != step.want {
			t.Errorf("step %d: GitPull is %q, want %q", n, got, step.want)
		}
	}
}

// A repository is as old as AWS says, also one that was connected without the
// right to ask, or before anybody wrote that down.
func TestCreationDate(t *testing.T) {
	w := newWorld(t, "", "a")
	began := time.Now().Add(-time.Minute)
	w.ahead = 48 * time.Hour // so that the time of connecting is another
	made := func() time.Time {
		t.Helper()
		repos, err := w.Store.Repositories(t.Context(), store.RepositoryFilter{Integration: w.i.ID})
		w.must(err)
		return repos[0].CreatedAt
	}
	w.deny("codecommit:BatchGetRepositories")
	w.look()
	if got := made(); got.Sub(began) < 47*time.Hour {
		t.Errorf("without the right to ask: made %v, want when it was connected", got)
	}
	w.deny()
	w.look()
	first := made()
	if d := first.Sub(began); d < 0 || d > time.Hour {
		t.Errorf("made %v, want AWS's date", first)
	}
	w.look()
	if got := made(); !got.Equal(first) {
		t.Errorf("another look moved it from %v to %v", first, got)
	}
}
