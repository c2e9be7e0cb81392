-- Namespaces, in which classes, contexts and projects live. They are never renamed or deleted. `owner_kind` is
-- `user` or `organization`.
CREATE TABLE namespaces (
    name TEXT COLLATE "C" PRIMARY KEY,
    owner_kind TEXT COLLATE "C" NOT NULL,
    owner TEXT COLLATE "C" NOT NULL,
    created_by TEXT COLLATE "C" NOT NULL,
    created_ms BIGINT NOT NULL
);

-- Those that are used already are claimed, each for the organization of its name.
INSERT INTO namespaces (name, owner_kind, owner, created_by, created_ms)
SELECT DISTINCT name, 'organization', name, 'an upgrade', CAST(extract(epoch FROM now()) AS BIGINT) * 1000 FROM (
    SELECT split_part(name, '/', 1) AS name FROM resource_classes
    UNION SELECT lower(split_part(name, '/', 1)) FROM contexts WHERE strpos(name, '/') > 0
    UNION SELECT lower(split_part(name, '/', 1)) FROM projects WHERE strpos(name, '/') > 0
    UNION SELECT namespace FROM user_roles
) AS used WHERE name ~ '^[a-z0-9_-]{1,100}$';
