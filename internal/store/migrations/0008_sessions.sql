-- Web sessions and what people set for themselves.

CREATE TABLE session (
  id         INTEGER PRIMARY KEY,
  hash       BLOB NOT NULL UNIQUE,  -- SHA-256 of the cookie's text
  user_id    INTEGER NOT NULL REFERENCES user ON DELETE CASCADE,
  created_at INTEGER NOT NULL,
  seen_at    INTEGER NOT NULL,      -- exact to a minute
  address    TEXT NOT NULL,         -- where it was last used
  agent      TEXT NOT NULL,         -- the browser, as it names itself
  flash      TEXT NOT NULL          -- shown once on the next page; '': nothing
) STRICT;

CREATE INDEX session_by_user ON session (user_id);
CREATE INDEX session_by_time ON session (seen_at);

CREATE TABLE preference (
  user_id INTEGER NOT NULL REFERENCES user ON DELETE CASCADE,
  name    TEXT NOT NULL,
  value   TEXT NOT NULL,            -- JSON
  PRIMARY KEY (user_id, name)
) STRICT, WITHOUT ROWID;

-- Pushes by day, for charts.
CREATE INDEX push_by_time ON push (received_at);
