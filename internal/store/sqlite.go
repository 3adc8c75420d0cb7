package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/mattn/go-sqlite3"

	"gitferry/internal/ferry"
)

// Parameters that go-sqlite3 applies to every connection. The driver's own
// defaults are synchronous=NORMAL, which may lose the last commits at a power
// loss, and foreign keys off.
const (
	commonParams = "?_journal_mode=WAL&_synchronous=FULL&_foreign_keys=1&_secure_delete=1"
	writerParams = commonParams + "&_txlock=immediate&_busy_timeout=0&_cache_size=-16384" // see begin; 16 MiB for the pages that a first index changes
	readerParams = commonParams + "&_query_only=1&_busy_timeout=60000"
)

// Waiting for the write lock while another process has it. SQLite's own wait
// looks every 100 ms and would hardly ever meet the moment that a busy
// process leaves free (see turns).
const (
	lockPoll = time.Millisecond
	lockWait = time.Minute
)

const (
	maxReaders  = 8
	slowWrite   = time.Second // a transaction longer than this is logged
	connectWait = 10 * time.Second
)

// A connector opens connections to the file at path, all set up alike.
type connector struct {
	path   string
	params string
}

var sqliteDriver = &sqlite3.SQLiteDriver{
	ConnectHook: func(c *sqlite3.SQLiteConn) error {
		_, err := c.Exec(`
			PRAGMA trusted_schema = OFF;
			PRAGMA cell_size_check = ON;
			PRAGMA mmap_size = 0;
			PRAGMA journal_size_limit = 67108864;`, nil)
		return err
	},
}

// Connect makes connector a driver.Connector. SQLite's own wait does not
// cover the switch of a new file to WAL, in which two processes that start at
// once get in each other's way; so the wait for it is here.
func (c connector) Connect(ctx context.Context) (driver.Conn, error) {
	for deadline := time.Now().Add(connectWait); ; {
		conn, err := sqliteDriver.Open("file:" + (&url.URL{Path: c.path}).EscapedPath() + c.params)
		var e sqlite3.Error
		if !errors.As(err, &e) || e.Code != sqlite3.ErrBusy || time.Now().After(deadline) {
			return conn, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// Driver makes connector a driver.Connector.
func (c connector) Driver() driver.Driver { return sqliteDriver }

// write runs f in a transaction of the writer and commits if f returns nil.
// what says what is done, as a gerund, for errors. f must not wait for
// anything but the database.
func (s *Store) write(ctx context.Context, what string, f func(tx *sql.Tx) error) error {
	if err := s.turns.enter(ctx); err != nil {
		return fmt.Errorf("%s: %w", what, kind(err))
	}
	defer s.turns.leave()
	tx, err := s.begin(ctx)
	if err != nil {
		return fmt.Errorf("%s: %w", what, kind(err))
	}
	defer tx.Rollback()
	began := time.Now()
	err = f(tx)
	if err == nil {
		err = tx.Commit()
	}
	if d := time.Since(began); d > slowWrite {
		s.log.Warn("slow database transaction", "what", what, "took", d)
	}
	if err != nil {
		s.renewAfter(err)
		return fmt.Errorf("%s: %w", what, kind(err))
	}
	return nil
}

// begin begins a transaction with the write lock.
func (s *Store) begin(ctx context.Context) (tx *sql.Tx, err error) {
	err = patiently(ctx, func() error { tx, err = s.w.BeginTx(ctx, nil); return err })
	return tx, err
}

// patiently does what another process may keep from being done by its lock,
// waiting for it up to lockWait.
func patiently(ctx context.Context, do func() error) error {
	for deadline := time.Now().Add(lockWait); ; {
		err := do()
		var e sqlite3.Error
		if !errors.As(err, &e) || e.Code != sqlite3.ErrBusy || time.Now().After(deadline) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(lockPoll):
		}
	}
}

// renewAfter drops the writer's connection after an input or output error:
// what a failed flush left in the page cache must not be trusted.
func (s *Store) renewAfter(err error) {
	var e sqlite3.Error
	if errors.As(err, &e) && e.Code == sqlite3.ErrIoErr {
		s.log.Error("database input or output failed, opening it anew", "err", err)
		s.w.SetMaxIdleConns(-1) // closes the idle connection
		s.w.SetMaxIdleConns(1)
	}
}

// kind adds the kind of error that callers test for.
func kind(err error) error {
	var e sqlite3.Error
	if errors.Is(err, sql.ErrNoRows) {
		return ferry.ErrNotFound
	}
	if !errors.As(err, &e) {
		return err
	}
	switch e.Code {
	case sqlite3.ErrConstraint:
		switch e.ExtendedCode {
		case sqlite3.ErrConstraintUnique, sqlite3.ErrConstraintPrimaryKey:
			return fmt.Errorf("%w: %w", ferry.ErrConflict, err)
		case sqlite3.ErrConstraintForeignKey:
			return fmt.Errorf("%w: %w", ferry.ErrNotFound, err)
		}
		return fmt.Errorf("%w: %w", ferry.ErrInvalid, err)
	case sqlite3.ErrBusy, sqlite3.ErrLocked, sqlite3.ErrFull, sqlite3.ErrIoErr, sqlite3.ErrCantOpen, sqlite3.ErrReadonly:
		return fmt.Errorf("%w: %w", ferry.ErrUnavailable, err)
	case sqlite3.ErrCorrupt, sqlite3.ErrNotADB:
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return err
}

// A querier reads: *sql.DB or *sql.Tx.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// collect reads all rows of a query with scan.
func collect[T any](ctx context.Context, q querier, scan func(row scanner) (T, error), query string, args ...any) ([]T, error) {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, kind(err)
	}
	defer rows.Close()
	var list []T
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, kind(err)
		}
		list = append(list, v)
	}
	return list, kind(rows.Err())
}

// A scanner is a row: *sql.Row or *sql.Rows.
type scanner interface {
	Scan(dest ...any) error
}

// one demands that a statement changed exactly one row; none is missing.
func one(res sql.Result, err error, missing error) error {
	if err != nil {
		return err
	}
	n, err := res.RowsAffected()
	if err == nil && n == 0 {
		return missing
	}
	return err
}

// invalid makes an error of kind ferry.ErrInvalid that may be shown.
func invalid(format string, args ...any) error {
	return &ferry.Message{Kind: ferry.ErrInvalid, Text: fmt.Sprintf(format, args...)}
}

// conflict makes an error of kind ferry.ErrConflict that may be shown.
func conflict(format string, args ...any) error {
	return &ferry.Message{Kind: ferry.ErrConflict, Text: fmt.Sprintf(format, args...)}
}
