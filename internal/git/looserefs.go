package git

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sync/errgroup"

	"gitferry/internal/ferry"
)

// fewRefs is how many refs MoveRefs writes itself.
const fewRefs = 4

// maxPackedRefs is the size in bytes up to which the file of packed refs is
// read whole; git finds its place in a larger one by halves.
const maxPackedRefs = 1 << 20

// MoveRefs does what UpdateRefs does, and writes a few branches and tags that
// move or are new without starting git, by the rules of git's own ref files:
// a lock file that is renamed once all are locked and compared
// (gitrepository-layout, "refs"). The caller knows that every new value is an
// object of the repository. It reports false, and no ref has moved, where git
// itself has to look.
//
// before is called once in any case, while the lock files become durable, and
// its error is returned; no ref moves before it has succeeded.
func MoveRefs(dir string, updates []ferry.RefUpdate, before func() error) (done bool, err error) {
	first := make(chan error, 1)
	go func() { first <- before() }()
	locks, err := lockRefs(dir, updates)
	defer func() {
		for _, path := range locks {
			_ = os.Remove(path + ".lock")
		}
	}()
	if firstErr := <-first; firstErr != nil || err != nil {
		if errors.Is(err, errGitLooks) {
			err = nil
		}
		return false, errors.Join(firstErr, err)
	}
	for len(locks) > 0 {
		path := locks[0]
		if err := os.Rename(path+".lock", path); err != nil {
			return false, fmt.Errorf("moving refs: %w", err)
		}
		locks = locks[1:]
	}
	return true, nil
}

// errGitLooks says that refs are not so plain that MoveRefs moves them.
var errGitLooks = errors.New("git has to look")

// lockRefs writes the lock files of refs, durably, and compares the refs with
// their old values. It returns the refs' files that are locked, also with an
// error.
func lockRefs(dir string, updates []ferry.RefUpdate) (locked []string, err error) {
	if len(updates) > fewRefs {
		return nil, errGitLooks
	}
	var all errgroup.Group // side by side, so that they share a write to the journal
	defer func() {
		if syncErr := all.Wait(); syncErr != nil {
			err = fmt.Errorf("moving refs: %w", syncErr)
		}
	}()
	for _, u := range updates {
		if u.IsDelete() || !u.Name.IsBranch() && !u.Name.IsTag() {
			return locked, errGitLooks
		}
		path := filepath.Join(dir, filepath.FromSlash(string(u.Name)))
		if os.MkdirAll(filepath.Dir(path), 0o700) != nil {
			return locked, errGitLooks // a ref stands where a directory has to
		}
		f, err := os.OpenFile(path+".lock", os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return locked, errGitLooks
		}
		locked = append(locked, path)
		all.Go(func() error {
			_, err := fmt.Fprintf(f, "%s\n", u.New)
			if err == nil {
				err = f.Sync()
			}
			return cmp.Or(err, f.Close())
		})
		if !standsAt(dir, path, u) {
			return locked, errGitLooks
		}
	}
	return locked, nil
}

// standsAt reports whether a locked ref has its old value for certain: in its
// own file, or without one in the file of packed refs, or nowhere with no name
// in its way if it is new.
func standsAt(dir, path string, u ferry.RefUpdate) bool {
	loose, err := os.ReadFile(path)
	if err == nil {
		return strings.TrimSpace(string(loose)) == u.Old.String()
	}
	if !errors.Is(err, os.ErrNotExist) {
		return false // a directory, perhaps an empty one
	}
	file := filepath.Join(dir, "packed-refs")
	if info, err := os.Stat(file); err == nil && info.Size() > maxPackedRefs {
		return false
	}
	packed, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return false
	}
	if !u.IsCreate() {
		return bytes.Contains(packed, fmt.Appendf(nil, "\n%s %s\n", u.Old, u.Name)) // its first line is a comment
	}
	for name := string(u.Name); name != "."; name = filepath.Dir(name) {
		if bytes.Contains(packed, []byte(" "+name+"\n")) {
			return false
		}
	}
	return !bytes.Contains(packed, []byte(" "+string(u.Name)+"/"))
}

// QuarantineHas tells which of oids lie in packs of the quarantine objects, as
// far as their indexes are small enough to be read at once.
func QuarantineHas(objects string, oids []ferry.OID) map[ferry.OID]bool {
	have := make(map[ferry.OID]bool)
	indexes, _ := filepath.Glob(filepath.Join(objects, "pack", "pack-*.idx"))
	for _, name := range indexes {
		if info, err := os.Stat(name); err != nil || info.Size() > 1<<20 {
			continue
		}
		list, err := PackObjects(objects, strings.TrimSuffix(strings.TrimPrefix(filepath.Base(name), "pack-"), ".idx"))
		if err != nil {
			continue
		}
		for _, want := range oids {
			for _, o := range list {
				if o == want {
					have[want] = true
					break
				}
			}
		}
	}
	return have
}
