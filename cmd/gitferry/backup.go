package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"gitferry/api"
	"gitferry/internal/config"
	"gitferry/internal/store"
)

// A backup is a gzipped tar of the manifest and then the files it names, all
// from the data directory: the books, the SSH host keys and the delivery
// journal. Mirrors come back from the upstreams. Secrets in the books stay
// sealed; the master key is not part of it.
const (
	manifestName  = "manifest.json"
	backupBooks   = "gitferry.db"
	backupJournal = "outbox.log"
	backupFormat  = 1
)

// backupFiles are the files of a backup besides the books; each may be absent.
var backupFiles = []string{"ssh_host_ed25519_key", "ssh_host_rsa_key", backupJournal}

type (
	manifest   = api.Backup
	backupFile = api.BackupFile
)

func backupCommand() *cobra.Command {
	return booksFlags(&cobra.Command{Use: "backup FILE", Short: "write a consistent copy of books, host keys and settings", Args: takes("FILE"),
		RunE: change("backup", backup)})
}

func backup(ctx context.Context, b *books, args []string) error {
	m, err := makeBackup(ctx, b.cfg, b.store, args[0])
	if err != nil {
		return err
	}
	key, _ := b.cfg.MasterKeyPath()
	return b.done(m, "%s written; it is of no use without the master key %s, keep a copy of that elsewhere", args[0], key)
}

// makeBackup writes the archive under its name only when it is complete.
func makeBackup(ctx context.Context, cfg *config.Config, st *store.Store, path string) (manifest, error) {
	scratch, err := os.MkdirTemp(cfg.DataDir, "backup-")
	if err != nil {
		return manifest{}, fmt.Errorf("making room for the backup: %w", err)
	}
	defer os.RemoveAll(scratch)
	if err := st.Backup(ctx, filepath.Join(scratch, backupBooks)); err != nil {
		return manifest{}, err
	}
	for _, name := range backupFiles {
		if err := copyFile(filepath.Join(scratch, name), filepath.Join(cfg.DataDir, name)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return manifest{}, fmt.Errorf("copying %s: %w", name, err)
		}
	}
	m := manifest{Format: backupFormat, Version: version, Instance: st.InstanceID(), MadeAt: time.Now().UTC().Truncate(time.Second)}
	for _, name := range append([]string{backupBooks}, backupFiles...) {
		f, err := describeFile(scratch, name)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return manifest{}, err
		}
		m.Files = append(m.Files, f)
	}
	if err := writeBackup(path, scratch, m); err != nil {
		return manifest{}, fmt.Errorf("writing %s: %w", path, err)
	}
	return m, nil
}

// Where backups that the API asks for go, below the data directory, and how
// many of them are kept.
const (
	backupsDir  = "backups"
	backupsKept = 10
)

// backupNow makes a backup in the data directory. Older ones that came about
// that way go once there are more than backupsKept.
func (a *app) backupNow(ctx context.Context) (api.BackupMade, error) {
	dir := filepath.Join(a.cfg.DataDir, backupsDir)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return api.BackupMade{}, fmt.Errorf("making room for the backup: %w", err)
	}
	name := "gitferry-" + time.Now().UTC().Format("20060102T150405.000Z") + ".tgz"
	m, err := makeBackup(ctx, a.cfg, a.store, filepath.Join(dir, name))
	if err != nil {
		return api.BackupMade{}, err
	}
	kept, err := filepath.Glob(filepath.Join(dir, "gitferry-*.tgz")) // by name, so the oldest first
	for _, old := range kept[:max(0, len(kept)-backupsKept)] {
		err = errors.Join(err, os.Remove(old))
	}
	return api.BackupMade{File: backupsDir + "/" + name, Backup: m}, err
}

func copyFile(to, from string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Sync(), out.Close())
}

func describeFile(dir, name string) (backupFile, error) {
	f, err := os.Open(filepath.Join(dir, name))
	if err != nil {
		return backupFile{}, err
	}
	defer f.Close()
	h := sha256.New()
	n, err := io.Copy(h, f)
	return backupFile{Name: name, Size: n, SHA256: hex.EncodeToString(h.Sum(nil))}, err
}

func writeBackup(path, dir string, m manifest) error {
	part := path + ".part"
	f, err := os.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer os.Remove(part) // fails once the file has its name
	defer f.Close()
	z := gzip.NewWriter(f)
	t := tar.NewWriter(z)
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	if err := addToTar(t, manifestName, int64(len(text)), m.MadeAt, bytes.NewReader(text)); err != nil {
		return err
	}
	for _, file := range m.Files {
		in, err := os.Open(filepath.Join(dir, file.Name))
		if err != nil {
			return err
		}
		err = addToTar(t, file.Name, file.Size, m.MadeAt, in)
		if err = errors.Join(err, in.Close()); err != nil {
			return err
		}
	}
	if err := errors.Join(t.Close(), z.Close(), f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(part, path)
}

func addToTar(t *tar.Writer, name string, size int64, at time.Time, r io.Reader) error {
	if err := t.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: size, ModTime: at}); err != nil {
		return err
	}
	_, err := io.Copy(t, r)
	return err
}

// knownFile reports whether a backup may hold a file of that name.
func knownFile(name string) bool { return name == backupBooks || slices.Contains(backupFiles, name) }
