// Package store keeps gitferry's books in one SQLite file: people and their
// credentials, upstreams, pushes, the index of commits and issue keys, and
// the outbox of what Jira must hear.
//
// The one idea: whatever must be true together is written in one transaction,
// and whatever must happen once is a UNIQUE constraint, not a look before the
// insert. A ref movement, the commits it brought and the deliveries it causes
// become visible together (Apply) or not at all.
//
// One connection writes and a small pool reads, in WAL mode with a disk flush
// per commit. Several processes may have the file open at once, such as the
// command line beside the server, so nothing read is remembered. Secrets are
// sealed with a key that is not in the file. The tables and what each column
// means are in migrations/*.sql. Times are stored as Unix milliseconds with 0
// for "never", and come back in UTC.
//
// index, outbox, api and cmd call it. It never runs git, never uses the
// network, and shows no SQL to its callers. All methods may be called
// concurrently; they fail with ferry.ErrNotFound for what is not there,
// ferry.ErrConflict for what is taken or has moved on, ferry.ErrInvalid for
// what may not be stored, and ferry.ErrUnavailable when the disk is full or
// the file stays locked.
package store

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"gitferry/internal/ferry"
)

// Options are the settings of a store.
type Options struct {
	MasterKey []byte           // 32 bytes; seals secrets
	Now       func() time.Time // nil: time.Now
	Log       *slog.Logger     // nil: nothing is logged
}

var (
	// ErrNewerSchema says that the file was written by a newer gitferry.
	ErrNewerSchema = errors.New("the database was written by a newer gitferry")
	// ErrWrongKey says that the master key does not open the file's secrets.
	ErrWrongKey = errors.New("the master key does not fit this database")
	// ErrCorrupt says that SQLite found the file damaged.
	ErrCorrupt = errors.New("the database is damaged")
)

// A Store is an open database file. The zero Store is of no use; see Open.
type Store struct {
	path     string
	w        *sql.DB  // one connection; its transactions take the lock at once
	r        *readers // cannot write
	vault    *vault
	now      func() time.Time
	log      *slog.Logger
	instance string
	turns    *turns
	all      repositoryList
}

// Open opens the database at path, makes it if there is none (mode 0600), and
// brings its schema up to date; a file that needs migrating is first copied
// to path + ".before-NNNN", NNNN being the first migration to come.
//
// It fails with ErrNewerSchema, ErrWrongKey or ErrCorrupt (a quick check runs
// at each opening), and with ferry.ErrInvalid if the key has not 32 bytes.
func Open(ctx context.Context, path string, o Options) (*Store, error) {
	s := &Store{now: o.Now, log: o.Log, turns: newTurns()}
	if s.now == nil {
		s.now = time.Now
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	var err error
	if s.vault, err = newVault(o.MasterKey); err != nil {
		return nil, err
	}
	if s.path, err = filepath.Abs(path); err != nil {
		return nil, fmt.Errorf("opening database: %w", err)
	}
	// SQLite gives -wal and -shm the mode of the main file.
	f, err := os.OpenFile(s.path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening database: %w", err)
	}
	f.Close()
	s.w = sql.OpenDB(connector{s.path, writerParams})
	s.w.SetMaxOpenConns(1)
	s.r = &readers{DB: sql.OpenDB(connector{s.path, readerParams})}
	s.r.SetMaxOpenConns(maxReaders)
	s.r.SetMaxIdleConns(maxReaders)
	if err := s.prepare(ctx); err != nil {
		s.Close()
		return nil, fmt.Errorf("opening database %s: %w", filepath.Base(s.path), err)
	}
	return s, nil
}

// prepare checks the file, migrates it, proves the key and reads the id.
func (s *Store) prepare(ctx context.Context) error {
	if err := s.migrate(ctx); err != nil {
		return kind(err)
	}
	if err := s.Check(ctx); err != nil {
		return err
	}
	if err := s.recognize(ctx, s.r); !errors.Is(err, ferry.ErrNotFound) {
		return err // a command beside a busy server need not wait to read
	}
	return s.write(ctx, "naming the instance", func(tx *sql.Tx) error {
		id := make([]byte, 16)
		rand.Read(id) // never fails (crypto/rand)
		if _, err := tx.ExecContext(ctx, `
			INSERT INTO meta (name, value) VALUES ('instance', ?)
			ON CONFLICT DO NOTHING`, id); err != nil {
			return err
		}
		if err := s.vault.leaveProof(ctx, tx); err != nil {
			return err
		}
		return s.recognize(ctx, tx)
	})
}

// recognize reads the instance's id and proves the key. It fails with
// ferry.ErrNotFound if the file is new.
func (s *Store) recognize(ctx context.Context, q querier) error {
	var id []byte
	if err := q.QueryRowContext(ctx, `SELECT value FROM meta WHERE name = 'instance'`).Scan(&id); err != nil {
		return kind(err)
	}
	s.instance = hex.EncodeToString(id)
	return kind(s.vault.prove(ctx, q))
}

// Close writes the log back into the file and closes it. Calls that are under
// way finish first or fail.
func (s *Store) Close() error {
	return errors.Join(s.r.Close(), s.w.Close())
}

// InstanceID returns 32 hexadecimal digits that name this installation; they
// were drawn when the file was made and stay with its copies.
func (s *Store) InstanceID() string { return s.instance }

// Ping reports whether the file can be read. It is cheap.
func (s *Store) Ping(ctx context.Context) error {
	_, err := schemaVersion(ctx, s.r.DB)
	return err
}

// Check asks SQLite whether the file is sound (quick_check). It fails with
// ErrCorrupt and the first complaint.
func (s *Store) Check(ctx context.Context) error {
	return checkWith(ctx, s.r.DB, "PRAGMA quick_check(1)")
}

func checkWith(ctx context.Context, db *sql.DB, pragma string) error {
	var verdict string
	if err := db.QueryRowContext(ctx, pragma).Scan(&verdict); err != nil {
		return fmt.Errorf("checking the database: %w", kind(err))
	}
	if verdict != "ok" {
		return fmt.Errorf("checking the database: %.200s: %w", verdict, ErrCorrupt)
	}
	return nil
}
