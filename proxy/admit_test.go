package proxy

import (
	"bytes"
	"context"
	"crypto/sha1"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/ssh"

	"gitferry/internal/ferry"
	"gitferry/internal/pktline"
	"gitferry/internal/store"
)

// queueLimits are those of the queue tests: four at once.
func queueLimits() Limits {
	l := NewLimits()
	l.Children = 4
	return l
}

// TestQueueTakesTurns: behind a user who asked for much first, everybody else
// waits for one place only, and so does each repository of one user.
func TestQueueTakesTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var q queue
		limits := queueLimits()
		limits.Children = 1
		var mu sync.Mutex
		var order []string
		var all sync.WaitGroup
		ask := func(who string, repo ferry.RepositoryID) {
			all.Go(func() {
				leave, err := q.enter(t.Context(), who, repo, limits)
				if err != nil {
					t.Errorf("%s on %d: %v", who, repo, err)
					return
				}
				mu.Lock()
				order = append(order, fmt.Sprint(who, repo))
				mu.Unlock()
				time.Sleep(time.Second)
				leave()
			})
			synctest.Wait()
		}
		for range 4 {
			ask("greedy", 1)
		}
		ask("greedy", 2)
		ask("greedy", 2)
		ask("late", 1)
		ask("late", 1)
		ask("last", 2)
		all.Wait()
		want := "greedy1 greedy1 late1 last2 greedy2 late1 greedy1 greedy2 greedy1"
		if got := strings.Join(order, " "); got != want {
			t.Errorf("served\n%s, want\n%s", got, want)
		}
		if len(q.users)+len(q.repos)+len(q.waiting)+q.running != 0 {
			t.Errorf("left behind: %+v", &q)
		}
	})
}

// TestQueueLimits: neither one user nor one repository takes every place, the
// queue of a repository ends somewhere, and nobody waits for ever.
func TestQueueLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var q queue
		limits := queueLimits()
		in := func(who string, repo ferry.RepositoryID) func() {
			t.Helper()
			leave, err := q.enter(t.Context(), who, repo, limits)
			if err != nil {
				t.Fatalf("%s on %d: %v", who, repo, err)
			}
			return leave
		}
		out := func(who string, repo ferry.RepositoryID) time.Duration {
			t.Helper()
			begin := time.Now()
			if _, err := q.enter(t.Context(), who, repo, limits); err != errBusy {
				t.Fatalf("%s on %d: %v, want %v", who, repo, err, errBusy)
			}
			return time.Since(begin)
		}
		leave := []func(){in("a", 1), in("a", 2), in("a", 3)}
		if waited := out("a", 4); waited != limits.QueueWait {
			t.Errorf("the fourth read of a user was refused after %s, want %s", waited, limits.QueueWait)
		}
		leave = append(leave, in("b", 4))
		out("c", 5) // four run
		for _, l := range leave {
			l()
		}
		leave = []func(){in("a", 1), in("b", 1), in("c", 1)}
		out("d", 1) // the last place is another repository's
		leave = append(leave, in("d", 2))

		ctx, cancel := context.WithCancel(t.Context())
		var waiting sync.WaitGroup
		for i := range limits.RepoQueue {
			waiting.Go(func() {
				if _, err := q.enter(ctx, i, 1, limits); !errors.Is(err, context.Canceled) {
					t.Errorf("a read whose client left: %v", err)
				}
			})
		}
		synctest.Wait()
		if waited := out("e", 1); waited != 0 {
			t.Errorf("a read beyond the queue was refused after %s", waited)
		}
		cancel()
		waiting.Wait()
		for _, l := range leave {
			l()
		}
		in("e", 1)()
		if len(q.users)+len(q.repos)+len(q.waiting)+q.running != 0 {
			t.Errorf("left behind: %+v", &q)
		}
	})
}

