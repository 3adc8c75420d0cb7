-- What holds the books together. Conventions of all tables: STRICT; times are
-- Unix milliseconds named ..._at with 0 for "never"; flags are 0 or 1; object
-- names are the 20 bytes of the SHA-1; lists without a table of their own are
-- JSON arrays.

-- One row per value that belongs to the file as a whole.
CREATE TABLE meta (
  name  TEXT PRIMARY KEY, -- 'instance': random id of this installation
                          -- 'probe': sealed constant that proves the master key
  value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- Counters that only grow.
CREATE TABLE counter (
  name  TEXT PRIMARY KEY,  -- 'version': last version given to an entity
  value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

INSERT INTO counter (name, value) VALUES ('version', 0);

-- Settings that pages and the API change.
CREATE TABLE setting (
  name       TEXT PRIMARY KEY,
  value      TEXT NOT NULL,    -- JSON
  changed_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- The audit. Rows are added, pruned by age from the front, never changed.
CREATE TABLE audit (
  seq        INTEGER PRIMARY KEY AUTOINCREMENT, -- 1, 2, 3 … without gaps
  at         INTEGER NOT NULL,
  actor_id   INTEGER NOT NULL, -- user at that time, 0: none; not a reference, users go
  actor      TEXT NOT NULL,    -- name at that time
  credential TEXT NOT NULL,    -- fingerprint, "token 12", "session"
  address    TEXT NOT NULL,    -- where the request came from
  request    TEXT NOT NULL,    -- request id
  action     TEXT NOT NULL,
  object     TEXT NOT NULL,
  result     TEXT NOT NULL,
  reason     TEXT NOT NULL,
  detail     TEXT NOT NULL,
  previous   BLOB NOT NULL,    -- hash of the row before; 32 zero bytes for the first
  hash       BLOB NOT NULL     -- SHA-256 over previous and all columns before it
) STRICT;

CREATE INDEX audit_by_object ON audit (object, seq);
