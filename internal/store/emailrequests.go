package store

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"time"

	"gitferry/internal/ferry"
)

// An EmailRequest is an address that a person says is theirs. Until it is
// confirmed commits by it are nobody's (security.md, JIRA-4).
type EmailRequest struct {
	User  ferry.UserID
	Name  string // of the user
	Email string
	At    time.Time
}

// maxEmailRequests bounds what one person asks for at a time.
const maxEmailRequests = 10

// RequestEmail notes an address that a user wants confirmed. It fails with
// ferry.ErrInvalid if it is none, and with ferry.ErrConflict if the user has
// it already. That it is somebody else's is not told: whoever confirms learns.
func (s *Store) RequestEmail(ctx context.Context, id ferry.UserID, email string) error {
	return s.write(ctx, fmt.Sprintf("noting an address of user %d", id), func(tx *sql.Tx) error {
		u, err := userBy(ctx, tx, "u.id = ?", id)
		if err != nil {
			return err
		}
		if slices.ContainsFunc(emails(u), func(have string) bool { return strings.EqualFold(have, email) }) {
			return conflict("%s is one of your addresses already", email)
		}
		if at := strings.IndexByte(email, '@'); at < 1 || at == len(email)-1 {
			return invalid("%.80q is not an e-mail address", email)
		}
		u.Aliases = append(u.Aliases, email)
		if err := checkUser(u); err != nil {
			return err
		}
		var n int
		if err := tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM email_request WHERE user_id = ?`, id).Scan(&n); err != nil {
			return err
		}
		if n >= maxEmailRequests {
			return invalid("%d of your addresses wait already", n)
		}
		_, err = tx.ExecContext(ctx, `
			INSERT INTO email_request (user_id, folded, email, at) VALUES (?, ?, ?, ?)
			ON CONFLICT DO NOTHING`, id, strings.ToLower(email), email, ms(s.now()))
		return err
	})
}

// EmailRequests returns the addresses that wait, of one user or, for 0, of
// all, the oldest first.
func (s *Store) EmailRequests(ctx context.Context, id ferry.UserID) ([]EmailRequest, error) {
	return collect(ctx, s.r, func(row scanner) (e EmailRequest, err error) {
		err = row.Scan(&e.User, &e.Name, &e.Email, stamp{&e.At})
		return e, err
	}, `
		SELECT e.user_id, u.name, e.email, e.at FROM email_request e JOIN user u ON u.id = e.user_id
		WHERE ?1 = 0 OR e.user_id = ?1 ORDER BY e.at, e.folded LIMIT 1000`, id)
}

// DecideEmail ends a request: confirmed, the address becomes an alias of the
// user. It fails with ferry.ErrNotFound if nobody asked, and with
// ferry.ErrConflict if the address belongs to somebody else.
func (s *Store) DecideEmail(ctx context.Context, id ferry.UserID, email string, confirmed bool) error {
	return s.write(ctx, fmt.Sprintf("deciding on an address of user %d", id), func(tx *sql.Tx) error {
		var asked string
		err := tx.QueryRowContext(ctx, `
			DELETE FROM email_request WHERE user_id = ? AND folded = ? RETURNING email`, id, strings.ToLower(email)).Scan(&asked)
		if err != nil || !confirmed {
			return err
		}
		u, err := userBy(ctx, tx, "u.id = ?", id)
		if err != nil {
			return err
		}
		u.Aliases = append(u.Aliases, asked)
		if err := checkUser(u); err != nil {
			return err
		}
		return putEmails(ctx, tx, u)
	})
}
