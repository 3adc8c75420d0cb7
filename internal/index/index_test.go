package index

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gitferry/internal/ferry"
	"gitferry/internal/git"
	"gitferry/internal/gittest"
	"gitferry/internal/smartcommit"
	"gitferry/internal/store"
	"gitferry/mirror"
)

// A world is an Index on real books and a mirror that tests push to.
type world struct {
	*Index
	t    *testing.T
	repo ferry.Repository
	user ferry.User
	work *gittest.Repo
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t}
	root := t.TempDir()
	g, err := git.New(t.Context(), t.TempDir())
	w.must(err)
	key := make([]byte, 32)
	_, _ = rand.Read(key)
	st, err := store.Open(t.Context(), filepath.Join(root, "books.db"), store.Options{MasterKey: key})
	w.must(err)
	t.Cleanup(func() { st.Close() })
	i, err := st.AddIntegration(t.Context(), ferry.Integration{Slug: "r", Name: "r", Kind: ferry.KindCodeCommit, Region: "us-east-1", GitAuth: ferry.GitAuthBasic}, ferry.Credentials{})
	w.must(err)
	w.repo, err = st.AddRepository(t.Context(), ferry.Repository{IntegrationID: i.ID, Owner: "r", Name: "demo", Region: "us-east-1", HostID: "1",
		CloneURL: "https://host.invalid/demo", State: ferry.RepositoryEnabled, SmartCommits: true})
	w.must(err)
	w.user, err = st.AddUser(t.Context(), ferry.User{Name: "alice", Email: gittest.Email})
	w.must(err)
	w.must(st.SetJiraSite(t.Context(), store.JiraSite{Kind: "datacenter", URL: "https://jira.invalid", Processor: "gitferry"}))
	w.Index = &Index{Store: st, Git: g, Log: slog.New(slog.DiscardHandler),
		Settings: func(context.Context) (Settings, error) {
			return Settings{RunCommands: true, MaxAge: 24 * time.Hour, Parse: smartcommit.Options{HoursPerDay: 8, DaysPerWeek: 5}}, nil
		},
		Now: func() time.Time { return w.work.Now }}
	w.work = gittest.New(t)
	dir := (&mirror.Dir{Root: root}).Path(w.repo.ID)
	w.must(git.Init(dir))
	w.must(os.WriteFile(filepath.Join(dir, "gitferry-copied"), nil, 0o600))
	w.work.Run("remote", "add", "origin", dir)
	w.reload()
	return w
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// reload makes the mirror read its refs anew, which a test has moved.
func (w *world) reload() {
	root := filepath.Dir(filepath.Dir(filepath.Dir(w.work.Output("remote", "get-url", "origin"))))
	w.Mirror = &mirror.Dir{Root: root, Git: w.Git, Log: w.Log}
}

// push moves refs of the mirror and indexes what moved.
func (w *world) push(refs ...string) {
	w.t.Helper()
	if len(refs) > 0 {
		w.work.Run(append([]string{"push", "-q", "-f", "origin"}, refs...)...)
	}
	w.reload()
	w.must(w.Repository(context.Background(), w.repo))
	stored, err := w.Store.Refs(context.Background(), w.repo.ID)
	w.must(err)
	now, err := w.Mirror.Refs(context.Background(), w.repo)
	w.must(err)
	if diff := cmp.Diff(now, stored); diff != "" {
		w.t.Fatalf("refs of the mirror and in the books (-mirror +books):\n%s", diff)
	}
}

// actions are the queued commands in order: "KEY command as USER".
func (w *world) actions() []string {
	w.t.Helper()
	list, err := w.Store.Deliveries(context.Background(), store.DeliveryFilter{Limit: 1000})
	w.must(err)
	var out []string
	for _, d := range slices.Backward(list) {
		if d.Kind != "action" {
			continue
		}
		var c struct {
			Type string `json:"type"`
		}
		w.must(json.Unmarshal(d.Command, &c))
		out = append(out, fmt.Sprintf("%s %s as %d", d.Keys[0], c.Type, d.Actor))
	}
	slices.Sort(out)
	return out
}

