-- People and machines with rights, and what they sign in with.

CREATE TABLE user (
  id         INTEGER PRIMARY KEY AUTOINCREMENT, -- never given twice: old audit rows name it
  name       TEXT NOT NULL UNIQUE,  -- log-in name, lower case
  display    TEXT NOT NULL,
  admin      INTEGER NOT NULL,      -- manages integrations, users and grants
  disabled   INTEGER NOT NULL,      -- none of the user's credentials work
  password   TEXT NOT NULL,         -- argon2id PHC string, '': cannot sign in by password
  jira_token BLOB,                  -- sealed; personal token, NULL: none
  jira_email TEXT NOT NULL,         -- account that goes with jira_token
  created_at INTEGER NOT NULL
) STRICT;

-- Addresses of a user; one address belongs to one user.
CREATE TABLE user_email (
  folded  TEXT PRIMARY KEY,         -- lower case, for look-up
  user_id INTEGER NOT NULL REFERENCES user ON DELETE CASCADE,
  email   TEXT NOT NULL,            -- as given
  ordinal INTEGER NOT NULL          -- 0: main address; 1 and up: aliases
) STRICT, WITHOUT ROWID;

CREATE INDEX user_email_by_user ON user_email (user_id, ordinal);

CREATE TABLE ssh_key (
  id           INTEGER PRIMARY KEY AUTOINCREMENT,
  user_id      INTEGER NOT NULL REFERENCES user ON DELETE CASCADE,
  name         TEXT NOT NULL,
  type         TEXT NOT NULL,       -- 'ssh-ed25519', …
  fingerprint  TEXT NOT NULL UNIQUE, -- 'SHA256:…'; a key belongs to one user
  public       TEXT NOT NULL,       -- 'ssh-ed25519 AAAA…'
  created_at   INTEGER NOT NULL,
  last_used_at INTEGER NOT NULL,    -- exact to a minute
  last_address TEXT NOT NULL
) STRICT;

CREATE INDEX ssh_key_by_user ON ssh_key (user_id);

CREATE TABLE token (
  id           INTEGER PRIMARY KEY AUTOINCREMENT,
  user_id      INTEGER NOT NULL REFERENCES user ON DELETE CASCADE,
  name         TEXT NOT NULL,
  hash         BLOB NOT NULL UNIQUE, -- SHA-256 of the token's text; the text is not kept
  scopes       TEXT NOT NULL,       -- JSON array
  globs        TEXT NOT NULL,       -- JSON array of repository globs, []: no narrowing
  created_at   INTEGER NOT NULL,
  expires_at   INTEGER NOT NULL,
  last_used_at INTEGER NOT NULL,    -- exact to a minute
  last_address TEXT NOT NULL,
  revoked_at   INTEGER NOT NULL
) STRICT;

CREATE INDEX token_by_user ON token (user_id);

CREATE TABLE user_grant (
  id      INTEGER PRIMARY KEY AUTOINCREMENT,
  user_id INTEGER NOT NULL REFERENCES user ON DELETE CASCADE,
  glob    TEXT NOT NULL,            -- matched against OWNER/NAME
  level   INTEGER NOT NULL,         -- 0 none, 1 read, 2 write, 3 admin
  UNIQUE (user_id, glob)
) STRICT;
