-- Pipelines whose configuration is `setup: true`. `submission` is JSON: what they were submitted
-- with, for what they go on with. `continued_ms` is when that was; they go on once.
CREATE TABLE setups (
    pipeline TEXT PRIMARY KEY REFERENCES pipelines (id),
    submission TEXT NOT NULL,
    continued_ms INTEGER
);

-- The hash of the key that lets the task of a claim say what its pipeline goes on with.
ALTER TABLE allocations ADD COLUMN continuation BLOB;
CREATE UNIQUE INDEX allocations_by_continuation ON allocations (continuation)
    WHERE continuation IS NOT NULL;

-- Orbs for all projects. A version is never replaced, unless it is one in development.
CREATE TABLE orbs (
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    source TEXT NOT NULL,
    created_ms INTEGER NOT NULL,
    PRIMARY KEY (name, version)
);
