-- Variables of projects and contexts. `sealed` is the value under the key of the data directory;
-- scope, owner and name are authenticated with it, so that no row can be passed off as another.
CREATE TABLE variables (
    scope TEXT NOT NULL CHECK (scope IN ('project', 'context')),
    owner TEXT NOT NULL,
    name TEXT NOT NULL,
    sealed BLOB NOT NULL,
    updated_ms INTEGER NOT NULL,
    PRIMARY KEY (scope, owner, name)
);

-- `projects` is JSON: the projects that may use the context; null is all of them.
CREATE TABLE contexts (
    name TEXT PRIMARY KEY,
    projects TEXT NOT NULL,
    created_ms INTEGER NOT NULL
);

ALTER TABLE jobs ADD COLUMN contexts TEXT NOT NULL DEFAULT '[]';
ALTER TABLE resource_classes ADD COLUMN allow_forks INTEGER NOT NULL DEFAULT 0;
