package store

import (
	"context"
	"database/sql"
	"fmt"

	"gitferry/internal/ferry"
)

func checkIntegration(i ferry.Integration) error {
	switch {
	case i.Kind != ferry.KindCodeCommit && i.Kind != ferry.KindGit:
		return invalid("integration kind %.40q: want codecommit or git", i.Kind)
	case len(i.Name) > maxText:
		return invalid("the integration's name is longer than %d bytes", maxText)
	}
	return nil
}

// AddIntegration makes an integration with its secrets sealed, and returns it
// with ID and slug. Without a slug it is the region code; if the slug is
// taken, "-2", "-3" … is added. It fails with ferry.ErrInvalid for a slug
// that pages use or that is the code of another region.
func (s *Store) AddIntegration(ctx context.Context, i ferry.Integration, c ferry.Credentials) (ferry.Integration, error) {
	if i.Slug == "" {
		i.Slug = defaultSlug(i)
	}
	if err := checkIntegration(i); err != nil {
		return i, err
	}
	if err := checkSlug(i.Slug, i.Region); err != nil {
		return i, err
	}
	err := s.write(ctx, "adding integration "+i.Slug, func(tx *sql.Tx) error {
		var err error
		if i.Slug, err = freeSlug(ctx, tx, i.Slug); err != nil {
			return err
		}
		err = tx.QueryRowContext(ctx, `
			INSERT INTO integration (
				slug, name, kind, region, account, git_auth, access_key_id, git_username, ssh_key_id,
				api_endpoint, sns_endpoint, sts_endpoint, git_endpoint, host_key,
				private_network, connect_all, personal, pass_through, disabled, problem,
				credential_source, profile, role_arn, external_id, topic_arn, topic_sha1, projects, created_at)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
			RETURNING id`,
			append(integrationValues(i), ms(s.now()))...).Scan(&i.ID)
		if err != nil {
			return err
		}
		return s.putCredentials(ctx, tx, i.ID, c)
	})
	return i, err
}

// integrationValues are the columns from slug to projects.
func integrationValues(i ferry.Integration) []any {
	return []any{
		i.Slug, i.Name, i.Kind, i.Region, i.Account, i.GitAuth, i.AccessKeyID, i.GitUsername, i.SSHKeyID,
		i.APIEndpoint, i.SNSEndpoint, i.STSEndpoint, i.GitEndpoint, i.HostKey,
		i.PrivateNetwork, i.ConnectAll, i.PersonalRequired, i.PassThrough, i.Disabled, i.Problem,
		i.CredentialSource, i.Profile, i.RoleARN, i.ExternalID, i.TopicARN, i.TopicSHA1, i.Projects,
	}
}

const selectIntegration = `
	SELECT id, slug, name, kind, region, account, git_auth, access_key_id, git_username, ssh_key_id,
		api_endpoint, sns_endpoint, sts_endpoint, git_endpoint, host_key,
		private_network, connect_all, personal, pass_through, disabled, problem,
		credential_source, profile, role_arn, external_id, topic_arn, topic_sha1, projects
	FROM integration`

func scanIntegration(row scanner) (i ferry.Integration, err error) {
	err = row.Scan(&i.ID, &i.Slug, &i.Name, &i.Kind, &i.Region, &i.Account, &i.GitAuth, &i.AccessKeyID, &i.GitUsername, &i.SSHKeyID,
		&i.APIEndpoint, &i.SNSEndpoint, &i.STSEndpoint, &i.GitEndpoint, &i.HostKey,
		&i.PrivateNetwork, &i.ConnectAll, &i.PersonalRequired, &i.PassThrough, &i.Disabled, &i.Problem,
		&i.CredentialSource, &i.Profile, &i.RoleARN, &i.ExternalID, &i.TopicARN, &i.TopicSHA1, &i.Projects)
	return i, err
}

// Integrations returns all integrations by slug.
func (s *Store) Integrations(ctx context.Context) ([]ferry.Integration, error) {
	return collect(ctx, s.r, scanIntegration, selectIntegration+` ORDER BY slug`)
}

// Integration returns one integration.
func (s *Store) Integration(ctx context.Context, id ferry.IntegrationID) (ferry.Integration, error) {
	return integrationBy(ctx, s.r, "id = ?", id)
}

// IntegrationBySlug returns the integration that owns the paths SLUG/…;
// upper and lower case are the same.
func (s *Store) IntegrationBySlug(ctx context.Context, slug string) (ferry.Integration, error) {
	return integrationBy(ctx, s.r, "slug = ?", slug)
}

func integrationBy(ctx context.Context, q querier, where string, arg any) (ferry.Integration, error) {
	i, err := scanIntegration(q.QueryRowContext(ctx, selectIntegration+" WHERE "+where, arg))
	if err != nil {
		return i, fmt.Errorf("reading integration %v: %w", arg, kind(err))
	}
	return i, nil
}

