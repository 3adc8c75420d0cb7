package mirror

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"gitferry/internal/ferry"
	"gitferry/internal/git"
	"gitferry/internal/pktline"
)

const (
	defaultLookTimeout = 30 * time.Second
	fetchTimeout       = time.Hour
	// emptyPatience is how long upstream must keep answering that it has no
	// refs before refs that we hold are dropped.
	emptyPatience = 30 * time.Second
	// lookRetries is how often a refresh starts over when upstream moved a
	// ref between the look and the fetch.
	lookRetries = 3
)

// lookCall is one shared look with the refresh that follows from it.
type lookCall struct {
	start   time.Time
	done    chan struct{}
	updates []ferry.RefUpdate // set before done is closed
	err     error             // set before done is closed
}

// Refresh brings the mirror of repo up to date with its upstream and returns
// the ref updates it made, ordered by name; none means nothing moved. Of a
// repository that is not copied yet only the refs are looked up (see Copy).
//
// If the last look began less than maxAge ago it returns at once. Concurrent
// calls share a single look, one round trip, if it began early enough for
// each of them. A caller that gives up does not stop it for the others.
//
// It fails with ferry.ErrNotFound if upstream has no such repository, with
// ferry.ErrDenied if it refuses our credentials and with ferry.ErrUnavailable
// if it cannot be reached; the mirror stays readable as it was.
func (d *Dir) Refresh(ctx context.Context, repo ferry.Repository, maxAge time.Duration) ([]ferry.RefUpdate, error) {
	s, err := d.state(ctx, repo)
	if err != nil {
		return nil, err
	}
	if err := s.await(ctx); err != nil {
		return nil, err
	}
	oldest := d.now().Add(-maxAge)
	for {
		s.mu.Lock()
		if s.failure == nil && !s.lookedAt.IsZero() && !s.lookedAt.Before(oldest) {
			s.mu.Unlock()
			return nil, nil
		}
		call := s.looking
		mine := call == nil
		if mine {
			call = &lookCall{start: d.now(), done: make(chan struct{})}
			s.looking = call
			go d.look(context.WithoutCancel(ctx), repo, s, call)
		}
		s.mu.Unlock()
		select {
		case <-call.done:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		if mine || !call.start.Before(oldest) {
			return call.updates, call.err
		}
	}
}

// look runs one shared look to its end.
func (d *Dir) look(ctx context.Context, repo ferry.Repository, s *state, call *lookCall) {
	var updates []ferry.RefUpdate
	err := errUpstreamMoved
	for try := 0; try < lookRetries && errors.Is(err, errUpstreamMoved); try++ {
		err = d.contained(func() (err error) {
			updates, err = d.refresh(ctx, repo, s)
			return err
		})
	}
	s.mu.Lock()
	if s.failure = err; err == nil {
		s.lookedAt = call.start
	}
	s.looking = nil
	copied := s.copied
	s.mu.Unlock()
	if copied {
		d.judge(ctx, repo, err)
	}
	call.updates, call.err = updates, err
	close(call.done)
	if len(updates) > 0 && d.Moved != nil {
		d.Moved(repo.ID)
	}
}

// judge tells Degraded what a fetch from upstream, or a look that had nothing
// to fetch, said of upstream's objects.
func (d *Dir) judge(ctx context.Context, repo ferry.Repository, err error) {
	problem := ""
	if bad := (*git.FsckError)(nil); errors.As(err, &bad) {
		problem = bad.String()
	} else if err != nil {
		return // says nothing of objects
	}
	if problem != repo.Degraded && d.Degraded != nil {
		d.Degraded(ctx, repo, problem)
	}
}

// contained runs work that others wait for; a panic becomes their error.
func (d *Dir) contained(work func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			d.Log.Error("panic in a mirror", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			err = fmt.Errorf("panic in a mirror: %v", p)
		}
	}()
	return work()
}

var errUpstreamMoved = fmt.Errorf("upstream moved while it was read: %w", ferry.ErrUnavailable)

