package store

import (
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"gitferry/internal/ferry"
)

// site is the one Jira site's id in the unique keys of the outbox.
const site = 1

// queueAction adds an action unless its identity is known. An empty state is
// pending; skipped ones are kept as memory.
func (x *indexing) queueAction(a Action) error {
	if a.Identity == "" || a.Key == "" {
		return invalid("an action without identity or issue")
	}
	if keys, err := x.allowed([]ferry.IssueKey{a.Key}); err != nil || len(keys) == 0 {
		return err // the repository does not belong to the issue's project
	}
	doneAt := int64(0)
	switch a.State {
	case "":
		a.State = ActionPending
	case ActionDone, ActionDead, ActionSkipped:
		doneAt = x.now
	case ActionLeased:
		return invalid("a new action cannot be leased")
	}
	nextAt := x.now
	if !a.NextAt.IsZero() {
		nextAt = ms(a.NextAt)
	}
	command := string(a.Command)
	if command == "" {
		command = "null"
	}
	n, err := x.exec(`
		INSERT INTO action (
			site_id, identity, repository_id, oid, issue_key, ordinal, command,
			author_name, author_email, authored_at, actor_id, push_id,
			state, attempts, next_at, sent_at, created_at, done_at, jira_id, problem,
			lease_boot, lease_until, lease_from, sending)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, ?, ?, ?, ?, '', ?, '', 0, '', 0)
		ON CONFLICT (site_id, identity) DO NOTHING`,
		site, a.Identity, x.repo, a.OID[:], a.Key, a.Ordinal, command,
		a.Author.Name, a.Author.Email, ms(a.AuthoredAt), orNull(a.Actor), orNull(a.Push),
		a.State, nextAt, ms(a.SentAt), x.now, doneAt, a.Problem)
	if err != nil {
		return fmt.Errorf("queueing an action for %s: %w", a.Key, err)
	}
	x.done.Actions += int(n)
	return nil
}

// queueEntity makes the newest version of an entity wait for delivery. What
// was never known to Jira is not withdrawn, and a commit that waits with the
// same keys stays as it is: the content of a commit does not change.
func (x *indexing) queueEntity(e Entity) error {
	switch e.Kind {
	case EntityCommit, EntityBranch, EntityPullRequest:
	default:
		return invalid("entity kind %.40q: want commit, branch or pull_request", e.Kind)
	}
	decided, err := x.withHand(e.Kind, e.EntityID, e.Keys)
	if e.Gone {
		decided = nil
	}
	if err != nil {
		return fmt.Errorf("queueing %s %s: %w", e.Kind, e.EntityID, err)
	}
	keys, err := x.allowed(sortedKeys(decided))
	if err != nil {
		return fmt.Errorf("queueing %s %s: %w", e.Kind, e.EntityID, err)
	}
	if len(e.Keys) == 0 && len(keys) > 0 { // with keys by hand alone, unless it is gone
		alive, err := x.live(e.Kind, e.EntityID)
		if err != nil {
			return fmt.Errorf("queueing %s %s: %w", e.Kind, e.EntityID, err)
		}
		if !alive {
			keys = nil
		}
	}
	if len(keys) > 0 {
		added, err := x.addEntity(e, keys)
		if err != nil {
			return fmt.Errorf("queueing %s %s: %w", e.Kind, e.EntityID, err)
		}
		if added {
			x.done.Entities++
			return nil
		}
	}
	var id int64
	var had []ferry.IssueKey
	var state EntityState
	var backfill bool
	err = x.row([]any{&id, jsonColumn{&had}, &state, &backfill}, `
		SELECT id, keys, state, backfill FROM entity
		WHERE site_id = ? AND repository_id = ? AND kind = ? AND entity_id = ?`,
		site, x.repo, e.Kind, e.EntityID)
	waits := state == EntityPending || state == EntityRetry || state == EntityWaiting
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil
	case err != nil:
	case e.Kind == EntityCommit && waits && slices.Equal(had, keys) && (e.Backfill || !backfill):
		return nil
	default:
		// An undelivered live version stays live when a backfill replaces it.
		err = x.replaceEntity(id, keys, e.Backfill && (backfill || !waits))
	}
	if err != nil {
		return fmt.Errorf("queueing %s %s: %w", e.Kind, e.EntityID, err)
	}
	x.done.Entities++
	return nil
}

// nextVersion grows whatever the clock does. A transaction takes numbers by
// the block, each twice as large as the one before; those left over are lost.
func (x *indexing) nextVersion() (v int64, err error) {
	if x.version == x.versions {
		x.block = max(1, 2*x.block)
		err := x.row([]any{&x.versions}, `
			UPDATE counter SET value = max(value + 1, ?1) + ?2 - 1 WHERE name = 'version'
			RETURNING value`, x.now*1000, x.block)
		if err != nil {
			return 0, err
		}
		x.version = x.versions - x.block
	}
	x.version++
	return x.version, nil
}

// addEntity adds an entity; added is false if it is there already.
func (x *indexing) addEntity(e Entity, keys []ferry.IssueKey) (added bool, err error) {
	version, err := x.nextVersion()
	if err != nil {
		return false, err
	}
	id, added, err := x.insert(`
		INSERT INTO entity (
			site_id, repository_id, kind, entity_id, keys, version, backfill, state, attempts,
			next_at, sent_at, queued_at, delivered_version, delivered_keys, problem, lease_boot, lease_until)
		VALUES (?, ?, ?, ?, ?, ?, ?, 'pending', 0, ?, 0, ?, 0, '[]', '', '', 0)
		ON CONFLICT DO NOTHING`,
		site, x.repo, e.Kind, e.EntityID, asJSON(keys), version, e.Backfill, x.now, x.now)
	if err != nil || !added {
		return false, err
	}
	return true, x.keyEntity(id, keys)
}

// replaceEntity gives the entity a newer version. While it is leased the
// lease goes on for the older one; SaveEntities finds the newer one waiting.
func (x *indexing) replaceEntity(id int64, keys []ferry.IssueKey, backfill bool) error {
	version, err := x.nextVersion()
	if err != nil {
		return err
	}
	if _, err := x.exec(`
		UPDATE entity SET
			keys = ?, version = ?, backfill = ?, queued_at = ?,
			state = CASE state WHEN 'leased' THEN state ELSE 'pending' END,
			attempts = 0, next_at = ?, problem = ''
		WHERE id = ?`, asJSON(keys), version, backfill, x.now, x.now, id); err != nil {
		return err
	}
	if _, err := x.exec(`DELETE FROM entity_key WHERE entity_id = ?`, id); err != nil {
		return err
	}
	return x.keyEntity(id, keys)
}

func (x *indexing) keyEntity(id int64, keys []ferry.IssueKey) error {
	for _, k := range keys {
		if _, err := x.exec(`INSERT INTO entity_key (issue_key, entity_id) VALUES (?, ?)`, k, id); err != nil {
			return err
		}
	}
	return nil
}
