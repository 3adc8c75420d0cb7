-- Upstream accounts and their repositories.

CREATE TABLE integration (
  id              INTEGER PRIMARY KEY AUTOINCREMENT, -- part of what seals its secrets
  slug            TEXT NOT NULL UNIQUE COLLATE NOCASE, -- first part of repository paths
  name            TEXT NOT NULL,
  kind            TEXT NOT NULL,    -- 'codecommit' or 'git'
  region          TEXT NOT NULL,    -- AWS region code, '' for kind git
  account         TEXT NOT NULL,    -- 12 digits, '' until the first look
  git_auth        TEXT NOT NULL,    -- 'none', 'basic', 'sigv4', 'ssh'
  access_key_id   TEXT NOT NULL,
  git_username    TEXT NOT NULL,
  ssh_key_id      TEXT NOT NULL,
  api_endpoint    TEXT NOT NULL,    -- '' : AWS's own
  sns_endpoint    TEXT NOT NULL,
  git_endpoint    TEXT NOT NULL,
  host_key        TEXT NOT NULL,    -- pinned SSH host key, '': the published ones
  private_network INTEGER NOT NULL, -- upstream may be a loopback or private address
  connect_all     INTEGER NOT NULL, -- later repositories connect by themselves
  disabled        INTEGER NOT NULL,
  problem         TEXT NOT NULL,    -- last failure as a whole
  created_at      INTEGER NOT NULL,
  -- Sealed secrets, NULL: none. Cleared when an end point moves to another
  -- host, scheme or port, so that no secret follows a changed address.
  secret_access_key BLOB,
  session_token     BLOB,
  git_password      BLOB,
  ssh_private_key   BLOB,
  ssh_passphrase    BLOB
) STRICT;

CREATE TABLE repository (
  id             INTEGER PRIMARY KEY AUTOINCREMENT, -- names the mirror's directory
  integration_id INTEGER NOT NULL REFERENCES integration ON DELETE CASCADE,
  name           TEXT NOT NULL,
  region         TEXT NOT NULL,
  host_id        TEXT NOT NULL,     -- AWS's id, stays the same over renames
  clone_url      TEXT NOT NULL,
  default_branch TEXT NOT NULL,     -- short name, '' while empty
  state          TEXT NOT NULL,     -- 'enabled', 'disabled', 'missing'
  smart_commits  INTEGER NOT NULL,
  indexed_at     INTEGER NOT NULL,  -- when the first index was complete
  created_at     INTEGER NOT NULL,
  UNIQUE (integration_id, name)
) STRICT;

CREATE INDEX repository_by_name ON repository (name);
