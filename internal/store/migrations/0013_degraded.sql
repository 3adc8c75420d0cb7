-- What git's check of objects says of a repository's upstream.

ALTER TABLE repository ADD COLUMN degraded TEXT NOT NULL DEFAULT '';    -- git's message id and the object refused; empty: none is
ALTER TABLE repository ADD COLUMN fsck_ignore TEXT NOT NULL DEFAULT ''; -- message ids that do not refuse objects, with a space between
