package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"gitferry/internal/ferry"
)

var testKey = bytes.Repeat([]byte{7}, 32)

// testStore opens a new store whose clock stands still until it is moved.
func testStore(t testing.TB) (*Store, *clock) {
	t.Helper()
	c := &clock{t: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	return openAt(t, filepath.Join(t.TempDir(), "gitferry.db"), c), c
}

func openAt(t testing.TB, path string, c *clock) *Store {
	t.Helper()
	s, err := Open(t.Context(), path, Options{MasterKey: testKey, Now: c.now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

type clock struct{ t time.Time }

func (c *clock) now() time.Time          { return c.t }
func (c *clock) advance(d time.Duration) { c.t = c.t.Add(d) }

// must stops the test on an error and returns the value.
func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantErr(t testing.TB, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: error %v, want %v", what, err, want)
	}
}

func testRepository(t testing.TB, s *Store) ferry.Repository {
	t.Helper()
	i := must(s.AddIntegration(t.Context(), ferry.Integration{Kind: ferry.KindCodeCommit, Region: "us-east-1"}, ferry.Credentials{}))(t)
	return must(s.AddRepository(t.Context(), ferry.Repository{IntegrationID: i.ID, Name: "demo", Region: "us-east-1", SmartCommits: true}))(t)
}

func TestOpenAgain(t *testing.T) {
	c := &clock{t: time.Now()}
	path := filepath.Join(t.TempDir(), "a dir?x", "git%20ferry.db")
	check(t, os.Mkdir(filepath.Dir(path), 0o700))
	s := openAt(t, path, c)
	check(t, s.SetSetting(t.Context(), "answer", 42))
	id := s.InstanceID()
	check(t, s.Close())
	info, err := os.Stat(path)
	check(t, err)
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode of the file is %v, want 0600", info.Mode())
	}
	s = openAt(t, path, c)
	if s.InstanceID() != id || len(id) != 32 {
		t.Errorf("instance id is %q, was %q", s.InstanceID(), id)
	}
	var answer int
	check(t, s.Setting(t.Context(), "answer", &answer))
	if answer != 42 {
		t.Errorf("setting is %d after opening again, want 42", answer)
	}
	wantErr(t, "a setting never set", s.Setting(t.Context(), "other", &answer), ferry.ErrNotFound)
}

func TestConnectionSettings(t *testing.T) {
	s, _ := testStore(t)
	for _, tt := range []struct {
		pragma  string
		writer  int
		readers int
	}{
		{"synchronous", 2, 2},
		{"foreign_keys", 1, 1},
		{"secure_delete", 1, 1},
		{"trusted_schema", 0, 0},
		{"cell_size_check", 1, 1},
		{"mmap_size", 0, 0},
		{"journal_size_limit", 67108864, 67108864},
		{"busy_timeout", 0, 60000},
		{"query_only", 0, 1},
	} {
		var w, r int
		check(t, s.w.QueryRow("PRAGMA "+tt.pragma).Scan(&w))
		check(t, s.r.QueryRow("PRAGMA "+tt.pragma).Scan(&r))
		if w != tt.writer || r != tt.readers {
			t.Errorf("%s is %d for the writer and %d for readers, want %d and %d", tt.pragma, w, r, tt.writer, tt.readers)
		}
	}
	var mode string
	check(t, s.r.QueryRow("PRAGMA journal_mode").Scan(&mode))
	if mode != "wal" {
		t.Errorf("journal_mode is %q, want wal", mode)
	}
}

func TestMasterKey(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gitferry.db")
	_, err := Open(t.Context(), path, Options{MasterKey: testKey[:31]})
	wantErr(t, "31 bytes", err, ferry.ErrInvalid)
	openAt(t, path, &clock{}).Close()
	_, err = Open(t.Context(), path, Options{MasterKey: bytes.Repeat([]byte{8}, 32)})
	wantErr(t, "another key", err, ErrWrongKey)
	openAt(t, path, &clock{}) // the failure changed nothing
}

func TestDamagedFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gitferry.db")
	s := openAt(t, path, &clock{})
	s.Close()
	b := must(os.ReadFile(path))(t)
	for i := 4096 * 2; i < len(b); i += 100 {
		b[i] ^= 0xff
	}
	check(t, os.WriteFile(path, b, 0o600))
	_, err := Open(t.Context(), path, Options{MasterKey: testKey})
	wantErr(t, "flipped bytes", err, ErrCorrupt)
	check(t, os.WriteFile(path, []byte("this is no database, but long enough to be looked at as one, or so it seems to be"), 0o600))
	_, err = Open(t.Context(), path, Options{MasterKey: testKey})
	wantErr(t, "foreign file", err, ErrCorrupt)
}

// Two processes, as two stores on one file, start at once and write at once.
func TestTwoProcesses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gitferry.db")
	const each = 25
	var wg sync.WaitGroup
	for p := range 2 {
		wg.Go(func() {
			s, err := Open(t.Context(), path, Options{MasterKey: testKey})
			if err != nil {
				t.Errorf("process %d: %v", p, err)
				return
			}
			defer s.Close()
			for i := range each {
				name := fmt.Sprintf("user-%d-%d", p, i)
				if _, err := s.AddUser(t.Context(), ferry.User{Name: name}); err != nil {
					t.Errorf("process %d: %v", p, err)
					return
				}
				if _, err := s.UserByName(t.Context(), name); err != nil {
					t.Errorf("process %d does not see its own write: %v", p, err)
				}
			}
		})
	}
	wg.Wait()
	s := openAt(t, path, &clock{})
	if users := must(s.Users(t.Context()))(t); len(users) != 2*each {
		t.Errorf("%d users, want %d", len(users), 2*each)
	}
}

