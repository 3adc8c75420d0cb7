package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"gitferry/internal/ferry"
)

// Backup writes a consistent copy to path while the store stays in use. The
// copy holds sealed secrets only, has passed a full integrity check when it
// appears under its name, and replaces a file of that name.
func (s *Store) Backup(ctx context.Context, path string) error {
	path, err := filepath.Abs(path)
	if err != nil {
		return fmt.Errorf("backing up: %w", err)
	}
	if path == s.path {
		return fmt.Errorf("backing up onto the database itself: %w", ferry.ErrInvalid)
	}
	part := path + ".part"
	if err := os.Remove(part); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("backing up: %w", err)
	}
	defer os.Remove(part)
	// VACUUM INTO takes an empty file, which is how the mode becomes 0600.
	f, err := os.OpenFile(part, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("backing up: %w", err)
	}
	f.Close()
	// A connection of its own: readers may not run VACUUM, and the writer
	// need not wait for what only reads.
	db := sql.OpenDB(connector{s.path, commonParams + "&_busy_timeout=60000"})
	defer db.Close()
	if _, err := db.ExecContext(ctx, "VACUUM INTO ?", part); err != nil {
		return fmt.Errorf("backing up: %w", kind(err))
	}
	if err := checkCopy(ctx, part); err != nil {
		return fmt.Errorf("backing up: %w", err)
	}
	if err := syncAndRename(part, path); err != nil {
		return fmt.Errorf("backing up: %w", err)
	}
	return nil
}

// checkCopy runs the full integrity check on a file that nobody else uses.
func checkCopy(ctx context.Context, path string) error {
	db := sql.OpenDB(connector{path, "?mode=ro&immutable=1"})
	defer db.Close()
	return checkWith(ctx, db, "PRAGMA integrity_check(1)")
}

// syncAndRename gives a finished file its name so that it survives a power
// loss whole or not at all.
func syncAndRename(part, path string) error {
	for _, name := range []string{part, filepath.Dir(path)} {
		if name != part {
			if err := os.Rename(part, path); err != nil {
				return err
			}
		}
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		err = f.Sync()
		f.Close()
		if err != nil {
			return err
		}
	}
	return nil
}