// refresh looks at upstream's refs and, if the mirror is copied, moves the
// mirror to them.
func (d *Dir) refresh(ctx context.Context, repo ferry.Repository, s *state) ([]ferry.RefUpdate, error) {
	s.mu.Lock()
	epoch, copied := s.epoch, s.copied
	s.mu.Unlock()
	theirs, head, err := d.upstreamRefs(ctx, repo, s)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	if head != "" {
		s.setHead(head)
	}
	if !copied {
		s.ahead, s.sorted = theirs, nil
		s.mu.Unlock()
		return nil, nil
	}
	s.mu.Unlock()
	return d.moveTo(ctx, repo, s, theirs, epoch, nil)
}

// upstreamRefs asks upstream for its refs and for what its HEAD names.
func (d *Dir) upstreamRefs(ctx context.Context, repo ferry.Repository, s *state) (map[ferry.RefName]git.Ref, ferry.RefName, error) {
	timeout := d.LookTimeout
	if timeout == 0 {
		timeout = defaultLookTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	target, err := d.Target(ctx, repo)
	if err != nil {
		return nil, "", err
	}
	adv, err := d.Dialer.Look(ctx, target)
	if err != nil {
		return nil, "", err
	}
	refs, head, headOID := advertisedRefs(adv)
	if head == "" && repo.DefaultBranch != "" {
		head = ferry.RefName("refs/heads/" + repo.DefaultBranch)
	}
	if head == "" && !headOID.IsZero() {
		s.mu.Lock()
		head = s.head
		s.mu.Unlock()
		if refs[head].OID != headOID { // what it named so far may still be it
			head = guessHead(refs, headOID)
		}
	}
	return refs, head, nil
}

// guessHead finds the branch that HEAD most likely names when upstream shows
// HEAD's object only, as CodeCommit does.
func guessHead(refs map[ferry.RefName]git.Ref, oid ferry.OID) ferry.RefName {
	var found ferry.RefName
	for name, r := range refs {
		if !name.IsBranch() || r.OID != oid {
			continue
		}
		if name == "refs/heads/main" || name == "refs/heads/master" {
			return name
		}
		if found == "" || name < found {
			found = name
		}
	}
	return found
}

// advertisedRefs keeps the refs that can be mirrored: those with valid names
// below refs/, without our own and without replace refs. It also returns the
// branch that HEAD names, where upstream tells it, and HEAD's object.
func advertisedRefs(adv *pktline.Advertisement) (refs map[ferry.RefName]git.Ref, head ferry.RefName, headOID ferry.OID) {
	refs = make(map[ferry.RefName]git.Ref, len(adv.Refs))
	for _, r := range adv.Refs {
		if r.Name == "HEAD" {
			headOID = r.OID
			continue
		}
		name := ferry.RefName(r.Name)
		if !Mirrored(r.Name) {
			continue
		}
		refs[name] = git.Ref{Name: name, OID: r.OID, Peeled: r.Peeled}
	}
	for _, v := range adv.Capabilities.Values("symref") {
		if target, ok := strings.CutPrefix(v, "HEAD:"); ok {
			if name, err := ferry.ParseRefName(target); err == nil && name.IsBranch() {
				return refs, name, headOID
			}
		}
	}
	return refs, "", headOID
}

// Mirrored reports whether an upstream's ref of that name is kept in mirrors:
// all that git allows but gitferry's own and replace refs.
func Mirrored(name string) bool {
	n, err := ferry.ParseRefName(name)
	return err == nil && n != "HEAD" && !strings.HasPrefix(name, "refs/gitferry/") && !strings.HasPrefix(name, "refs/replace/")
}

// moveTo fetches what theirs has and the mirror has not, and moves the refs.
// Refs that a push moved after epoch are left alone: a newer look will come.
func (d *Dir) moveTo(ctx context.Context, repo ferry.Repository, s *state, theirs map[ferry.RefName]git.Ref, epoch uint64, progress io.Writer) ([]ferry.RefUpdate, error) {
	s.mu.Lock()
	var wanted []ferry.RefName
	before := make(map[ferry.RefName]ferry.OID, len(s.refs))
	for name, r := range s.refs {
		before[name] = r.OID
	}
	suspicious := len(theirs) == 0 && len(s.refs) > 0
	if suspicious && s.empty.IsZero() {
		s.empty = d.now()
	} else if !suspicious {
		s.empty = time.Time{}
	}
	wait := suspicious && d.now().Sub(s.empty) < emptyPatience
	s.mu.Unlock()
	if wait {
		return nil, fmt.Errorf("upstream of %s shows no refs though it had some; waiting for a second answer: %w", repo.Path(), ferry.ErrUnavailable)
	}
	for name, r := range theirs {
		if before[name] != r.OID {
			wanted = append(wanted, name)
		}
	}
	if len(wanted) > 0 {
		slices.Sort(wanted)
		if err := d.fetch(ctx, repo, s, wanted, theirs, progress); err != nil {
			return nil, err
		}
	}
	if err := s.hold(ctx); err != nil {
		return nil, err
	}
	defer s.unhold()
	s.mu.Lock()
	var updates []ferry.RefUpdate
	for name, r := range theirs {
		if have := s.refs[name].OID; have != r.OID && s.pushedAt[name] <= epoch {
			updates = append(updates, ferry.RefUpdate{Name: name, Old: have, New: r.OID})
		}
	}
	for name, r := range s.refs {
		if _, ok := theirs[name]; !ok && s.pushedAt[name] <= epoch {
			updates = append(updates, ferry.RefUpdate{Name: name, Old: r.OID})
		}
	}
	s.mu.Unlock()
	if len(updates) == 0 {
		return nil, d.writeHead(ctx, s)
	}
	slices.SortFunc(updates, func(a, b ferry.RefUpdate) int { return strings.Compare(string(a.Name), string(b.Name)) })
	if err := d.moveRefs(ctx, s, updates, theirs); err != nil {
		return nil, err
	}
	return updates, nil
}

// fetch brings the objects of the wanted refs into the mirror's store.
func (d *Dir) fetch(ctx context.Context, repo ferry.Repository, s *state, wanted []ferry.RefName, theirs map[ferry.RefName]git.Ref, progress io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	q, err := newQuarantine(s, fmt.Sprintf("fetch-%d", d.now().UnixNano()))
	if err != nil {
		return err
	}
	defer q.Remove()
	target, err := d.Target(ctx, repo)
	if err != nil {
		return err
	}
	err = d.Dialer.Fetch(ctx, target, func(ctx context.Context, url, protocols string) error {
		return d.Git.Fetch(ctx, s.path, q.Objects(), url, protocols, wanted, strings.Fields(repo.FsckIgnore), progress)
	})
	var bad *git.FsckError
	if errors.As(err, &bad) {
		return &ferry.Message{Kind: ferry.ErrUnavailable, Cause: err, Text: fmt.Sprintf(
			"the upstream of %s has an object that git refuses (%s: %s); what was copied before is served", repo.Path(), bad, bad.Text)}
	}
	var exit *git.ExitError
	if errors.As(err, &exit) {
		if strings.Contains(exit.Stderr, "couldn't find remote ref") || strings.Contains(exit.Stderr, "not our ref") {
			return errUpstreamMoved
		}
		text := "fetching " + repo.Path() + " from upstream did not work"
		if m := (*ferry.Message)(nil); errors.As(err, &m) {
			text += ": " + m.Text
		}
		return &ferry.Message{Kind: ferry.ErrUnavailable, Cause: err, Text: text}
	}
	if err != nil {
		return err
	}
	oids := make([]ferry.OID, 0, len(wanted))
	for _, n := range wanted {
		oids = append(oids, theirs[n].OID)
	}
	kinds, err := d.Git.Kinds(ctx, s.path, q.Objects(), oids)
	if err != nil {
		return err
	}
	for _, o := range oids {
		if kinds[o] == "" {
			return errUpstreamMoved
		}
	}
	return d.keep(s, q)
}

// keep moves the packs of a quarantine into the store and counts them.
func (d *Dir) keep(s *state, q *Quarantine) error {
	if err := git.MovePacks(s.path, q.Objects()); err != nil {
		return err
	}
	s.count()
	return nil
}

// count counts packs that came in.
func (s *state) count() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.packs++
	s.grown++
}

