-- Counts changes of the list of repositories, so that who has the list knows
-- whether it is still the same.

INSERT INTO counter (name, value) VALUES ('repositories', 0);

CREATE TRIGGER repository_added AFTER INSERT ON repository BEGIN
  UPDATE counter SET value = value + 1 WHERE name = 'repositories';
END;

CREATE TRIGGER repository_changed AFTER UPDATE ON repository BEGIN
  UPDATE counter SET value = value + 1 WHERE name = 'repositories';
END;

CREATE TRIGGER repository_removed AFTER DELETE ON repository BEGIN
  UPDATE counter SET value = value + 1 WHERE name = 'repositories';
END;

CREATE TRIGGER repository_owner_changed AFTER UPDATE OF slug ON integration BEGIN
  UPDATE counter SET value = value + 1 WHERE name = 'repositories';
END;
