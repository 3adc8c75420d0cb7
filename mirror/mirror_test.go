package mirror

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gitferry/internal/ferry"
	"gitferry/internal/git"
	"gitferry/internal/gittest"
	"gitferry/internal/sandbox/codecommit"
	"gitferry/internal/upstream"
)

// A world is a Dir in front of the stand-in CodeCommit.
type world struct {
	*Dir
	t     *testing.T
	repo  ferry.Repository
	work  *gittest.Repo // a work tree whose origin is the upstream
	url   string        // of the upstream, with credentials
	looks atomic.Int32  // looks at the upstream's refs
	moved atomic.Int32  // calls of Moved
	clock atomic.Int64  // nanoseconds that Now is ahead

	mu      sync.Mutex
	between func(http.ResponseWriter, *http.Request) bool // guarded by mu; true: it answered
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t}
	g, err := git.New(t.Context(), t.TempDir())
	w.must(err)
	up, err := codecommit.New(codecommit.Config{Dir: filepath.Join(t.TempDir(), "upstream"), Git: g})
	w.must(err)
	srv := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/info/refs") && r.Header.Get("User-Agent") == "test" {
			w.looks.Add(1)
		}
		w.mu.Lock()
		between := w.between
		w.mu.Unlock()
		if between == nil || !between(rw, r) {
			up.Handler().ServeHTTP(rw, r)
		}
	}))
	t.Cleanup(srv.Close)
	w.must(up.CreateRepository(t.Context(), "us-east-1", "demo", ""))
	c := up.Credentials()
	w.repo = ferry.Repository{ID: 1, Owner: "us-east-1", Name: "demo", CloneURL: srv.URL + "/us-east-1/v1/repos/demo"}
	w.url = strings.Replace(w.repo.CloneURL, "://", "://"+c.GitUsername+":"+c.GitPassword+"@", 1)
	log := slog.New(slog.DiscardHandler)
	d := upstream.NewDialer(log, "test")
	t.Cleanup(d.Close)
	w.Dir = &Dir{Root: t.TempDir(), Git: g, Dialer: d, Log: log,
		Target: func(_ context.Context, r ferry.Repository) (upstream.Target, error) {
			return upstream.Target{URL: r.CloneURL, Auth: ferry.GitAuthBasic, GitUsername: c.GitUsername, PrivateNetwork: true,
				Credentials: ferry.Credentials{GitPassword: ferry.NewSecret(c.GitPassword)}}, nil
		},
		Moved: func(ferry.RepositoryID) { w.moved.Add(1) },
		Now:   func() time.Time { return time.Now().Add(time.Duration(w.clock.Load())) },
	}
	w.work = gittest.New(t)
	w.work.Run("remote", "add", "origin", w.url)
	return w
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) intercept(f func(http.ResponseWriter, *http.Request) bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.between = f
}

// refs are the mirror's refs in short: name to object.
func (w *world) refs() map[ferry.RefName]ferry.OID {
	w.t.Helper()
	refs, err := w.Refs(context.Background(), w.repo)
	w.must(err)
	return refs
}

// same fails the test unless known refs, refs on disk and upstream agree.
func (w *world) same() {
	w.t.Helper()
	disk, err := w.Git.Refs(context.Background(), w.Path(w.repo.ID))
	w.must(err)
	onDisk := make(map[ferry.RefName]ferry.OID)
	for _, r := range disk {
		onDisk[r.Name] = r.OID
	}
	if diff := cmp.Diff(onDisk, w.refs()); diff != "" {
		w.t.Errorf("refs on disk and known (-disk +known):\n%s", diff)
	}
	upstream := make(map[ferry.RefName]ferry.OID)
	for line := range strings.Lines(w.work.Output("ls-remote", "--refs", "origin")) {
		hex, name, _ := strings.Cut(strings.TrimSpace(line), "\t")
		if oid, err := ferry.ParseOID(hex); err == nil && Mirrored(name) {
			upstream[ferry.RefName(name)] = oid
		}
	}
	if diff := cmp.Diff(upstream, w.refs()); diff != "" {
		w.t.Errorf("refs upstream and known (-upstream +known):\n%s", diff)
	}
}

