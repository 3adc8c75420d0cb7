package store

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"fmt"

	"gitferry/internal/ferry"
)

// keyVersion names the data key that seals new values; it is the first byte
// of every sealed value and part of what authenticates it.
const keyVersion = 1

// A vault seals secrets before they reach the file: AES-256-GCM under a key
// derived from the master key, bound to the place where the value is stored,
// so that a value copied to another row or column does not open.
//
// A sealed value is: key version (1 byte), nonce (12 bytes), ciphertext and
// tag (16 bytes).
type vault struct {
	aead cipher.AEAD
}

// newVault derives the data key. The master key must have 32 bytes.
func newVault(master []byte) (*vault, error) {
	if len(master) != 32 {
		return nil, fmt.Errorf("master key has %d bytes, want 32: %w", len(master), ferry.ErrInvalid)
	}
	key, err := hkdf.Key(sha256.New, master, nil, "gitferry store secrets 1", 32)
	if err != nil {
		return nil, fmt.Errorf("deriving the data key: %w", err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("deriving the data key: %w", err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, fmt.Errorf("deriving the data key: %w", err)
	}
	return &vault{aead}, nil
}

// place is where a sealed value stands: the additional data of the seal.
func place(table string, row int64, column string, version byte) []byte {
	return fmt.Appendf(nil, "%s|%d|%s|%d", table, row, column, version)
}

// seal returns what to store for secret in the column, nil for an empty one.
func (v *vault) seal(table string, row int64, column string, secret ferry.Secret) []byte {
	if secret.IsZero() {
		return nil
	}
	sealed := make([]byte, 1+v.aead.NonceSize(), 1+v.aead.NonceSize()+len(secret.Reveal())+v.aead.Overhead())
	sealed[0] = keyVersion
	rand.Read(sealed[1:]) // never fails (crypto/rand)
	return v.aead.Seal(sealed, sealed[1:], []byte(secret.Reveal()), place(table, row, column, keyVersion))
}

// open is the inverse of seal.
func (v *vault) open(table string, row int64, column string, sealed []byte) (ferry.Secret, error) {
	if sealed == nil {
		return ferry.Secret{}, nil
	}
	n := 1 + v.aead.NonceSize()
	if len(sealed) < n || sealed[0] != keyVersion {
		return ferry.Secret{}, fmt.Errorf("%s of %s %d is not sealed as this binary does", column, table, row)
	}
	plain, err := v.aead.Open(nil, sealed[1:n], sealed[n:], place(table, row, column, sealed[0]))
	if err != nil {
		return ferry.Secret{}, fmt.Errorf("%s of %s %d: %w", column, table, row, ErrWrongKey)
	}
	return ferry.NewSecret(string(plain)), nil
}

const probeText = "gitferry"

// leaveProof leaves in a new file what prove looks for.
func (v *vault) leaveProof(ctx context.Context, tx *sql.Tx) error {
	_, err := tx.ExecContext(ctx, `
		INSERT INTO meta (name, value) VALUES ('probe', ?)
		ON CONFLICT DO NOTHING`, v.seal("meta", 0, "probe", ferry.NewSecret(probeText)))
	return err
}

// prove checks that this vault is the one that sealed the secrets in the
// file. It fails with sql.ErrNoRows if the file is new.
func (v *vault) prove(ctx context.Context, q querier) error {
	var sealed []byte
	if err := q.QueryRowContext(ctx, `SELECT value FROM meta WHERE name = 'probe'`).Scan(&sealed); err != nil {
		return err
	}
	if plain, err := v.open("meta", 0, "probe", sealed); err != nil || plain.Reveal() != probeText {
		return ErrWrongKey
	}
	return nil
}
