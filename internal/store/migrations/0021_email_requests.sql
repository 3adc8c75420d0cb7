-- Addresses that people say are theirs. They count for nothing until an
-- administrator confirms them.

CREATE TABLE email_request (
  user_id INTEGER NOT NULL REFERENCES user ON DELETE CASCADE,
  folded  TEXT NOT NULL,            -- lower case
  email   TEXT NOT NULL,            -- as given
  at      INTEGER NOT NULL,
  PRIMARY KEY (user_id, folded)
) STRICT, WITHOUT ROWID;
