package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"gitferry/internal/ferry"
)

// usedEvery is how often the last use of a credential is written.
const usedEvery = time.Minute

// An SSHKey is a public key that signs its owner in.
type SSHKey struct {
	ID          int64
	User        ferry.UserID
	Name        string
	Type        string // "ssh-ed25519", …
	Fingerprint string // "SHA256:…", unpadded base64, as ssh-keygen -l prints it
	Public      string // "ssh-ed25519 AAAA…", one line
	CreatedAt   time.Time
	LastUsedAt  time.Time // exact to a minute; zero: never
	LastAddress string
}

// AddSSHKey gives a user a key. It fails with ferry.ErrConflict if anybody
// has the key already.
func (s *Store) AddSSHKey(ctx context.Context, k SSHKey) (SSHKey, error) {
	if !strings.HasPrefix(k.Fingerprint, "SHA256:") || len(k.Fingerprint) > 64 ||
		k.Public == "" || len(k.Public) > 16<<10 || strings.ContainsAny(k.Public, "\r\n") || len(k.Name) > maxText {
		return k, invalid("SSH key %.60q: want a SHA256 fingerprint and one line with the public key", k.Name)
	}
	k.CreatedAt, k.LastUsedAt, k.LastAddress = at(ms(s.now())), time.Time{}, ""
	err := s.write(ctx, "adding SSH key "+k.Fingerprint, func(tx *sql.Tx) error {
		return tx.QueryRowContext(ctx, `
			INSERT INTO ssh_key (user_id, name, type, fingerprint, public, created_at, last_used_at, last_address)
			VALUES (?, ?, ?, ?, ?, ?, 0, '')
			RETURNING id`,
			k.User, k.Name, k.Type, k.Fingerprint, k.Public, ms(k.CreatedAt)).Scan(&k.ID)
	})
	return k, err
}

const selectSSHKey = `
	SELECT id, user_id, name, type, fingerprint, public, created_at, last_used_at, last_address
	FROM ssh_key`

func scanSSHKey(row scanner) (k SSHKey, err error) {
	err = row.Scan(&k.ID, &k.User, &k.Name, &k.Type, &k.Fingerprint, &k.Public,
		stamp{&k.CreatedAt}, stamp{&k.LastUsedAt}, &k.LastAddress)
	return k, err
}

// SSHKeys returns the keys of one user, or with 0 all of them, oldest first.
func (s *Store) SSHKeys(ctx context.Context, user ferry.UserID) ([]SSHKey, error) {
	if user == 0 {
		return collect(ctx, s.r, scanSSHKey, selectSSHKey+` ORDER BY id`)
	}
	return collect(ctx, s.r, scanSSHKey, selectSSHKey+` WHERE user_id = ? ORDER BY id`, user)
}

// RemoveSSHKey removes a key; who is signed in with it stays so until the
// connection ends.
func (s *Store) RemoveSSHKey(ctx context.Context, id int64) error {
	return s.write(ctx, fmt.Sprintf("removing SSH key %d", id), func(tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, `DELETE FROM ssh_key WHERE id = ?`, id)
		return one(res, err, ferry.ErrNotFound)
	})
}

// Subject returns a user as subject, with the grants that hold now and no
// narrowing; Credential is left to the caller. It fails with ferry.ErrDenied
// for an unknown or disabled user.
func (s *Store) Subject(ctx context.Context, id ferry.UserID) (ferry.Subject, error) {
	var subject ferry.Subject
	u, err := userBy(ctx, s.r, "u.id = ?", id)
	if errors.Is(err, ferry.ErrNotFound) || err == nil && u.Disabled {
		return subject, fmt.Errorf("signing in user %d: %w", id, ferry.ErrDenied)
	}
	if err != nil {
		return subject, err
	}
	grants, err := grantsOf(ctx, s.r, id)
	if err != nil {
		return subject, fmt.Errorf("reading grants of user %d: %w", id, err)
	}
	return ferry.Subject{User: u, Grants: grants}, nil
}

// SubjectByKey returns who signs in with an SSH key whose signature was
// verified; address is noted. Unknown keys and disabled users both fail with
// ferry.ErrDenied.
func (s *Store) SubjectByKey(ctx context.Context, fingerprint, address string) (ferry.Subject, error) {
	k, err := scanSSHKey(s.r.QueryRowContext(ctx, selectSSHKey+` WHERE fingerprint = ?`, fingerprint))
	if errors.Is(err, sql.ErrNoRows) {
		return ferry.Subject{}, fmt.Errorf("signing in with SSH key %.64s: %w", fingerprint, ferry.ErrDenied)
	}
	if err != nil {
		return ferry.Subject{}, fmt.Errorf("reading SSH key: %w", kind(err))
	}
	subject, err := s.Subject(ctx, k.User)
	if err != nil {
		return subject, err
	}
	subject.Credential = k.Fingerprint
	s.noteUse(ctx, `UPDATE ssh_key SET last_used_at = ?, last_address = ? WHERE id = ?`, k.ID, k.LastUsedAt, address)
	return subject, nil
}

// KnowsKey reports whether a key of that fingerprint is registered. It signs
// nobody in. Trouble with the books counts as yes: the key that signs decides.
func (s *Store) KnowsKey(ctx context.Context, fingerprint string) bool {
	var one int
	err := s.r.QueryRowContext(ctx, `SELECT 1 FROM ssh_key WHERE fingerprint = ?`, fingerprint).Scan(&one)
	return !errors.Is(err, sql.ErrNoRows)
}

// noteUse writes when and from where a credential was used, unless that was
// written within the last minute. Trouble with it does not keep anybody out.
func (s *Store) noteUse(ctx context.Context, update string, id int64, last time.Time, address string) {
	now := s.now()
	if since := now.Sub(last); since >= 0 && since < usedEvery {
		return
	}
	err := s.write(ctx, "noting the use of a credential", func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, update, ms(now), address, id)
		return err
	})
	if err != nil && ctx.Err() == nil {
		s.log.Warn("noting the use of a credential", "err", err)
	}
}
