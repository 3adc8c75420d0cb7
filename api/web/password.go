package web

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"

	"gitferry/internal/ferry"
)

// Cost of a password hash (security.md, UI-9).
const (
	argonMemory  = 64 << 10 // KiB
	argonTime    = 3
	argonThreads = 1
	argonSalt    = 16 // bytes
	argonKey     = 32
)

// HashPassword returns the argon2id hash of a password as a PHC string, for
// store.SetPassword. It takes 64 MiB and some tens of milliseconds.
func HashPassword(password string) string {
	salt := make([]byte, argonSalt)
	rand.Read(salt) // never fails (crypto/rand)
	key := argon2.IDKey([]byte(password), salt, argonTime, argonMemory, argonThreads, argonKey)
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, argonMemory, argonTime, argonThreads, b64.EncodeToString(salt), b64.EncodeToString(key))
}

// nobody is the hash of a password that nobody has: a log-in with an unknown
// name costs as much as any other.
var nobody = fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, argonMemory, argonTime, argonThreads,
	base64.RawStdEncoding.EncodeToString(make([]byte, argonSalt)), base64.RawStdEncoding.EncodeToString(make([]byte, argonKey)))

// passwordFits compares a password with a hash that HashPassword made.
func (s *Server) passwordFits(password, hash string) bool {
	s.hashing <- struct{}{}
	defer func() { <-s.hashing }()
	var version, memory, time, threads int
	part := strings.Split(hash, "$")
	if len(part) != 6 || part[1] != "argon2id" {
		return false
	}
	if _, err := fmt.Sscanf(part[2]+" "+part[3], "v=%d m=%d,t=%d,p=%d", &version, &memory, &time, &threads); err != nil || version != argon2.Version {
		return false
	}
	if memory < 8 || memory > 1<<20 || time < 1 || time > 20 || threads < 1 || threads > 16 {
		return false
	}
	salt, err := base64.RawStdEncoding.DecodeString(part[4])
	if err != nil {
		return false
	}
	want, err := base64.RawStdEncoding.DecodeString(part[5])
	if err != nil || len(want) < 16 || len(want) > 64 {
		return false
	}
	got := argon2.IDKey([]byte(password), salt, uint32(time), uint32(memory), uint8(threads), uint32(len(want)))
	return subtle.ConstantTimeCompare(got, want) == 1
}

// ConfirmPassword has somebody show that the present password is known. It
// fails with ferry.ErrInvalid if it is wrong, and with ferry.ErrDenied after
// too many tries.
func (s *Server) ConfirmPassword(ctx context.Context, u ferry.User, current string) error {
	if !s.tries.allow("account "+u.Name, triesPerAccount, s.Now()) {
		return &ferry.Message{Kind: ferry.ErrDenied, Text: "Too many tries. Wait a minute and try again."}
	}
	_, err := s.passwordUser(ctx, u.Name, current)
	if errors.Is(err, ferry.ErrDenied) {
		return &ferry.Message{Kind: ferry.ErrInvalid, Text: "The present password is wrong."}
	}
	return err
}

// ChangePassword gives a user a password and ends the user's sessions but the
// one with the number keep, 0 for none. It fails with ferry.ErrInvalid, in
// words for people, if the password is not good enough.
func (s *Server) ChangePassword(ctx context.Context, u ferry.User, password string, keep int64) error {
	if err := checkPassword(password, u.Name); err != nil {
		return err
	}
	if err := s.Store.SetPassword(ctx, u.ID, HashPassword(password)); err != nil {
		return err
	}
	return s.Store.EndSessions(ctx, u.ID, keep)
}

// checkPassword says why a new password is not good enough.
func checkPassword(password, user string) error {
	refuse := func(text string) error { return &ferry.Message{Kind: ferry.ErrInvalid, Text: text} }
	n := utf8.RuneCountInString(password)
	if n < 12 || n > 128 {
		return refuse("The password needs 12 to 128 characters.")
	}
	folded := strings.ToLower(password)
	for _, c := range common {
		if folded == c || strings.Trim(strings.ReplaceAll(folded, c, ""), "0123456789!.-_") == "" && strings.Contains(folded, c) {
			return refuse("That password is one of the first that people try. Choose another, for example four words that do not belong together.")
		}
	}
	if user != "" && strings.Trim(strings.ReplaceAll(folded, user, ""), "0123456789!.-_") == "" && strings.Contains(folded, user) {
		return refuse("That password is the user name with little added. Choose another.")
	}
	return nil
}

// common are the words that most often stand alone, repeated or with digits in
// leaked passwords.
var common = []string{
	"password", "passwort", "passw0rd", "p@ssw0rd", "p@ssword", "qwerty", "qwertyuiop", "qwertzuiop", "azerty", "asdfghjkl", "letmein",
	"welcome", "admin", "administrator", "iloveyou", "monkey", "dragon", "football", "baseball", "sunshine", "princess", "superman",
	"changeme", "secret", "trustno1", "abcdefghijkl", "abcdef", "abc", "test", "testtest", "gitferry", "jira", "codecommit", "correcthorsebatterystaple",
	"1q2w3e4r5t6y", "1qaz2wsx", "q1w2e3r4t5y6", "zaq12wsx",
	"1", "2", "3", "4", "5", "6", "7", "8", "9", "0",
}