// UpdateIntegration writes all fields of an integration, and its secrets
// unless c is nil. If an end point moves to another host, scheme or port (or
// the region moves, where AWS's own end points are used) and c is nil, the
// stored secrets are cleared in the same transaction: they were given for the
// old address. It fails with ferry.ErrConflict if the slug is taken.
func (s *Store) UpdateIntegration(ctx context.Context, i ferry.Integration, c *ferry.Credentials) error {
	if err := checkIntegration(i); err != nil {
		return err
	}
	if err := checkSlug(i.Slug, i.Region); err != nil {
		return err
	}
	return s.write(ctx, "changing integration "+i.Slug, func(tx *sql.Tx) error {
		before, err := integrationBy(ctx, tx, "id = ?", i.ID)
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `
			UPDATE integration SET
				slug = ?, name = ?, kind = ?, region = ?, account = ?, git_auth = ?, access_key_id = ?, git_username = ?, ssh_key_id = ?,
				api_endpoint = ?, sns_endpoint = ?, sts_endpoint = ?, git_endpoint = ?, host_key = ?,
				private_network = ?, connect_all = ?, personal = ?, pass_through = ?, disabled = ?, problem = ?,
				credential_source = ?, profile = ?, role_arn = ?, external_id = ?, topic_arn = ?, topic_sha1 = ?, projects = ?
			WHERE id = ?`,
			append(integrationValues(i), i.ID)...); err != nil {
			return err
		}
		switch {
		case c != nil:
			return s.putCredentials(ctx, tx, i.ID, *c)
		case moved(before, i):
			return s.putCredentials(ctx, tx, i.ID, ferry.Credentials{})
		}
		return nil
	})
}

// NoteIntegration writes what a look at an account found out: its number, if
// that is not empty, and its problem, empty for none. What people set stays.
func (s *Store) NoteIntegration(ctx context.Context, id ferry.IntegrationID, account, problem string) error {
	return s.write(ctx, fmt.Sprintf("noting a look at integration %d", id), func(tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, `
			UPDATE integration SET account = CASE WHEN ?1 = '' THEN account ELSE ?1 END, problem = ?2
			WHERE id = ?3`, account, problem, id)
		return one(res, err, ferry.ErrNotFound)
	})
}

// moved reports whether secrets of a would now be shown to somebody else.
func moved(a, b ferry.Integration) bool {
	ends := func(i ferry.Integration) (e [4]string) {
		for n, endpoint := range []string{i.APIEndpoint, i.SNSEndpoint, i.STSEndpoint, i.GitEndpoint} {
			if e[n] = origin(endpoint); endpoint == "" {
				e[n] = "aws:" + i.Region
			}
		}
		return e
	}
	return ends(a) != ends(b)
}

// secretColumns pairs the sealed columns with the fields of c.
func secretColumns(c *ferry.Credentials) []struct {
	name  string
	value *ferry.Secret
} {
	return []struct {
		name  string
		value *ferry.Secret
	}{
		{"secret_access_key", &c.SecretAccessKey},
		{"session_token", &c.SessionToken},
		{"git_password", &c.GitPassword},
		{"ssh_private_key", &c.SSHPrivateKey},
		{"ssh_passphrase", &c.SSHPassphrase},
	}
}

func (s *Store) putCredentials(ctx context.Context, tx *sql.Tx, id ferry.IntegrationID, c ferry.Credentials) error {
	args := make([]any, 0, 6)
	for _, col := range secretColumns(&c) {
		args = append(args, s.vault.seal("integration", int64(id), col.name, *col.value))
	}
	_, err := tx.ExecContext(ctx, `
		UPDATE integration SET
			secret_access_key = ?, session_token = ?, git_password = ?, ssh_private_key = ?, ssh_passphrase = ?
		WHERE id = ?`, append(args, id)...)
	return err
}

// Credentials returns the opened secrets of an integration; those that are
// not set are empty.
func (s *Store) Credentials(ctx context.Context, id ferry.IntegrationID) (ferry.Credentials, error) {
	var c ferry.Credentials
	var sealed [5][]byte
	err := s.r.QueryRowContext(ctx, `
		SELECT secret_access_key, session_token, git_password, ssh_private_key, ssh_passphrase
		FROM integration WHERE id = ?`, id).Scan(&sealed[0], &sealed[1], &sealed[2], &sealed[3], &sealed[4])
	if err != nil {
		return c, fmt.Errorf("reading credentials of integration %d: %w", id, kind(err))
	}
	for n, col := range secretColumns(&c) {
		if *col.value, err = s.vault.open("integration", int64(id), col.name, sealed[n]); err != nil {
			return ferry.Credentials{}, err
		}
	}
	return c, nil
}

// RemoveIntegration removes an integration, its secrets and, as with
// RemoveRepository, its repositories.
func (s *Store) RemoveIntegration(ctx context.Context, id ferry.IntegrationID) error {
	list, err := s.Repositories(ctx, RepositoryFilter{Integration: id})
	if err != nil {
		return err
	}
	for _, r := range list {
		if err := s.RemoveRepository(ctx, r.ID); err != nil {
			return err
		}
	}
	return s.write(ctx, fmt.Sprintf("removing integration %d", id), func(tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, `DELETE FROM integration WHERE id = ?`, id)
		return one(res, err, ferry.ErrNotFound)
	})
}
