package store

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"database/sql"
	"encoding/hex"
	"fmt"
	"net/url"
	"path"
	"strings"
	"time"

	"gitferry/internal/ferry"
)

// OAuthCodeLife is how long a code may be exchanged for a token.
const OAuthCodeLife = 10 * time.Minute

// An OAuthClient is a program that may be given tokens by way of the consent
// page.
type OAuthClient struct {
	ID        int64
	ClientID  string // 20 hexadecimal digits
	Name      string
	Redirect  string // URL below which redirect URIs must lie
	CreatedAt time.Time
}

// AddOAuthClient registers a client and returns it with its secret, which is
// not kept and cannot be read again.
func (s *Store) AddOAuthClient(ctx context.Context, c OAuthClient) (ferry.Secret, OAuthClient, error) {
	if c.Name == "" || len(c.Name) > maxText {
		return ferry.Secret{}, c, invalid("client: want a short name")
	}
	if !isRedirect(c.Redirect) {
		return ferry.Secret{}, c, invalid("redirect address of a client: want one such as https://jira.example.com, of at most 2,000 bytes")
	}
	random := make([]byte, 30)
	rand.Read(random) // never fails (crypto/rand)
	c.ClientID, c.CreatedAt = hex.EncodeToString(random[:10]), at(ms(s.now()))
	secret := hex.EncodeToString(random[10:])
	hash := sha256.Sum256([]byte(secret))
	err := s.write(ctx, "adding an OAuth client", func(tx *sql.Tx) error {
		return tx.QueryRowContext(ctx, `
			INSERT INTO oauth_client (client_id, secret_hash, name, redirect, created_at)
			VALUES (?, ?, ?, ?, ?)
			RETURNING id`, c.ClientID, hash[:], c.Name, c.Redirect, ms(c.CreatedAt)).Scan(&c.ID)
	})
	return ferry.NewSecret(secret), c, err
}

// isRedirect reports whether redirect URIs may lie below an address.
func isRedirect(s string) bool {
	u, err := url.Parse(s)
	return err == nil && len(s) <= 2000 && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "" && u.User == nil && u.Opaque == "" &&
		u.RawQuery == "" && u.Fragment == "" && !strings.ContainsAny(u.Path, "\\\r\n") &&
		(u.Path == "" || path.Clean(u.Path) == strings.TrimSuffix(u.Path, "/") || u.Path == "/")
}

const selectOAuthClient = `SELECT id, client_id, name, redirect, created_at FROM oauth_client`

func scanOAuthClient(row scanner) (c OAuthClient, err error) {
	err = row.Scan(&c.ID, &c.ClientID, &c.Name, &c.Redirect, stamp{&c.CreatedAt})
	return c, err
}

// OAuthClients returns all clients, oldest first.
func (s *Store) OAuthClients(ctx context.Context) ([]OAuthClient, error) {
	return collect(ctx, s.r, scanOAuthClient, selectOAuthClient+` ORDER BY id`)
}

// OAuthClient returns the client of a client id.
func (s *Store) OAuthClient(ctx context.Context, clientID string) (OAuthClient, error) {
	c, err := scanOAuthClient(s.r.QueryRowContext(ctx, selectOAuthClient+` WHERE client_id = ?`, clientID))
	if err != nil {
		return c, fmt.Errorf("reading an OAuth client: %w", kind(err))
	}
	return c, nil
}

// OAuthClientBySecret returns the client of a client id whose secret is that.
// Whatever is wrong, it fails with ferry.ErrDenied.
func (s *Store) OAuthClientBySecret(ctx context.Context, clientID, secret string) (OAuthClient, error) {
	denied := fmt.Errorf("signing in an OAuth client: %w", ferry.ErrDenied)
	var hash []byte
	err := s.r.QueryRowContext(ctx, `SELECT secret_hash FROM oauth_client WHERE client_id = ?`, clientID).Scan(&hash)
	if err == sql.ErrNoRows {
		return OAuthClient{}, denied
	}
	if err != nil {
		return OAuthClient{}, fmt.Errorf("reading an OAuth client: %w", kind(err))
	}
	if have := sha256.Sum256([]byte(secret)); subtle.ConstantTimeCompare(hash, have[:]) != 1 {
		return OAuthClient{}, denied
	}
	return s.OAuthClient(ctx, clientID)
}

// RemoveOAuthClient removes a client. Tokens given to it stay valid until
// they are revoked.
func (s *Store) RemoveOAuthClient(ctx context.Context, clientID string) error {
	return s.write(ctx, "removing an OAuth client", func(tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, `DELETE FROM oauth_client WHERE client_id = ?`, clientID)
		return one(res, err, ferry.ErrNotFound)
	})
}

// NewOAuthCode makes a code for a client and a redirect URI on behalf of a
// user. Codes whose time is over are removed.
func (s *Store) NewOAuthCode(ctx context.Context, client int64, user ferry.UserID, redirect string) (ferry.Secret, error) {
	random := make([]byte, 20)
	rand.Read(random) // never fails (crypto/rand)
	code := hex.EncodeToString(random)
	hash := sha256.Sum256([]byte(code))
	now := s.now()
	err := s.write(ctx, "making an OAuth code", func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `DELETE FROM oauth_code WHERE created_at < ?`, ms(now.Add(-OAuthCodeLife))); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `
			INSERT INTO oauth_code (hash, oauth_client, user_id, redirect, created_at)
			VALUES (?, ?, ?, ?, ?)`, hash[:], client, user, redirect, ms(now))
		return err
	})
	return ferry.NewSecret(code), err
}

// TakeOAuthCode ends a code and returns for whom it was made and for which
// redirect URI. A code that is unknown, was used, is too old or belongs to
// another client fails with ferry.ErrDenied.
func (s *Store) TakeOAuthCode(ctx context.Context, client int64, code string) (user ferry.UserID, redirect string, err error) {
	hash := sha256.Sum256([]byte(code))
	err = s.write(ctx, "taking an OAuth code", func(tx *sql.Tx) error {
		var owner int64
		var made time.Time
		err := tx.QueryRowContext(ctx, `
			DELETE FROM oauth_code WHERE hash = ?
			RETURNING oauth_client, user_id, redirect, created_at`, hash[:]).Scan(&owner, &user, &redirect, stamp{&made})
		if err != nil && err != sql.ErrNoRows {
			return err
		}
		if err == sql.ErrNoRows || owner != client || s.now().Sub(made) > OAuthCodeLife {
			user = 0
		}
		return nil // the code is gone in any case
	})
	if err == nil && user == 0 {
		err = fmt.Errorf("taking an OAuth code: %w", ferry.ErrDenied)
	}
	return user, redirect, err
}
