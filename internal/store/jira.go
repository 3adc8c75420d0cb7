package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"gitferry/internal/ferry"
)

// A JiraSite is the one Jira that gitferry talks to, with its secrets opened.
type JiraSite struct {
	Kind         string // "cloud" or "datacenter"
	URL          string // base URL with context path, no slash at the end
	Email        string // account of the API token (Cloud)
	ClientID     string // OAuth credential for development information (Cloud)
	DevinfoURL   string // base of the development information API
	TokenURL     string // OAuth token end point
	CloudID      string
	APIToken     ferry.Secret
	ClientSecret ferry.Secret
	PAT          ferry.Secret // personal access token (Data Center)
	HoursPerDay  float64
	DaysPerWeek  float64
	Processor    string // who carries out smart commits: "gitferry", "jira" or "off"
	Problem      string // last failure of the site as a whole, in words; empty: fine
	CheckedAt    time.Time
}

// SetJiraSite writes the Jira site. An empty secret keeps the stored one,
// unless one of the addresses moves to another host, scheme or port: then the
// stored ones are cleared in the same transaction.
func (s *Store) SetJiraSite(ctx context.Context, j JiraSite) error {
	switch {
	case j.Kind != "cloud" && j.Kind != "datacenter":
		return invalid("kind of Jira %.40q: want cloud or datacenter", j.Kind)
	case j.Processor != "gitferry" && j.Processor != "jira" && j.Processor != "off":
		return invalid("processor %.40q: want gitferry, jira or off", j.Processor)
	}
	return s.write(ctx, "setting the Jira site", func(tx *sql.Tx) error {
		before, err := s.jiraSite(ctx, tx)
		if err != nil && !errors.Is(err, ferry.ErrNotFound) {
			return err
		}
		if origin(before.URL) == origin(j.URL) && origin(before.DevinfoURL) == origin(j.DevinfoURL) && origin(before.TokenURL) == origin(j.TokenURL) {
			for _, c := range []struct{ to, from *ferry.Secret }{
				{&j.APIToken, &before.APIToken}, {&j.ClientSecret, &before.ClientSecret}, {&j.PAT, &before.PAT},
			} {
				if c.to.IsZero() {
					*c.to = *c.from
				}
			}
		} else if err == nil {
			// People's own tokens were given for the site that was: they must
			// not reach another host.
			if _, err := tx.ExecContext(ctx, `UPDATE user SET jira_token = NULL, jira_email = ''`); err != nil {
				return err
			}
		}
		_, err = tx.ExecContext(ctx, `
			INSERT OR REPLACE INTO jira_site (
				id, kind, url, email, client_id, devinfo_url, token_url, cloud_id,
				hours_per_day, days_per_week, processor, problem, checked_at,
				api_token, client_secret, pat)
			VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			j.Kind, j.URL, j.Email, j.ClientID, j.DevinfoURL, j.TokenURL, j.CloudID,
			j.HoursPerDay, j.DaysPerWeek, j.Processor, j.Problem, ms(j.CheckedAt),
			s.vault.seal("jira_site", site, "api_token", j.APIToken),
			s.vault.seal("jira_site", site, "client_secret", j.ClientSecret),
			s.vault.seal("jira_site", site, "pat", j.PAT))
		return err
	})
}

// JiraSite returns the Jira site. It fails with ferry.ErrNotFound while none
// is set.
func (s *Store) JiraSite(ctx context.Context) (JiraSite, error) {
	return s.jiraSite(ctx, s.r)
}

func (s *Store) jiraSite(ctx context.Context, q querier) (JiraSite, error) {
	var j JiraSite
	var apiToken, clientSecret, pat []byte
	err := q.QueryRowContext(ctx, `
		SELECT kind, url, email, client_id, devinfo_url, token_url, cloud_id,
			hours_per_day, days_per_week, processor, problem, checked_at,
			api_token, client_secret, pat
		FROM jira_site`).Scan(
		&j.Kind, &j.URL, &j.Email, &j.ClientID, &j.DevinfoURL, &j.TokenURL, &j.CloudID,
		&j.HoursPerDay, &j.DaysPerWeek, &j.Processor, &j.Problem, stamp{&j.CheckedAt},
		&apiToken, &clientSecret, &pat)
	if err != nil {
		return JiraSite{}, fmt.Errorf("reading the Jira site: %w", kind(err))
	}
	for _, c := range []struct {
		name   string
		sealed []byte
		to     *ferry.Secret
	}{
		{"api_token", apiToken, &j.APIToken}, {"client_secret", clientSecret, &j.ClientSecret}, {"pat", pat, &j.PAT},
	} {
		if *c.to, err = s.vault.open("jira_site", site, c.name, c.sealed); err != nil {
			return JiraSite{}, err
		}
	}
	return j, nil
}

// SetJiraProblem records what the latest check of the Jira site found, empty
// if all is well. It fails with ferry.ErrNotFound while no site is set.
func (s *Store) SetJiraProblem(ctx context.Context, problem string) error {
	return s.write(ctx, "recording the state of the Jira site", func(tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, `UPDATE jira_site SET problem = ?, checked_at = ?`, problem, ms(s.now()))
		return one(res, err, ferry.ErrNotFound)
	})
}

// RemoveJiraSite forgets the site, its secrets and what it said; the outbox
// stays.
func (s *Store) RemoveJiraSite(ctx context.Context) error {
	return s.write(ctx, "removing the Jira site", func(tx *sql.Tx) error {
		for _, table := range []string{"jira_site", "issue", "project", "project_list"} {
			if _, err := tx.ExecContext(ctx, `DELETE FROM `+table); err != nil {
				return err
			}
		}
		return nil
	})
}

// An Issue is what the last look at Jira said about a key.
type Issue struct {
	Key       ferry.IssueKey
	Exists    bool
	MovedTo   ferry.IssueKey // the key it answers to now, when another
	Summary   string
	Status    string
	CheckedAt time.Time // set by PutIssues when zero
}

// PutIssues remembers what Jira said about issues.
func (s *Store) PutIssues(ctx context.Context, issues []Issue) error {
	now := s.now()
	return s.write(ctx, "remembering issues", func(tx *sql.Tx) error {
		for _, i := range issues {
			if i.CheckedAt.IsZero() {
				i.CheckedAt = now
			}
			if _, err := tx.ExecContext(ctx, `
				INSERT OR REPLACE INTO issue (issue_key, present, moved_to, summary, status, checked_at)
				VALUES (?, ?, ?, ?, ?, ?)`,
				i.Key, i.Exists, i.MovedTo, i.Summary, i.Status, ms(i.CheckedAt)); err != nil {
				return err
			}
		}
		return nil
	})
}

// IssuesCached returns what is remembered of issues and not older than
// maxAge; others are not in the map.
func (s *Store) IssuesCached(ctx context.Context, keys []ferry.IssueKey, maxAge time.Duration) (map[ferry.IssueKey]Issue, error) {
	cached := make(map[ferry.IssueKey]Issue)
	now := s.now()
	for chunk := range slices.Chunk(keys, lookupChunk) {
		args := []any{ms(now.Add(-maxAge)), ms(now)}
		for _, k := range chunk {
			args = append(args, k)
		}
		// What was checked in the future was checked before a step of the clock.
		list, err := collect(ctx, s.r, func(row scanner) (i Issue, err error) {
			err = row.Scan(&i.Key, &i.Exists, &i.MovedTo, &i.Summary, &i.Status, stamp{&i.CheckedAt})
			return i, err
		}, `
			SELECT issue_key, present, moved_to, summary, status, checked_at
			FROM issue
			WHERE +checked_at BETWEEN ? AND ? AND issue_key IN (?`+strings.Repeat(", ?", len(chunk)-1)+`)`, args...)
		if err != nil {
			return nil, fmt.Errorf("reading remembered issues: %w", err)
		}
		for _, i := range list {
			cached[i.Key] = i
		}
	}
	return cached, nil
}

// PutProjects replaces the list of the site's project keys.
func (s *Store) PutProjects(ctx context.Context, keys []string) error {
	return s.write(ctx, "remembering projects", func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `DELETE FROM project`); err != nil {
			return err
		}
		for _, k := range keys {
			if _, err := tx.ExecContext(ctx, `INSERT OR IGNORE INTO project (project_key) VALUES (?)`, k); err != nil {
				return err
			}
		}
		_, err := tx.ExecContext(ctx, `INSERT OR REPLACE INTO project_list (id, listed_at) VALUES (1, ?)`, ms(s.now()))
		return err
	})
}

// Projects returns the site's project keys, sorted, and when they were
// listed; known is false while PutProjects was not called.
func (s *Store) Projects(ctx context.Context) (keys []string, known bool, listed time.Time, err error) {
	err = s.r.QueryRowContext(ctx, `SELECT listed_at FROM project_list`).Scan(stamp{&listed})
	if errors.Is(err, sql.ErrNoRows) {
		return nil, false, time.Time{}, nil
	}
	if err != nil {
		return nil, false, time.Time{}, fmt.Errorf("reading projects: %w", kind(err))
	}
	keys, err = collect(ctx, s.r, func(row scanner) (k string, err error) {
		err = row.Scan(&k)
		return k, err
	}, `SELECT project_key FROM project ORDER BY project_key`)
	return keys, true, listed, err
}
