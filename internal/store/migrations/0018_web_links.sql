-- Addresses of a single repository's pages at its host.

ALTER TABLE repository ADD COLUMN web_links TEXT NOT NULL DEFAULT ''; -- JSON of templates, '': none
