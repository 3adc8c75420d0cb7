package mirror

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"gitferry/internal/ferry"
	"gitferry/internal/git"
)

// quarantines is the directory inside a mirror that holds quarantines.
const quarantines = "incoming"

// A Quarantine is a directory in which objects wait until upstream accepted
// them. No reader sees them there.
type Quarantine struct {
	mirror     string
	dir        string
	state      *state
	generation uint64 // of the mirror's objects when it was made
}

func newQuarantine(s *state, name string) (*Quarantine, error) {
	q := &Quarantine{mirror: s.path, dir: filepath.Join(s.path, quarantines, name), state: s}
	s.mu.Lock()
	q.generation = s.generation
	s.mu.Unlock()
	if err := os.MkdirAll(q.Objects(), 0o700); err != nil {
		return nil, fmt.Errorf("making a quarantine: %w", err)
	}
	return q, nil
}

// Quarantine makes, or opens again, the quarantine called name in the mirror
// of repo. name holds letters, digits and dashes.
func (d *Dir) Quarantine(ctx context.Context, repo ferry.Repository, name string) (*Quarantine, error) {
	s, err := d.state(ctx, repo)
	if err != nil {
		return nil, err
	}
	return newQuarantine(s, name)
}

// Outdated reports whether objects were removed from the mirror since the
// quarantine was made, so that what was found complete may be so no more.
func (q *Quarantine) Outdated() bool {
	q.state.mu.Lock()
	defer q.state.mu.Unlock()
	return q.state.generation != q.generation
}

// Name returns the name that the quarantine was made with.
func (q *Quarantine) Name() string { return filepath.Base(q.dir) }

// Objects returns the object directory, for commands of internal/git.
func (q *Quarantine) Objects() string { return filepath.Join(q.dir, "objects") }

// Mirror returns the directory of the repository that the quarantine adds to.
func (q *Quarantine) Mirror() string { return q.mirror }

// File returns the path of a file of the given name beside the objects.
func (q *Quarantine) File(name string) string { return filepath.Join(q.dir, name) }

// Remove deletes the quarantine with everything in it.
func (q *Quarantine) Remove() { _ = os.RemoveAll(q.dir) }

// Hold takes the apply lock of repo: until release is called no refresh and
// no other push moves its refs. A push holds it from the moment its end is
// released to upstream, so that pushes apply in upstream's order.
func (d *Dir) Hold(ctx context.Context, repo ferry.Repository) (release func(), err error) {
	s, err := d.state(ctx, repo)
	if err != nil {
		return nil, err
	}
	if err := s.hold(ctx); err != nil {
		return nil, err
	}
	return s.unhold, nil
}

// Expect says that upstream has taken a push which the mirror does not have
// yet: until arrived is called Await waits, and so does Refresh. The caller
// holds the apply lock.
func (d *Dir) Expect(ctx context.Context, repo ferry.Repository) (arrived func(), err error) {
	s, err := d.state(ctx, repo)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.expected++; s.expected == 1 {
		s.arrived = make(chan struct{})
	}
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.expected--; s.expected == 0 {
			close(s.arrived)
		}
	}, nil
}

// Distrust says why the mirror is known not to be what upstream is. The next
// Refresh looks, however young the last look is; until one succeeds View tells
// the reason.
func (d *Dir) Distrust(ctx context.Context, repo ferry.Repository, why error) error {
	s, err := d.state(ctx, repo)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failure = why
	return nil
}

// Await waits until the mirror has every push that is expected, so that who
// was told of one sees it.
func (d *Dir) Await(ctx context.Context, repo ferry.Repository) error {
	s, err := d.state(ctx, repo)
	if err != nil {
		return err
	}
	return s.await(ctx)
}

