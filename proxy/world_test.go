package proxy

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"gitferry/internal/ferry"
	"gitferry/internal/git"
	"gitferry/internal/gittest"
	"gitferry/internal/policy"
	"gitferry/internal/sandbox/codecommit"
	"gitferry/internal/smartcommit"
	"gitferry/internal/store"
	"gitferry/internal/upstream"
	"gitferry/mirror"
)

// A world is a Server on real books and a real mirror, in front of the
// stand-in CodeCommit, with both doors open on loopback.
type world struct {
	*Server
	t     testing.TB
	repo  ferry.Repository
	up    *codecommit.Server
	upURL string // of the stand-in
	front string // URL of the HTTP door
	url   string // the repository there, with alice's token
	door  *testDoor
	user  ferry.User
	token string
	log   *syncBuffer
	// between, if set, sees every request to the upstream before it is served;
	// true says that it answered.
	mu      sync.Mutex
	between func(http.ResponseWriter, *http.Request) bool
	rules   policy.Rules // guarded by mu
	indexed int          // guarded by mu; calls of Index
	broken  error        // guarded by mu; what Index fails with
}

// newWorld starts everything with one empty repository, us-east-1/demo, and a
// user alice who may write; change may set fields of the server before.
func newWorld(t *testing.T, change func(*world)) *world {
	t.Helper()
	w := &world{t: t, log: new(syncBuffer)}
	log := slog.New(slog.NewTextHandler(w.log, nil))
	ctx := context.Background()
	g, err := git.New(ctx, t.TempDir())
	w.must(err)
	w.up, err = codecommit.New(codecommit.Config{Dir: filepath.Join(t.TempDir(), "upstream"), Git: g})
	w.must(err)
	standIn := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.mu.Lock()
		between := w.between
		w.mu.Unlock()
		if between == nil || !between(rw, r) {
			w.up.Handler().ServeHTTP(rw, r)
		}
	}))
	t.Cleanup(standIn.Close)
	w.upURL = standIn.URL
	w.must(w.up.CreateRepository(ctx, "us-east-1", "demo", ""))

	data := t.TempDir()
	key := make([]byte, 32)
	_, _ = rand.Read(key)
	st, err := store.Open(ctx, filepath.Join(data, "books.db"), store.Options{MasterKey: key, Log: log})
	w.must(err)
	t.Cleanup(func() { st.Close() })
	i, err := st.AddIntegration(ctx, ferry.Integration{Slug: "us-east-1", Name: "us-east-1", Kind: ferry.KindCodeCommit,
		Region: "us-east-1", GitAuth: ferry.GitAuthBasic, PrivateNetwork: true}, ferry.Credentials{})
	w.must(err)
	w.repo, err = st.AddRepository(ctx, ferry.Repository{IntegrationID: i.ID, Owner: "us-east-1", Name: "demo", Region: "us-east-1",
		HostID: "1", CloneURL: standIn.URL + "/us-east-1/v1/repos/demo", State: ferry.RepositoryEnabled, SmartCommits: true})
	w.must(err)
	w.user, err = st.AddUser(ctx, ferry.User{Name: "alice", Email: "alice@example.invalid"})
	w.must(err)
	_, err = st.AddGrant(ctx, ferry.Grant{User: w.user.ID, Glob: "**", Level: ferry.LevelWrite})
	w.must(err)
	secret, _, err := st.NewToken(ctx, store.Token{User: w.user.ID, Name: "test", Scopes: []ferry.Scope{ferry.ScopeRepoRead, ferry.ScopeRepoWrite},
		ExpiresAt: time.Now().Add(time.Hour)})
	w.must(err)
	w.token = secret.Reveal()

	c := w.up.Credentials()
	target := func(_ context.Context, r ferry.Repository) (upstream.Target, error) {
		return upstream.Target{URL: r.CloneURL, Auth: ferry.GitAuthBasic, GitUsername: c.GitUsername, PrivateNetwork: true,
			Credentials: ferry.Credentials{GitPassword: ferry.NewSecret(c.GitPassword)}}, nil
	}
	dialer := upstream.NewDialer(log, "test")
	t.Cleanup(dialer.Close)
	dir := &mirror.Dir{Root: data, Git: g, Dialer: dialer, Target: target, Log: log}
	w.rules = policy.Rules{ProtectDefaultBranch: true}
	w.Server = &Server{Mirror: dir, Git: g, Dialer: dialer, Target: target, Store: st, Scratch: data, PublicURL: "http://pages.invalid",
		Judge: func(ctx context.Context, p policy.Push) policy.Verdict {
			w.mu.Lock()
			defer w.mu.Unlock()
			return policy.Judge(ctx, p, w.rules, nil, smartcommit.Options{})
		},
		Index: func(context.Context, ferry.Repository, []git.Commit) error {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.indexed++
			return w.broken
		},
		TrustClearText: IsLoopback, Limits: NewLimits(), Log: log}
	w.Limits.Freshness = 0
	if change != nil {
		change(w)
	}
	front := httptest.NewServer(w.Server)
	t.Cleanup(front.Close)
	w.front = front.URL
	w.url = strings.Replace(front.URL, "://", "://alice:"+w.token+"@", 1) + "/us-east-1/demo"
	w.door = startDoor(t, func(d *SSHDoor) {
		d.Authenticate = func(ctx context.Context, key ssh.PublicKey, address string) (ferry.Subject, error) {
			return st.SubjectByKey(ctx, ssh.FingerprintSHA256(key), address)
		}
		d.Serve = w.Server.ServeSSH
	})
	_, err = st.AddSSHKey(ctx, store.SSHKey{User: w.user.ID, Name: "test", Type: w.door.alice.PublicKey().Type(),
		Fingerprint: ssh.FingerprintSHA256(w.door.alice.PublicKey()), Public: strings.TrimSpace(string(ssh.MarshalAuthorizedKey(w.door.alice.PublicKey())))})
	w.must(err)
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(w.log.String(), w.door.log.String())
		}
	})
	return w
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// intercept sets what stands between the server and the upstream.
func (w *world) intercept(f func(http.ResponseWriter, *http.Request) bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.between = f
}

