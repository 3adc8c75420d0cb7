package api

import (
	"time"

	"gitferry/internal/ferry"
	"gitferry/internal/store"
)

// A User is a person or machine with rights.
type User struct {
	ID       ferry.UserID `json:"id"`
	Name     string       `json:"name"`
	Display  string       `json:"display"`
	Email    string       `json:"email,omitempty"`
	Aliases  []string     `json:"aliases"`
	Admin    bool         `json:"admin"`
	Disabled bool         `json:"disabled"`
}

// UserOf shows u.
func UserOf(u ferry.User) User {
	display := u.Display
	if display == "" {
		display = u.Name
	}
	return User{ID: u.ID, Name: u.Name, Display: display, Email: u.Email, Aliases: list(u.Aliases), Admin: u.Admin, Disabled: u.Disabled}
}

// An SSHKey is a public key that signs its owner in.
type SSHKey struct {
	ID          int64     `json:"id"`
	User        string    `json:"user"`
	Name        string    `json:"name"`
	Type        string    `json:"type"`
	Fingerprint string    `json:"fingerprint"`
	Public      string    `json:"public"`
	CreatedAt   time.Time `json:"created_at"`
	LastUsedAt  time.Time `json:"last_used_at,omitzero"`
	LastAddress string    `json:"last_address,omitempty"`
}

// SSHKeyOf shows the key of the user named.
func SSHKeyOf(k store.SSHKey, user string) SSHKey {
	return SSHKey{ID: k.ID, User: user, Name: k.Name, Type: k.Type, Fingerprint: k.Fingerprint, Public: k.Public,
		CreatedAt: k.CreatedAt, LastUsedAt: k.LastUsedAt, LastAddress: k.LastAddress}
}

// A Token signs its owner in over HTTP. Its text is shown once, by NewToken.
type Token struct {
	ID          int64         `json:"id"`
	User        string        `json:"user"`
	Name        string        `json:"name"`
	Scopes      []ferry.Scope `json:"scopes"`
	Globs       []string      `json:"repositories"`
	CreatedAt   time.Time     `json:"created_at"`
	ExpiresAt   time.Time     `json:"expires_at"`
	LastUsedAt  time.Time     `json:"last_used_at,omitzero"`
	LastAddress string        `json:"last_address,omitempty"`
	RevokedAt   time.Time     `json:"revoked_at,omitzero"`
}

// TokenOf shows the token of the user named.
func TokenOf(t store.Token, user string) Token {
	return Token{ID: t.ID, User: user, Name: t.Name, Scopes: list(t.Scopes), Globs: list(t.Globs), CreatedAt: t.CreatedAt,
		ExpiresAt: t.ExpiresAt, LastUsedAt: t.LastUsedAt, LastAddress: t.LastAddress, RevokedAt: t.RevokedAt}
}

// A NewToken is a token just made, with its text.
type NewToken struct {
	Token
	Text string `json:"token"`
}

// A Grant gives a user a level on the repositories of a glob.
type Grant struct {
	ID    int64       `json:"id"`
	User  string      `json:"user"`
	Glob  string      `json:"repositories"`
	Level ferry.Level `json:"level"`
}

// GrantOf shows the grant of the user named.
func GrantOf(g ferry.Grant, user string) Grant {
	return Grant{ID: g.ID, User: user, Glob: g.Glob, Level: g.Level}
}
