-- What connecting accounts needs: where access keys come from, addresses that
-- AWS calls, topics and triggers, the timetable, names of the past,
-- permissions and the log that people read.

ALTER TABLE integration ADD COLUMN credential_source TEXT NOT NULL DEFAULT ''; -- '' (stored key), 'environment', 'profile'
ALTER TABLE integration ADD COLUMN profile TEXT NOT NULL DEFAULT '';           -- of AWS's shared files
ALTER TABLE integration ADD COLUMN role_arn TEXT NOT NULL DEFAULT '';          -- assumed with the credentials of the source
ALTER TABLE integration ADD COLUMN external_id TEXT NOT NULL DEFAULT '';
ALTER TABLE integration ADD COLUMN topic_arn TEXT NOT NULL DEFAULT '';         -- a topic that exists, '': our own
ALTER TABLE integration ADD COLUMN topic_sha1 INTEGER NOT NULL DEFAULT 0;      -- messages of signature version 1 are taken

-- Secrets in the addresses that triggers call. The text is sealed, since
-- people copy the address; the hash finds it.
CREATE TABLE trigger_secret (
  id             INTEGER PRIMARY KEY AUTOINCREMENT, -- part of what seals the secret
  route          TEXT NOT NULL,     -- 'install', 'integration', 'repo'
  integration_id INTEGER REFERENCES integration ON DELETE CASCADE, -- of route 'integration'
  repository_id  INTEGER REFERENCES repository ON DELETE CASCADE,  -- of route 'repo'
  secret         BLOB,              -- sealed
  hash           BLOB NOT NULL,     -- SHA-256 of the text
  created_at     INTEGER NOT NULL
) STRICT;

CREATE UNIQUE INDEX trigger_secret_by_target ON trigger_secret (route, COALESCE(integration_id, 0), COALESCE(repository_id, 0));
CREATE INDEX trigger_secret_by_integration ON trigger_secret (integration_id);
CREATE INDEX trigger_secret_by_repository ON trigger_secret (repository_id);

-- How far the automatic triggers of an account are set up.
CREATE TABLE trigger_setup (
  integration_id INTEGER PRIMARY KEY REFERENCES integration ON DELETE CASCADE,
  state          TEXT NOT NULL,     -- 'pending' (not confirmed), 'confirmed', 'polling'
  topic          TEXT NOT NULL,     -- ARN, '': none yet
  own            INTEGER NOT NULL,  -- the topic is ours to delete
  subscription   TEXT NOT NULL,     -- ARN, '': none
  endpoint       TEXT NOT NULL,     -- hash of the address that was subscribed
  asked_at       INTEGER NOT NULL,  -- when the subscription was last asked for
  message_at     INTEGER NOT NULL,  -- when the last genuine message came
  problem        TEXT NOT NULL,     -- why there is polling only
  missing        TEXT NOT NULL,     -- JSON array of IAM actions
  checked_at     INTEGER NOT NULL
) STRICT;

-- The trigger in a repository's list at AWS.
CREATE TABLE repository_trigger (
  repository_id INTEGER PRIMARY KEY REFERENCES repository ON DELETE CASCADE,
  topic         TEXT NOT NULL,      -- where it leads, '': it is not there
  problem       TEXT NOT NULL,
  checked_at    INTEGER NOT NULL
) STRICT;

-- When a repository is looked at next, and why.
CREATE TABLE timetable (
  repository_id INTEGER PRIMARY KEY REFERENCES repository ON DELETE CASCADE,
  next_at       INTEGER NOT NULL,
  looked_at     INTEGER NOT NULL,   -- last look that worked
  changed_at    INTEGER NOT NULL,   -- last look that found something
  notified_at   INTEGER NOT NULL,   -- last trigger for it, 0: none ever came
  missing_at    INTEGER NOT NULL,   -- when the account's list first lacked it, 0: it is there
  misses        INTEGER NOT NULL,   -- looks at the list, an hour apart, that lacked it
  problem       TEXT NOT NULL       -- of the last look
) STRICT;

CREATE INDEX timetable_by_next ON timetable (next_at);

INSERT INTO timetable (repository_id, next_at, looked_at, changed_at, notified_at, missing_at, misses, problem)
SELECT id, 0, 0, 0, 0, 0, 0, '' FROM repository;

CREATE TRIGGER repository_timetable AFTER INSERT ON repository BEGIN
  INSERT INTO timetable (repository_id, next_at, looked_at, changed_at, notified_at, missing_at, misses, problem)
  VALUES (NEW.id, 0, 0, 0, 0, 0, 0, '');
END;

-- Names that renamed repositories had; they answer for a while.
CREATE TABLE former_path (
  integration_id INTEGER NOT NULL REFERENCES integration ON DELETE CASCADE,
  name           TEXT NOT NULL,
  repository_id  INTEGER NOT NULL REFERENCES repository ON DELETE CASCADE,
  until_at       INTEGER NOT NULL,
  PRIMARY KEY (integration_id, name)
) STRICT, WITHOUT ROWID;

CREATE INDEX former_path_by_repository ON former_path (repository_id);

-- Repositories that people disconnected: they do not come back by themselves.
CREATE TABLE unticked (
  integration_id INTEGER NOT NULL REFERENCES integration ON DELETE CASCADE,
  host_id        TEXT NOT NULL,
  at             INTEGER NOT NULL,
  PRIMARY KEY (integration_id, host_id)
) STRICT, WITHOUT ROWID;

-- What is known of the permissions of an account's credentials.
CREATE TABLE permission (
  integration_id INTEGER NOT NULL REFERENCES integration ON DELETE CASCADE,
  action         TEXT NOT NULL,     -- 'codecommit:GitPull'
  state          TEXT NOT NULL,     -- 'ok', 'missing'
  detail         TEXT NOT NULL,     -- what AWS said
  checked_at     INTEGER NOT NULL,
  PRIMARY KEY (integration_id, action)
) STRICT, WITHOUT ROWID;

-- What people read of the work on a repository or an integration; the latest
-- lines of each are kept.
CREATE TABLE log_line (
  id             INTEGER PRIMARY KEY AUTOINCREMENT,
  repository_id  INTEGER REFERENCES repository ON DELETE CASCADE,
  integration_id INTEGER REFERENCES integration ON DELETE CASCADE, -- only of lines about the integration itself
  at             INTEGER NOT NULL,
  level          TEXT NOT NULL,     -- 'info', 'warning', 'error'
  text           TEXT NOT NULL
) STRICT;

CREATE INDEX log_line_by_repository ON log_line (repository_id, id);
CREATE INDEX log_line_by_integration ON log_line (integration_id, id);
