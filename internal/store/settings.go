package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
)

// Setting decodes the JSON value of a setting into v, a pointer. It fails
// with ferry.ErrNotFound if the setting was never set; v is untouched then.
func (s *Store) Setting(ctx context.Context, key string, v any) error {
	var text string
	if err := s.r.QueryRowContext(ctx, `SELECT value FROM setting WHERE name = ?`, key).Scan(&text); err != nil {
		return fmt.Errorf("reading setting %s: %w", key, kind(err))
	}
	if err := json.Unmarshal([]byte(text), v); err != nil {
		return fmt.Errorf("reading setting %s: %w", key, err)
	}
	return nil
}

// SetSetting stores v as JSON. Settings are not sealed: no secret goes there.
func (s *Store) SetSetting(ctx context.Context, key string, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("writing setting %s: %w", key, err)
	}
	return s.write(ctx, "writing setting "+key, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `
			INSERT OR REPLACE INTO setting (name, value, changed_at) VALUES (?, ?, ?)`,
			key, string(text), ms(s.now()))
		return err
	})
}
