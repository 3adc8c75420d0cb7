package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"gitferry/internal/ferry"
)

// An AuditEvent is one row of the audit. Nothing secret goes into it.
type AuditEvent struct {
	Seq        int64     // set by the store
	At         time.Time // set by the store
	ActorID    ferry.UserID
	Actor      string // the name at that time; "system" for gitferry itself
	Credential string // SSH fingerprint, "token 12", "session"
	Address    string
	Request    string // request ID, may be empty
	Action     string // such as "token.create"
	Object     string // what it was done to
	Result     string // "ok", "refused", "failed"
	Reason     string
	Detail     string // anything more, as text or JSON
}

// An AuditFilter narrows AuditEvents. Zero fields do not narrow.
type AuditFilter struct {
	Actor  string
	Action string
	Object string
	Since  time.Time
	Until  time.Time // exclusive
	Before int64     // seqs below this one
	Limit  int       // 0 or more than 1000: 1000
}

// Audit appends an event. Every row holds the hash of the one before and of
// itself, so that a row changed or taken out later shows (VerifyAudit).
func (s *Store) Audit(ctx context.Context, e AuditEvent) error {
	e.At = at(ms(s.now()))
	return s.write(ctx, "writing the audit", func(tx *sql.Tx) error {
		previous := make([]byte, sha256.Size)
		err := tx.QueryRowContext(ctx, `SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1`).Scan(&e.Seq, &previous)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		e.Seq++
		_, err = tx.ExecContext(ctx, `
			INSERT INTO audit (
				seq, at, actor_id, actor, credential, address, request, action, object, result, reason, detail,
				previous, hash)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			e.Seq, ms(e.At), e.ActorID, e.Actor, e.Credential, e.Address, e.Request, e.Action, e.Object, e.Result, e.Reason, e.Detail,
			previous, e.hash(previous))
		return err
	})
}

// hash is the SHA-256 over the hash of the row before and all fields, each
// with its length before it so that no text can move into its neighbour.
func (e AuditEvent) hash(previous []byte) []byte {
	h := sha256.New()
	h.Write(previous)
	for _, n := range []int64{e.Seq, ms(e.At), int64(e.ActorID)} {
		binary.Write(h, binary.BigEndian, n) // a hash does not fail
	}
	for _, text := range []string{e.Actor, e.Credential, e.Address, e.Request, e.Action, e.Object, e.Result, e.Reason, e.Detail} {
		binary.Write(h, binary.BigEndian, int64(len(text)))
		h.Write([]byte(text))
	}
	return h.Sum(nil)
}

const auditColumns = `seq, at, actor_id, actor, credential, address, request, action, object, result, reason, detail`

func scanAuditEvent(row scanner) (e AuditEvent, err error) {
	err = row.Scan(&e.Seq, stamp{&e.At}, &e.ActorID, &e.Actor, &e.Credential, &e.Address, &e.Request,
		&e.Action, &e.Object, &e.Result, &e.Reason, &e.Detail)
	return e, err
}

// AuditEvents returns events, newest first.
func (s *Store) AuditEvents(ctx context.Context, f AuditFilter) ([]AuditEvent, error) {
	var w where
	for _, c := range []struct{ condition, value string }{
		{"actor = ?", f.Actor}, {"action = ?", f.Action}, {"object = ?", f.Object},
	} {
		if c.value != "" {
			w.add(c.condition, c.value)
		}
	}
	if !f.Since.IsZero() {
		w.add("at >= ?", ms(f.Since))
	}
	if !f.Until.IsZero() {
		w.add("at < ?", ms(f.Until))
	}
	if f.Before != 0 {
		w.add("seq < ?", f.Before)
	}
	list, err := collect(ctx, s.r, scanAuditEvent, `SELECT `+auditColumns+` FROM audit`+w.String()+`
		ORDER BY seq DESC LIMIT ?`, append(w.args, limited(f.Limit, 1000))...)
	if err != nil {
		return nil, fmt.Errorf("reading the audit: %w", err)
	}
	return list, nil
}

// VerifyAudit follows the chain of hashes from the oldest row that is kept
// and returns how many rows are sound. It fails with ErrCorrupt and the
// number of the first row that was changed, is missing or stands in the wrong
// place; rows missing at the end show by SQLite's own count.
func (s *Store) VerifyAudit(ctx context.Context) (rows int64, err error) {
	tx, err := s.r.BeginTx(ctx, nil) // both queries see one state
	if err != nil {
		return 0, fmt.Errorf("verifying the audit: %w", kind(err))
	}
	defer tx.Rollback()
	list, err := tx.QueryContext(ctx, `SELECT previous, hash, `+auditColumns+` FROM audit ORDER BY seq`)
	if err != nil {
		return 0, fmt.Errorf("verifying the audit: %w", kind(err))
	}
	defer list.Close()
	var last AuditEvent
	var lastHash []byte
	for list.Next() {
		var previous, hash []byte
		e, err := scanAuditEvent(prefixed{list, []any{&previous, &hash}})
		if err != nil {
			return rows, fmt.Errorf("verifying the audit: %w", kind(err))
		}
		chained := rows == 0 || e.Seq == last.Seq+1 && bytes.Equal(previous, lastHash)
		if !chained || !bytes.Equal(e.hash(previous), hash) {
			return rows, fmt.Errorf("verifying the audit: row %d does not follow: %w", e.Seq, ErrCorrupt)
		}
		last, lastHash, rows = e, hash, rows+1
	}
	if err := list.Err(); err != nil {
		return rows, fmt.Errorf("verifying the audit: %w", kind(err))
	}
	var highest int64
	err = tx.QueryRowContext(ctx, `SELECT COALESCE(MAX(seq), 0) FROM sqlite_sequence WHERE name = 'audit'`).Scan(&highest)
	if err != nil {
		return rows, fmt.Errorf("verifying the audit: %w", kind(err))
	}
	if highest != last.Seq {
		return rows, fmt.Errorf("verifying the audit: row %d is missing: %w", last.Seq+1, ErrCorrupt)
	}
	return rows, nil
}
