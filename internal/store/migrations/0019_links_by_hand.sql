-- What people decided on the issues of a commit, branch or pull request. It
-- stands beside what the index finds, so that reading a repository anew
-- neither loses an association nor brings a removed one back.

CREATE TABLE hand_link (
  repository_id INTEGER NOT NULL REFERENCES repository ON DELETE CASCADE,
  kind          TEXT NOT NULL,      -- 'commit', 'branch', 'pull_request'
  entity_id     TEXT NOT NULL,      -- commit, full ref name or number
  issue_key     TEXT NOT NULL,
  linked        INTEGER NOT NULL,   -- 0: removed, whatever the text says
  user_id       INTEGER REFERENCES user ON DELETE SET NULL,
  user_name     TEXT NOT NULL,      -- stays when the user goes
  at            INTEGER NOT NULL,
  PRIMARY KEY (repository_id, kind, entity_id, issue_key)
) STRICT, WITHOUT ROWID;

CREATE INDEX hand_link_by_key ON hand_link (issue_key);
CREATE INDEX hand_link_by_user ON hand_link (user_id);
