package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"gitferry/internal/ferry"
)

// hostRequestsKept is how long a dialog's token is remembered.
const hostRequestsKept = 7 * 24 * time.Hour

// BeginHostRequest writes down what a person asks the host to do, under the
// token of the dialog, before it is done. If the same was asked for before
// under this token, again is true, and result is what FinishHostRequest
// stored, or empty if it is not known to be done. A request that was not done
// may be corrected under its token; after one that was, the token stands for
// it alone, and another request fails with ferry.ErrConflict.
func (s *Store) BeginHostRequest(ctx context.Context, user ferry.UserID, token, request string) (result string, again bool, err error) {
	err = s.write(ctx, "writing down a request to the host", func(tx *sql.Tx) error {
		now := s.now()
		if _, err := tx.ExecContext(ctx, `DELETE FROM host_request WHERE created_at < ?`, ms(now.Add(-hostRequestsKept))); err != nil {
			return err
		}
		var before string
		err := tx.QueryRowContext(ctx, `SELECT request, result FROM host_request WHERE user_id = ? AND token = ?`, user, token).Scan(&before, &result)
		switch {
		case errors.Is(err, sql.ErrNoRows):
		case err != nil:
			return err
		case before == request:
			again = true
			return nil
		case result != "":
			return fmt.Errorf("the token stands for another request: %w", ferry.ErrConflict)
		}
		_, err = tx.ExecContext(ctx, `
			INSERT OR REPLACE INTO host_request (user_id, token, request, result, created_at)
			VALUES (?, ?, ?, '', ?)`, user, token, request, ms(now))
		return err
	})
	if err != nil {
		return "", false, err
	}
	return result, again, nil
}

// FinishHostRequest stores the result, not empty, of a request that was begun.
func (s *Store) FinishHostRequest(ctx context.Context, user ferry.UserID, token, result string) error {
	return s.write(ctx, "writing down what the host did", func(tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, `
			UPDATE host_request SET result = ?
			WHERE user_id = ? AND token = ?`, result, user, token)
		return one(res, err, ferry.ErrNotFound)
	})
}
