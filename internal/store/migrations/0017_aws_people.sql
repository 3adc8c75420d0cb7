-- Who people are at AWS: CodeCommit names authors and reviewers of pull requests
-- by ARN only.

CREATE TABLE aws_person (
  arn     TEXT PRIMARY KEY, -- of an IAM user, of a session of a role, or of a federated user
  user_id INTEGER NOT NULL REFERENCES user ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE INDEX aws_person_by_user ON aws_person (user_id);

-- A person's own access key says it too.
CREATE INDEX personal_credential_by_arn ON personal_credential (arn);

ALTER TABLE pull_request ADD COLUMN author_arn TEXT NOT NULL DEFAULT '';