// What one process writes, another one sees at its next call.
func TestNothingIsRemembered(t *testing.T) {
	server, c := testStore(t)
	command := openAt(t, server.path, c)
	u := must(command.AddUser(t.Context(), ferry.User{Name: "alice"}))(t)
	plain, token, err := command.NewToken(t.Context(), Token{User: u.ID, Scopes: []ferry.Scope{ferry.ScopeRepoRead}})
	check(t, err)
	must(server.SubjectByToken(t.Context(), plain.Reveal(), ""))(t)
	check(t, command.RevokeToken(t.Context(), token.ID))
	_, err = server.SubjectByToken(t.Context(), plain.Reveal(), "")
	wantErr(t, "revoked by another process", err, ferry.ErrDenied)
}

func TestBackup(t *testing.T) {
	s, c := testStore(t)
	check(t, s.SetSetting(t.Context(), "a", "b"))
	path := filepath.Join(t.TempDir(), "copy.db")
	check(t, s.Backup(t.Context(), path))
	check(t, s.SetSetting(t.Context(), "a", "c"))
	check(t, s.Backup(t.Context(), path)) // replaces
	info, err := os.Stat(path)
	check(t, err)
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode of the backup is %v, want 0600", info.Mode())
	}
	if _, err := os.Stat(path + ".part"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the partial file is left: %v", err)
	}
	copied := openAt(t, path, c)
	var a string
	check(t, copied.Setting(t.Context(), "a", &a))
	if a != "c" || copied.InstanceID() != s.InstanceID() {
		t.Errorf("the backup has %q of instance %s", a, copied.InstanceID())
	}
	wantErr(t, "backing up onto itself", s.Backup(t.Context(), s.path), ferry.ErrInvalid)
}

// A writer that cannot get the lock fails with a kind, and a canceled call
// leaves nothing behind.
func TestCanceledWrite(t *testing.T) {
	s, _ := testStore(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.AddUser(ctx, ferry.User{Name: "alice"}); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want canceled", err)
	}
	must(s.AddUser(t.Context(), ferry.User{Name: "alice"}))(t)
}

// A full disk refuses writes with a kind; reads go on, and so do writes when
// space returns.
func TestDiskFull(t *testing.T) {
	s, c := testStore(t)
	r := testRepository(t, s)
	pages := must(s.count(t.Context(), "PRAGMA page_count"))(t)
	limit := func(n int) {
		if _, err := s.w.Exec(fmt.Sprintf("PRAGMA max_page_count = %d", n)); err != nil {
			t.Fatal(err)
		}
	}
	limit(pages + 1)
	big := testCommit("big", c.t)
	big.Message = string(make([]byte, MaxMessage))
	_, err := s.AddCommits(t.Context(), r.ID, []Commit{testCommit("small", c.t), big}, nil)
	wantErr(t, "no space", err, ferry.ErrUnavailable)
	if n := must(s.CommitCount(t.Context(), r.ID))(t); n != 0 {
		t.Errorf("%d commits of a refused transaction", n)
	}
	limit(pages + 1000)
	must(s.AddCommits(t.Context(), r.ID, []Commit{big}, nil))(t)
	check(t, s.Check(t.Context()))
}