// sshURL is the repository at the SSH door.
func (w *world) sshURL() string { return "ssh://git@" + w.door.addr + "/us-east-1/demo" }

// urls are the repository at both doors.
func (w *world) urls() map[string]string {
	return map[string]string{"http": w.url, "ssh": w.sshURL()}
}

// upstreamURL is the upstream itself, with its credentials.
func (w *world) upstreamURL() string {
	c := w.up.Credentials()
	return strings.Replace(w.upURL, "://", "://"+c.GitUsername+":"+c.GitPassword+"@", 1) + "/us-east-1/v1/repos/demo"
}

// work makes a work tree whose git may use the SSH door.
func (w *world) work() *gittest.Repo {
	w.t.Helper()
	r := gittest.New(w.t)
	r.Vars = append(r.Vars, "GIT_SSH_COMMAND=ssh -F /dev/null -i "+keyFile(w.t, w.door.aliceKey)+
		" -o IdentitiesOnly=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR -o BatchMode=yes")
	return r
}

// upstreamRefs asks the upstream for its refs.
func (w *world) upstreamRefs() map[string]string {
	w.t.Helper()
	refs := make(map[string]string)
	for line := range strings.Lines(gittest.New(w.t).Output("ls-remote", "--refs", w.upstreamURL())) {
		oid, name, _ := strings.Cut(strings.TrimSpace(line), "\t")
		refs[name] = oid
	}
	return refs
}

// quarantines lists what lies in quarantine.
func (w *world) quarantines() []string {
	left, err := filepath.Glob(filepath.Join(w.Mirror.Path(w.repo.ID), "incoming", "*"))
	w.must(err)
	return left
}

// settled waits until no push is open and nothing lies in quarantine.
func (w *world) settled() {
	w.t.Helper()
	w.eventually("no open push and no quarantine", func() (bool, string) {
		open, err := w.Store.UnresolvedPushes(context.Background())
		w.must(err)
		left := w.quarantines()
		return len(open) == 0 && len(left) == 0, fmt.Sprint(open, left)
	})
}

// eventually waits up to 20 s for something to become true.
func (w *world) eventually(what string, ok func() (bool, string)) {
	w.t.Helper()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		yes, state := ok()
		if yes {
			return
		}
		if time.Now().After(end) {
			w.t.Fatalf("not in 20 s: %s: %s", what, state)
		}
	}
}

// post sends a request body to git-receive-pack and returns status and answer.
func (w *world) post(body io.Reader, change func(*http.Request)) (int, string) {
	w.t.Helper()
	req, err := http.NewRequest(http.MethodPost, w.front+"/us-east-1/demo/git-receive-pack", body)
	w.must(err)
	req.SetBasicAuth("alice", w.token)
	req.Header.Set("Content-Type", "application/x-git-receive-pack-request")
	if change != nil {
		change(req)
	}
	resp, err := http.DefaultClient.Do(req)
	w.must(err)
	defer resp.Body.Close()
	out, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Errorf("reading the answer to a push: %v", err)
	}
	return resp.StatusCode, string(out)
}

// pack makes a pack of what the revisions reach.
func pack(r *gittest.Repo, revisions ...string) string {
	return r.Input(strings.Join(revisions, "\n")+"\n", "pack-objects", "--revs", "--stdout", "-q")
}

// command makes the head of a push of one ref.
func command(prior, next, name, caps string) string {
	line := prior + " " + next + " " + name + "\x00" + caps
	return fmt.Sprintf("%04x%s0000", len(line)+4, line)
}
