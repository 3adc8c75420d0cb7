-- Accounts whose sessions of roles come from an end point of their own.

ALTER TABLE integration ADD COLUMN sts_endpoint TEXT NOT NULL DEFAULT ''; -- base URL of STS; '': AWS's own
