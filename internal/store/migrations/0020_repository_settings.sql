-- Which Jira projects a repository belongs to, and what else is set for it.

ALTER TABLE integration ADD COLUMN projects TEXT NOT NULL DEFAULT '';     -- of repositories connected later; as below
ALTER TABLE repository ADD COLUMN projects TEXT NOT NULL DEFAULT '';      -- sorted keys between blanks, '': all
ALTER TABLE repository ADD COLUMN read_only INTEGER NOT NULL DEFAULT 0;   -- pushes through us are refused
ALTER TABLE repository ADD COLUMN tag_filter TEXT NOT NULL DEFAULT '';    -- regular expression, '': newest tags are shown