func (w *world) refresh() []ferry.RefUpdate {
	w.t.Helper()
	updates, err := w.Refresh(context.Background(), w.repo, 0)
	w.must(err)
	return updates
}

// A mirror follows whatever upstream does to its refs.
func TestFollow(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.must(w.Copy(t.Context(), w.repo, nil))
	w.same()
	base := w.work.Commit("base", "a", "1")
	for _, step := range [][]string{
		{"push", "-q", "origin", "HEAD:refs/heads/main"}, // the default branch from now on
		{"push", "-q", "origin", "HEAD:refs/heads/a", "HEAD:refs/heads/gone"},
		{"commit", "-q", "--allow-empty", "-m", "next"},
		{"push", "-q", "origin", "HEAD:refs/heads/main", ":refs/heads/gone"},
		{"push", "-q", "origin", ":refs/heads/a", "HEAD:refs/heads/a/b"}, // a becomes a directory
		{"tag", "-a", "-m", "v", "v1"},
		{"tag", "blob", base.String() + ":a"},
		{"push", "-q", "origin", "v1", "blob"},
		{"commit", "-q", "--amend", "--allow-empty", "-m", "other"},
		{"push", "-q", "-f", "origin", "HEAD:refs/heads/main"},
		{"push", "-q", "origin", "HEAD:refs/notes/commits", "HEAD:refs/replace/" + base.String()},
	} {
		w.work.Run(step...)
		w.refresh()
		w.same()
	}
	view, err := w.View(t.Context(), w.repo)
	w.must(err)
	if view.Head != "refs/heads/main" || view.Refs[0].Name != "HEAD" || view.Failure != nil || !view.Copied {
		t.Errorf("View = %+v", view)
	}
	for _, r := range view.Refs {
		if r.Name == "refs/tags/v1" && r.Peeled != w.work.OID("v1^{}") {
			t.Errorf("v1 is shown as %+v", r)
		}
	}
	if updates := w.refresh(); len(updates) != 0 {
		t.Errorf("a refresh without news made %v", updates)
	}
	if n := w.moved.Load(); n != 8 { // the first copy and seven refreshes with news
		t.Errorf("Moved was called %d times", n)
	}
	again := &Dir{Root: w.Root, Git: w.Git, Dialer: w.Dialer, Target: w.Target, Log: w.Log} // after a restart
	reread, err := again.View(t.Context(), w.repo)
	w.must(err)
	if diff := cmp.Diff(view.Refs, reread.Refs); diff != "" || reread.Head != view.Head {
		t.Errorf("after a restart (-before +after):\n%s", diff)
	}
}

// apply carries a push past the Dir as the proxy does: upstream takes it, then
// the mirror follows under the lock.
func (w *world) apply(u ferry.RefUpdate) {
	w.t.Helper()
	ctx := context.Background()
	release, err := w.Hold(ctx, w.repo)
	w.must(err)
	defer release()
	q, err := w.Quarantine(ctx, w.repo, "push-"+u.New.String())
	w.must(err)
	defer q.Remove()
	in := w.work.Input(u.New.String()+"\n", "pack-objects", "--revs", "--stdout", "-q")
	_, err = w.Git.IndexPack(ctx, q.Mirror(), q.Objects(), strings.NewReader(in), 1<<20)
	w.must(err)
	w.must(w.Apply(ctx, w.repo, q, []ferry.RefUpdate{u}, true))
}

