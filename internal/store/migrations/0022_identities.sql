-- Who a user is at an OpenID Connect provider. The first log-in finds the user
-- by a claim and writes this row; later ones go by it alone, since names and
-- addresses at the provider may pass to somebody else.

CREATE TABLE identity (
  issuer     TEXT NOT NULL,    -- 'iss' of the ID token
  subject    TEXT NOT NULL,    -- 'sub' of it, never given twice by the issuer
  user_id    INTEGER NOT NULL REFERENCES user ON DELETE CASCADE,
  created_at INTEGER NOT NULL,
  PRIMARY KEY (issuer, subject)
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX identity_by_user ON identity (user_id, issuer);
