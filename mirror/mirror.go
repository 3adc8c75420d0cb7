// Package mirror keeps a local bare copy of every connected repository.
//
// A mirror is a cache: upstream decides, and a mirror may be deleted at any
// time. Its refs move in two ways only. A push that upstream accepted moves
// them under the repository's apply lock (Hold, Apply). A refresh looks at
// upstream's refs, fetches what is missing into a quarantine and moves the
// refs under the same lock, passing over whatever a push moved meanwhile, so
// that a refresh never goes back behind a push (Refresh).
//
// Objects become readable only when they are complete, checked and accepted
// by upstream: they wait in a quarantine directory until then.
//
// proxy and index call this package. It knows no users, no issues and no SQL;
// whoever wants to know of movements gives Dir.Moved.
package mirror

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"gitferry/internal/ferry"
	"gitferry/internal/git"
	"gitferry/internal/pktline"
	"gitferry/internal/upstream"
)

// A Dir is the directory that holds the mirrors. Fill the exported fields
// before use; it may then be used concurrently.
type Dir struct {
	Root   string // directory; mirrors lie at repos/<hh>/<id>.git below it
	Git    *git.Runner
	Dialer *upstream.Dialer
	// Target tells how to reach a repository's upstream.
	Target func(context.Context, ferry.Repository) (upstream.Target, error)
	// Moved is called after refs moved, outside of all locks; it must not block.
	Moved func(ferry.RepositoryID)
	// Degraded is called when what git says of upstream's objects is not what
	// repo.Degraded holds: problem is the new value of it. It may be nil.
	Degraded func(ctx context.Context, repo ferry.Repository, problem string)
	Log      *slog.Logger
	Now      func() time.Time // nil: time.Now
	// LookTimeout bounds one look at upstream's refs; 0: 30 s.
	LookTimeout time.Duration
	// CacheBytes bounds the answers to fetches that are kept on disk, below
	// Root, to be given again; 0: none are kept.
	CacheBytes int64
	// BundleBytes is the size of all packs from which on Upkeep makes bundles
	// of a mirror; 0: of none.
	BundleBytes int64
	// UnreachableTTL is how long objects that no ref reaches any more are kept;
	// 0: until a purge.
	UnreachableTTL time.Duration

	mu     sync.Mutex
	states map[ferry.RepositoryID]*state // guarded by mu
	cache  *cache                        // guarded by mu; made at the first use
}

// state is what is known of one mirror.
type state struct {
	id   ferry.RepositoryID
	path string
	// apply is held from the release of a push, or from the end of a fetch,
	// until refs have moved. A channel, so that waiting obeys a context.
	apply chan struct{}

	mu       sync.Mutex
	loaded   bool                      // guarded by mu; the fields below are read from disk
	copied   bool                      // guarded by mu; the first copy is complete
	head     ferry.RefName             // guarded by mu; what HEAD names, or ""
	refs     map[ferry.RefName]git.Ref // guarded by mu
	sorted   []pktline.Ref             // guarded by mu; refs in order, nil after a change
	ahead    map[ferry.RefName]git.Ref // guarded by mu; upstream's refs while nothing is copied yet
	looking  *lookCall                 // guarded by mu
	lookedAt time.Time                 // guarded by mu; start of the last good look
	failure  error                     // guarded by mu; why the last look failed, or nil
	empty    time.Time                 // guarded by mu; when upstream first looked empty
	epoch    uint64                    // guarded by mu; counts applied pushes
	pushedAt map[ferry.RefName]uint64  // guarded by mu; epoch of the last push of a ref
	copying  *copyCall                 // guarded by mu
	packs    int                       // guarded by mu; packs added since the last upkeep
	expired  time.Time                 // guarded by mu; when unreachable objects were last removed
	config   os.FileInfo               // guarded by mu; of the configuration when it was last read

	bundle     string  // guarded by mu; the newest one, or ""
	sums       refSums // guarded by mu
	grown      uint64  // guarded by mu; counts packs added
	generation uint64  // guarded by mu; counts removals of objects

	expected int           // guarded by mu; pushes that upstream has taken and the mirror has not yet
	arrived  chan struct{} // guarded by mu; closed when expected falls to 0
}

