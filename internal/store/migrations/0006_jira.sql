-- The Jira site, and what it said last.

CREATE TABLE jira_site (
  id            INTEGER PRIMARY KEY CHECK (id = 1),
  kind          TEXT NOT NULL,      -- 'cloud' or 'datacenter'
  url           TEXT NOT NULL,
  email         TEXT NOT NULL,
  client_id     TEXT NOT NULL,
  devinfo_url   TEXT NOT NULL,
  token_url     TEXT NOT NULL,
  cloud_id      TEXT NOT NULL,
  hours_per_day REAL NOT NULL,
  days_per_week REAL NOT NULL,
  processor     TEXT NOT NULL,      -- who carries out commands: 'gitferry', 'jira', 'off'
  problem       TEXT NOT NULL,
  checked_at    INTEGER NOT NULL,
  -- Sealed, NULL: none. Cleared when an address above moves to another host.
  api_token     BLOB,
  client_secret BLOB,
  pat           BLOB
) STRICT;

CREATE TABLE issue (
  issue_key  TEXT PRIMARY KEY,
  present    INTEGER NOT NULL,      -- 0: Jira has no such issue
  moved_to   TEXT NOT NULL,         -- key it answers to now, '': the same
  summary    TEXT NOT NULL,
  status     TEXT NOT NULL,
  checked_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX issue_by_time ON issue (checked_at);

-- Project keys of the site as of the last complete list.
CREATE TABLE project (
  project_key TEXT PRIMARY KEY
) STRICT, WITHOUT ROWID;

-- At most one row: when that list was read.
CREATE TABLE project_list (
  id        INTEGER PRIMARY KEY CHECK (id = 1),
  listed_at INTEGER NOT NULL
) STRICT;
