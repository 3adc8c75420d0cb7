package bench

import (
	"context"
	"crypto/sha1"
	"encoding/json"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"gitferry/internal/ferry"
	"gitferry/internal/store"
	"gitferry/mirror"
)

// The largest books, and the sizes on the way to them.
var scales = []int{1, 10, 100}

const (
	scaleCommits      = 10_000 // at scale 1, like the next two
	scaleIssues       = 1_000
	scaleRepositories = 100
	scaleChunk        = 1_000 // commits of one repository in one transaction
	scaleWrites       = 50    // pushes indexed in a second while reads are measured
	scaleRounds       = 200   // of each figure in one pass
	scalePasses       = 5
)

// figure is something measured at each scale.
type figure struct {
	name, mark string
	run        func(random *rand.Rand)
	median     []float64 // seconds, one a scale
	p99        []float64 // milliseconds, of each pass of the last scale
}

// exponent is e where the time grows with the input to the power of e, from
// the first scale to the last.
func (f *figure) exponent() float64 {
	last := len(f.median) - 1
	return math.Log(f.median[last]/f.median[0]) / math.Log(float64(scales[last])/float64(scales[0]))
}

func (f *figure) times() string {
	var text []string
	for _, m := range f.median {
		text = append(text, fmt.Sprintf("%.3g", m*1e3))
	}
	return strings.Join(text, " / ") + " ms"
}

// scale measures books that grow to a million commits, 100,000 issues and
// 10,000 repositories, and a first index of histories of three lengths.
func scale(b *bench) {
	st, err := store.Open(b.t.Context(), filepath.Join(b.mkdir("scale"), "books.db"), store.Options{MasterKey: make([]byte, 32), Log: slog.New(slog.DiscardHandler)})
	must(b.t, err)
	defer st.Close()
	books := &scaleBooks{b: b, st: st}
	figures := []*figure{
		{name: "issue page data", mark: "p99 ≤ 10 ms", run: books.issuePage},
		{name: "repositories that a person may read", run: books.readable},
		{name: "commits of a key", run: books.byKey},
		{name: "which of 1,000 commits are new", run: books.newCommits},
		{name: "outbox: 50 entities claimed and given back", run: books.claim},
	}
	for _, by := range scales {
		books.grow(by)
		stop := books.write()
		for _, f := range figures {
			random := rand.New(rand.NewPCG(1, uint64(by)))
			var all []float64
			f.p99 = nil
			for range scalePasses {
				var took []float64
				for range scaleRounds {
					start := time.Now()
					f.run(random)
					took = append(took, time.Since(start).Seconds())
				}
				slices.Sort(took)
				f.p99, all = append(f.p99, took[len(took)*99/100]*1e3), append(all, took...)
			}
			slices.Sort(all)
			f.median = append(f.median, all[len(all)/2])
		}
		stop()
	}
	for _, f := range figures {
		b.add(&row{what: f.name + ", 1 M commits, 100,000 issues, 10,000 repositories, 50 index writes/s", against: "–", mark: f.mark,
			note: fmt.Sprintf("median %s at 1×, 10×, 100× (exponent %.2f); p99 %s ms", f.times(), f.exponent(), ratio(f.p99))})
	}
	indexGrowth(b)
}

// scaleBooks are books that grow.
type scaleBooks struct {
	b           *bench
	st          *store.Store
	integration ferry.IntegrationID
	repos       []ferry.Repository
	commits     int
	issues      int
}

func scaleOID(n int) ferry.OID { return sha1.Sum(fmt.Appendf(nil, "%d", n)) }

func (s *scaleBooks) key(n int) ferry.IssueKey {
	return ferry.IssueKey(fmt.Sprintf("DEMO-%d", n%s.issues+1))
}