// A refresh never takes back a push, wherever the push falls between its look
// and its end (design decision D5).
func TestRefreshNeverGoesBack(t *testing.T) {
	t.Parallel()
	for _, early := range []bool{true, false} { // whether the look sees the push
		w := newWorld(t)
		one := w.work.Commit("one", "a", "1")
		w.work.Run("push", "-q", "origin", "HEAD:refs/heads/main", "HEAD:refs/heads/other")
		w.must(w.Copy(t.Context(), w.repo, nil))
		two := w.work.Commit("two", "a", "2")
		looked, applied := make(chan struct{}), make(chan struct{})
		var once atomic.Bool
		hold := func(rw http.ResponseWriter, r *http.Request) bool {
			if !strings.HasSuffix(r.URL.Path, "/info/refs") || r.Header.Get("User-Agent") != "test" || once.Swap(true) {
				return false
			}
			w.intercept(nil)
			req, _ := http.NewRequest("GET", w.repo.CloneURL+"/info/refs?"+r.URL.RawQuery, nil)
			req.Header = r.Header
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				return false
			}
			defer resp.Body.Close()
			rw.Header().Set("Content-Type", resp.Header.Get("Content-Type"))
			answer := new(strings.Builder)
			_ = resp.Write(answer)
			_, body, _ := strings.Cut(answer.String(), "\r\n\r\n")
			close(looked)
			<-applied
			_, _ = rw.Write([]byte(dechunk(body, resp)))
			return true
		}
		update := ferry.RefUpdate{Name: "refs/heads/main", Old: one, New: two}
		if early {
			w.work.Run("push", "-q", "origin", "HEAD:refs/heads/main", ":refs/heads/other")
		}
		w.intercept(hold)
		done := make(chan error, 1)
		go func() { _, err := w.Refresh(context.Background(), w.repo, 0); done <- err }()
		<-looked
		if !early {
			w.work.Run("push", "-q", "origin", "HEAD:refs/heads/main", ":refs/heads/other")
		}
		w.apply(update)
		close(applied)
		w.must(<-done)
		if got := w.refs()["refs/heads/main"]; got != two {
			t.Errorf("early %t: main went back to %s", early, got)
		}
		w.refresh()
		w.same()
	}
}

func dechunk(body string, resp *http.Response) string {
	if len(resp.TransferEncoding) == 0 {
		return body
	}
	var b strings.Builder
	for body != "" {
		size, rest, _ := strings.Cut(body, "\r\n")
		n := 0
		for _, c := range size {
			n = n*16 + strings.IndexRune("0123456789abcdef", c)
		}
		if n == 0 {
			break
		}
		b.WriteString(rest[:n])
		body = rest[n+2:]
	}
	return b.String()
}

// Many readers share one look, and one that gives up does not stop it.
func TestSharedLook(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.work.Commit("one", "a", "1")
	w.work.Run("push", "-q", "origin", "HEAD:refs/heads/main")
	w.must(w.Copy(t.Context(), w.repo, nil))
	open := make(chan struct{})
	w.intercept(func(http.ResponseWriter, *http.Request) bool { <-open; return false })
	w.looks.Store(0)
	impatient, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := w.Refresh(impatient, w.repo, 0); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Refresh of who gave up = %v", err)
	}
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			if _, err := w.Refresh(context.Background(), w.repo, time.Minute); err != nil {
				t.Error(err)
			}
		})
	}
	time.Sleep(50 * time.Millisecond)
	close(open)
	all.Wait()
	if n := w.looks.Load(); n != 1 {
		t.Errorf("%d looks for 51 readers", n)
	}
	for range 50 { // each of these began after the last look
		all.Go(func() { _, _ = w.Refresh(context.Background(), w.repo, 0) })
	}
	all.Wait()
	if n := w.looks.Load(); n > 51 {
		t.Errorf("%d looks", n)
	}
}

