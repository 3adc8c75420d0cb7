package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"gitferry/internal/ferry"
)

// A RepositoryFilter narrows Repositories. Zero fields do not narrow.
type RepositoryFilter struct {
	Integration ferry.IntegrationID
	State       ferry.RepositoryState
	Query       string // part of "OWNER/NAME", ASCII case ignored
	Limit       int    // 0: all
	Offset      int
}

var (
	fsckID = regexp.MustCompile(`^[A-Za-z]{3,60}$`)
	// fsckAttack are the checks for what harms clients (git fsck, "FSCK
	// MESSAGES"): nobody may switch them off.
	fsckAttack = regexp.MustCompile(`(?i)^(gitmodules|gitattributes|hasdot|fullpathname|symlink|treenotsorted|duplicateentries)`)
)

func checkRepository(r ferry.Repository) error {
	if _, err := ferry.ParseRepositoryName(r.Name); err != nil {
		return err
	}
	for id := range strings.FieldsSeq(r.FsckIgnore) {
		if !fsckID.MatchString(id) || fsckAttack.MatchString(id) {
			return invalid("message id %.60q: want one of git fsck's that is no attack on whoever clones", id)
		}
	}
	switch r.State {
	case ferry.RepositoryEnabled, ferry.RepositoryDisabled, ferry.RepositoryMissing:
	default:
		return invalid("state %.40q of repository %s: want enabled, disabled or missing", r.State, r.Name)
	}
	if p, err := ferry.ParseProjects(r.Projects); err != nil || p != r.Projects {
		return invalid("projects %.60q of repository %s: want sorted keys between blanks", r.Projects, r.Name)
	}
	if _, err := regexp.Compile(r.TagFilter); err != nil || len(r.TagFilter) > maxText {
		return invalid("tag filter of repository %s: not a regular expression", r.Name)
	}
	return nil
}

// AddRepository connects a repository to r.IntegrationID and returns it with
// ID and Owner. An empty State is enabled. It fails with ferry.ErrConflict if
// the integration has a repository of that name and with ferry.ErrNotFound if
// there is no such integration.
func (s *Store) AddRepository(ctx context.Context, r ferry.Repository) (ferry.Repository, error) {
	if r.State == "" {
		r.State = ferry.RepositoryEnabled
	}
	if err := checkRepository(r); err != nil {
		return r, err
	}
	err := s.write(ctx, "adding repository "+r.Name, func(tx *sql.Tx) error {
		err := tx.QueryRowContext(ctx, `
			INSERT INTO repository (
				integration_id, name, region, host_id, clone_url, default_branch, state, smart_commits, indexed_at, created_at, projects)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, `+projectsOfIntegration+`)
			RETURNING id`,
			r.IntegrationID, r.Name, r.Region, r.HostID, r.CloneURL, r.DefaultBranch, r.State, r.SmartCommits,
			ms(r.IndexedAt), ms(s.created(r)), r.IntegrationID).Scan(&r.ID)
		if err != nil {
			return err
		}
		r, err = repositoryBy(ctx, tx, "r.id = ?", r.ID)
		return err
	})
	return r, err
}

// projectsOfIntegration are the projects that a new repository begins with.
const projectsOfIntegration = `COALESCE((SELECT projects FROM integration WHERE id = ?), '')`

// created is when a repository came about: at the host, or now.
func (s *Store) created(r ferry.Repository) time.Time {
	if r.CreatedAt.IsZero() {
		return s.now()
	}
	return r.CreatedAt
}

const repositoryColumns = `
	r.id, r.integration_id, i.slug, r.name, r.region, r.host_id, r.clone_url, r.default_branch, r.state, r.smart_commits, r.indexed_at, r.created_at,
	r.projects, r.read_only, r.tag_filter, r.web_links, r.degraded, r.fsck_ignore`

const selectRepository = `SELECT ` + repositoryColumns + `
	FROM repository r JOIN integration i ON i.id = r.integration_id`

// repositoryFields are where repositoryColumns go.
func repositoryFields(r *ferry.Repository) []any {
	return []any{
		&r.ID, &r.IntegrationID, &r.Owner, &r.Name, &r.Region, &r.HostID, &r.CloneURL, &r.DefaultBranch, &r.State, &r.SmartCommits, stamp{&r.IndexedAt},
		stamp{&r.CreatedAt}, &r.Projects, &r.ReadOnly, &r.TagFilter, &r.WebLinks, &r.Degraded, &r.FsckIgnore,
	}
}

