package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"gitferry/internal/ferry"
)

// A Permission is what is known of one IAM action for an integration's
// credentials.
type Permission struct {
	Action    string // "codecommit:GitPull"
	State     string // "ok" or "missing"
	Detail    string // what AWS said; cut to 2 KiB
	CheckedAt time.Time
}

// SetPermissions records what was learned; CheckedAt is set. Actions that are
// not named stay as they were.
func (s *Store) SetPermissions(ctx context.Context, id ferry.IntegrationID, list []Permission) error {
	return s.write(ctx, "recording permissions", func(tx *sql.Tx) error {
		for _, p := range list {
			if p.State != "ok" && p.State != "missing" {
				return invalid("permission state %.20q", p.State)
			}
			_, err := tx.ExecContext(ctx, `
				INSERT OR REPLACE INTO permission (integration_id, action, state, detail, checked_at)
				VALUES (?, ?, ?, ?, ?)`, id, p.Action, p.State, p.Detail[:min(len(p.Detail), maxDetail)], ms(s.now()))
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// Permissions returns what is known of an integration's permissions.
func (s *Store) Permissions(ctx context.Context, id ferry.IntegrationID) (map[string]Permission, error) {
	list, err := collect(ctx, s.r, func(row scanner) (p Permission, err error) {
		err = row.Scan(&p.Action, &p.State, &p.Detail, stamp{&p.CheckedAt})
		return p, err
	}, `SELECT action, state, detail, checked_at FROM permission WHERE integration_id = ?`, id)
	if err != nil {
		return nil, fmt.Errorf("reading permissions: %w", err)
	}
	out := make(map[string]Permission, len(list))
	for _, p := range list {
		out[p.Action] = p
	}
	return out, nil
}
