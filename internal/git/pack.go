package git

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"golang.org/x/sync/errgroup"

	"gitferry/internal/ferry"
)

// DiskFull is what a pusher is told whose pack finds no room.
const DiskFull = "gitferry's disk is full, so it takes no pushes now; reads go on; ask an administrator"

// IndexPack reads a pack from in, checks its objects with fsck, completes a
// thin pack from the repository and stores pack and index in the quarantine
// objects. It returns the pack's hexadecimal name. Bytes after the pack fail
// with ferry.ErrInvalid; so does whatever git finds wrong, an object that
// refers to one that is nowhere included: in a store in which nothing is
// missing, nothing is missing with the pack either.
//
// What it writes is not durable before SyncPacks.
func (r *Runner) IndexPack(ctx context.Context, dir, objects string, in io.Reader, maxBytes int64) (string, error) {
	if err := os.MkdirAll(filepath.Join(objects, "pack"), 0o700); err != nil {
		return "", fmt.Errorf("making a quarantine: %w", err)
	}
	args := []string{"index-pack", "--stdin", "--fix-thin", "--strict=badTimezone=ignore,missingSpaceBeforeDate=ignore,zeroPaddedFilemode=ignore"}
	if maxBytes > 0 {
		args = append(args, fmt.Sprintf("--max-input-size=%d", maxBytes))
	}
	out, err := r.Output(ctx, Command{Dir: dir, Objects: objects, Stdin: in, Args: args, MaxFile: maxBytes + maxBytes/10,
		Config: [][2]string{{"core.fsync", "none"}}})
	if err != nil {
		if e, ok := err.(*ExitError); ok {
			if strings.Contains(e.Stderr, "No space left on device") {
				return "", &ferry.Message{Kind: ferry.ErrUnavailable, Cause: e, Text: DiskFull}
			}
			if strings.Contains(e.Stderr, "did not receive expected object") { // index-pack.c, check_object
				return "", &ferry.Message{Kind: ferry.ErrInvalid, Cause: e, Text: "the push lacks objects that its commits need"}
			}
			return "", &ferry.Message{Kind: ferry.ErrInvalid, Cause: e, Text: "the pack is not acceptable: " + lastLine(e)}
		}
		return "", err
	}
	line, rest, ok := bytes.Cut(out, []byte("\n"))
	kind, name, _ := strings.Cut(string(line), "\t")
	if !ok || kind != "pack" && kind != "keep" || len(name) != 40 {
		return "", fmt.Errorf("indexing a pack: answer %.80q not understood", out)
	}
	if len(rest) > 0 {
		return "", &ferry.Message{Kind: ferry.ErrInvalid, Text: "the pack is followed by bytes that belong to nothing"}
	}
	return name, nil
}

// lastLine returns what git said last that tells something, without its mark.
func lastLine(e *ExitError) string {
	if e.Signal != "" {
		return "git ended by signal " + e.Signal
	}
	lines := strings.Split(strings.TrimSpace(e.Stderr), "\n")
	last := strings.TrimPrefix(lines[len(lines)-1], "fatal: ")
	if last == "fsck error in packed object" && len(lines) > 1 {
		last = strings.TrimPrefix(lines[len(lines)-2], "error: ") // says which object and what is wrong with it
	}
	return last
}

// PackObjects returns the names of the objects of a pack from its index file,
// in order of name (gitformat-pack, version 2).
func PackObjects(objects, pack string) ([]ferry.OID, error) {
	b, err := os.ReadFile(filepath.Join(objects, "pack", "pack-"+pack+".idx"))
	if err != nil {
		return nil, fmt.Errorf("reading a pack index: %w", err)
	}
	const head = 8 + 256*4
	if len(b) < head || binary.BigEndian.Uint32(b) != 0xff744f63 || binary.BigEndian.Uint32(b[4:]) != 2 {
		return nil, fmt.Errorf("reading a pack index: not of version 2")
	}
	n := int(binary.BigEndian.Uint32(b[head-4:]))
	if len(b) < head+20*n {
		return nil, fmt.Errorf("reading a pack index: cut short")
	}
	oids := make([]ferry.OID, n)
	for i := range oids {
		copy(oids[i][:], b[head+20*i:])
	}
	return oids, nil
}

// SyncPacks makes the packs of a quarantine durable.
func SyncPacks(objects string) error {
	files, err := filepath.Glob(filepath.Join(objects, "pack", "pack-*"))
	if err != nil {
		return fmt.Errorf("syncing packs: %w", err)
	}
	var all errgroup.Group // side by side, so that they share a write to the journal
	for _, name := range files {
		all.Go(func() error {
			f, err := os.Open(name)
			if err != nil {
				return err
			}
			defer f.Close()
			return f.Sync()
		})
	}
	if err := all.Wait(); err != nil {
		return fmt.Errorf("syncing packs: %w", err)
	}
	return nil
}

// MovePacks moves the packs of a quarantine into the repository at dir: each
// pack before its index, so that no reader sees an index without a pack.
func MovePacks(dir, objects string) error {
	if err := RenamePacks(dir, objects); err != nil {
		return err
	}
	return SyncPackDir(dir)
}

