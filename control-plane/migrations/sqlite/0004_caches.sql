-- Caches. `scope` says who shares them: project, class and, for forks, the branch. `paths` is JSON.
-- A row is never changed but for its last use: who saves under a key that is there saves nothing.
CREATE TABLE caches (
    id TEXT PRIMARY KEY,
    scope TEXT NOT NULL,
    key TEXT NOT NULL,
    project TEXT NOT NULL,
    job_number INTEGER NOT NULL,
    size INTEGER NOT NULL,
    blake3 TEXT NOT NULL,
    object TEXT NOT NULL,
    paths TEXT NOT NULL,
    created_ms INTEGER NOT NULL,
    expires_ms INTEGER NOT NULL,
    UNIQUE (scope, key)
);
CREATE INDEX caches_by_object ON caches (object);
CREATE INDEX caches_by_expiry ON caches (expires_ms);
CREATE INDEX caches_by_project ON caches (project, created_ms);