// TestQueueUnderLoad lets many enter and leave at random, some before it is
// their turn, and looks that the bounds hold at every moment.
func TestQueueUnderLoad(t *testing.T) {
	var q queue
	limits := queueLimits()
	limits.RepoOperations = 2
	var running atomic.Int32
	var perRepo [3]atomic.Int32
	var all sync.WaitGroup
	for i := range 40 {
		all.Go(func() {
			random := rand.New(rand.NewPCG(1, uint64(i)))
			for range 50 {
				repo := random.IntN(3)
				ctx, cancel := context.WithCancel(t.Context())
				if random.IntN(4) == 0 {
					time.AfterFunc(time.Duration(random.IntN(200))*time.Microsecond, cancel)
				}
				leave, err := q.enter(ctx, i%7, ferry.RepositoryID(repo), limits)
				if err == nil {
					if n, m := running.Add(1), perRepo[repo].Add(1); n > 4 || m > 2 {
						t.Errorf("%d run, %d of one repository", n, m)
					}
					runtime.Gosched()
					perRepo[repo].Add(-1)
					running.Add(-1)
					leave()
				} else if !errors.Is(err, context.Canceled) {
					t.Error(err)
				}
				cancel()
			}
		})
	}
	all.Wait()
	if len(q.users)+len(q.repos)+len(q.waiting)+q.running != 0 {
		t.Errorf("left behind: %+v", &q)
	}
}

// person makes a user who may read, with a token and an SSH key.
func (w *world) person(name string) (token string, key ssh.Signer) {
	w.t.Helper()
	ctx := context.Background()
	u, err := w.Store.AddUser(ctx, ferry.User{Name: name, Email: name + "@example.invalid"})
	w.must(err)
	_, err = w.Store.AddGrant(ctx, ferry.Grant{User: u.ID, Glob: "**", Level: ferry.LevelRead})
	w.must(err)
	secret, _, err := w.Store.NewToken(ctx, store.Token{User: u.ID, Name: "test", Scopes: []ferry.Scope{ferry.ScopeRepoRead}, ExpiresAt: time.Now().Add(time.Hour)})
	w.must(err)
	key, _ = newKey(w.t)
	_, err = w.Store.AddSSHKey(ctx, store.SSHKey{User: u.ID, Name: "test", Type: key.PublicKey().Type(),
		Fingerprint: ssh.FingerprintSHA256(key.PublicKey()), Public: strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key.PublicKey())))})
	w.must(err)
	return secret.Reveal(), key
}

// wholePack returns an error unless an answer to a fetch of protocol 2 holds a
// pack from its beginning to its checksum.
func wholePack(answer []byte) error {
	_, bands, ok := bytes.Cut(answer, []byte("000dpackfile\n"))
	if !ok {
		return fmt.Errorf("no pack in %.200q", answer)
	}
	var pack bytes.Buffer
	r := pktline.NewReader(bytes.NewReader(bands))
	for {
		kind, p, err := r.Read()
		if err != nil {
			return err
		}
		if kind == pktline.Flush {
			break
		}
		if len(p) > 0 && p[0] == 1 {
			pack.Write(p[1:])
		}
	}
	n := pack.Len() - sha1.Size
	if sum := sha1.Sum(pack.Bytes()[:max(0, n)]); n < 12 || !bytes.Equal(sum[:], pack.Bytes()[n:]) {
		return fmt.Errorf("a pack of %d bytes is not whole", pack.Len())
	}
	return nil
}

