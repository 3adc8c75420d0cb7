package mirror

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"gitferry/internal/ferry"
)

// expiredMark is a file whose time says when old unreachable objects were last
// removed.
const expiredMark = "gitferry-expired"

// expiryEvery is the longest time between two such removals; each packs the
// whole mirror anew.
const expiryEvery = 7 * 24 * time.Hour

// expiryDue reports whether it is time to remove unreachable objects. The
// caller holds s.mu.
func (d *Dir) expiryDue(s *state) bool {
	if d.UnreachableTTL <= 0 {
		return false
	}
	if s.expired.IsZero() {
		s.expired = d.now()
		if info, err := os.Stat(filepath.Join(s.path, expiredMark)); err == nil {
			s.expired = info.ModTime()
		} else if err := os.WriteFile(filepath.Join(s.path, expiredMark), nil, 0o600); err != nil {
			d.Log.Warn("noting when objects were last removed", "mirror", s.path, "err", err)
		}
	}
	return d.now().Sub(s.expired) >= min(d.UnreachableTTL/2, expiryEvery)
}

// expire removes the objects that no ref has reached for UnreachableTTL. The
// younger ones stay in a pack of their own, which remembers since when each
// lies there (git's cruft packs).
func (d *Dir) expire(ctx context.Context, repo ferry.Repository, s *state) error {
	if err := eachCruft(s.path, func(keep string) error { return os.Remove(keep) }); err != nil {
		return fmt.Errorf("upkeep of %s: %w", repo.Path(), err)
	}
	defer d.dropAnswers(s) // answers made before may hold what went
	before := d.now().Add(-d.UnreachableTTL).UTC().Format("2006-01-02T15:04:05Z")
	err := d.maintain(ctx, repo, s, []string{"repack", "--cruft", "--cruft-expiration=" + before, "-d", "--quiet", "--write-bitmap-index"})
	if err != nil {
		return err
	}
	// The packs that come in later must not take in the objects of this one,
	// which would make them young again.
	err = eachCruft(s.path, func(keep string) error { return os.WriteFile(keep, nil, 0o600) })
	if err == nil {
		now := d.now()
		err = os.Chtimes(filepath.Join(s.path, expiredMark), now, now)
		s.mu.Lock()
		s.expired = now
		s.mu.Unlock()
	}
	if err != nil {
		return fmt.Errorf("upkeep of %s: %w", repo.Path(), err)
	}
	return nil
}

// eachCruft calls f with the keep file of each cruft pack, there or not.
func eachCruft(mirror string, f func(keep string) error) error {
	packs, err := filepath.Glob(filepath.Join(mirror, "objects", "pack", "*.mtimes"))
	if err != nil {
		return err
	}
	for _, p := range packs {
		if err := f(strings.TrimSuffix(p, ".mtimes") + ".keep"); err != nil && !os.IsNotExist(err) {
			return err
		}
	}
	return nil
}
