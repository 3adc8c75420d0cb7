package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"gitferry/internal/ferry"
)

// Apply writes a change and everything it causes in one transaction: refs,
// the movement log, commits, links, deliveries, the end of the push. Refs are
// compared and swapped: a ref that stands neither at Old nor at New fails the
// whole change with ferry.ErrConflict, and the caller looks again. Applied
// twice, a change has no second effect but that development information of
// branches and pull requests is sent again.
func (s *Store) Apply(ctx context.Context, c Change) (Applied, error) {
	var done Applied
	what := fmt.Sprintf("applying a change of repository %d", c.Repository)
	err := s.write(ctx, what, func(tx *sql.Tx) error {
		x := s.indexing(ctx, tx, c.Repository)
		if !c.Seen.IsZero() {
			x.seen = ms(c.Seen)
		}
		if err := x.change(c); err != nil {
			return err
		}
		done = x.done
		return nil
	})
	if err != nil {
		return Applied{}, err
	}
	return done, nil
}

// AddCommits writes commits, with their links, and entities in one
// transaction: a chunk of a first index, at most 1,000 for a short lock. It
// returns how many commits were new. Known commits keep what they have and
// gain the links that they did not have.
func (s *Store) AddCommits(ctx context.Context, repo ferry.RepositoryID, commits []Commit, entities []Entity) (added int, err error) {
	err = s.write(ctx, fmt.Sprintf("adding commits to repository %d", repo), func(tx *sql.Tx) error {
		x := s.indexing(ctx, tx, repo)
		for _, c := range commits {
			if err := x.addCommit(c); err != nil {
				return err
			}
		}
		for _, e := range entities {
			if err := x.queueEntity(e); err != nil {
				return err
			}
		}
		added = x.done.Commits
		return nil
	})
	if err != nil {
		return 0, err
	}
	return added, nil
}

// An indexing is one transaction that writes to the index of one repository.
type indexing struct {
	ctx   context.Context // that of the call; an indexing lives no longer
	tx    *sql.Tx
	repo  ferry.RepositoryID
	now   int64
	seen  int64
	stmts map[string]*sql.Stmt // by text; database/sql closes them with tx
	done  Applied

	version, versions int64 // the last one given out and the last of its block
	block             int64 // size of that block; 0: none yet

	projects *string // of the repository; nil: not looked yet
	hand     *bool   // whether the repository has links by hand; nil: not looked yet
}

func (s *Store) indexing(ctx context.Context, tx *sql.Tx, repo ferry.RepositoryID) *indexing {
	now := ms(s.now())
	return &indexing{ctx: ctx, tx: tx, repo: repo, now: now, seen: now, stmts: map[string]*sql.Stmt{}}
}

// stmt prepares each text once: a chunk runs the same few a thousand times.
func (x *indexing) stmt(text string) (*sql.Stmt, error) {
	if st, ok := x.stmts[text]; ok {
		return st, nil
	}
	st, err := x.tx.PrepareContext(x.ctx, text)
	if err == nil {
		x.stmts[text] = st
	}
	return st, err
}

