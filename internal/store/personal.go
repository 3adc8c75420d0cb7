package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"gitferry/internal/ferry"
)

// A PersonalCredential is a person's own AWS access key for the account of an
// integration, without its secret.
type PersonalCredential struct {
	User        ferry.UserID
	Integration ferry.IntegrationID
	AccessKeyID string
	ARN         string    // who AWS says it is
	CheckedAt   time.Time // when AWS said so
}

// SetPersonalCredential stores a person's own access key, its secret sealed,
// in place of an earlier one.
func (s *Store) SetPersonalCredential(ctx context.Context, p PersonalCredential, secret ferry.Secret) error {
	if p.AccessKeyID == "" || secret.IsZero() {
		return invalid("an access key ID and a secret access key are needed")
	}
	return s.write(ctx, fmt.Sprintf("storing an access key of user %d", p.User), func(tx *sql.Tx) error {
		if err := removePersonalCredential(ctx, tx, p.User, p.Integration); err != nil {
			return err
		}
		var id int64
		if err := tx.QueryRowContext(ctx, `
			INSERT INTO personal_credential (user_id, integration_id, access_key_id, secret_access_key, arn, checked_at)
			VALUES (?, ?, ?, x'', ?, ?)
			RETURNING id`, p.User, p.Integration, p.AccessKeyID, p.ARN, ms(p.CheckedAt)).Scan(&id); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `UPDATE personal_credential SET secret_access_key = ? WHERE id = ?`,
			s.vault.seal("personal_credential", id, "secret_access_key", secret), id)
		return err
	})
}

// PersonalCredential returns a person's own access key for an integration
// with its secret opened. It fails with ferry.ErrNotFound if there is none.
func (s *Store) PersonalCredential(ctx context.Context, user ferry.UserID, i ferry.IntegrationID) (PersonalCredential, ferry.Secret, error) {
	p := PersonalCredential{User: user, Integration: i}
	var id int64
	var sealed []byte
	err := s.r.QueryRowContext(ctx, `
		SELECT id, access_key_id, secret_access_key, arn, checked_at
		FROM personal_credential
		WHERE user_id = ? AND integration_id = ?`, user, i).Scan(&id, &p.AccessKeyID, &sealed, &p.ARN, stamp{&p.CheckedAt})
	if err != nil {
		return p, ferry.Secret{}, fmt.Errorf("reading the access key of user %d: %w", user, kind(err))
	}
	secret, err := s.vault.open("personal_credential", id, "secret_access_key", sealed)
	return p, secret, err
}

// PersonalCredentials returns the access keys that a person has stored.
func (s *Store) PersonalCredentials(ctx context.Context, user ferry.UserID) ([]PersonalCredential, error) {
	return collect(ctx, s.r, func(row scanner) (p PersonalCredential, err error) {
		p.User = user
		err = row.Scan(&p.Integration, &p.AccessKeyID, &p.ARN, stamp{&p.CheckedAt})
		return p, err
	}, `
		SELECT integration_id, access_key_id, arn, checked_at
		FROM personal_credential
		WHERE user_id = ? ORDER BY integration_id`, user)
}

// RemovePersonalCredential removes a person's own access key. Without one it
// does nothing.
func (s *Store) RemovePersonalCredential(ctx context.Context, user ferry.UserID, i ferry.IntegrationID) error {
	return s.write(ctx, fmt.Sprintf("removing an access key of user %d", user), func(tx *sql.Tx) error {
		return removePersonalCredential(ctx, tx, user, i)
	})
}

func removePersonalCredential(ctx context.Context, tx *sql.Tx, user ferry.UserID, i ferry.IntegrationID) error {
	_, err := tx.ExecContext(ctx, `
		DELETE FROM personal_credential
		WHERE user_id = ? AND integration_id = ?`, user, i)
	return err
}