func scanRepository(row scanner) (r ferry.Repository, err error) {
	err = row.Scan(repositoryFields(&r)...)
	return r, err
}

func repositoryBy(ctx context.Context, q querier, where string, args ...any) (ferry.Repository, error) {
	r, err := scanRepository(q.QueryRowContext(ctx, selectRepository+" WHERE "+where, args...))
	if err != nil {
		return r, fmt.Errorf("reading repository %v: %w", args, kind(err))
	}
	return r, nil
}

// A repositoryList is the list of all repositories as it was read last.
type repositoryList struct {
	mu      sync.Mutex
	changes int64              // guarded by mu; count of changes before it was read
	list    []ferry.Repository // guarded by mu; never changed, only replaced
}

// Repositories returns repositories by path. The list of all is kept from call
// to call, until this process or another changes it.
func (s *Store) Repositories(ctx context.Context, f RepositoryFilter) ([]ferry.Repository, error) {
	if f != (RepositoryFilter{}) {
		return s.repositories(ctx, f)
	}
	var changes int64
	if err := s.r.QueryRowContext(ctx, `SELECT value FROM counter WHERE name = 'repositories'`).Scan(&changes); err != nil {
		return nil, fmt.Errorf("reading repositories: %w", kind(err))
	}
	s.all.mu.Lock()
	defer s.all.mu.Unlock()
	if s.all.list == nil || s.all.changes != changes {
		list, err := s.repositories(ctx, f)
		if err != nil {
			return nil, err
		}
		// What changed since the count was read is in the list, too: it is
		// read once more than it had to be, never less.
		s.all.changes, s.all.list = changes, list
	}
	return slices.Clone(s.all.list), nil
}

func (s *Store) repositories(ctx context.Context, f RepositoryFilter) ([]ferry.Repository, error) {
	if f.Limit <= 0 {
		f.Limit = -1 // SQLite: no limit
	}
	var w where
	if f.Integration != 0 {
		w.add("r.integration_id = ?", f.Integration)
	}
	if f.State != "" {
		w.add("r.state = ?", f.State)
	}
	if f.Query != "" {
		w.add(`i.slug || '/' || r.name LIKE ? ESCAPE '\'`, "%"+likeEscaper.Replace(f.Query)+"%")
	}
	return collect(ctx, s.r, scanRepository, selectRepository+w.String()+`
		ORDER BY i.slug, r.name LIMIT ? OFFSET ?`, append(w.args, f.Limit, max(f.Offset, 0))...)
}