// TestManyDoorsOpen: with 1,000 idle SSH connections open, 200 fetches at the
// same time, no two for the same, by many users from several repositories, all
// get what they asked for; so does a push beside them.
func TestManyDoorsOpen(t *testing.T) {
	if testing.Short() {
		t.Skip("left out: opens 1,000 connections, in short mode")
	}
	const users, repos, fetches, idle = 25, 5, 8, 1000
	w := newWorld(t, nil)
	w.Limits.Freshness = time.Hour
	ctx := t.Context()
	work := w.work()
	var wants [repos][]ferry.OID
	for i := range repos {
		repo, url := w.repo, w.url
		if i > 0 {
			name := fmt.Sprintf("demo%d", i)
			w.must(w.up.CreateRepository(ctx, "us-east-1", name, ""))
			repo.Name, repo.HostID, repo.CloneURL, repo.ID = name, name, strings.TrimSuffix(w.repo.CloneURL, "demo")+name, 0
			var err error
			repo, err = w.Store.AddRepository(ctx, repo)
			w.must(err)
			url = strings.TrimSuffix(w.url, "demo") + name
		}
		push := []string{"push", "--quiet", url}
		for j := range users * fetches / repos {
			wants[i] = append(wants[i], work.Commit(fmt.Sprintf("DEMO-1 %d %d", i, j), "f", fmt.Sprint(i, j)))
			push = append(push, fmt.Sprintf("HEAD~%d:refs/heads/b%d", users*fetches/repos-1-j, j))
		}
		work.Run(push...)
	}
	w.settled()

	before := heap()
	tokens := make([]string, users)
	limits := w.door.Limits
	limits.Connections, limits.PreAuth, limits.PreAuthPerAddress = idle+100, idle, idle
	many := startDoor(t, func(d *SSHDoor) {
		d.Limits, d.Authenticate, d.Serve = limits, w.door.Authenticate, w.Server.ServeSSH
	})
	var opened sync.WaitGroup
	var open atomic.Int32
	for i := range users {
		token, key := w.person(fmt.Sprintf("person%d", i))
		tokens[i] = token
		opened.Go(func() {
			for range idle / users {
				client, err := ssh.Dial("tcp", many.addr, many.config(key))
				if err != nil {
					t.Error(err)
					return
				}
				t.Cleanup(func() { client.Close() })
				open.Add(1)
			}
		})
	}
	opened.Wait()
	if open.Load() != idle {
		t.Fatalf("%d connections open, want %d", open.Load(), idle)
	}
	t.Logf("%d idle SSH connections: %d KiB each, both ends", idle, (heap()-before)/idle>>10)

	var all sync.WaitGroup
	begin := time.Now()
	for i := range users {
		for j := range fetches {
			all.Go(func() {
				// Users differ in what they ask for: repository and commit.
				repo := (i + j) % repos
				want := wants[repo][(i*fetches+j)/repos]
				name := "demo"
				if repo > 0 {
					name = fmt.Sprintf("demo%d", repo)
				}
				resp, body := w.ask("POST", "/us-east-1/"+name+"/git-upload-pack", "x:"+tokens[i],
					map[string]string{"Content-Type": "application/x-git-upload-pack-request", "Git-Protocol": "version=2"},
					strings.NewReader(fetch2("want "+want.String(), "done")))
				if resp.StatusCode != http.StatusOK {
					t.Errorf("user %d: %d %s", i, resp.StatusCode, body)
				} else if err := wholePack([]byte(body)); err != nil {
					t.Errorf("user %d: %v", i, err)
				}
			})
		}
	}
	all.Go(func() { // a push waits for no read
		work.Commit("DEMO-1 beside them", "f", "x")
		work.Run("push", "--quiet", w.url, "HEAD:refs/heads/beside")
	})
	all.Wait()
	t.Logf("%d fetches in %s", users*fetches, time.Since(begin))
	_, key := w.person("another")
	client := many.dial(t, key)
	if stdout, stderr, _ := output(t, client, "git-upload-pack 'us-east-1/demo'"); !strings.Contains(stdout, "refs/heads/beside\n0000") {
		t.Errorf("an SSH session beside %d connections: %q %q", idle, stdout, stderr)
	}
}

// heap is the memory in use for objects and stacks, in bytes.
func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapInuse + m.StackInuse)
}

// TestTooBusy: who is refused for want of a place is told so by git, with a
// hint when to try again.
func TestTooBusy(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(w *world) { w.Limits.QueueWait = 50 * time.Millisecond; w.Limits.Children = 1 })
	work := w.work()
	work.Commit("DEMO-1 one", "f", "1")
	work.Run("push", "--quiet", w.url, "HEAD:main")
	w.settled()
	leave, err := w.reads.enter(t.Context(), "somebody", w.repo.ID, w.Limits)
	w.must(err)
	for door, url := range w.urls() {
		for _, version := range []string{"0", "2"} {
			out := work.Fails("-c", "protocol.version="+version, "clone", "--quiet", url, t.TempDir()+"/x")
			want := "gitferry: too many git operations are running; try again in a minute"
			if door == "http" {
				want = "HTTP 429" // git shows no more of the answer to a POST
			}
			if !strings.Contains(out, want) {
				t.Errorf("%s, protocol %s: git says %q", door, version, out)
			}
		}
	}
	resp, body := w.ask("POST", "/us-east-1/demo/git-upload-pack", "x:"+w.token,
		map[string]string{"Content-Type": "application/x-git-upload-pack-request", "Git-Protocol": "version=2"},
		strings.NewReader(fetch2("want "+work.OID("HEAD").String(), "done")))
	if resp.StatusCode != http.StatusTooManyRequests || resp.Header.Get("Retry-After") == "" || !strings.Contains(body, "try again in a minute") {
		t.Errorf("status %d, Retry-After %q, %q", resp.StatusCode, resp.Header.Get("Retry-After"), body)
	}
	leave()
	work.Run("clone", "--quiet", w.url, t.TempDir()+"/x")
}
