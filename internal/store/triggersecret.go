package store

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"database/sql"
	"errors"
	"fmt"

	"gitferry/internal/ferry"
)

// A TriggerRoute is an address that AWS, or anybody who knows its secret,
// calls: for everything, for one integration or for one repository.
type TriggerRoute struct {
	Route       string              // "install", "integration" or "repo"
	Integration ferry.IntegrationID // of "integration"
	Repository  ferry.RepositoryID  // of "repo"
}

func (t TriggerRoute) check() error {
	ok := false
	switch t.Route {
	case "install":
		ok = t.Integration == 0 && t.Repository == 0
	case "integration":
		ok = t.Integration != 0 && t.Repository == 0
	case "repo":
		ok = t.Integration == 0 && t.Repository != 0
	}
	if !ok {
		return invalid("trigger route %.20q", t.Route)
	}
	return nil
}

func (t TriggerRoute) key() []any {
	return []any{t.Route, int64(t.Integration), int64(t.Repository)}
}

const whereTriggerRoute = `
	WHERE route = ? AND COALESCE(integration_id, 0) = ? AND COALESCE(repository_id, 0) = ?`

// TriggerSecret returns the secret part of an address, of 128 random bits; it
// is made when it is first asked for.
func (s *Store) TriggerSecret(ctx context.Context, t TriggerRoute) (ferry.Secret, error) {
	return s.triggerSecret(ctx, t, false)
}

// NewTriggerSecret replaces the secret of an address; the old address is gone.
func (s *Store) NewTriggerSecret(ctx context.Context, t TriggerRoute) (ferry.Secret, error) {
	return s.triggerSecret(ctx, t, true)
}

func (s *Store) triggerSecret(ctx context.Context, t TriggerRoute, renew bool) (secret ferry.Secret, err error) {
	if err := t.check(); err != nil {
		return secret, err
	}
	read := func(q querier) error {
		var id int64
		var sealed []byte
		err := q.QueryRowContext(ctx, `SELECT id, secret FROM trigger_secret`+whereTriggerRoute, t.key()...).Scan(&id, &sealed)
		if err != nil {
			return err
		}
		secret, err = s.vault.open("trigger_secret", id, "secret", sealed)
		return err
	}
	if !renew {
		if err := read(s.r); !errors.Is(err, sql.ErrNoRows) {
			return secret, err
		}
	}
	err = s.write(ctx, "making the address of a trigger", func(tx *sql.Tx) error {
		if renew {
			if _, err := tx.ExecContext(ctx, `DELETE FROM trigger_secret`+whereTriggerRoute, t.key()...); err != nil {
				return err
			}
		} else if err := read(tx); !errors.Is(err, sql.ErrNoRows) {
			return err // another process made it just now
		}
		secret = ferry.NewSecret(rand.Text())
		sum := sha256.Sum256([]byte(secret.Reveal()))
		var id int64
		if err := tx.QueryRowContext(ctx, `
			INSERT INTO trigger_secret (route, integration_id, repository_id, hash, created_at)
			VALUES (?, ?, ?, ?, ?)
			RETURNING id`, t.Route, orNull(t.Integration), orNull(t.Repository), sum[:], ms(s.now())).Scan(&id); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `UPDATE trigger_secret SET secret = ? WHERE id = ?`,
			s.vault.seal("trigger_secret", id, "secret", secret), id)
		return err
	})
	return secret, err
}

// IsTriggerSecret reports whether given is the secret of an address.
func (s *Store) IsTriggerSecret(ctx context.Context, t TriggerRoute, given string) (bool, error) {
	var hash []byte
	err := s.r.QueryRowContext(ctx, `SELECT hash FROM trigger_secret`+whereTriggerRoute, t.key()...).Scan(&hash)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("reading the secret of a trigger: %w", kind(err))
	}
	sum := sha256.Sum256([]byte(given))
	return subtle.ConstantTimeCompare(sum[:], hash) == 1, nil
}