// moveRefs moves the mirror's refs and what is known of them. The caller
// holds the apply lock; known gives peeled values, if the caller has them.
func (d *Dir) moveRefs(ctx context.Context, s *state, updates []ferry.RefUpdate, known map[ferry.RefName]git.Ref) error {
	if err := d.updateRefs(ctx, s, updates); err != nil {
		return err
	}
	return d.moved(ctx, s, updates, known)
}

// moved makes what is known of the refs follow the repository, and HEAD.
func (d *Dir) moved(ctx context.Context, s *state, updates []ferry.RefUpdate, known map[ferry.RefName]git.Ref) error {
	s.mu.Lock()
	reread := false
	for _, u := range updates {
		r := git.Ref{Name: u.Name, OID: u.New}
		if k, ok := known[u.Name]; ok && k.OID == u.New {
			r = k
		} else if !u.IsDelete() && !u.Name.IsBranch() {
			reread = true // it may be an annotated tag, which peels
		}
		if u.IsDelete() {
			delete(s.refs, u.Name)
		} else {
			s.refs[u.Name] = r
		}
	}
	s.sorted = nil
	s.mu.Unlock()
	if err := d.writeHead(ctx, s); err != nil || !reread {
		return err
	}
	return d.reread(ctx, s)
}

// updateRefs moves refs on disk. Whoever holds the apply lock is the only one
// who writes refs, so lock files that are in the way are those of a git that
// was killed: they are removed. If it fails for good, what is known of the
// refs is read anew, since some may have moved.
func (d *Dir) updateRefs(ctx context.Context, s *state, updates []ferry.RefUpdate) error {
	err := d.Git.UpdateRefs(ctx, s.path, updates)
	if err == nil {
		return nil
	}
	if readErr := d.reread(ctx, s); readErr != nil {
		return errors.Join(err, readErr)
	}
	if !strings.Contains(err.Error(), ".lock': File exists") {
		return err
	}
	if err := removeRefLocks(s.path); err != nil {
		return err
	}
	d.Log.Warn("removed lock files that a killed git had left", "mirror", s.path)
	s.mu.Lock()
	left := make([]ferry.RefUpdate, 0, len(updates))
	for _, u := range updates { // without what has moved already
		if u.Old = s.refs[u.Name].OID; u.Old != u.New {
			left = append(left, u)
		}
	}
	s.mu.Unlock()
	if err := d.Git.UpdateRefs(ctx, s.path, left); err != nil {
		return errors.Join(err, d.reread(ctx, s))
	}
	return nil
}

// removeRefLocks removes the lock files of refs of the mirror at dir.
func removeRefLocks(dir string) error {
	for _, name := range []string{"packed-refs.lock", "HEAD.lock"} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return filepath.WalkDir(filepath.Join(dir, "refs"), func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() || !strings.HasSuffix(path, ".lock") {
			return err
		}
		return os.Remove(path)
	})
}

// reread reads the refs from disk.
func (d *Dir) reread(ctx context.Context, s *state) error {
	refs, err := d.Git.Refs(ctx, s.path)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.know(refs)
	return nil
}

// writeHead makes the HEAD file name what HEAD is known to name. The caller
// holds the apply lock.
func (d *Dir) writeHead(ctx context.Context, s *state) error {
	s.mu.Lock()
	head := s.head
	s.mu.Unlock()
	if head == "" {
		return nil
	}
	if b, _ := os.ReadFile(filepath.Join(s.path, "HEAD")); strings.TrimSpace(string(b)) == "ref: "+string(head) {
		return nil
	}
	return d.Git.SetHEAD(ctx, s.path, head)
}

// hold takes the apply lock, unhold gives it back.
func (s *state) hold(ctx context.Context) error {
	select {
	case s.apply <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *state) unhold() { <-s.apply }