// An upstream that suddenly shows no refs is not believed at once, and one
// that cannot be reached leaves the mirror readable.
func TestUpstreamTrouble(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	one := w.work.Commit("one", "a", "1")
	w.work.Run("push", "-q", "origin", "HEAD:refs/heads/main")
	w.must(w.Copy(t.Context(), w.repo, nil))
	w.intercept(func(rw http.ResponseWriter, _ *http.Request) bool { rw.WriteHeader(500); return true })
	if _, err := w.Refresh(t.Context(), w.repo, 0); !errors.Is(err, ferry.ErrUnavailable) {
		t.Errorf("Refresh of a broken upstream = %v", err)
	}
	view, err := w.View(t.Context(), w.repo)
	w.must(err)
	if view.Failure == nil || view.LookedAt.IsZero() || len(view.Refs) != 2 {
		t.Errorf("View while the upstream is broken: %+v", view)
	}
	w.intercept(func(rw http.ResponseWriter, _ *http.Request) bool { rw.WriteHeader(404); return true })
	if _, err := w.Refresh(t.Context(), w.repo, 0); !errors.Is(err, ferry.ErrNotFound) {
		t.Errorf("Refresh of an upstream that is gone = %v", err)
	}
	w.intercept(func(rw http.ResponseWriter, _ *http.Request) bool { panic(http.ErrAbortHandler) })
	if _, err := w.Refresh(t.Context(), w.repo, 0); !errors.Is(err, ferry.ErrUnavailable) {
		t.Errorf("Refresh of an upstream that hangs up = %v", err)
	}
	w.intercept(nil)
	w.work.Run("push", "-q", "origin", ":refs/heads/main")
	if _, err := w.Refresh(t.Context(), w.repo, 0); !errors.Is(err, ferry.ErrUnavailable) || w.refs()["refs/heads/main"] != one {
		t.Errorf("Refresh of an empty upstream = %v, refs %v; want that it waits", err, w.refs())
	}
	w.clock.Add(int64(31 * time.Second))
	w.refresh()
	w.same()
}

// HEAD follows the default branch, and in a repository that was empty the
// first branch pushed.
func TestHead(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.must(w.Copy(t.Context(), w.repo, nil))
	w.Dir = &Dir{Root: w.Root, Git: w.Git, Dialer: w.Dialer, Target: w.Target, Log: w.Log} // a restart reads HEAD back
	head := func(want string) {
		t.Helper()
		b, err := os.ReadFile(filepath.Join(w.Path(w.repo.ID), "HEAD"))
		w.must(err)
		view, err := w.View(context.Background(), w.repo)
		w.must(err)
		if got := strings.TrimSpace(string(b)); got != "ref: "+want || view.Head != ferry.RefName(want) {
			t.Errorf("HEAD is %q on disk and %s known, want %s", got, view.Head, want)
		}
	}
	one := w.work.Commit("one", "a", "1")
	w.work.Run("push", "-q", "origin", "HEAD:refs/heads/develop", "HEAD:refs/heads/other")
	w.apply(ferry.RefUpdate{Name: "refs/heads/develop", New: one})
	head("refs/heads/develop")
	w.refresh()
	w.same()
	w.repo.DefaultBranch = "other" // the account's list says so; no ref moved
	w.refresh()
	head("refs/heads/other")
}

// What a killed git leaves behind, and what others do to the files.
func TestDamage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.work.Commit("one", "a", "1")
	w.work.Run("push", "-q", "origin", "HEAD:refs/heads/main", "HEAD:refs/heads/gone")
	w.must(w.Copy(t.Context(), w.repo, nil))
	dir := w.Path(w.repo.ID)
	for _, lock := range []string{"refs/heads/main.lock", "packed-refs.lock"} {
		w.must(os.WriteFile(filepath.Join(dir, lock), nil, 0o600))
	}
	w.work.Commit("two", "a", "2")
	w.work.Run("push", "-q", "origin", "HEAD:refs/heads/main", ":refs/heads/gone")
	w.refresh()
	w.same()

	for _, name := range []string{"objects/pack/tmp_pack_x", "refs/heads/x.lock", "incoming/push-old/objects/a", "incoming/push-kept/objects/a"} {
		w.must(os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700))
		w.must(os.WriteFile(filepath.Join(dir, name), nil, 0o600))
	}
	w.must(w.CleanUp(map[string]bool{"push-kept": true}))
	for name, want := range map[string]bool{"objects/pack/tmp_pack_x": false, "refs/heads/x.lock": false, "incoming/push-old": false, "incoming/push-kept/objects/a": true} {
		if _, err := os.Stat(filepath.Join(dir, name)); (err == nil) != want {
			t.Errorf("after CleanUp %s is there: %t, want %t", name, err == nil, want)
		}
	}

	f, err := os.OpenFile(filepath.Join(dir, "config"), os.O_APPEND|os.O_WRONLY, 0)
	w.must(err)
	_, err = f.WriteString("[uploadpack]\n\tpackObjectsHook = touch /tmp/x\n")
	w.must(errors.Join(err, f.Close()))
	if _, err := w.View(t.Context(), w.repo); !errors.Is(err, ferry.ErrUnavailable) || !strings.Contains(err.Error(), "changed by somebody else") {
		t.Errorf("View of a mirror with another configuration = %v", err)
	}
	w.Dir = &Dir{Root: w.Root, Git: w.Git, Dialer: w.Dialer, Target: w.Target, Log: w.Log}
	w.refresh() // a start writes it anew
	w.same()
}