func (d *Dir) now() time.Time {
	if d.Now != nil {
		return d.Now()
	}
	return time.Now()
}

// state returns the state of repo, reading its refs on first use.
func (d *Dir) state(ctx context.Context, repo ferry.Repository) (*state, error) {
	d.mu.Lock()
	if d.states == nil {
		d.states = make(map[ferry.RepositoryID]*state)
	}
	s := d.states[repo.ID]
	if s == nil {
		s = &state{id: repo.ID, path: d.path(repo.ID), apply: make(chan struct{}, 1), pushedAt: make(map[ferry.RefName]uint64)}
		d.states[repo.ID] = s
	}
	d.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.loaded {
		if err := d.load(ctx, s); err != nil {
			return nil, fmt.Errorf("opening the mirror of %s: %w", repo.Path(), err)
		}
	}
	if err := s.checkConfig(); err != nil {
		return nil, fmt.Errorf("using the mirror of %s: %w", repo.Path(), err)
	}
	if s.head == "" && repo.DefaultBranch != "" {
		s.setHead(ferry.RefName("refs/heads/" + repo.DefaultBranch))
	}
	return s, nil
}

// path returns the directory of a mirror; it depends on the id alone.
func (d *Dir) path(id ferry.RepositoryID) string {
	return filepath.Join(d.Root, "repos", fmt.Sprintf("%02x", uint64(id)%256), fmt.Sprintf("%d.git", id))
}

// copiedMark is a file whose presence says that the first copy is complete.
const copiedMark = "gitferry-copied"

// load reads a mirror from disk. The caller holds s.mu.
func (d *Dir) load(ctx context.Context, s *state) error {
	s.refs = make(map[ferry.RefName]git.Ref)
	_, err := os.Stat(filepath.Join(s.path, copiedMark))
	switch {
	case errors.Is(err, os.ErrNotExist):
		s.loaded = true
		return nil
	case err != nil:
		return err
	}
	if err := writeConfig(s.path); err != nil {
		return err
	}
	refs, err := d.Git.Refs(ctx, s.path)
	if err != nil {
		return err
	}
	s.know(refs)
	if b, err := os.ReadFile(filepath.Join(s.path, "HEAD")); err == nil {
		if name, ok := strings.CutPrefix(strings.TrimSpace(string(b)), "ref: "); ok {
			s.head = ferry.RefName(name)
		}
	}
	if packs, err := filepath.Glob(filepath.Join(s.path, "objects", "pack", "*.pack")); err == nil {
		s.packs = len(packs)
	}
	names, err := listBundles(s.path)
	if err != nil {
		return err
	}
	if len(names) > 0 {
		s.bundle = names[len(names)-1]
	}
	s.copied, s.loaded, s.sorted = true, true, nil
	return nil
}

// know takes over the refs on disk. The caller holds s.mu.
func (s *state) know(refs []git.Ref) {
	clear(s.refs)
	for _, r := range refs {
		if Mirrored(string(r.Name)) {
			s.refs[r.Name] = r
		}
	}
	s.sorted = nil
}

// setHead remembers what HEAD names. The caller holds s.mu; the file follows
// with the next refresh.
func (s *state) setHead(name ferry.RefName) {
	if s.head != name {
		s.head, s.sorted = name, nil
	}
}

// A View is what a reader may be told of a repository's refs.
type View struct {
	Refs     []pktline.Ref // HEAD first if it resolves, then ordered by name
	Head     ferry.RefName // what HEAD names, also if that branch does not exist; may be empty
	Copied   bool          // whether objects can be read from the mirror
	LookedAt time.Time     // when upstream last told its refs
	Failure  error         // why the last look failed; nil if it did not
}

