-- Pull requests and branches at the host, and people's own AWS credentials.

ALTER TABLE integration ADD COLUMN personal INTEGER NOT NULL DEFAULT 0;     -- people act with AWS credentials of their own only
ALTER TABLE integration ADD COLUMN pass_through INTEGER NOT NULL DEFAULT 0; -- git over HTTPS with people's own CodeCommit credentials

ALTER TABLE pull_request ADD COLUMN merge_base BLOB NOT NULL DEFAULT x'0000000000000000000000000000000000000000';
ALTER TABLE pull_request ADD COLUMN revision TEXT NOT NULL DEFAULT '';      -- approvals belong to one
ALTER TABLE pull_request ADD COLUMN merged_by TEXT NOT NULL DEFAULT '';
ALTER TABLE pull_request ADD COLUMN reviewers TEXT NOT NULL DEFAULT '[]';   -- JSON: [{"name","approved"}]
ALTER TABLE pull_request ADD COLUMN looked_at INTEGER NOT NULL DEFAULT 0;   -- when the host was last asked for it

CREATE INDEX pull_request_open ON pull_request (repository_id, looked_at, number) WHERE status = 'open';

CREATE TABLE personal_credential (
  id                INTEGER PRIMARY KEY AUTOINCREMENT, -- part of what seals the secret
  user_id           INTEGER NOT NULL REFERENCES user ON DELETE CASCADE,
  integration_id    INTEGER NOT NULL REFERENCES integration ON DELETE CASCADE,
  access_key_id     TEXT NOT NULL,
  secret_access_key BLOB NOT NULL, -- sealed
  arn               TEXT NOT NULL, -- who AWS says it is
  checked_at        INTEGER NOT NULL,
  UNIQUE (user_id, integration_id)
) STRICT;

CREATE INDEX personal_credential_by_integration ON personal_credential (integration_id);

-- What a person asked the host to do, by the token of the dialog, so that a
-- repeated submit has its effect once. Rows are kept for 7 days.
CREATE TABLE host_request (
  user_id    INTEGER NOT NULL REFERENCES user ON DELETE CASCADE,
  token      TEXT NOT NULL,
  request    TEXT NOT NULL,    -- what was asked for, to notice another use
  result     TEXT NOT NULL,    -- '': not known to be done
  created_at INTEGER NOT NULL,
  PRIMARY KEY (user_id, token)
) STRICT, WITHOUT ROWID;

CREATE INDEX host_request_by_time ON host_request (created_at);
