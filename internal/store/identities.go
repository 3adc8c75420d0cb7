package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"gitferry/internal/ferry"
)

// An Identity is who a user is at an OpenID Connect provider.
type Identity struct {
	Issuer, Subject string
	User            ferry.UserID
	CreatedAt       time.Time // of the first log-in
}

// maxSubject bounds an issuer and a subject, in bytes (OpenID Connect Core
// 1.0, section 2, allows 255 for the subject).
const maxSubject = 255

// UserByIdentity returns the user that is bound to a subject of an issuer, or
// ferry.ErrNotFound.
func (s *Store) UserByIdentity(ctx context.Context, issuer, subject string) (ferry.User, error) {
	u, err := scanUser(s.r.QueryRowContext(ctx, selectUser+`
		WHERE u.id = (SELECT user_id FROM identity WHERE issuer = ? AND subject = ?)`, issuer, subject))
	if err != nil {
		return u, fmt.Errorf("reading the user of a subject: %w", kind(err))
	}
	return u, nil
}

// BindIdentity says that a subject of an issuer is a user from now on. It
// fails with ferry.ErrConflict if the subject is somebody already, or the user
// is another subject of that issuer, and with ferry.ErrInvalid if one of the
// two is empty or longer than 255 bytes.
func (s *Store) BindIdentity(ctx context.Context, i Identity) error {
	if i.Issuer == "" || i.Subject == "" || len(i.Issuer) > maxSubject || len(i.Subject) > maxSubject {
		return invalid("an issuer and a subject need 1 to %d bytes", maxSubject)
	}
	return s.write(ctx, fmt.Sprintf("binding user %d to a subject", i.User), func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `
			INSERT INTO identity (issuer, subject, user_id, created_at)
			VALUES (?, ?, ?, ?)`,
			i.Issuer, i.Subject, i.User, ms(s.now()))
		return err
	})
}

// Identities returns what a user is at identity providers.
func (s *Store) Identities(ctx context.Context, user ferry.UserID) ([]Identity, error) {
	return collect(ctx, s.r, func(row scanner) (i Identity, err error) {
		err = row.Scan(&i.Issuer, &i.Subject, &i.User, stamp{&i.CreatedAt})
		return i, err
	}, `SELECT issuer, subject, user_id, created_at FROM identity WHERE user_id = ? ORDER BY issuer`, user)
}

// UnbindIdentities forgets what a user is at identity providers: the next
// log-in finds the user by its claim again.
func (s *Store) UnbindIdentities(ctx context.Context, user ferry.UserID) error {
	return s.write(ctx, fmt.Sprintf("forgetting the subjects of user %d", user), func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM identity WHERE user_id = ?`, user)
		return err
	})
}
