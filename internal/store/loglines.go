package store

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"time"

	"gitferry/internal/ferry"
)

// A LogLine is one line of what people read about the work on a repository or
// an integration.
type LogLine struct {
	Repository  ferry.RepositoryID  // 0: about the integration itself
	Integration ferry.IntegrationID // 0 for lines about a repository
	At          time.Time           // set by the store
	Level       string              // "info", "warning" or "error"
	Text        string              // cut to 2 KiB
}

// keepLines is how many lines are kept of each repository and integration.
const keepLines = 500

// AddLog adds a line, unless it says again what the latest one says.
func (s *Store) AddLog(ctx context.Context, l LogLine) error {
	return s.write(ctx, "adding to a log", func(tx *sql.Tx) error { return addLog(ctx, tx, l, s.now()) })
}

func addLog(ctx context.Context, tx *sql.Tx, l LogLine, now time.Time) error {
	l.Text = l.Text[:min(len(l.Text), maxDetail)]
	where, id := l.where()
	var last string
	err := tx.QueryRowContext(ctx, `SELECT text FROM log_line WHERE `+where+` ORDER BY id DESC LIMIT 1`, id).Scan(&last)
	if err == nil && last == l.Text {
		return nil
	}
	if _, err := tx.ExecContext(ctx, `
		INSERT INTO log_line (repository_id, integration_id, at, level, text) VALUES (?, ?, ?, ?, ?)`,
		orNull(l.Repository), orNull(l.Integration), ms(now), l.Level, l.Text); err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `
		DELETE FROM log_line WHERE `+where+` AND id <= (
			SELECT id FROM log_line WHERE `+where+` ORDER BY id DESC LIMIT 1 OFFSET `+fmt.Sprint(keepLines)+`)`, id, id)
	return err
}

func (l LogLine) where() (string, int64) {
	if l.Repository != 0 {
		return "repository_id = ?", int64(l.Repository)
	}
	return "integration_id = ?", int64(l.Integration)
}

// Log returns the latest lines about a repository, or if that is 0 about an
// integration, oldest first; limit 0 or above 500 is 500.
func (s *Store) Log(ctx context.Context, repository ferry.RepositoryID, integration ferry.IntegrationID, limit int) ([]LogLine, error) {
	where, id := LogLine{Repository: repository, Integration: integration}.where()
	if limit <= 0 || limit > keepLines {
		limit = keepLines
	}
	list, err := collect(ctx, s.r, func(row scanner) (l LogLine, err error) {
		err = row.Scan(&l.Repository, &l.Integration, stamp{&l.At}, &l.Level, &l.Text)
		return l, err
	}, `
		SELECT COALESCE(repository_id, 0), COALESCE(integration_id, 0), at, level, text
		FROM log_line WHERE `+where+` ORDER BY id DESC LIMIT ?`, id, limit)
	if err != nil {
		return nil, fmt.Errorf("reading a log: %w", err)
	}
	slices.Reverse(list)
	return list, nil
}
