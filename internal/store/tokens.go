package store

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"database/sql"
	"errors"
	"fmt"
	"hash/crc32"
	"math/big"
	"strings"
	"time"

	"gitferry/internal/ferry"
)

const (
	tokenPrefix    = "gf_"
	tokenDigits    = 43 // base62 digits of 256 bits
	checksumDigits = 6  // base62 digits of a CRC-32
	tokenDays      = 90
	maxTokenDays   = 366
)

// A Token signs its owner in over HTTP, narrowed to scopes and repositories.
type Token struct {
	ID          int64
	User        ferry.UserID
	Name        string
	Scopes      []ferry.Scope
	Globs       []string // repository globs; empty: all that the owner may see
	ExpiresAt   time.Time
	CreatedAt   time.Time
	LastUsedAt  time.Time // exact to a minute; zero: never
	LastAddress string
	RevokedAt   time.Time // zero: valid
}

// NewToken makes a token and returns its text, which is not kept and cannot
// be read again: "gf_", 43 base62 digits of 256 random bits and 6 of their
// checksum. Without ExpiresAt it is valid for 90 days; more than 366 days
// fail with ferry.ErrInvalid, as do unknown scopes and globs too long.
func (s *Store) NewToken(ctx context.Context, t Token) (ferry.Secret, Token, error) {
	now := s.now()
	t.CreatedAt, t.LastUsedAt, t.LastAddress, t.RevokedAt = at(ms(now)), time.Time{}, "", time.Time{}
	if t.ExpiresAt.IsZero() {
		t.ExpiresAt = t.CreatedAt.AddDate(0, 0, tokenDays)
	}
	t.ExpiresAt = at(ms(t.ExpiresAt))
	if err := checkToken(t); err != nil {
		return ferry.Secret{}, t, err
	}
	plain := newTokenText()
	hash := sha256.Sum256([]byte(plain))
	err := s.write(ctx, "making a token", func(tx *sql.Tx) error {
		return tx.QueryRowContext(ctx, `
			INSERT INTO token (user_id, name, hash, scopes, globs, created_at, expires_at, last_used_at, last_address, revoked_at)
			VALUES (?, ?, ?, ?, ?, ?, ?, 0, '', 0)
			RETURNING id`,
			t.User, t.Name, hash[:], asJSON(t.Scopes), asJSON(t.Globs), ms(t.CreatedAt), ms(t.ExpiresAt)).Scan(&t.ID)
	})
	if err != nil {
		return ferry.Secret{}, t, err
	}
	return ferry.NewSecret(plain), t, nil
}

func checkToken(t Token) error {
	if !t.ExpiresAt.After(t.CreatedAt) || t.ExpiresAt.After(t.CreatedAt.AddDate(0, 0, maxTokenDays)) {
		return invalid("token %.60q: its end must lie within the next %d days", t.Name, maxTokenDays)
	}
	if len(t.Name) > maxText || len(t.Globs) > 100 || len(t.Scopes) == 0 {
		return invalid("token %.60q: want a scope, a short name and at most 100 globs", t.Name)
	}
	for _, sc := range t.Scopes {
		switch sc {
		case ferry.ScopeRepoRead, ferry.ScopeRepoWrite, ferry.ScopeAPIRead, ferry.ScopeAPIAdmin, ferry.ScopeJiraDVCS:
		default:
			return invalid("token scope %.40q: want repo:read, repo:write, api:read, api:admin or jira:dvcs", sc)
		}
	}
	for _, g := range t.Globs {
		if err := checkGlob(g); err != nil {
			return err
		}
	}
	return nil
}

func newTokenText() string {
	random := make([]byte, 32)
	rand.Read(random) // never fails (crypto/rand)
	body := base62(new(big.Int).SetBytes(random), tokenDigits)
	return tokenPrefix + body + tokenChecksum(body)
}

// tokenChecksum lets scanners for leaked secrets tell tokens from noise.
func tokenChecksum(body string) string {
	return base62(new(big.Int).SetUint64(uint64(crc32.ChecksumIEEE([]byte(body)))), checksumDigits)
}

// base62 writes n with the given number of digits; big.Int has the alphabet
// 0-9 a-z A-Z.
func base62(n *big.Int, digits int) string {
	text := n.Text(62)
	return strings.Repeat("0", digits-len(text)) + text
}

// tokenFormed reports whether text has the form and checksum of a token.
func tokenFormed(text string) bool {
	body, ok := strings.CutPrefix(text, tokenPrefix)
	if !ok || len(body) != tokenDigits+checksumDigits {
		return false
	}
	return tokenChecksum(body[:tokenDigits]) == body[tokenDigits:]
}