// Upkeep and purge run beside pushes and refreshes and lose nothing; purge
// removes what no ref reaches.
func TestUpkeep(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.work.Commit("zero", "a", "0")
	w.work.Run("push", "-q", "origin", "HEAD:refs/heads/main")
	w.must(w.Copy(t.Context(), w.repo, nil))
	secret := w.work.Commit("secret", "secret", "s")
	w.work.Run("push", "-q", "origin", "HEAD:refs/heads/main")
	w.refresh()
	w.work.Run("reset", "-q", "--hard", "HEAD~")
	ended := make(chan struct{})
	var upkeep sync.WaitGroup
	upkeep.Go(func() {
		for {
			select {
			case <-ended:
				return
			default:
				w.must(w.Upkeep(context.Background(), w.repo))
			}
		}
	})
	for i := range 6 {
		prior := w.refs()["refs/heads/main"]
		next := w.work.Commit("more", "a", strings.Repeat("x", i+1))
		w.work.Run("push", "-q", "-f", "origin", "HEAD:refs/heads/main")
		if i%2 == 0 {
			w.apply(ferry.RefUpdate{Name: "refs/heads/main", Old: prior, New: next})
		}
		w.refresh()
	}
	close(ended)
	upkeep.Wait()
	w.same()
	if !w.NeedsUpkeep(t.Context(), w.repo) {
		w.must(w.Upkeep(t.Context(), w.repo))
	}
	w.must(w.Purge(t.Context(), w.repo))
	if err := w.Git.Run(t.Context(), git.Command{Dir: w.Path(w.repo.ID), Args: []string{"fsck", "--strict", "--connectivity-only"}}); err != nil {
		t.Error(err)
	}
	kinds, err := w.Git.Kinds(t.Context(), w.Path(w.repo.ID), "", []ferry.OID{secret, w.work.OID("HEAD")})
	if w.must(err); len(kinds) != 1 || kinds[secret] != "" {
		t.Errorf("after Purge the mirror holds %v", kinds)
	}
}

// What no ref reaches any more is kept for UnreachableTTL, whatever is packed
// meanwhile, and goes after that.
func TestUnreachableTTL(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.UnreachableTTL = 14 * 24 * time.Hour
	w.work.Commit("zero", "a", "0")
	w.work.Run("push", "-q", "origin", "HEAD:refs/heads/main")
	w.must(w.Copy(t.Context(), w.repo, nil))
	secret := w.work.Commit("secret", "secret", "s")
	w.work.Run("push", "-q", "origin", "HEAD:refs/heads/main")
	w.refresh()
	w.work.Run("reset", "-q", "--hard", "HEAD~")
	w.work.Run("push", "-q", "-f", "origin", "HEAD:refs/heads/main")
	w.refresh()
	w.must(w.Upkeep(t.Context(), w.repo))
	if w.NeedsUpkeep(t.Context(), w.repo) {
		t.Fatal("a mirror needs upkeep right after one")
	}
	for _, days := range []int{8, 16} {
		w.clock.Store(int64(time.Duration(days) * 24 * time.Hour))
		if !w.NeedsUpkeep(t.Context(), w.repo) {
			t.Errorf("after %d days nothing is due", days)
		}
		q, err := w.Quarantine(t.Context(), w.repo, "push-old")
		w.must(err)
		w.must(w.Upkeep(t.Context(), w.repo))
		if !q.Outdated() {
			t.Errorf("after %d days a quarantine of before is not outdated", days)
		}
		q.Remove()
		if w.NeedsUpkeep(t.Context(), w.repo) {
			t.Errorf("after %d days and an upkeep another one is due", days)
		}
		kinds, err := w.Git.Kinds(t.Context(), w.Path(w.repo.ID), "", []ferry.OID{secret})
		w.must(err)
		if there := kinds[secret] != ""; there != (days < 14) {
			t.Errorf("after %d days the lost commit is there: %t", days, there)
		}
		for i := range 4 { // packs that an upkeep puts together
			w.work.Commit("more", "a", fmt.Sprint(days, i))
			w.work.Run("push", "-q", "origin", "HEAD:refs/heads/main")
			w.refresh()
		}
		w.must(w.Upkeep(t.Context(), w.repo))
		w.same()
	}
	if err := w.Git.Run(t.Context(), git.Command{Dir: w.Path(w.repo.ID), Args: []string{"fsck", "--strict", "--connectivity-only"}}); err != nil {
		t.Error(err)
	}
}

