package git

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"gitferry/internal/ferry"
)

// Init makes an empty bare repository at dir, with HEAD at refs/heads/main.
// A repository that is there already is left as it is, and one that was made
// by half is completed. The layout is gitrepository-layout(5)'s; an account may
// bring a thousand repositories at once, and git would be started for each.
func Init(dir string) error {
	for _, d := range []string{"objects/info", "objects/pack", "refs/heads", "refs/tags"} {
		if err := os.MkdirAll(filepath.Join(dir, filepath.FromSlash(d)), 0o700); err != nil {
			return fmt.Errorf("making %s: %w", filepath.Base(dir), err)
		}
	}
	// HEAD comes last: with it the directory is a repository.
	for _, f := range []struct{ name, text string }{
		{"config", "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = true\n"}, {"HEAD", "ref: refs/heads/main\n"},
	} {
		path := filepath.Join(dir, f.name)
		if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
			if err != nil {
				return fmt.Errorf("making %s: %w", filepath.Base(dir), err)
			}
			continue
		}
		if err := os.WriteFile(path+".part", []byte(f.text), 0o600); err != nil {
			return fmt.Errorf("making %s: %w", filepath.Base(dir), err)
		}
		if err := os.Rename(path+".part", path); err != nil {
			return fmt.Errorf("making %s: %w", filepath.Base(dir), err)
		}
	}
	return nil
}

// hasNoRefs reports whether the repository at dir surely has none: git keeps
// them as files below refs and in packed-refs. Not knowing is false.
func hasNoRefs(dir string) bool {
	if _, err := os.Lstat(filepath.Join(dir, "packed-refs")); !errors.Is(err, os.ErrNotExist) {
		return false
	}
	return filepath.WalkDir(filepath.Join(dir, "refs"), func(_ string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			err = fs.ErrExist
		}
		return err
	}) == nil
}

// A Ref is a ref with the object it points at and, for an annotated tag, the
// object that the tag peels to.
type Ref struct {
	Name   ferry.RefName
	OID    ferry.OID
	Peeled ferry.OID // zero unless the ref holds an annotated tag
}

// maxRefList is room for a million refs, annotated tags with long names.
const maxRefList = 512 << 20 // bytes

// Refs lists all refs of the repository at dir, ordered by name. It asks
// show-ref, which follows tags of tags to their end; for-each-ref of git 2.39
// follows one step only.
func (r *Runner) Refs(ctx context.Context, dir string) ([]Ref, error) {
	if hasNoRefs(dir) {
		return nil, nil
	}
	var out bytes.Buffer
	err := r.Run(ctx, Command{Dir: dir, Args: []string{"show-ref", "--dereference"}, Stdout: &limitedWriter{w: &out, left: maxRefList}})
	var exit *ExitError
	if errors.As(err, &exit) && exit.Code == 1 && exit.Stderr == "" {
		return nil, nil // there is none
	}
	if err != nil {
		return nil, fmt.Errorf("listing refs: %w", err)
	}
	var refs []Ref
	for line := range bytes.Lines(out.Bytes()) {
		hex, name, ok := strings.Cut(strings.TrimSuffix(string(line), "\n"), " ")
		oid, err := ferry.ParseOID(hex)
		if err != nil || !ok {
			return nil, fmt.Errorf("listing refs: line %q not understood", line)
		}
		if _, peeled := strings.CutSuffix(name, "^{}"); peeled {
			refs[len(refs)-1].Peeled = oid // follows its tag
			continue
		}
		refs = append(refs, Ref{Name: ferry.RefName(name), OID: oid})
	}
	return refs, nil
}

// UpdateRefs moves refs, each only if it still has its old value. Deletions
// go first, in a transaction of their own, so that refs/heads/a/b may take
// the place of refs/heads/a. Within a transaction all refs move or none.
func (r *Runner) UpdateRefs(ctx context.Context, dir string, updates []ferry.RefUpdate) error {
	var deletes, moves bytes.Buffer
	for _, u := range updates {
		if u.IsDelete() {
			fmt.Fprintf(&deletes, "delete %s\x00%s\x00", u.Name, u.Old)
		} else {
			fmt.Fprintf(&moves, "update %s\x00%s\x00%s\x00", u.Name, u.New, u.Old)
		}
	}
	for _, b := range []*bytes.Buffer{&deletes, &moves} {
		if b.Len() == 0 {
			continue
		}
		c := Command{Dir: dir, Args: []string{"update-ref", "--no-deref", "-z", "--stdin"}, Stdin: b}
		if len(updates) > syncAtOnce {
			c.Config = [][2]string{{"core.fsync", "objects,derived-metadata"}}
		}
		if err := r.Run(ctx, c); err != nil {
			return fmt.Errorf("moving refs: %w", err)
		}
	}
	if len(updates) > syncAtOnce {
		return syncFileSystem(dir)
	}
	return nil
}

// syncAtOnce is the number of updates beyond which the file system is made
// durable once instead of each ref file by itself.
const syncAtOnce = 16

func syncFileSystem(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("moving refs: %w", err)
	}
	defer d.Close()
	if err := unix.Syncfs(int(d.Fd())); err != nil {
		return fmt.Errorf("moving refs: %w", err)
	}
	return nil
}

// FreeSpace returns the bytes that may still be written to the file system
// of dir.
func FreeSpace(dir string) (int64, error) {
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		return 0, fmt.Errorf("asking for free space: %w", err)
	}
	return int64(fs.Bavail) * fs.Bsize, nil
}

// SetHEAD points HEAD at a branch, which need not exist yet.
func (r *Runner) SetHEAD(ctx context.Context, dir string, branch ferry.RefName) error {
	if err := r.Run(ctx, Command{Dir: dir, Args: []string{"symbolic-ref", "HEAD", string(branch)}}); err != nil {
		return fmt.Errorf("setting HEAD to %s: %w", branch, err)
	}
	return nil
}