const selectToken = `
	SELECT id, user_id, name, scopes, globs, created_at, expires_at, last_used_at, last_address, revoked_at, hash
	FROM token`

func scanToken(row scanner) (t Token, err error) {
	t, _, err = scanTokenHash(row)
	return t, err
}

func scanTokenHash(row scanner) (t Token, hash []byte, err error) {
	err = row.Scan(&t.ID, &t.User, &t.Name, jsonColumn{&t.Scopes}, jsonColumn{&t.Globs}, stamp{&t.CreatedAt},
		stamp{&t.ExpiresAt}, stamp{&t.LastUsedAt}, &t.LastAddress, stamp{&t.RevokedAt}, &hash)
	return t, hash, err
}

// Tokens returns the tokens of one user, or with 0 all of them, oldest first;
// revoked and expired ones too.
func (s *Store) Tokens(ctx context.Context, user ferry.UserID) ([]Token, error) {
	if user == 0 {
		return collect(ctx, s.r, scanToken, selectToken+` ORDER BY id`)
	}
	return collect(ctx, s.r, scanToken, selectToken+` WHERE user_id = ? ORDER BY id`, user)
}

// RevokeToken ends a token's validity with the next request.
func (s *Store) RevokeToken(ctx context.Context, id int64) error {
	return s.write(ctx, fmt.Sprintf("revoking token %d", id), func(tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, `
			UPDATE token SET revoked_at = CASE revoked_at WHEN 0 THEN ? ELSE revoked_at END
			WHERE id = ?`, ms(s.now()), id)
		return one(res, err, ferry.ErrNotFound)
	})
}

// SubjectByToken returns who signs in with a token's text; address is noted.
// Whatever is wrong (form, unknown, expired, revoked, owner disabled), it
// fails with ferry.ErrDenied.
func (s *Store) SubjectByToken(ctx context.Context, plain, address string) (ferry.Subject, error) {
	denied := fmt.Errorf("signing in with a token: %w", ferry.ErrDenied)
	if !tokenFormed(plain) {
		return ferry.Subject{}, denied
	}
	want := sha256.Sum256([]byte(plain))
	t, hash, err := scanTokenHash(s.r.QueryRowContext(ctx, selectToken+` WHERE hash = ?`, want[:]))
	if errors.Is(err, sql.ErrNoRows) {
		return ferry.Subject{}, denied
	}
	if err != nil {
		return ferry.Subject{}, fmt.Errorf("reading token: %w", kind(err))
	}
	if subtle.ConstantTimeCompare(hash, want[:]) != 1 || !t.RevokedAt.IsZero() || !s.now().Before(t.ExpiresAt) {
		return ferry.Subject{}, denied
	}
	subject, err := s.Subject(ctx, t.User)
	if err != nil {
		return subject, err
	}
	subject.Scopes, subject.Globs, subject.Expires = t.Scopes, t.Globs, t.ExpiresAt
	if subject.Scopes == nil {
		subject.Scopes = []ferry.Scope{} // nil would mean "not narrowed"
	}
	subject.Credential = fmt.Sprintf("token %d", t.ID)
	s.noteUse(ctx, `UPDATE token SET last_used_at = ?, last_address = ? WHERE id = ?`, t.ID, t.LastUsedAt, address)
	return subject, nil
}

// Renew returns a subject as it stands now: the user with the grants that hold
// now, narrowed as before. It fails with ferry.ErrDenied if the user was
// disabled or removed since, or if the token or SSH key that the subject
// signed in with was.
func (s *Store) Renew(ctx context.Context, old ferry.Subject) (ferry.Subject, error) {
	denied := fmt.Errorf("signing in again with %s: %w", old.Credential, ferry.ErrDenied)
	var holds bool
	var err error
	switch id, isToken := strings.CutPrefix(old.Credential, "token "); {
	case isToken:
		err = s.r.QueryRowContext(ctx, `SELECT revoked_at = 0 AND expires_at > ? FROM token WHERE id = ?`, ms(s.now()), id).Scan(&holds)
	case strings.HasPrefix(old.Credential, "SHA256:"):
		err = s.r.QueryRowContext(ctx, `SELECT user_id = ? FROM ssh_key WHERE fingerprint = ?`, old.User.ID, old.Credential).Scan(&holds)
	default:
		holds = true // the credential is looked after elsewhere
	}
	if errors.Is(err, sql.ErrNoRows) || err == nil && !holds {
		return ferry.Subject{}, denied
	}
	if err != nil {
		return ferry.Subject{}, fmt.Errorf("signing in again: %w", kind(err))
	}
	now, err := s.Subject(ctx, old.User.ID)
	now.Scopes, now.Globs, now.Credential, now.Expires = old.Scopes, old.Globs, old.Credential, old.Expires
	return now, err
}