// commit is commit n: two of three name an issue.
func (s *scaleBooks) commit(n int) (store.Commit, []store.Entity) {
	c := store.Commit{OID: scaleOID(n), Author: store.Person{Name: "Test Author", Email: "author@example.invalid"}, Initial: true,
		AuthoredAt: time.Unix(int64(1_500_000_000+n), 0), CommittedAt: time.Unix(int64(1_500_000_000+n), 0),
		Message: fmt.Sprintf("ui: change number %d\n\n%0250d\n", n, n)}
	c.Committer = c.Author
	if n%scaleChunk > 0 {
		c.Parents = []ferry.OID{scaleOID(n - 1)}
	}
	if n%3 == 0 {
		return c, nil
	}
	k := s.key(n * 7)
	c.Links = []store.Link{{Key: k, Reason: "message"}}
	return c, []store.Entity{{Kind: store.EntityCommit, EntityID: c.OID.String(), Keys: []ferry.IssueKey{k}, Backfill: true}}
}

// grow brings the books to a scale.
func (s *scaleBooks) grow(by int) {
	ctx := s.b.t.Context()
	s.issues = scaleIssues * by
	if s.integration == 0 {
		i, err := s.st.AddIntegration(ctx, ferry.Integration{Slug: "scale", Name: "scale", Kind: ferry.KindCodeCommit, Region: region, GitAuth: ferry.GitAuthBasic,
			GitUsername: "nobody"}, ferry.Credentials{})
		must(s.b.t, err)
		s.integration = i.ID
	}
	for n := len(s.repos); n < scaleRepositories*by; n++ {
		r, err := s.st.AddRepository(ctx, ferry.Repository{IntegrationID: s.integration, Owner: "scale", Name: fmt.Sprintf("repository-%d", n), Region: region, DefaultBranch: "main",
			CloneURL: fmt.Sprintf("https://git-codecommit.us-east-1.amazonaws.com/v1/repos/repository-%d", n), State: ferry.RepositoryEnabled})
		must(s.b.t, err)
		s.repos = append(s.repos, r)
	}
	for s.commits < scaleCommits*by {
		commits, entities := make([]store.Commit, scaleChunk), []store.Entity(nil)
		for i := range commits {
			var e []store.Entity
			commits[i], e = s.commit(s.commits + i)
			entities = append(entities, e...)
		}
		_, err := s.st.AddCommits(ctx, s.repos[s.commits/scaleChunk].ID, commits, entities)
		must(s.b.t, err)
		s.commits += scaleChunk
	}
}

// write indexes scaleWrites pushes of one commit a second until stop is called.
func (s *scaleBooks) write() (stop func()) {
	ctx, cancel := context.WithCancel(s.b.t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(time.Second / scaleWrites)
		defer tick.Stop()
		repo, old := s.repos[len(s.repos)-1].ID, ferry.OID{}
		if refs, err := s.st.Refs(ctx, repo); err == nil {
			old = refs["refs/heads/main"]
		}
		for n := 1_000_000_000 + s.commits; ; n++ {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			c, e := s.commit(n)
			u := ferry.RefUpdate{Name: "refs/heads/main", Old: old, New: c.OID}
			if _, err := s.st.Apply(context.WithoutCancel(ctx), store.Change{Repository: repo, Updates: []ferry.RefUpdate{u}, Commits: []store.Commit{c}, Entities: e}); err != nil {
				s.b.t.Error(err)
				return
			}
			old = c.OID
		}
	}()
	return func() { cancel(); <-done }
}

// issuePage asks what the page of an issue shows.
func (s *scaleBooks) issuePage(random *rand.Rand) {
	ctx, key := s.b.t.Context(), s.key(random.IntN(s.issues))
	_, err := s.st.IssuesCached(ctx, []ferry.IssueKey{key}, 10*time.Minute)
	must(s.b.t, err)
	_, err = s.st.HandLinksOf(ctx, key)
	must(s.b.t, err)
	_, err = s.st.CommitsByKey(ctx, key, store.Page{Limit: 51})
	must(s.b.t, err)
	_, err = s.st.Deliveries(ctx, store.DeliveryFilter{Key: key, Limit: 1000})
	must(s.b.t, err)
	_, err = s.st.IssueSummary(ctx, key)
	must(s.b.t, err)
	_, err = s.st.PullRequests(ctx, store.PullRequestFilter{Key: key, Limit: 100})
	must(s.b.t, err)
	_, err = s.st.BranchesByKey(ctx, key)
	must(s.b.t, err)
}