// reachable are the messages of commits that the books hold as reachable.
func (w *world) reachable() []string {
	w.t.Helper()
	list, err := w.Store.LinkedCommits(context.Background(), w.repo.ID, store.AllCommits, store.Page{Limit: 1000})
	w.must(err)
	var out []string
	for _, c := range list {
		if c.Reachable {
			out = append(out, c.Message)
		}
	}
	slices.Sort(out)
	return out
}

// A first index runs no commands; afterwards each command runs once, whatever
// becomes of its commit: amended, rebased, cherry-picked, merged, on two
// branches. Doing it all again changes nothing.
func TestCommandsOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.work.Commit("DEMO-1 #comment from history", "a", "1")
	w.push("HEAD:refs/heads/main")
	if got := w.actions(); len(got) != 0 {
		t.Fatalf("the first index queued %q", got)
	}
	w.work.Commit("DEMO-2 #comment once", "a", "2")
	w.push("HEAD:refs/heads/main", "HEAD:refs/heads/side")
	want := []string{"DEMO-2 comment as 0"}
	if diff := cmp.Diff(want, w.actions()); diff != "" {
		t.Fatalf("after a new commit (-want +got):\n%s", diff)
	}
	w.work.Run("commit", "-q", "--amend", "--allow-empty", "--no-edit", "--reset-author", "--date="+w.work.Output("log", "-1", "--format=%aI"))
	w.push("HEAD:refs/heads/main")
	w.work.Run("checkout", "-q", "-b", "picked", "HEAD~")
	w.work.Run("cherry-pick", "main")
	w.work.Run("merge", "-q", "-m", "merge", "origin/side")
	w.push("HEAD:refs/heads/picked")
	for range 3 {
		w.must(w.Repository(t.Context(), w.repo))
	}
	if diff := cmp.Diff(want, w.actions()); diff != "" {
		t.Errorf("after amending, picking and merging (-want +got):\n%s", diff)
	}
	w.work.Run("commit", "-q", "--allow-empty", "-m", "DEMO-2 #comment once")
	w.push("HEAD:refs/heads/picked")
	if got := w.actions(); len(got) != 2 {
		t.Errorf("the same text in a commit of its own queued %q", got)
	}
	old := w.work.Now.Add(-48 * time.Hour)
	w.work.Vars = append(w.work.Vars, fmt.Sprintf("GIT_COMMITTER_DATE=%d +0000", old.Unix()))
	w.work.Run("commit", "-q", "--allow-empty", "-m", "DEMO-3 #comment too old")
	w.push("HEAD:refs/heads/picked")
	if got := w.actions(); len(got) != 2 {
		t.Errorf("a commit older than the limit queued %q", got)
	}
}

// Who pushed a commit through us is the one for whom its commands run, also
// while the outcome of the push is being looked up; commits found by looking
// and pushes that failed have nobody.
func TestAttribution(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		outcome store.Outcome // "" while it is not known
		actor   ferry.UserID
		options bool // smart-commits=off
		want    int
		state   store.PushState
	}{
		{"accepted", store.OutcomeOK, 1, false, 1, store.PushDone},
		{"not known yet", "", 1, false, 1, store.PushReleased},
		{"rejected", store.OutcomeRejected, 0, false, 1, store.PushResolved},
		{"commands switched off", store.OutcomeOK, 1, true, 0, store.PushDone},
	} {
		w := newWorld(t)
		w.work.Commit("base", "a", "1")
		w.push("HEAD:refs/heads/main")
		old := w.work.OID("HEAD")
		next := w.work.Commit("DEMO-1 #comment hello", "a", "2")
		updates := []ferry.RefUpdate{{Name: "refs/heads/main", Old: old, New: next}}
		id, err := w.Store.ReleasePush(t.Context(), store.Push{Repository: w.repo.ID, User: w.user.ID, Updates: updates, NoSmartCommits: c.options})
		w.must(err)
		if c.outcome != "" {
			w.must(w.Store.ResolvePush(t.Context(), id, []store.PushResult{{Name: "refs/heads/main", Outcome: c.outcome}}))
		}
		w.push("HEAD:refs/heads/main")
		got := w.actions()
		if len(got) != c.want || c.want > 0 && got[0] != fmt.Sprintf("DEMO-1 comment as %d", c.actor) {
			t.Errorf("%s: queued %q, want %d as %d", c.name, got, c.want, c.actor)
		}
		if p, err := w.Store.Push(t.Context(), id); err != nil || p.State != c.state {
			t.Errorf("%s: the push is %s, %v, want %s", c.name, p.State, err, c.state)
		}
	}
}