// exec runs a statement and returns how many rows it changed.
func (x *indexing) exec(text string, args ...any) (int64, error) {
	st, err := x.stmt(text)
	if err != nil {
		return 0, err
	}
	res, err := st.ExecContext(x.ctx, args...)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

// insert runs a statement that adds one row or, on a conflict, none. It
// returns the row's id and whether there is a new one.
func (x *indexing) insert(text string, args ...any) (id int64, added bool, err error) {
	st, err := x.stmt(text)
	if err != nil {
		return 0, false, err
	}
	res, err := st.ExecContext(x.ctx, args...)
	if err != nil {
		return 0, false, err
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		return 0, false, err
	}
	id, err = res.LastInsertId()
	return id, err == nil, err
}

// row reads the one row of a query; none is sql.ErrNoRows.
func (x *indexing) row(dest []any, text string, args ...any) error {
	st, err := x.stmt(text)
	if err != nil {
		return err
	}
	return st.QueryRowContext(x.ctx, args...).Scan(dest...)
}

func (x *indexing) change(c Change) error {
	for _, u := range c.Updates {
		if err := x.moveRef(u, c.Push); err != nil {
			return fmt.Errorf("moving %s from %s: %w", u.Name, u.Old.Short(), err)
		}
	}
	for _, commit := range c.Commits {
		if err := x.addCommit(commit); err != nil {
			return err
		}
	}
	for reachable, oids := range [][]ferry.OID{c.Lost, c.Found} {
		for _, oid := range oids {
			if _, err := x.exec(`
				UPDATE git_commit SET reachable = ?
				WHERE repository_id = ? AND oid = ?`, reachable, x.repo, oid[:]); err != nil {
				return err
			}
		}
	}
	for ref, keys := range c.RefLinks {
		if err := x.linkRef(ref, keys); err != nil {
			return fmt.Errorf("linking %s: %w", ref, err)
		}
	}
	for _, a := range c.Actions {
		if err := x.queueAction(a); err != nil {
			return err
		}
	}
	for _, e := range c.Entities {
		if err := x.queueEntity(e); err != nil {
			return err
		}
	}
	if c.Indexed {
		if _, err := x.exec(`UPDATE repository SET indexed_at = ? WHERE id = ? AND indexed_at = 0`, x.now, x.repo); err != nil {
			return err
		}
	}
	if len(x.done.Movements) > 0 && !c.Next.IsZero() {
		if _, err := x.exec(`
			UPDATE timetable SET changed_at = ?, next_at = CASE WHEN notified_at = 0 THEN min(next_at, ?) ELSE next_at END
			WHERE repository_id = ?`, x.now, ms(c.Next), x.repo); err != nil {
			return fmt.Errorf("planning the next look: %w", err)
		}
	}
	if c.Push != 0 {
		return finishPush(x.ctx, x.tx, c.Push, x.now)
	}
	return nil
}

// moveRef compares and swaps one ref and logs the movement. A ref that stands
// at the new value already is a repetition and fine.
func (x *indexing) moveRef(u ferry.RefUpdate, push ferry.PushID) error {
	var n int64
	var err error
	switch {
	case u.Old == u.New:
		n = 0
	case u.Old.IsZero():
		n, err = x.exec(`
			INSERT INTO ref (repository_id, name, oid) VALUES (?, ?, ?)
			ON CONFLICT DO NOTHING`, x.repo, u.Name, u.New[:])
	case u.New.IsZero():
		n, err = x.exec(`
			DELETE FROM ref
			WHERE repository_id = ? AND name = ? AND oid = ?`, x.repo, u.Name, u.Old[:])
	default:
		n, err = x.exec(`
			UPDATE ref SET oid = ?
			WHERE repository_id = ? AND name = ? AND oid = ?`, u.New[:], x.repo, u.Name, u.Old[:])
	}
	if err != nil {
		return err
	}
	if n == 0 {
		return x.refStandsAt(u.Name, u.New)
	}
	if u.New.IsZero() {
		// A branch of the same name that comes later is another one.
		if _, err := x.exec(`
			DELETE FROM hand_link
			WHERE repository_id = ? AND kind = 'branch' AND entity_id = ?`, x.repo, u.Name); err != nil {
			return err
		}
		if err := x.linkRef(u.Name, nil); err != nil {
			return err
		}
	}
	m := Movement{Repository: x.repo, Ref: u.Name, Old: u.Old, New: u.New, At: at(x.seen), Push: push}
	if err := x.row([]any{&m.Seq}, `
		INSERT INTO movement (repository_id, ref, old, new, at, push_id)
		VALUES (?, ?, ?, ?, ?, ?)
		RETURNING seq`, x.repo, u.Name, u.Old[:], u.New[:], x.seen, orNull(push)); err != nil {
		return err
	}
	x.done.Movements = append(x.done.Movements, m)
	return nil
}

// refStandsAt fails with ferry.ErrConflict unless the ref stands at want,
// zero meaning that there is none.
func (x *indexing) refStandsAt(name ferry.RefName, want ferry.OID) error {
	var have ferry.OID
	err := x.row([]any{oidColumn{&have}}, `SELECT oid FROM ref WHERE repository_id = ? AND name = ?`, x.repo, name)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	if have != want {
		return fmt.Errorf("it stands at %s: %w", have.Short(), ferry.ErrConflict)
	}
	return nil
}

// linkRef replaces the issue keys of a branch name; what people decided stays.
func (x *indexing) linkRef(ref ferry.RefName, keys []ferry.IssueKey) error {
	keys, err := x.withHand(EntityBranch, string(ref), keys)
	if err != nil {
		return err
	}
	if _, err := x.exec(`DELETE FROM ref_link WHERE repository_id = ? AND ref = ?`, x.repo, ref); err != nil {
		return err
	}
	for _, k := range sortedKeys(keys) {
		if _, err := x.exec(`INSERT INTO ref_link (repository_id, ref, issue_key) VALUES (?, ?, ?)`, x.repo, ref, k); err != nil {
			return err
		}
	}
	return nil
}

// sortedKeys returns the keys in order and each once.
func sortedKeys(keys []ferry.IssueKey) []ferry.IssueKey {
	return slices.Compact(slices.Sorted(slices.Values(keys)))
}
