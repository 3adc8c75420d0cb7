-- Calls to other servers after something moved, in GitHub's form, and the
-- programs that were allowed to ask for them.

CREATE TABLE webhook (
  id            INTEGER PRIMARY KEY AUTOINCREMENT, -- part of what seals its secret
  repository_id INTEGER NOT NULL REFERENCES repository ON DELETE CASCADE,
  url           TEXT NOT NULL,
  content_type  TEXT NOT NULL,      -- 'json' or 'form'
  secret        BLOB,               -- sealed; signs what is sent, NULL: none
  events        TEXT NOT NULL,      -- JSON array of event names
  active        INTEGER NOT NULL,
  jira          INTEGER NOT NULL,   -- may call the connected Jira only
  user_id       INTEGER REFERENCES user ON DELETE SET NULL, -- who made it
  upto          INTEGER NOT NULL,   -- last movement (seq) of which deliveries were made
  created_at    INTEGER NOT NULL,
  updated_at    INTEGER NOT NULL,
  last_code     INTEGER NOT NULL,   -- status of the last answer, 0: none
  last_message  TEXT NOT NULL
) STRICT;

CREATE INDEX webhook_by_repository ON webhook (repository_id, id);
CREATE INDEX webhook_by_user ON webhook (user_id);

-- Pull requests as each hook was last told of them: the difference to
-- pull_request is the event.
CREATE TABLE webhook_pull (
  webhook_id    INTEGER NOT NULL REFERENCES webhook ON DELETE CASCADE,
  number     INTEGER NOT NULL,
  status     TEXT NOT NULL,
  source_oid BLOB NOT NULL,
  updated_at INTEGER NOT NULL,      -- copy of the pull request's
  PRIMARY KEY (webhook_id, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE webhook_delivery (
  id           INTEGER PRIMARY KEY AUTOINCREMENT, -- order within a hook
  webhook_id   INTEGER NOT NULL REFERENCES webhook ON DELETE CASCADE,
  guid         TEXT NOT NULL,       -- the same in every attempt and redelivery
  event        TEXT NOT NULL,
  action       TEXT NOT NULL,       -- of pull requests: 'opened', …
  payload      TEXT NOT NULL,       -- JSON
  redelivery   INTEGER NOT NULL,
  state        TEXT NOT NULL,       -- pending sending done dead
  attempts     INTEGER NOT NULL,
  next_at      INTEGER NOT NULL,    -- not before; while sending: when the lease ends
  created_at   INTEGER NOT NULL,
  delivered_at INTEGER NOT NULL,    -- end of the latest attempt
  duration_ms  INTEGER NOT NULL,
  code         INTEGER NOT NULL,    -- status of the latest answer, 0: none
  request      TEXT NOT NULL,       -- JSON object of the headers sent, without secrets
  response     TEXT NOT NULL,       -- JSON object of the headers received
  body         TEXT NOT NULL,       -- beginning of the answer
  problem      TEXT NOT NULL
) STRICT;

CREATE INDEX webhook_delivery_by_hook ON webhook_delivery (webhook_id, id);
CREATE INDEX webhook_delivery_due ON webhook_delivery (next_at, id) WHERE state IN ('pending', 'sending');
CREATE INDEX webhook_delivery_sending ON webhook_delivery (webhook_id) WHERE state = 'sending';
CREATE INDEX webhook_delivery_ended ON webhook_delivery (created_at) WHERE state IN ('done', 'dead');

-- Programs that may be given tokens by way of a consent page (OAuth 2,
-- RFC 6749).
CREATE TABLE oauth_client (
  id           INTEGER PRIMARY KEY AUTOINCREMENT,
  client_id    TEXT NOT NULL UNIQUE, -- 20 hexadecimal digits
  secret_hash  BLOB NOT NULL,       -- SHA-256; the text is not kept
  name         TEXT NOT NULL,
  redirect     TEXT NOT NULL,       -- URL below which redirect URIs must lie
  created_at   INTEGER NOT NULL
) STRICT;

-- Codes between the consent page and the token: once, for ten minutes.
CREATE TABLE oauth_code (
  hash         BLOB PRIMARY KEY,    -- SHA-256 of the code
  oauth_client INTEGER NOT NULL REFERENCES oauth_client ON DELETE CASCADE,
  user_id      INTEGER NOT NULL REFERENCES user ON DELETE CASCADE,
  redirect     TEXT NOT NULL,       -- the redirect URI of the request
  created_at   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX oauth_code_by_client ON oauth_code (oauth_client);
CREATE INDEX oauth_code_by_user ON oauth_code (user_id);
