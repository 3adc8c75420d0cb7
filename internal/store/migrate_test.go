package store

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"
)

func TestNewerSchema(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gitferry.db")
	s := openAt(t, path, &clock{})
	if _, err := s.w.Exec("PRAGMA user_version = 9999"); err != nil {
		t.Fatal(err)
	}
	s.Close()
	before := must(os.ReadFile(path))(t)
	_, err := Open(t.Context(), path, Options{MasterKey: testKey})
	wantErr(t, "schema 9999", err, ErrNewerSchema)
	if after := must(os.ReadFile(path))(t); !bytes.Equal(before, after) {
		t.Error("refusing a newer schema changed the file")
	}
}

// A migration that fails half-way, and a process that ends there, leave the
// schema before it; the next start finishes.
func TestMigrationsAreAtomic(t *testing.T) {
	s, c := testStore(t)
	check(t, s.SetSetting(t.Context(), "kept", true))
	list := must(readMigrations(migrationFiles))(t)
	n := last(list) + 1
	bad := append(list, migration{n, "bad.sql", `CREATE TABLE half (x INTEGER); INSERT INTO nowhere VALUES (1);`})
	if err := s.migrateTo(t.Context(), bad); err == nil {
		t.Fatal("a broken migration passed")
	}
	crash, cancel := context.WithCancel(t.Context())
	tx := must(s.w.BeginTx(crash, nil))(t)
	if _, err := tx.Exec(fmt.Sprintf("CREATE TABLE half (x INTEGER); PRAGMA user_version = %d", n)); err != nil {
		t.Fatal(err)
	}
	cancel() // as a killed process: no commit
	tx.Rollback()
	if v := must(schemaVersion(t.Context(), s.w))(t); v != n-1 {
		t.Fatalf("schema is %d after failures, want %d", v, n-1)
	}
	good := append(list, migration{n, "good.sql", `CREATE TABLE half (x INTEGER) STRICT;`})
	check(t, s.migrateTo(t.Context(), good))
	check(t, s.migrateTo(t.Context(), good))
	if v := must(schemaVersion(t.Context(), s.w))(t); v != n {
		t.Errorf("schema is %d, want %d", v, n)
	}
	// The copy made before it has the old schema and the data.
	old := openAt(t, fmt.Sprintf("%s.before-%04d", s.path, n), c)
	var kept bool
	check(t, old.Setting(t.Context(), "kept", &kept))
	if !kept {
		t.Error("the copy made before migrating lacks a setting")
	}
}

func TestMigrationNumbersAreChecked(t *testing.T) {
	_, err := readMigrations(fstest.MapFS{
		"migrations/0001_a.sql": {Data: []byte("SELECT 1")},
		"migrations/0003_b.sql": {Data: []byte("SELECT 1")},
	})
	if err == nil {
		t.Error("a gap in the numbers passed")
	}
}

// Whatever instant of migrating a killed process leaves on the disk, the next
// start completes it.
func TestKilledWhileMigrating(t *testing.T) {
	list := must(readMigrations(migrationFiles))(t)
	for n, m := range list {
		s := testStoreAt(t, n)
		// A cache of one page makes SQLite write the open transaction out.
		if _, err := s.w.Exec("PRAGMA cache_size = 1"); err != nil {
			t.Fatal(err)
		}
		tx := must(s.w.Begin())(t)
		if _, err := tx.Exec(m.text + fmt.Sprintf("; PRAGMA user_version = %d", m.number)); err != nil {
			t.Fatal(err)
		}
		left := filepath.Join(t.TempDir(), "left.db")
		for _, suffix := range []string{"", "-wal"} {
			check(t, os.WriteFile(left+suffix, must(os.ReadFile(s.path+suffix))(t), 0o600))
		}
		check(t, tx.Rollback())
		again := openAt(t, left, &clock{})
		if v := must(schemaVersion(t.Context(), again.w))(t); v != last(list) {
			t.Errorf("killed in %s: schema %d after the next start, want %d", m.name, v, last(list))
		}
		again.Close()
	}
}

// testStoreAt makes a file with the first n migrations.
func testStoreAt(t *testing.T, n int) *Store {
	t.Helper()
	s := &Store{path: filepath.Join(t.TempDir(), "gitferry.db"), log: slog.New(slog.DiscardHandler), turns: newTurns()}
	s.w = sql.OpenDB(connector{s.path, writerParams})
	s.w.SetMaxOpenConns(1)
	s.r = &readers{DB: sql.OpenDB(connector{s.path, readerParams})}
	t.Cleanup(func() { s.Close() })
	check(t, s.migrateTo(t.Context(), must(readMigrations(migrationFiles))(t)[:n]))
	return s
}
