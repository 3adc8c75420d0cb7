package mirror

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"time"

	"gitferry/internal/ferry"
	"gitferry/internal/git"
)

const (
	// bundles is the directory inside a mirror that holds its bundles.
	bundles = "bundles"
	// bundleAge is how old a bundle may grow: what came later is fetched the
	// ordinary way, so a new one is worth its work seldom.
	bundleAge = 24 * time.Hour
	// bundlesKept is how many stay: a client may have been told of one just
	// before the next was made.
	bundlesKept = 2
)

var bundleName = regexp.MustCompile(`^[1-9][0-9]{0,18}\.bundle$`)

// IsBundle reports whether a file name is that of a bundle.
func IsBundle(name string) bool { return bundleName.MatchString(name) }

// listBundles lists the bundles of the mirror at dir, oldest first. Their
// names are the times at which they were made, Unix seconds.
func listBundles(dir string) ([]string, error) {
	entries, err := os.ReadDir(filepath.Join(dir, bundles))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if IsBundle(e.Name()) {
			names = append(names, e.Name())
		}
	}
	slices.SortFunc(names, func(a, b string) int { return madeAt(a).Compare(madeAt(b)) })
	return names, nil
}

func madeAt(bundle string) time.Time {
	n, _ := strconv.ParseInt(bundle[:len(bundle)-len(".bundle")], 10, 64) // checked by IsBundle
	return time.Unix(n, 0)
}

// Bundle returns the file name of the newest bundle of repo, a file with its
// branches and tags and all that they reach (gitformat-bundle), made by
// Upkeep; "" if there is none. A bundle never changes.
func (d *Dir) Bundle(ctx context.Context, repo ferry.Repository) (string, error) {
	s, err := d.state(ctx, repo)
	if err != nil {
		return "", err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.bundle, nil
}

// OpenBundle opens a bundle of repo. It fails with ferry.ErrNotFound if it is
// not there or not there any more.
func (d *Dir) OpenBundle(ctx context.Context, repo ferry.Repository, name string) (*os.File, error) {
	s, err := d.state(ctx, repo)
	if err != nil {
		return nil, err
	}
	if !IsBundle(name) {
		return nil, errNoBundle
	}
	f, err := os.Open(filepath.Join(s.path, bundles, name))
	if errors.Is(err, os.ErrNotExist) {
		return nil, errNoBundle
	}
	return f, err
}

var errNoBundle = &ferry.Message{Kind: ferry.ErrNotFound, Text: "no such bundle, or not any more; clone without it"}

// makeBundle makes a new bundle if the mirror is large enough and the last one
// too old, and removes those that nobody is told of any more.
func (d *Dir) makeBundle(ctx context.Context, repo ferry.Repository, s *state) error {
	s.mu.Lock()
	copied, any, newest := s.copied, s.hasBranch(), s.bundle
	s.mu.Unlock()
	now := d.now()
	if d.BundleBytes <= 0 || !copied || !any || newest != "" && now.Sub(madeAt(newest)) < bundleAge || packBytes(s.path) < d.BundleBytes {
		return nil
	}
	name := strconv.FormatInt(now.Unix(), 10) + ".bundle"
	if err := os.MkdirAll(filepath.Join(s.path, bundles), 0o700); err != nil {
		return fmt.Errorf("making a bundle of %s: %w", repo.Path(), err)
	}
	s.mu.Lock()
	generation := s.generation
	s.mu.Unlock()
	err := d.Git.Run(ctx, git.Command{Dir: s.path, Background: true, Large: true,
		Args: []string{"bundle", "create", "--quiet", filepath.Join(s.path, bundles, name), "--branches", "--tags"}})
	if err != nil {
		return fmt.Errorf("making a bundle of %s: %w", repo.Path(), err)
	}
	names, err := listBundles(s.path)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.generation != generation { // objects went meanwhile, and it may hold some of them
		return os.Remove(filepath.Join(s.path, bundles, name))
	}
	s.bundle = name
	for _, old := range names[:max(0, len(names)-bundlesKept)] {
		if err := os.Remove(filepath.Join(s.path, bundles, old)); err != nil {
			return err
		}
	}
	return nil
}

// dropBundles removes all bundles: they may hold objects that are to go.
// Whoever reads one reads on.
func (s *state) dropBundles() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bundle = ""
	if err := os.RemoveAll(filepath.Join(s.path, bundles)); err != nil {
		return fmt.Errorf("removing bundles: %w", err)
	}
	return nil
}

// packBytes is the size of all packs of the mirror at dir.
func packBytes(dir string) (n int64) {
	packs, _ := filepath.Glob(filepath.Join(dir, "objects", "pack", "*.pack"))
	for _, p := range packs {
		if info, err := os.Stat(p); err == nil {
			n += info.Size()
		}
	}
	return n
}