// An object of upstream's that git refuses degrades the repository and nothing
// else: what was there before is served, and once upstream takes it back, or
// somebody says that it does not matter, all is well again (security
// reference, UP-9).
func TestDegraded(t *testing.T) {
	t.Parallel()
	for name, bad := range map[string]struct {
		id   string
		make func(w *world) ferry.OID // of a commit
	}{
		"a commit with NUL in its message": {"nulInCommit", func(w *world) ferry.OID {
			raw := w.work.Output("cat-file", "commit", "HEAD") + "\nwith a \x00 in it\n"
			oid, err := ferry.ParseOID(w.work.Input(raw, "hash-object", "-t", "commit", "-w", "--stdin", "--literally"))
			w.must(err)
			return oid
		}},
		"a submodule that attacks": {"gitmodulesUrl", func(w *world) ferry.OID {
			return w.work.Commit("modules", ".gitmodules", "[submodule \"x\"]\n\tpath = x\n\turl = -u./payload\n")
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			var told []string
			w.Degraded = func(_ context.Context, repo ferry.Repository, problem string) {
				told = append(told, problem)
				w.repo.Degraded = problem
			}
			good := w.work.Commit("good", "a", "1")
			w.work.Run("push", "-q", "origin", "HEAD:refs/heads/main")
			w.must(w.Copy(t.Context(), w.repo, nil))
			w.refresh()
			oid := bad.make(w)
			w.work.Run("push", "-q", "origin", oid.String()+":refs/heads/bad")
			for range 2 {
				_, err := w.Refresh(t.Context(), w.repo, 0)
				var fsck *git.FsckError
				if !errors.Is(err, ferry.ErrUnavailable) || !errors.As(err, &fsck) || fsck.ID != bad.id {
					t.Fatalf("Refresh = %v, want %s", err, bad.id)
				}
			}
			if want := []string{bad.id + " in " + fsckObject(w, oid, bad.id).String()}; !cmp.Equal(told, want) {
				t.Errorf("told %q, want %q", told, want)
			}
			if got := w.refs(); len(got) != 1 || got["refs/heads/main"] != good {
				t.Errorf("refs are %v, want main at %s alone", got, good)
			}
			if view, err := w.View(t.Context(), w.repo); err != nil || view.Failure == nil || !view.Copied {
				t.Errorf("View = %+v, %v", view, err)
			}
			if bad.id == "nulInCommit" {
				tolerant := w.repo
				tolerant.FsckIgnore = bad.id
				_, err := w.Refresh(t.Context(), tolerant, 0)
				w.must(err)
				w.same()
			} else {
				w.work.Run("push", "-q", "origin", ":refs/heads/bad")
				w.refresh()
			}
			if len(told) != 2 || told[1] != "" {
				t.Errorf("told %q, want an end of it", told)
			}
		})
	}
}

// fsckObject is the object of commit that the message is about.
func fsckObject(w *world, commit ferry.OID, id string) ferry.OID {
	if id == "nulInCommit" {
		return commit
	}
	return w.work.OID(commit.String() + ":.gitmodules")
}
