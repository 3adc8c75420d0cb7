package store

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"
	"strconv"
)

//go:embed migrations/*.sql
var migrationFiles embed.FS

// A migration brings the schema from number-1 to number. Files are never
// edited after a release.
type migration struct {
	number int
	name   string
	text   string
}

// readMigrations returns the files migrations/NNNN_what.sql of fsys in order.
// Their numbers run from 1 without a gap: one that came into a gap later would
// never be applied to books that are past it.
func readMigrations(fsys fs.FS) ([]migration, error) {
	entries, err := fs.ReadDir(fsys, "migrations") // sorted by name
	if err != nil {
		return nil, err
	}
	var list []migration
	for _, e := range entries {
		number, err := strconv.Atoi(e.Name()[:4])
		if err != nil || number != len(list)+1 {
			return nil, fmt.Errorf("migration %s: want number %04d", e.Name(), len(list)+1)
		}
		text, err := fs.ReadFile(fsys, "migrations/"+e.Name())
		if err != nil {
			return nil, err
		}
		list = append(list, migration{number, e.Name(), string(text)})
	}
	return list, nil
}

// migrate brings the file to the schema of this binary.
func (s *Store) migrate(ctx context.Context) error {
	list, err := readMigrations(migrationFiles)
	if err != nil {
		return err
	}
	return s.migrateTo(ctx, list)
}

// migrateTo runs what is missing of list. The number of the last migration
// stands in PRAGMA user_version, which SQLite writes in the same transaction:
// a crash leaves the schema before or after a migration, not within. Another
// process may migrate at the same time; whoever gets the lock second finds
// the work done.
func (s *Store) migrateTo(ctx context.Context, list []migration) error {
	var version int
	err := patiently(ctx, func() (err error) { version, err = schemaVersion(ctx, s.w); return err })
	if err != nil {
		return err
	}
	if version > last(list) {
		return fmt.Errorf("its schema is %d, this binary knows %d: %w", version, last(list), ErrNewerSchema)
	}
	if version > 0 && version < last(list) {
		if err := s.Backup(ctx, fmt.Sprintf("%s.before-%04d", s.path, version+1)); err != nil {
			return err
		}
	}
	for _, m := range list { // apply passes over what is done
		if err := s.apply(ctx, m); err != nil {
			return err
		}
	}
	return nil
}

// last returns the number of the last migration of list.
func last(list []migration) int {
	if len(list) == 0 {
		return 0
	}
	return list[len(list)-1].number
}

func (s *Store) apply(ctx context.Context, m migration) error {
	return s.write(ctx, "migrating to "+m.name, func(tx *sql.Tx) error {
		version, err := schemaVersion(ctx, tx)
		if err != nil || version >= m.number {
			return err
		}
		if _, err := tx.ExecContext(ctx, m.text); err != nil {
			return err
		}
		// A pragma takes no parameters; the number is ours.
		_, err = tx.ExecContext(ctx, fmt.Sprintf("PRAGMA user_version = %d", m.number))
		return err
	})
}

func schemaVersion(ctx context.Context, q querier) (n int, err error) {
	err = q.QueryRowContext(ctx, "PRAGMA user_version").Scan(&n)
	return n, err
}
