package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"

	"gitferry/internal/ferry"
)

// Preference decodes what a user set under a name into v, a pointer. It fails
// with ferry.ErrNotFound if nothing was set; v is untouched then.
func (s *Store) Preference(ctx context.Context, user ferry.UserID, name string, v any) error {
	var text string
	err := s.r.QueryRowContext(ctx, `SELECT value FROM preference WHERE user_id = ? AND name = ?`, user, name).Scan(&text)
	if err != nil {
		return fmt.Errorf("reading preference %s: %w", name, kind(err))
	}
	if err := json.Unmarshal([]byte(text), v); err != nil {
		return fmt.Errorf("reading preference %s: %w", name, err)
	}
	return nil
}

// SetPreference stores what a user set, as JSON. Preferences are not sealed:
// no secret goes there.
func (s *Store) SetPreference(ctx context.Context, user ferry.UserID, name string, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("writing preference %s: %w", name, err)
	}
	return s.write(ctx, "writing preference "+name, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `
			INSERT OR REPLACE INTO preference (user_id, name, value) VALUES (?, ?, ?)`,
			user, name, string(text))
		return err
	})
}
