-- What Jira must hear. Nothing is sent that is not a row here first.

-- Commands, each of which must have its effect once. Rows outlive the
-- repository: they are the memory that keeps a command from running again.
-- site_id is always 1 today; it is a column so that a second Jira site needs
-- no new meaning of the unique key.
CREATE TABLE action (
  id            INTEGER PRIMARY KEY AUTOINCREMENT, -- order within an issue
  site_id       INTEGER NOT NULL,
  identity      TEXT NOT NULL,      -- what makes two commands the same one
  repository_id INTEGER REFERENCES repository ON DELETE SET NULL,
  oid           BLOB NOT NULL,
  issue_key     TEXT NOT NULL,
  ordinal       INTEGER NOT NULL,   -- position in the commit message
  command       TEXT NOT NULL,      -- JSON of the command
  author_name   TEXT NOT NULL,
  author_email  TEXT NOT NULL,
  authored_at   INTEGER NOT NULL,
  actor_id      INTEGER REFERENCES user ON DELETE SET NULL, -- NULL: service account
  push_id       INTEGER REFERENCES push ON DELETE SET NULL, -- NULL: found by sync
  state         TEXT NOT NULL,      -- pending leased retry verify paused dead done skipped
  attempts      INTEGER NOT NULL,   -- requests begun
  next_at       INTEGER NOT NULL,   -- not before
  sent_at       INTEGER NOT NULL,   -- when the latest request began
  created_at    INTEGER NOT NULL,
  done_at       INTEGER NOT NULL,
  jira_id       TEXT NOT NULL,      -- what Jira called the result
  problem       TEXT NOT NULL,
  lease_boot    TEXT NOT NULL,      -- process that holds the lease
  lease_until   INTEGER NOT NULL,
  lease_from    TEXT NOT NULL,      -- state before the lease
  sending       INTEGER NOT NULL,   -- a request has begun under this lease
  UNIQUE (site_id, identity)
) STRICT;

CREATE INDEX action_open ON action (issue_key, id)
  WHERE state NOT IN ('done', 'dead', 'skipped');
CREATE INDEX action_due ON action (next_at, id)
  WHERE state IN ('pending', 'retry', 'verify');
CREATE INDEX action_by_state ON action (state, created_at, id);
CREATE INDEX action_by_key ON action (issue_key, created_at, id);
CREATE INDEX action_by_repository ON action (repository_id, created_at, id);
CREATE INDEX action_by_time ON action (created_at, id);
CREATE INDEX action_by_actor ON action (actor_id);
CREATE INDEX action_by_push ON action (push_id);

-- Development information: commits, branches and pull requests as Jira shall
-- show them. Only the newest version of each matters.
CREATE TABLE entity (
  id                INTEGER PRIMARY KEY AUTOINCREMENT,
  site_id           INTEGER NOT NULL,
  repository_id     INTEGER NOT NULL REFERENCES repository ON DELETE CASCADE,
  kind              TEXT NOT NULL,  -- 'commit', 'branch', 'pull_request'
  entity_id         TEXT NOT NULL,  -- commit, full ref name or number
  keys              TEXT NOT NULL,  -- JSON array; []: withdraw
  version           INTEGER NOT NULL, -- from counter 'version'
  backfill          INTEGER NOT NULL, -- must not fire automation
  state             TEXT NOT NULL,  -- pending leased retry waiting dead done
  attempts          INTEGER NOT NULL,
  next_at           INTEGER NOT NULL,
  sent_at           INTEGER NOT NULL,
  queued_at         INTEGER NOT NULL, -- when this version was queued
  delivered_version INTEGER NOT NULL, -- 0: Jira has none
  delivered_keys    TEXT NOT NULL,  -- JSON array
  problem           TEXT NOT NULL,
  lease_boot        TEXT NOT NULL,
  lease_until       INTEGER NOT NULL,
  UNIQUE (site_id, repository_id, kind, entity_id)
) STRICT;

CREATE INDEX entity_due ON entity (backfill, next_at, id)
  WHERE state IN ('pending', 'retry');
CREATE INDEX entity_by_state ON entity (state, queued_at, id);
CREATE INDEX entity_by_repository ON entity (repository_id, queued_at, id);
CREATE INDEX entity_by_time ON entity (queued_at, id);

-- The keys of entities once more, to find an issue's entities.
CREATE TABLE entity_key (
  issue_key TEXT NOT NULL,
  entity_id INTEGER NOT NULL REFERENCES entity ON DELETE CASCADE,
  PRIMARY KEY (issue_key, entity_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX entity_key_by_entity ON entity_key (entity_id);

-- At most one row: deliveries are held back.
CREATE TABLE pause (
  id       INTEGER PRIMARY KEY CHECK (id = 1),
  reason   TEXT NOT NULL,
  since_at INTEGER NOT NULL,
  until_at INTEGER NOT NULL         -- 0: until resumed
) STRICT;