func (s *scaleBooks) readable(*rand.Rand) {
	all, err := s.st.Repositories(s.b.t.Context(), store.RepositoryFilter{})
	must(s.b.t, err)
	alice := ferry.Subject{User: ferry.User{ID: 1, Name: "alice"}, Grants: []ferry.Grant{{User: 1, Glob: "scale/*", Level: ferry.LevelRead}}}
	now := time.Now()
	for _, r := range all {
		_ = ferry.Check(alice, ferry.ActionRead, r.Path(), now)
	}
}

func (s *scaleBooks) byKey(random *rand.Rand) {
	_, err := s.st.CommitsByKey(s.b.t.Context(), s.key(random.IntN(s.issues)), store.Page{Limit: 30})
	must(s.b.t, err)
}

func (s *scaleBooks) newCommits(random *rand.Rand) {
	chunk := random.IntN(s.commits / scaleChunk)
	oids := make([]ferry.OID, scaleChunk)
	for i := range oids {
		oids[i] = scaleOID(chunk*scaleChunk + i)
		if i%2 == 0 {
			oids[i] = scaleOID(-i - 1)
		}
	}
	known, err := s.st.KnownCommits(s.b.t.Context(), s.repos[chunk].ID, oids)
	must(s.b.t, err)
	if len(known) != scaleChunk/2 {
		s.b.t.Fatalf("%d commits known, want %d", len(known), scaleChunk/2)
	}
}

func (s *scaleBooks) claim(*rand.Rand) {
	list, err := s.st.ClaimEntities(s.b.t.Context(), "boot", time.Minute, 50)
	must(s.b.t, err)
	if len(list) != 50 {
		s.b.t.Fatalf("%d entities claimed", len(list))
	}
	results := make([]store.EntityResult, len(list))
	for i, e := range list {
		results[i] = store.EntityResult{ID: e.ID, Version: e.Version, State: store.EntityRetry}
	}
	must(s.b.t, s.st.SaveEntities(s.b.t.Context(), results))
}

// indexGrowth measures first indexes of 1,000, 10,000 and 100,000 commits.
func indexGrowth(b *bench) {
	f := figure{name: "first index"}
	exe, err := os.Executable()
	must(b.t, err)
	for _, by := range scales {
		root := b.mkdir(fmt.Sprintf("growth-%d", by))
		dir := (&mirror.Dir{Root: root}).Path(1)
		must(b.t, os.MkdirAll(dir, 0o700))
		b.git(b.directClient(), dir, "init", "--quiet", "--bare", ".")
		var history strings.Builder
		for n := range 1000 * by {
			message := fmt.Sprintf("STORM-%d change %d\n\n%0200d\n", n%500+1, n, n)
			fmt.Fprintf(&history, "commit refs/heads/main\ncommitter T <t@example.invalid> %d +0000\ndata %d\n%s\n", 1_500_000_000+n, len(message), message)
		}
		load := exec.Command("git", "fast-import", "--quiet")
		load.Dir, load.Env, load.Stdin = dir, b.directClient(), strings.NewReader(history.String())
		must(b.t, load.Run())
		b.git(b.directClient(), dir, "repack", "-a", "-d", "--quiet", "--write-bitmap-index")
		b.git(b.directClient(), dir, "commit-graph", "write", "--reachable", "--no-progress")
		must(b.t, os.WriteFile(filepath.Join(dir, "gitferry-copied"), nil, 0o600))
		var took []float64
		for round := range 3 {
			task, err := json.Marshal(indexTask{Root: root, ID: 1, Work: b.mkdir(fmt.Sprintf("growth-%d/%d", by, round))})
			must(b.t, err)
			cmd := exec.Command(exe)
			cmd.Env = append(os.Environ(), roleVariable+"=index "+string(task))
			cmd.Stderr = os.Stderr
			out, err := cmd.Output()
			must(b.t, err)
			var s indexSample
			must(b.t, json.Unmarshal(out, &s))
			took = append(took, s.CPU.Seconds())
		}
		slices.Sort(took)
		f.median = append(f.median, took[1])
	}
	b.add(&row{what: "first index of 1,000, 10,000 and 100,000 commits, processor time", against: "–", mark: "–",
		note: fmt.Sprintf("%s (exponent %.2f)", f.times(), f.exponent())})
}
