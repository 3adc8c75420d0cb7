package mirror

import (
	"context"
	"fmt"
	"os"

	"gitferry/internal/ferry"
	"gitferry/internal/git"
)

// upkeepAfter is how many packs may come in before upkeep is worth it.
const upkeepAfter = 10

// NeedsUpkeep reports whether enough came in since the last upkeep, or objects
// may lie there that no ref has reached for UnreachableTTL.
func (d *Dir) NeedsUpkeep(ctx context.Context, repo ferry.Repository) bool {
	s, err := d.state(ctx, repo)
	if err != nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.copied && (s.packs >= upkeepAfter || d.expiryDue(s))
}

// Upkeep puts small packs together and writes what makes reads fast:
// commit-graph, multi-pack-index, bitmaps and, once a day, a bundle. It removes nothing that was not
// packed anew, but what no ref has reached for UnreachableTTL, so pushes,
// refreshes and reads go on beside it.
func (d *Dir) Upkeep(ctx context.Context, repo ferry.Repository) error {
	s, err := d.state(ctx, repo)
	if err != nil {
		return err
	}
	s.mu.Lock()
	due := s.copied && d.expiryDue(s)
	s.mu.Unlock()
	if due {
		if err := d.expire(ctx, repo, s); err != nil {
			return err
		}
	}
	err = d.maintain(ctx, repo, s,
		[]string{"repack", "--geometric=2", "-d", "--write-midx", "--write-bitmap-index", "--quiet"},
		[]string{"commit-graph", "write", "--reachable", "--changed-paths", "--no-progress"})
	if err != nil {
		return err
	}
	if err := s.hold(ctx); err != nil { // the only writer of refs is who holds it
		return err
	}
	err = d.maintain(ctx, repo, s, []string{"pack-refs", "--all"})
	s.unhold()
	if err != nil {
		return err
	}
	return d.makeBundle(ctx, repo, s)
}

// Purge removes at once every object that no ref reaches, as after a forced
// push that took back a secret. Pushes and refreshes wait until it is done; a
// push that was being checked is told so by Quarantine.Outdated.
func (d *Dir) Purge(ctx context.Context, repo ferry.Repository) error {
	s, err := d.state(ctx, repo)
	if err != nil {
		return err
	}
	if err := s.hold(ctx); err != nil {
		return err
	}
	defer s.unhold()
	if err := d.dropHidden(ctx, s); err != nil {
		return fmt.Errorf("purging %s: %w", repo.Path(), err)
	}
	if err := eachCruft(s.path, func(keep string) error { return os.Remove(keep) }); err != nil {
		return fmt.Errorf("purging %s: %w", repo.Path(), err)
	}
	// Who asks while objects go, or after, is not given what was made before.
	d.dropAnswers(s)
	defer d.dropAnswers(s)
	if err := s.dropBundles(); err != nil {
		return err
	}
	return d.maintain(ctx, repo, s,
		[]string{"repack", "-a", "-d", "--quiet", "--write-bitmap-index"},
		[]string{"prune", "--expire=now"},
		[]string{"commit-graph", "write", "--reachable", "--changed-paths", "--no-progress"})
}

// dropHidden removes the refs that keep the tips of deleted branches.
func (d *Dir) dropHidden(ctx context.Context, s *state) error {
	s.mu.Lock()
	copied := s.copied
	s.mu.Unlock()
	if !copied {
		return nil
	}
	refs, err := d.Git.Refs(ctx, s.path)
	if err != nil {
		return err
	}
	var hidden []ferry.RefUpdate
	for _, r := range refs {
		if !Mirrored(string(r.Name)) {
			hidden = append(hidden, ferry.RefUpdate{Name: r.Name, Old: r.OID})
		}
	}
	if len(hidden) == 0 {
		return nil
	}
	return d.Git.UpdateRefs(ctx, s.path, hidden)
}

func (d *Dir) maintain(ctx context.Context, repo ferry.Repository, s *state, commands ...[]string) error {
	s.mu.Lock()
	copied := s.copied
	s.packs = 0
	s.mu.Unlock()
	if !copied {
		return nil
	}
	for _, args := range commands {
		if err := d.Git.Run(ctx, git.Command{Dir: s.path, Args: args, Background: true, Large: true}); err != nil {
			return fmt.Errorf("upkeep of %s: %w", repo.Path(), err)
		}
	}
	return nil
}