var likeEscaper = strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`)

// Repository returns one repository.
func (s *Store) Repository(ctx context.Context, id ferry.RepositoryID) (ferry.Repository, error) {
	return repositoryBy(ctx, s.r, "r.id = ?", id)
}

// RepositoryByPath returns the repository OWNER/NAME. The owner's case does
// not matter, the name's does. A path that a renamed repository had until 30
// days ago finds that one, whose Path is then another.
func (s *Store) RepositoryByPath(ctx context.Context, owner, name string) (ferry.Repository, error) {
	r, err := repositoryBy(ctx, s.r, "i.slug = ? AND r.name = ?", owner, name)
	if errors.Is(err, ferry.ErrNotFound) {
		if former, ferr := s.formerRepository(ctx, owner, name); !errors.Is(ferr, ferry.ErrNotFound) {
			return former, ferr
		}
	}
	return r, err
}

// RepositoriesByName returns the repositories of one name, in one region or
// with "" in all, by path. Where none has it these are the ones that had it
// until 30 days ago, whose Name is then another.
func (s *Store) RepositoriesByName(ctx context.Context, region, name string) ([]ferry.Repository, error) {
	list, err := collect(ctx, s.r, scanRepository, selectRepository+`
		WHERE r.name = ? AND (? = '' OR r.region = ?) ORDER BY i.slug`, name, region, region)
	if err != nil || len(list) > 0 {
		return list, err
	}
	return collect(ctx, s.r, scanRepository, selectRepository+`
		WHERE r.id IN (SELECT repository_id FROM former_path WHERE name = ? AND until_at > ?) AND (? = '' OR r.region = ?)
		ORDER BY i.slug`, name, ms(s.now()), region, region)
}

// UpdateRepository writes all fields of a repository but Owner,
// IntegrationID, IndexedAt and Degraded. If the repository is its integration's only
// address (kind git) and CloneURL moves to another host, scheme or port, the
// integration's secrets are cleared in the same transaction. It fails with
// ferry.ErrConflict if the name is taken. Where Projects changes Jira is told
// of what belongs to it now, and what does not any more is withdrawn.
func (s *Store) UpdateRepository(ctx context.Context, r ferry.Repository) error {
	if err := checkRepository(r); err != nil {
		return err
	}
	changed := false
	err := s.write(ctx, "changing repository "+r.Name, func(tx *sql.Tx) error {
		before, err := repositoryBy(ctx, tx, "r.id = ?", r.ID)
		if err != nil {
			return err
		}
		changed = before.Projects != r.Projects
		i, err := integrationBy(ctx, tx, "id = ?", before.IntegrationID)
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `
			UPDATE repository SET
				name = ?, region = ?, host_id = ?, clone_url = ?, default_branch = ?, state = ?, smart_commits = ?,
				projects = ?, read_only = ?, tag_filter = ?, web_links = ?, fsck_ignore = ?, created_at = COALESCE(NULLIF(?, 0), created_at)
			WHERE id = ?`,
			r.Name, r.Region, r.HostID, r.CloneURL, r.DefaultBranch, r.State, r.SmartCommits,
			r.Projects, r.ReadOnly, r.TagFilter, r.WebLinks, r.FsckIgnore, ms(r.CreatedAt), r.ID); err != nil {
			return err
		}
		if i.Kind == ferry.KindGit && origin(before.CloneURL) != origin(r.CloneURL) {
			return s.putCredentials(ctx, tx, i.ID, ferry.Credentials{})
		}
		return nil
	})
	if err != nil || !changed {
		return err
	}
	return s.reassociate(ctx, r.ID)
}

// SetDegraded records which object of a repository's upstream git refuses;
// empty: none.
func (s *Store) SetDegraded(ctx context.Context, id ferry.RepositoryID, problem string) error {
	return s.write(ctx, fmt.Sprintf("recording what git says of repository %d", id), func(tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, `UPDATE repository SET degraded = ? WHERE id = ?`, problem, id)
		return one(res, err, ferry.ErrNotFound)
	})
}

// removeChunk is how many commits go in one transaction, to keep it short.
const removeChunk = 2000

// RemoveRepository removes a repository with its index and its development
// information; what Jira holds must have been withdrawn before. Actions stay,
// so that no command runs again should the repository come back. A large
// repository goes in several transactions, the first of which disables it; a
// call that was cut off may be repeated.
func (s *Store) RemoveRepository(ctx context.Context, id ferry.RepositoryID) error {
	what := fmt.Sprintf("removing repository %d", id)
	err := s.write(ctx, what, func(tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, `UPDATE repository SET state = ? WHERE id = ?`, ferry.RepositoryDisabled, id)
		return one(res, err, ferry.ErrNotFound)
	})
	for _, table := range []string{"git_commit", "entity"} {
		for more := true; more && err == nil; {
			err = s.write(ctx, what, func(tx *sql.Tx) error {
				res, err := tx.ExecContext(ctx, `
					DELETE FROM `+table+` WHERE id IN (
						SELECT id FROM `+table+` WHERE repository_id = ? LIMIT ?)`, id, removeChunk)
				if err != nil {
					return err
				}
				n, err := res.RowsAffected()
				more = n == removeChunk
				return err
			})
		}
	}
	if err != nil {
		return err
	}
	return s.write(ctx, what, func(tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, `DELETE FROM repository WHERE id = ?`, id)
		return one(res, err, ferry.ErrNotFound)
	})
}

// A where collects conditions, whose text is constant, and their arguments.
type where struct {
	conditions []string
	args       []any
}

func (w *where) add(condition string, args ...any) {
	w.conditions = append(w.conditions, condition)
	w.args = append(w.args, args...)
}

// String returns the WHERE clause, empty without conditions.
func (w *where) String() string {
	if len(w.conditions) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(w.conditions, " AND ")
}
