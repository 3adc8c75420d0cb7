-- What each commit changed, so that a reader of one commit needs no git.

-- 0: the commit's file list is not in the books yet. The partial index is the
-- list of what is left to do.
ALTER TABLE git_commit ADD COLUMN filed INTEGER NOT NULL DEFAULT 0;

CREATE INDEX git_commit_unfiled ON git_commit (id) WHERE filed = 0;

-- One row a commit. A list is read and written as a whole, so it is one value.
CREATE TABLE commit_file (
  commit_id INTEGER PRIMARY KEY REFERENCES git_commit ON DELETE CASCADE,
  tree      BLOB NOT NULL,          -- the commit's tree
  files     INTEGER NOT NULL,       -- how many files it changed against its first parent
  added     INTEGER NOT NULL,       -- lines, over all files
  removed   INTEGER NOT NULL,
  list      TEXT NOT NULL           -- JSON array of the first 3,000 files
) STRICT;
