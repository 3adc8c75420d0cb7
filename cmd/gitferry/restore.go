package main

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"gitferry/internal/config"
	"gitferry/internal/ferry"
	"gitferry/internal/store"
)

// Bounds of what restore reads.
const (
	maxManifest   = 1 << 20
	maxBackupFile = 1 << 40
)

func restoreCommand() *cobra.Command {
	var file string
	var force, asJSON bool
	cmd := &cobra.Command{Use: "restore FILE", Short: "put a backup in place while no server runs", Args: takes("FILE")}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		cfg, err := config.Load(file, os.Environ())
		if err != nil {
			return err
		}
		b := &books{cfg: cfg, json: asJSON, in: cmd.InOrStdin(), out: cmd.OutOrStdout(), errOut: cmd.ErrOrStderr()}
		return restore(cmd.Context(), b, args[0], force)
	}
	cmd.Flags().StringVar(&file, "config", "", "configuration file (default gitferry.yaml, if it is there)")
	cmd.Flags().BoolVar(&force, "force", false, "put books that are there aside first")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// restore unpacks and checks everything beside the data, proves that the
// master key opens the books, and only then puts the files in place. A
// delivery journal that is there stays: it may know more than the backup, and
// keeps commands from being carried out twice.
func restore(ctx context.Context, b *books, path string, force bool) error {
	if err := openData(b.cfg); err != nil {
		return err
	}
	lock, err := lockInstance(b.cfg)
	if err != nil {
		return err
	}
	defer lock.Close()
	if _, err := os.Stat(booksPath(b.cfg)); err == nil && !force {
		return &ferry.Message{Kind: ferry.ErrConflict, Text: fmt.Sprintf("%s holds books already; give --force to put them aside", b.cfg.DataDir)}
	}
	scratch, err := os.MkdirTemp(b.cfg.DataDir, "restore-")
	if err != nil {
		return fmt.Errorf("making room for the restore: %w", err)
	}
	defer os.RemoveAll(scratch)
	m, err := unpackBackup(path, scratch)
	if err != nil {
		return fmt.Errorf("reading %s: %w", path, err)
	}
	key, made, err := b.cfg.MasterKey()
	if err != nil {
		return err
	}
	if made {
		keyFile, _ := b.cfg.MasterKeyPath()
		return errors.Join(&ferry.Message{Kind: ferry.ErrUnavailable, Text: fmt.Sprintf("the master key %s is missing; put back the one that the backup was made with", keyFile)}, os.Remove(keyFile))
	}
	st, err := store.Open(ctx, filepath.Join(scratch, backupBooks), store.Options{MasterKey: key})
	if err != nil {
		return err
	}
	b.store = st
	e := store.AuditEvent{Action: "restore", Object: path, Detail: "made at " + m.MadeAt.Format(time.RFC3339)}
	if err := errors.Join(b.audit(ctx, e, nil), st.Close()); err != nil {
		return err
	}
	if err := putInPlace(b.cfg.DataDir, scratch, m); err != nil {
		return err
	}
	return b.done(m, "restored the backup of %s; mirrors are copied anew when the server runs", m.MadeAt.Local().Format("2006-01-02 15:04:05"))
}

// unpackBackup writes the files of a backup to dir and checks them against
// its manifest.
func unpackBackup(path, dir string) (m manifest, err error) {
	f, err := os.Open(path)
	if err != nil {
		return m, err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return m, fmt.Errorf("this is no backup of gitferry: %w", ferry.ErrInvalid)
	}
	t := tar.NewReader(z)
	h, err := t.Next()
	if err != nil || h.Name != manifestName {
		return m, fmt.Errorf("this is no backup of gitferry: %w", ferry.ErrInvalid)
	}
	if err := json.NewDecoder(io.LimitReader(t, maxManifest)).Decode(&m); err != nil {
		return m, fmt.Errorf("its manifest cannot be read: %w", ferry.ErrInvalid)
	}
	if m.Format != backupFormat {
		return m, fmt.Errorf("it has format %d: %w", m.Format, store.ErrNewerSchema)
	}
	hasBooks := false
	for _, want := range m.Files {
		h, err := t.Next()
		if err != nil || h.Name != want.Name || !knownFile(h.Name) || h.Size != want.Size || h.Size > maxBackupFile {
			return m, fmt.Errorf("%s is not where the manifest says, the backup is damaged: %w", want.Name, ferry.ErrInvalid)
		}
		if err := unpackFile(filepath.Join(dir, want.Name), t); err != nil {
			return m, fmt.Errorf("unpacking %s: %w", want.Name, err)
		}
		got, err := describeFile(dir, want.Name)
		if err != nil {
			return m, err
		}
		if got != want {
			return m, fmt.Errorf("%s is damaged: %w", want.Name, ferry.ErrInvalid)
		}
		hasBooks = hasBooks || want.Name == backupBooks
	}
	if !hasBooks {
		return m, fmt.Errorf("it holds no books: %w", ferry.ErrInvalid)
	}
	return m, nil
}

func unpackFile(path string, r io.Reader) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, r)
	return errors.Join(err, f.Sync(), f.Close())
}

// putInPlace moves the files into the data directory, the books last. What is
// there gets the time of the restore as a suffix.
func putInPlace(dataDir, scratch string, m manifest) error {
	suffix := ".before-restore-" + time.Now().UTC().Format("20060102T150405Z")
	aside := func(name string) error {
		err := os.Rename(filepath.Join(dataDir, name), filepath.Join(dataDir, name+suffix))
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		return err
	}
	for _, f := range m.Files {
		if f.Name == backupBooks {
			continue
		}
		if f.Name == backupJournal {
			if _, err := os.Stat(filepath.Join(dataDir, f.Name)); err == nil {
				continue
			}
		} else if err := aside(f.Name); err != nil {
			return fmt.Errorf("putting %s aside: %w", f.Name, err)
		}
		if err := os.Rename(filepath.Join(scratch, f.Name), filepath.Join(dataDir, f.Name)); err != nil {
			return fmt.Errorf("restoring %s: %w", f.Name, err)
		}
	}
	for _, name := range []string{backupBooks, backupBooks + "-wal", backupBooks + "-shm"} {
		if err := aside(name); err != nil {
			return fmt.Errorf("putting the old books aside: %w", err)
		}
	}
	// Mirrors are known by numbers that the restored books may give to others.
	if err := os.RemoveAll(filepath.Join(dataDir, "repos")); err != nil {
		return fmt.Errorf("removing the old mirrors: %w", err)
	}
	return os.Rename(filepath.Join(scratch, backupBooks), filepath.Join(dataDir, backupBooks))
}
