package store

import (
	"context"
	"database/sql"
	"fmt"
	"regexp"
	"strings"

	"gitferry/internal/ferry"
)

var userName = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,38}$`)

// maxText is the longest name, address or similar text, in bytes.
const maxText = 1024

func checkUser(u ferry.User) error {
	if !userName.MatchString(u.Name) {
		return invalid("user name %.60q: want 1 to 39 lower-case letters, digits, '.', '_' or '-', beginning with a letter or digit", u.Name)
	}
	if len(u.Display) > maxText || len(u.Aliases) > 100 {
		return invalid("user %s: the display name or the list of addresses is too long", u.Name)
	}
	for _, e := range emails(u) {
		if len(e) > 254 || strings.ContainsAny(e, "<>\r\n\x00 ") {
			return invalid("address %.80q of user %s: not an e-mail address", e, u.Name)
		}
	}
	return nil
}

// emails returns the main address, which may be empty, and the aliases.
func emails(u ferry.User) []string { return append([]string{u.Email}, u.Aliases...) }

// AddUser makes a user and returns it with its ID. It fails with
// ferry.ErrConflict if the name or one of the addresses is taken and with
// ferry.ErrInvalid if one is not well formed.
func (s *Store) AddUser(ctx context.Context, u ferry.User) (ferry.User, error) {
	if err := checkUser(u); err != nil {
		return u, err
	}
	err := s.write(ctx, "adding user "+u.Name, func(tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, `
			INSERT INTO user (name, display, admin, disabled, password, jira_email, created_at)
			VALUES (?, ?, ?, ?, '', '', ?)`,
			u.Name, u.Display, u.Admin, u.Disabled, ms(s.now()))
		if err != nil {
			return err
		}
		id, err := res.LastInsertId()
		if err != nil {
			return err
		}
		u.ID = ferry.UserID(id)
		return putEmails(ctx, tx, u)
	})
	return u, err
}

func putEmails(ctx context.Context, tx *sql.Tx, u ferry.User) error {
	if _, err := tx.ExecContext(ctx, `DELETE FROM user_email WHERE user_id = ?`, u.ID); err != nil {
		return err
	}
	for i, e := range emails(u) {
		if e == "" {
			continue
		}
		if _, err := tx.ExecContext(ctx, `
			INSERT INTO user_email (folded, user_id, email, ordinal)
			VALUES (?, ?, ?, ?)`,
			strings.ToLower(e), u.ID, e, i); err != nil {
			return fmt.Errorf("address %s: %w", e, err)
		}
	}
	return nil
}

// The addresses come as one JSON array in the order of emails.
const selectUser = `
	SELECT u.id, u.name, u.display, u.admin, u.disabled,
		(SELECT json_group_array(json_object('Main', ordinal = 0, 'Email', email) ORDER BY ordinal)
		 FROM user_email WHERE user_id = u.id)
	FROM user u`

func scanUser(row scanner) (ferry.User, error) {
	var u ferry.User
	var addresses []struct {
		Main  int
		Email string
	}
	err := row.Scan(&u.ID, &u.Name, &u.Display, &u.Admin, &u.Disabled, jsonColumn{&addresses})
	for _, a := range addresses {
		if a.Main == 1 {
			u.Email = a.Email
		} else {
			u.Aliases = append(u.Aliases, a.Email)
		}
	}
	return u, err
}

func userBy(ctx context.Context, q querier, where string, arg any) (ferry.User, error) {
	u, err := scanUser(q.QueryRowContext(ctx, selectUser+" WHERE "+where, arg))
	if err != nil {
		return u, fmt.Errorf("reading user %v: %w", arg, kind(err))
	}
	return u, nil
}

// Users returns all users by name.
func (s *Store) Users(ctx context.Context) ([]ferry.User, error) {
	return collect(ctx, s.r, scanUser, selectUser+` ORDER BY u.name`)
}

// User returns one user.
func (s *Store) User(ctx context.Context, id ferry.UserID) (ferry.User, error) {
	return userBy(ctx, s.r, "u.id = ?", id)
}

// UserByName returns the user with a log-in name.
func (s *Store) UserByName(ctx context.Context, name string) (ferry.User, error) {
	return userBy(ctx, s.r, "u.name = ?", name)
}

// UserByEmail returns the user to whom an address belongs, as the main one or
// as an alias; upper and lower case are the same.
func (s *Store) UserByEmail(ctx context.Context, email string) (ferry.User, error) {
	return userBy(ctx, s.r, "u.id = (SELECT user_id FROM user_email WHERE folded = ?)", strings.ToLower(email))
}

// UpdateUser writes all fields of a user. It fails with ferry.ErrConflict if
// it would leave no enabled admin, or if a name or address is taken.
func (s *Store) UpdateUser(ctx context.Context, u ferry.User) error {
	if err := checkUser(u); err != nil {
		return err
	}
	return s.write(ctx, "changing user "+u.Name, func(tx *sql.Tx) error {
		if !u.Admin || u.Disabled {
			if err := notLastAdmin(ctx, tx, u.ID); err != nil {
				return err
			}
		}
		res, err := tx.ExecContext(ctx, `
			UPDATE user SET name = ?, display = ?, admin = ?, disabled = ?
			WHERE id = ?`,
			u.Name, u.Display, u.Admin, u.Disabled, u.ID)
		if err := one(res, err, ferry.ErrNotFound); err != nil {
			return err
		}
		return putEmails(ctx, tx, u)
	})
}

// notLastAdmin fails with ferry.ErrConflict if id is the only enabled admin.
func notLastAdmin(ctx context.Context, tx *sql.Tx, id ferry.UserID) error {
	var last bool
	err := tx.QueryRowContext(ctx, `
		SELECT EXISTS (SELECT 1 FROM user WHERE id = ? AND admin = 1 AND disabled = 0)
			AND NOT EXISTS (SELECT 1 FROM user WHERE id <> ? AND admin = 1 AND disabled = 0)`,
		id, id).Scan(&last)
	if err == nil && last {
		return conflict("this is the last enabled admin; make another user admin first")
	}
	return err
}

// RemoveUser removes a user with keys, tokens and grants. Pushes and actions
// of the user stay and name nobody. It fails with ferry.ErrConflict for the
// last enabled admin.
func (s *Store) RemoveUser(ctx context.Context, id ferry.UserID) error {
	return s.write(ctx, fmt.Sprintf("removing user %d", id), func(tx *sql.Tx) error {
		if err := notLastAdmin(ctx, tx, id); err != nil {
			return err
		}
		res, err := tx.ExecContext(ctx, `DELETE FROM user WHERE id = ?`, id)
		return one(res, err, ferry.ErrNotFound)
	})
}

// SetPassword stores the hash of a password, a PHC string ("$argon2id$…")
// that the store does not look into. Empty: no sign-in by password.
func (s *Store) SetPassword(ctx context.Context, id ferry.UserID, hash string) error {
	return s.write(ctx, fmt.Sprintf("setting the password of user %d", id), func(tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, `UPDATE user SET password = ? WHERE id = ?`, hash, id)
		return one(res, err, ferry.ErrNotFound)
	})
}

// PasswordHash returns what SetPassword stored, empty if there is none.
func (s *Store) PasswordHash(ctx context.Context, id ferry.UserID) (string, error) {
	var hash string
	if err := s.r.QueryRowContext(ctx, `SELECT password FROM user WHERE id = ?`, id).Scan(&hash); err != nil {
		return "", fmt.Errorf("reading the password of user %d: %w", id, kind(err))
	}
	return hash, nil
}

// SetJiraToken seals a user's personal Jira token and the account's address;
// an empty token removes both.
func (s *Store) SetJiraToken(ctx context.Context, user ferry.UserID, token ferry.Secret, email string) error {
	if token.IsZero() {
		email = ""
	}
	return s.write(ctx, fmt.Sprintf("setting the Jira token of user %d", user), func(tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, `UPDATE user SET jira_token = ?, jira_email = ? WHERE id = ?`,
			s.vault.seal("user", int64(user), "jira_token", token), email, user)
		return one(res, err, ferry.ErrNotFound)
	})
}

// JiraToken returns a user's personal Jira token and the account's address.
// It fails with ferry.ErrNotFound if there is none.
func (s *Store) JiraToken(ctx context.Context, user ferry.UserID) (token ferry.Secret, email string, err error) {
	var sealed []byte
	err = s.r.QueryRowContext(ctx, `
		SELECT jira_token, jira_email FROM user
		WHERE id = ? AND jira_token IS NOT NULL`, user).Scan(&sealed, &email)
	if err != nil {
		return token, "", fmt.Errorf("reading the Jira token of user %d: %w", user, kind(err))
	}
	token, err = s.vault.open("user", int64(user), "jira_token", sealed)
	return token, email, err
}
