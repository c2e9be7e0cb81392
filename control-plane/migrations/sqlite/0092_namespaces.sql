-- Namespaces, in which classes, contexts and projects live. They are never renamed or deleted. `owner_kind` is
-- `user` or `organization`.
CREATE TABLE namespaces (
    name TEXT PRIMARY KEY,
    owner_kind TEXT NOT NULL,
    owner TEXT NOT NULL,
    created_by TEXT NOT NULL,
    created_ms INTEGER NOT NULL
);

-- Those that are used already are claimed, each for the organization of its name.
INSERT INTO namespaces (name, owner_kind, owner, created_by, created_ms)
SELECT DISTINCT name, 'organization', name, 'an upgrade', CAST(strftime('%s', 'now') AS INTEGER) * 1000 FROM (
    SELECT substr(name, 1, instr(name, '/') - 1) AS name FROM resource_classes
    UNION SELECT lower(substr(name, 1, instr(name, '/') - 1)) FROM contexts
    UNION SELECT lower(substr(name, 1, instr(name, '/') - 1)) FROM projects
    UNION SELECT namespace FROM user_roles
) WHERE name != '' AND name NOT GLOB '*[^a-z0-9_-]*' AND length(name) <= 100;