// SyncPackDir makes durable what RenamePacks did in the repository at dir.
func SyncPackDir(dir string) error { return syncDir(filepath.Join(dir, "objects", "pack")) }

// RenamePacks is MovePacks, and its effect is not durable before SyncPackDir.
func RenamePacks(dir, objects string) error {
	from, to := filepath.Join(objects, "pack"), filepath.Join(dir, "objects", "pack")
	if err := os.MkdirAll(to, 0o700); err != nil {
		return fmt.Errorf("moving packs: %w", err)
	}
	entries, err := os.ReadDir(from)
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("moving packs: %w", err)
	}
	for _, ext := range []string{".pack", ".rev", ".idx"} {
		for _, e := range entries {
			if !strings.HasPrefix(e.Name(), "pack-") || filepath.Ext(e.Name()) != ext {
				continue
			}
			if err := os.Rename(filepath.Join(from, e.Name()), filepath.Join(to, e.Name())); err != nil && !os.IsNotExist(err) {
				return fmt.Errorf("moving packs: %w", err)
			}
		}
	}
	return nil
}

func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// Repack writes into the repository at dir a pack of exactly what tips reach
// and its refs do not, reading from the quarantine objects as well.
func (r *Runner) Repack(ctx context.Context, dir, objects string, tips []ferry.OID) error {
	var in bytes.Buffer
	for _, o := range tips {
		fmt.Fprintln(&in, o)
	}
	refs, err := r.Refs(ctx, dir)
	if err != nil {
		return fmt.Errorf("repacking: %w", err)
	}
	for _, ref := range refs { // pack-objects does not read --all
		fmt.Fprintf(&in, "^%s\n", ref.OID)
	}
	only := objects + ".accepted"
	if err := os.MkdirAll(filepath.Join(only, "pack"), 0o700); err != nil {
		return fmt.Errorf("repacking: %w", err)
	}
	defer os.RemoveAll(only)
	err = r.Run(ctx, Command{Dir: dir, Objects: objects, Stdin: &in, Large: true,
		Args: []string{"pack-objects", "--revs", "--quiet", "--delta-base-offset", "--end-of-options", filepath.Join(only, "pack", "pack")}})
	if err != nil {
		return fmt.Errorf("repacking what was accepted: %w", err)
	}
	return MovePacks(dir, only)
}

// A FsckError says that git's check refuses an object (git fsck).
type FsckError struct {
	ID     string    // of the message, such as "nulInCommit"
	Object ferry.OID // zero if git did not say
	Text   string    // git's words
}

func (e *FsckError) Error() string { return "git refuses an object: " + e.String() }

// String returns "ID in OID".
func (e *FsckError) String() string { return e.ID + " in " + e.Object.String() }

var fsckLine = regexp.MustCompile(`(?:^|[\r\n])error: object ([0-9a-f]{40}): ([A-Za-z]+): ([^\r\n]*)`)

// fsckError finds in what git said the object that it refuses.
func fsckError(stderr string) *FsckError {
	m := fsckLine.FindStringSubmatch(stderr)
	if m == nil {
		return nil
	}
	o, err := ferry.ParseOID(m[1])
	if err != nil {
		return nil
	}
	return &FsckError{ID: m[2], Object: o, Text: m[3]}
}

// Fetch fetches objects from a loopback URL into the quarantine objects,
// without moving any ref. refs are the upstream names to ask for. Every object
// is checked; those with a problem whose message id is in ignore pass. One that
// does not fails with a *FsckError.
func (r *Runner) Fetch(ctx context.Context, dir, objects, url, protocols string, refs []ferry.RefName, ignore []string, progress io.Writer) error {
	if err := os.MkdirAll(filepath.Join(objects, "pack"), 0o700); err != nil {
		return fmt.Errorf("making a quarantine: %w", err)
	}
	var in bytes.Buffer
	for _, n := range refs {
		fmt.Fprintln(&in, n)
	}
	args := []string{"fetch", "--no-write-fetch-head", "--no-tags", "--no-auto-maintenance", "--no-recurse-submodules", "--refmap=", "--stdin"}
	if progress != nil {
		args = append(args, "--progress")
	} else {
		args = append(args, "--quiet")
	}
	args = append(args, "upstream")
	stderr := &tail{max: maxStderr}
	config := [][2]string{{"remote.upstream.url", url}, {"fetch.fsckObjects", "true"}, {"fetch.unpackLimit", "1"}, {"fetch.writeCommitGraph", "false"}}
	for _, id := range ignore {
		config = append(config, [2]string{"fetch.fsck." + id, "ignore"})
	}
	err := r.Run(ctx, Command{Dir: dir, Objects: objects, Args: args, Stdin: &in, AllowProtocol: protocols, Large: true,
		Stderr: teeProgress(stderr, progress),
		Config: config})
	if e, ok := err.(*ExitError); ok {
		e.Stderr = stderr.String()
		if bad := fsckError(e.Stderr); bad != nil {
			return fmt.Errorf("fetching from upstream: %w", bad)
		}
	}
	if err != nil {
		return fmt.Errorf("fetching from upstream: %w", err)
	}
	return nil
}

func teeProgress(keep io.Writer, progress io.Writer) io.Writer {
	if progress == nil {
		return keep
	}
	return io.MultiWriter(keep, progress)
}