func (s *state) await(ctx context.Context) error {
	for {
		s.mu.Lock()
		expected, arrived := s.expected, s.arrived
		s.mu.Unlock()
		if expected == 0 {
			return nil
		}
		select {
		case <-arrived:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Apply makes the mirror follow a push that upstream accepted: accepted are
// the updates it took, all says whether it took every one. The caller holds
// the apply lock. q may be nil for a push without a pack. Applying the same
// push again does nothing.
func (d *Dir) Apply(ctx context.Context, repo ferry.Repository, q *Quarantine, accepted []ferry.RefUpdate, all bool) error {
	s, err := d.state(ctx, repo)
	if err != nil {
		return err
	}
	var tips []ferry.OID
	for _, u := range accepted {
		if !u.IsDelete() {
			tips = append(tips, u.New)
		}
	}
	var brought map[ferry.OID]bool // tips that the push itself brings
	durable := func() error { return nil }
	if q != nil && len(accepted) > 0 {
		if all {
			brought = git.QuarantineHas(q.Objects(), tips)
			err = git.RenamePacks(s.path, q.Objects())
			s.count()
			durable = func() error { return git.SyncPackDir(s.path) }
		} else {
			err = d.Git.Repack(ctx, s.path, q.Objects(), tips)
		}
		if err != nil {
			return fmt.Errorf("keeping the objects of a push to %s: %w", repo.Path(), err)
		}
	}
	s.mu.Lock()
	s.epoch++
	var updates []ferry.RefUpdate
	for _, u := range accepted {
		s.pushedAt[u.Name] = s.epoch
		if have := s.refs[u.Name].OID; have != u.New {
			updates = append(updates, ferry.RefUpdate{Name: u.Name, Old: have, New: u.New})
		}
	}
	if first := firstBranch(accepted); first != "" && !s.hasBranch() && !slices.ContainsFunc(accepted, func(u ferry.RefUpdate) bool { return u.Name == s.head }) {
		s.setHead(first) // as CodeCommit does
	}
	s.mu.Unlock()
	if len(updates) == 0 {
		return durable()
	}
	if len(brought) != len(tips) {
		if err := durable(); err != nil {
			return err
		}
	} else {
		done, err := git.MoveRefs(s.path, updates, durable)
		if err != nil {
			return err
		}
		if done {
			return d.moved(ctx, s, updates, nil)
		}
	}
	return d.moveRefs(ctx, s, updates, nil)
}

// hasBranch reports whether there is any branch. The caller holds s.mu.
func (s *state) hasBranch() bool {
	for name := range s.refs {
		if name.IsBranch() {
			return true
		}
	}
	return false
}

// firstBranch chooses what HEAD names in a repository that was empty until
// now: main or master if the push made one, else the first branch.
func firstBranch(accepted []ferry.RefUpdate) ferry.RefName {
	var first ferry.RefName
	for _, u := range accepted {
		switch {
		case !u.Name.IsBranch() || u.IsDelete():
		case u.Name == "refs/heads/main" || u.Name == "refs/heads/master":
			return u.Name
		case first == "":
			first = u.Name
		}
	}
	return first
}

// Passed reports whether the upstream's branch name, which is at now, has come
// there by way of oid: oid is among the ancestors of now and no ref of the
// mirror reached it yet. It fetches what now needs and moves no ref. The
// caller holds the apply lock.
//
// It fails with ferry.ErrUnavailable if the upstream cannot be reached or the
// branch has moved again.
func (d *Dir) Passed(ctx context.Context, repo ferry.Repository, name ferry.RefName, now, oid ferry.OID) (bool, error) {
	s, err := d.state(ctx, repo)
	if err != nil {
		return false, err
	}
	theirs := map[ferry.RefName]git.Ref{name: {Name: name, OID: now}}
	if err := d.fetch(ctx, repo, s, []ferry.RefName{name}, theirs, nil); err != nil {
		return false, err
	}
	kinds, err := d.Git.Kinds(ctx, s.path, "", []ferry.OID{oid, now})
	if err != nil || kinds[oid] != "commit" || kinds[now] != "commit" {
		return false, err
	}
	if in, err := d.Git.IsAncestor(ctx, s.path, "", oid, now); err != nil || !in {
		return false, err
	}
	isNew := false
	err = d.Git.Commits(ctx, s.path, git.Walk{Tips: []ferry.OID{oid}, NotAll: true}, func(c git.Commit) error {
		isNew = isNew || c.OID == oid
		return nil
	})
	return isNew, err
}

// lastTips is where the last tips of main branches are that are gone. No
// reader is shown these refs, and Purge drops them.
const lastTips = "refs/gitferry/last/"

// KeepTip keeps the last tip of a branch that is gone, in place of an earlier
// one. It fails with ferry.ErrInvalid if the name is too long for that.
func (d *Dir) KeepTip(ctx context.Context, repo ferry.Repository, branch ferry.RefName, tip ferry.OID) error {
	name, err := ferry.ParseRefName(lastTips + branch.Short())
	if err != nil {
		return err
	}
	before, err := d.KeptTip(ctx, repo, branch)
	if err != nil || before == tip {
		return err
	}
	return d.Git.UpdateRefs(ctx, d.Path(repo.ID), []ferry.RefUpdate{{Name: name, Old: before, New: tip}})
}

// KeptTip returns what KeepTip kept of a branch, zero if nothing.
func (d *Dir) KeptTip(ctx context.Context, repo ferry.Repository, branch ferry.RefName) (ferry.OID, error) {
	refs, err := d.Git.Refs(ctx, d.Path(repo.ID))
	if err != nil {
		return ferry.OID{}, err
	}
	for _, r := range refs {
		if string(r.Name) == lastTips+branch.Short() {
			return r.OID, nil
		}
	}
	return ferry.OID{}, nil
}
