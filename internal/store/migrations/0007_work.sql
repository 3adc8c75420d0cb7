-- Background work and what triggers it.

CREATE TABLE job (
  id             INTEGER PRIMARY KEY AUTOINCREMENT,
  repository_id  INTEGER REFERENCES repository ON DELETE CASCADE,
  integration_id INTEGER REFERENCES integration ON DELETE CASCADE,
  op             TEXT NOT NULL,     -- sync reindex copy purge upkeep integration
  source         TEXT NOT NULL,     -- manual webhook scheduled push initial
  priority       INTEGER NOT NULL,  -- higher first
  state          TEXT NOT NULL,     -- queued running done failed canceled
  queued_at      INTEGER NOT NULL,
  not_before_at  INTEGER NOT NULL,
  started_at     INTEGER NOT NULL,
  finished_at    INTEGER NOT NULL,
  problem        TEXT NOT NULL,
  done           INTEGER NOT NULL,  -- progress
  total          INTEGER NOT NULL,  -- 0: not known
  boot           TEXT NOT NULL      -- process that runs it
) STRICT;

-- One queued entry per thing and operation.
CREATE UNIQUE INDEX job_queued
  ON job (COALESCE(repository_id, 0), COALESCE(integration_id, 0), op)
  WHERE state = 'queued';
CREATE INDEX job_by_state ON job (state, priority, not_before_at, id);
CREATE INDEX job_by_repository ON job (repository_id, id);
CREATE INDEX job_by_integration ON job (integration_id, id);

-- SNS messages already taken.
CREATE TABLE sns_message (
  topic      TEXT NOT NULL,
  message_id TEXT NOT NULL,
  seen_at    INTEGER NOT NULL,
  PRIMARY KEY (topic, message_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX sns_message_by_time ON sns_message (seen_at);

-- Calls of hook addresses, kept 7 days.
CREATE TABLE trigger_call (
  id             INTEGER PRIMARY KEY AUTOINCREMENT,
  at             INTEGER NOT NULL,
  route          TEXT NOT NULL,     -- 'install', 'integration', 'repo'
  integration_id INTEGER REFERENCES integration ON DELETE CASCADE,
  repository_id  INTEGER REFERENCES repository ON DELETE CASCADE,
  address        TEXT NOT NULL,
  message_id     TEXT NOT NULL,
  result         TEXT NOT NULL,
  detail         TEXT NOT NULL
) STRICT;

CREATE INDEX trigger_call_by_time ON trigger_call (at);
CREATE INDEX trigger_call_by_integration ON trigger_call (integration_id, id);
CREATE INDEX trigger_call_by_repository ON trigger_call (repository_id);