// Forced pushes and deletions take back what no branch holds any more, and it
// comes back with a branch; the end equals an index built from scratch.
func TestLostAndFound(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	base := w.work.Commit("DEMO-1 base", "a", "1")
	w.push("HEAD:refs/heads/main")
	lost := w.work.Commit("DEMO-2 lost", "a", "2")
	w.push("HEAD:refs/heads/main")
	w.work.Run("reset", "-q", "--hard", base.String())
	w.work.Commit("DEMO-3 instead", "a", "3")
	w.push("HEAD:refs/heads/main")
	if diff := cmp.Diff([]string{"DEMO-1 base", "DEMO-3 instead"}, w.reachable()); diff != "" {
		t.Errorf("after a forced push (-want +got):\n%s", diff)
	}
	w.push(lost.String() + ":refs/heads/again")
	w.push("HEAD:refs/heads/third")
	w.push(":refs/heads/third", lost.String()+":refs/heads/main", ":refs/heads/again", "HEAD:refs/heads/swapped")
	if diff := cmp.Diff([]string{"DEMO-1 base", "DEMO-2 lost", "DEMO-3 instead"}, w.reachable()); diff != "" {
		t.Errorf("after swapping branches (-want +got):\n%s", diff)
	}
	fresh := newWorld(t)
	fresh.work = w.work
	fresh.work.Run("remote", "set-url", "origin", fresh.Mirror.Path(fresh.repo.ID))
	fresh.push(lost.String()+":refs/heads/main", "HEAD:refs/heads/swapped")
	if diff := cmp.Diff(fresh.reachable(), w.reachable()); diff != "" {
		t.Errorf("built step by step and from scratch (-scratch +steps):\n%s", diff)
	}
	w.work.Run("remote", "set-url", "origin", w.Mirror.Path(w.repo.ID))
	w.work.Run("--git-dir="+w.Mirror.Path(w.repo.ID), "update-ref", "-d", "refs/heads/main")
	w.push()
	if diff := cmp.Diff([]string{"DEMO-1 base", "DEMO-3 instead"}, w.reachable()); diff != "" {
		t.Errorf("after deleting main (-want +got):\n%s", diff)
	}
}

// A push that comes before the first index runs its commands, and only its
// own; a first index after its end, as for a repair, runs none.
func TestPushBeforeFirstIndex(t *testing.T) {
	t.Parallel()
	for _, history := range []bool{false, true} {
		for _, booked := range []bool{false, true} {
			w := newWorld(t)
			old := ferry.OID{}
			if history {
				old = w.work.Commit("DEMO-1 #comment from history", "a", "1")
			}
			next := w.work.Commit("DEMO-2 #comment pushed", "a", "2")
			id, err := w.Store.ReleasePush(t.Context(), store.Push{Repository: w.repo.ID, User: w.user.ID,
				Updates: []ferry.RefUpdate{{Name: "refs/heads/main", Old: old, New: next}}})
			w.must(err)
			w.must(w.Store.ResolvePush(t.Context(), id, []store.PushResult{{Name: "refs/heads/main", Outcome: store.OutcomeOK}}))
			if booked {
				w.must(w.Store.FinishPush(t.Context(), id))
			}
			w.push("HEAD:refs/heads/main")
			w.must(w.Repository(t.Context(), w.repo))
			var want []string
			if !booked {
				want = []string{"DEMO-2 comment as 1"}
			}
			if diff := cmp.Diff(want, w.actions()); diff != "" {
				t.Errorf("history %t, booked %t (-want +got):\n%s", history, booked, diff)
			}
			if p, err := w.Store.Push(t.Context(), id); err != nil || p.State != store.PushDone {
				t.Errorf("history %t, booked %t: the push is %s, %v", history, booked, p.State, err)
			}
			if r, err := w.Store.Repository(t.Context(), w.repo.ID); err != nil || r.IndexedAt.IsZero() {
				t.Errorf("history %t, booked %t: the repository is not indexed, %v", history, booked, err)
			}
		}
	}
}