// View returns the refs as they are known now, without asking upstream.
// Before the first copy they are upstream's as last seen.
func (d *Dir) View(ctx context.Context, repo ferry.Repository) (View, error) {
	s, err := d.state(ctx, repo)
	if err != nil {
		return View{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sort()
	return View{Refs: s.sorted, Head: s.head, Copied: s.copied, LookedAt: s.lookedAt, Failure: s.failure}, nil
}

// sort puts the refs in order, if they changed. The caller holds s.mu.
func (s *state) sort() {
	if s.sorted != nil {
		return
	}
	refs := s.refs
	if !s.copied {
		refs = s.ahead
	}
	s.sorted = sortRefs(refs, s.head)
}

func sortRefs(refs map[ferry.RefName]git.Ref, head ferry.RefName) []pktline.Ref {
	out := make([]pktline.Ref, 0, len(refs)+1)
	for _, r := range refs {
		out = append(out, pktline.Ref{Name: string(r.Name), OID: r.OID, Peeled: r.Peeled})
	}
	slices.SortFunc(out, func(a, b pktline.Ref) int { return strings.Compare(a.Name, b.Name) })
	if r, ok := refs[head]; ok {
		out = slices.Insert(out, 0, pktline.Ref{Name: "HEAD", OID: r.OID})
	}
	return out
}

// Refs returns the mirror's refs by name, without HEAD.
func (d *Dir) Refs(ctx context.Context, repo ferry.Repository) (map[ferry.RefName]ferry.OID, error) {
	s, err := d.state(ctx, repo)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make(map[ferry.RefName]ferry.OID, len(s.refs))
	for n, r := range s.refs {
		out[n] = r.OID
	}
	return out, nil
}

// Has reports whether the mirror can be read and has every one of refs, as an
// upstream advertises them, where it is there; those that mirrors do not keep
// do not count.
func (d *Dir) Has(ctx context.Context, repo ferry.Repository, refs []pktline.Ref) (bool, error) {
	s, err := d.state(ctx, repo)
	if err != nil {
		return false, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range refs {
		if s.refs[ferry.RefName(r.Name)].OID != r.OID && Mirrored(r.Name) {
			return false, nil
		}
	}
	return s.copied, nil
}

// Path returns the directory of the mirror of repo, for commands of
// internal/git that read it.
func (d *Dir) Path(repo ferry.RepositoryID) string { return d.path(repo) }

// Remove deletes a mirror with everything in it. Readers that have files open
// finish undisturbed.
func (d *Dir) Remove(id ferry.RepositoryID) error {
	d.mu.Lock()
	delete(d.states, id)
	d.mu.Unlock()
	defer d.answers().drop(id)
	if err := os.RemoveAll(d.path(id)); err != nil {
		return fmt.Errorf("removing a mirror: %w", err)
	}
	return nil
}

// CleanUp removes what an earlier process left behind in all mirrors: lock
// files, temporary packs and quarantines other than those in keep (the push
// ids whose outcome is not settled). Call it at start, when no git runs.
func (d *Dir) CleanUp(keep map[string]bool) error {
	mirrors, err := filepath.Glob(filepath.Join(d.Root, "repos", "*", "*.git"))
	if err != nil {
		return err
	}
	for _, m := range mirrors {
		err := filepath.WalkDir(m, func(path string, e os.DirEntry, err error) error {
			if err != nil {
				return err
			}
			name := e.Name()
			switch {
			case e.IsDir() && filepath.Base(filepath.Dir(path)) == quarantines && !keep[name]:
				if err := os.RemoveAll(path); err != nil {
					return err
				}
				return filepath.SkipDir
			case e.IsDir():
				return nil
			case strings.HasSuffix(name, ".lock"), strings.HasPrefix(name, "tmp_"):
				return os.Remove(path)
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("cleaning up mirrors: %w", err)
		}
	}
	return nil
}
