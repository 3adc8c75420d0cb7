package store

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"gitferry/internal/ferry"
)

// How long a session lives (security.md, UI-6).
const (
	SessionIdle = 12 * time.Hour     // without use
	SessionLife = 7 * 24 * time.Hour // in all
)

// A Session is a signed-in browser.
type Session struct {
	ID        int64
	User      ferry.UserID
	CreatedAt time.Time
	SeenAt    time.Time // exact to a minute
	Address   string
	Agent     string // at most 200 bytes
	Flash     string // to be shown once; opaque to the store
}

// NewSession signs a user in and returns the text for the cookie, 256 random
// bits in URL-safe base64. Only its hash is kept, so that a copy of the
// database opens no session. Sessions whose time is over are removed.
func (s *Store) NewSession(ctx context.Context, user ferry.UserID, address, agent string) (ferry.Secret, error) {
	random := make([]byte, 32)
	rand.Read(random) // never fails (crypto/rand)
	plain := base64.RawURLEncoding.EncodeToString(random)
	hash := sha256.Sum256([]byte(plain))
	now := s.now()
	err := s.write(ctx, fmt.Sprintf("signing in user %d", user), func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `
			DELETE FROM session
			WHERE seen_at < ?`, ms(now.Add(-SessionIdle))); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `
			INSERT INTO session (hash, user_id, created_at, seen_at, address, agent, flash)
			VALUES (?, ?, ?, ?, ?, ?, '')`,
			hash[:], user, ms(now), ms(now), address, agent[:min(len(agent), 200)])
		return err
	})
	if err != nil {
		return ferry.Secret{}, err
	}
	return ferry.NewSecret(plain), nil
}

const selectSession = `
	SELECT id, user_id, created_at, seen_at, address, agent, flash
	FROM session`

func scanSession(row scanner) (n Session, err error) {
	err = row.Scan(&n.ID, &n.User, stamp{&n.CreatedAt}, stamp{&n.SeenAt}, &n.Address, &n.Agent, &n.Flash)
	return n, err
}

// SubjectBySession returns who signs in with a cookie's text. It fails with
// ferry.ErrDenied if the session is unknown or over, or the user disabled.
func (s *Store) SubjectBySession(ctx context.Context, plain, address string) (ferry.Subject, Session, error) {
	denied := fmt.Errorf("signing in with a session: %w", ferry.ErrDenied)
	hash := sha256.Sum256([]byte(plain))
	n, err := scanSession(s.r.QueryRowContext(ctx, selectSession+` WHERE hash = ?`, hash[:]))
	if errors.Is(err, sql.ErrNoRows) {
		return ferry.Subject{}, n, denied
	}
	if err != nil {
		return ferry.Subject{}, n, fmt.Errorf("reading a session: %w", kind(err))
	}
	now := s.now()
	if now.Sub(n.SeenAt) > SessionIdle || now.Sub(n.CreatedAt) > SessionLife {
		return ferry.Subject{}, n, denied
	}
	subject, err := s.Subject(ctx, n.User)
	if err != nil {
		return subject, n, err
	}
	subject.Credential = "session"
	s.noteUse(ctx, `UPDATE session SET seen_at = ?, address = ? WHERE id = ?`, n.ID, n.SeenAt, address)
	return subject, n, nil
}

// Sessions returns the sessions of a user, the latest used first.
func (s *Store) Sessions(ctx context.Context, user ferry.UserID) ([]Session, error) {
	return collect(ctx, s.r, scanSession, selectSession+` WHERE user_id = ? ORDER BY seen_at DESC, id`, user)
}

// EndSession signs a browser out; an unknown id is no error.
func (s *Store) EndSession(ctx context.Context, id int64) error {
	return s.write(ctx, "ending a session", func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM session WHERE id = ?`, id)
		return err
	})
}

// EndSessions signs a user out everywhere but in the session keep, 0 for none.
func (s *Store) EndSessions(ctx context.Context, user ferry.UserID, keep int64) error {
	return s.write(ctx, fmt.Sprintf("ending the sessions of user %d", user), func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM session WHERE user_id = ? AND id <> ?`, user, keep)
		return err
	})
}

// SetFlash stores what the session's next page shows; empty takes it away.
func (s *Store) SetFlash(ctx context.Context, id int64, text string) error {
	return s.write(ctx, "noting a message", func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE session SET flash = ? WHERE id = ?`, text, id)
		return err
	})
}
