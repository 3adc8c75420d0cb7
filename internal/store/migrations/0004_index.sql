-- Pushes, refs, commits and their issue keys.

CREATE TABLE push (
  id               INTEGER PRIMARY KEY AUTOINCREMENT,
  repository_id    INTEGER NOT NULL REFERENCES repository ON DELETE CASCADE,
  user_id          INTEGER REFERENCES user ON DELETE SET NULL,
  credential       TEXT NOT NULL,
  address          TEXT NOT NULL,
  state            TEXT NOT NULL,   -- released resolved done refused aborted unknown
  updates          TEXT NOT NULL,   -- JSON array of {name, old, new}
  results          TEXT NOT NULL,   -- JSON array of {name, outcome, reason}
  no_smart_commits INTEGER NOT NULL, -- commands in it are not carried out
  quarantine       TEXT NOT NULL,   -- directory that still holds the pack
  received_at      INTEGER NOT NULL,
  released_at      INTEGER NOT NULL,
  done_at          INTEGER NOT NULL,
  reason           TEXT NOT NULL
) STRICT;

CREATE INDEX push_by_repository ON push (repository_id, id);
CREATE INDEX push_by_user ON push (user_id);
CREATE INDEX push_unresolved ON push (id) WHERE state IN ('released', 'resolved');

-- Refs as indexed: what the movement log adds up to.
CREATE TABLE ref (
  repository_id INTEGER NOT NULL REFERENCES repository ON DELETE CASCADE,
  name          TEXT NOT NULL,      -- full name
  oid           BLOB NOT NULL,
  PRIMARY KEY (repository_id, name)
) STRICT, WITHOUT ROWID;

-- Every movement of a ref, in the order in which it was indexed.
CREATE TABLE movement (
  seq           INTEGER PRIMARY KEY AUTOINCREMENT,
  repository_id INTEGER NOT NULL REFERENCES repository ON DELETE CASCADE,
  ref           TEXT NOT NULL,
  old           BLOB NOT NULL,      -- 20 zero bytes: created
  new           BLOB NOT NULL,      -- 20 zero bytes: deleted
  at            INTEGER NOT NULL,
  push_id       INTEGER REFERENCES push ON DELETE SET NULL -- NULL: found by sync
) STRICT;

CREATE INDEX movement_by_repository ON movement (repository_id, seq);
CREATE INDEX movement_by_push ON movement (push_id);

-- Issue keys in branch names.
CREATE TABLE ref_link (
  repository_id INTEGER NOT NULL REFERENCES repository ON DELETE CASCADE,
  ref           TEXT NOT NULL,
  issue_key     TEXT NOT NULL,
  PRIMARY KEY (repository_id, ref, issue_key)
) STRICT, WITHOUT ROWID;

CREATE INDEX ref_link_by_key ON ref_link (issue_key);

CREATE TABLE git_commit (
  id              INTEGER PRIMARY KEY,
  repository_id   INTEGER NOT NULL REFERENCES repository ON DELETE CASCADE,
  oid             BLOB NOT NULL,
  parents         BLOB NOT NULL,    -- 20 bytes each, in order
  author_name     TEXT NOT NULL,
  author_email    TEXT NOT NULL,
  authored_at     INTEGER NOT NULL,
  committer_name  TEXT NOT NULL,
  committer_email TEXT NOT NULL,
  committed_at    INTEGER NOT NULL,
  message         TEXT NOT NULL,    -- at most 64 KiB
  initial         INTEGER NOT NULL, -- seen by a first index: never runs commands
  reachable       INTEGER NOT NULL, -- some ref leads to it
  linked          INTEGER NOT NULL, -- has rows in link
  seen_at         INTEGER NOT NULL,
  UNIQUE (repository_id, oid)
) STRICT;

CREATE INDEX git_commit_by_time ON git_commit (committed_at, id);
CREATE INDEX git_commit_by_repository ON git_commit (repository_id, committed_at, id, linked);
CREATE INDEX git_commit_linked ON git_commit (repository_id, committed_at, id) WHERE linked = 1;

-- Commit and issue. Two columns are copies from git_commit, so that an
-- issue's page is one range of an index.
CREATE TABLE link (
  commit_id     INTEGER NOT NULL REFERENCES git_commit ON DELETE CASCADE,
  issue_key     TEXT NOT NULL,
  reason        TEXT NOT NULL,      -- where the key was found
  committed_at  INTEGER NOT NULL,   -- copy
  repository_id INTEGER NOT NULL,   -- copy
  PRIMARY KEY (commit_id, issue_key)
) STRICT, WITHOUT ROWID;

CREATE INDEX link_by_key ON link (issue_key, committed_at, commit_id);
CREATE INDEX link_by_repository ON link (repository_id, issue_key);

-- Keys whose project Jira did not know; they become links or stay here.
CREATE TABLE candidate (
  commit_id INTEGER NOT NULL REFERENCES git_commit ON DELETE CASCADE,
  issue_key TEXT NOT NULL,
  project   TEXT NOT NULL,          -- the key's part before the dash
  PRIMARY KEY (commit_id, issue_key)
) STRICT, WITHOUT ROWID;

CREATE INDEX candidate_by_project ON candidate (project, commit_id);

CREATE TABLE pull_request (
  id              INTEGER PRIMARY KEY,
  repository_id   INTEGER NOT NULL REFERENCES repository ON DELETE CASCADE,
  number          INTEGER NOT NULL, -- upstream's number
  title           TEXT NOT NULL,
  description     TEXT NOT NULL,
  source          TEXT NOT NULL,    -- full ref names
  destination     TEXT NOT NULL,
  source_oid      BLOB NOT NULL,    -- 20 zero bytes: not known
  destination_oid BLOB NOT NULL,
  merge_oid       BLOB NOT NULL,
  status          TEXT NOT NULL,    -- 'open' or 'closed'
  merged          INTEGER NOT NULL,
  author          TEXT NOT NULL,
  url             TEXT NOT NULL,
  created_at      INTEGER NOT NULL,
  updated_at      INTEGER NOT NULL,
  UNIQUE (repository_id, number)
) STRICT;

CREATE TABLE pull_request_link (
  pull_request_id INTEGER NOT NULL REFERENCES pull_request ON DELETE CASCADE,
  issue_key       TEXT NOT NULL,
  PRIMARY KEY (pull_request_id, issue_key)
) STRICT, WITHOUT ROWID;

CREATE INDEX pull_request_link_by_key ON pull_request_link (issue_key);
