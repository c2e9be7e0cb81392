-- Times that end in _ms are milliseconds since 1970. `expires` and `granted` are milliseconds of
-- the steady clock of the server that runs, which sets them anew when it starts.
-- `rev` numbers commits, rising: a reader that has seen everything up to one asks for what is above.

CREATE TABLE resource_classes (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    description TEXT NOT NULL
);

-- Tokens are random and 256 bits wide, so that a plain hash of them gives nothing away.
CREATE TABLE tokens (
    id TEXT PRIMARY KEY,
    class TEXT NOT NULL REFERENCES resource_classes (name),
    nickname TEXT NOT NULL,
    hash BLOB NOT NULL UNIQUE,
    created_ms INTEGER NOT NULL
);
CREATE INDEX tokens_of_class ON tokens (class);

CREATE TABLE runners (
    class TEXT NOT NULL,
    name TEXT NOT NULL,
    hostname TEXT NOT NULL,
    ip TEXT NOT NULL,
    version TEXT NOT NULL,
    first_ms INTEGER NOT NULL,
    last_ms INTEGER NOT NULL,
    last_used_ms INTEGER,
    PRIMARY KEY (class, name)
);

CREATE TABLE projects (
    name TEXT PRIMARY KEY,
    pipelines INTEGER NOT NULL,
    jobs INTEGER NOT NULL
);

CREATE TABLE sources (
    id TEXT PRIMARY KEY,
    size INTEGER NOT NULL,
    created_ms INTEGER NOT NULL
);

CREATE TABLE pipelines (
    id TEXT PRIMARY KEY,
    project TEXT NOT NULL REFERENCES projects (name),
    number INTEGER NOT NULL,
    branch TEXT,
    tag TEXT,
    revision TEXT,
    repository_url TEXT,
    from_fork INTEGER NOT NULL,
    source TEXT REFERENCES sources (id),
    created_ms INTEGER NOT NULL,
    warnings TEXT NOT NULL,
    UNIQUE (project, number)
);
CREATE INDEX pipelines_by_time ON pipelines (created_ms);

CREATE TABLE workflows (
    id TEXT PRIMARY KEY,
    pipeline TEXT NOT NULL REFERENCES pipelines (id),
    position INTEGER NOT NULL,
    name TEXT NOT NULL,
    phase TEXT NOT NULL,
    outcome TEXT,
    rev INTEGER NOT NULL
);
CREATE INDEX workflows_of_pipeline ON workflows (pipeline);

CREATE TABLE jobs (
    id TEXT PRIMARY KEY,
    workflow TEXT NOT NULL REFERENCES workflows (id),
    pipeline TEXT NOT NULL REFERENCES pipelines (id),
    position INTEGER NOT NULL,
    number INTEGER NOT NULL,
    name TEXT NOT NULL,
    requires TEXT NOT NULL,
    class TEXT NOT NULL,
    phase TEXT NOT NULL,
    outcome TEXT,
    message TEXT,
    queued_ms INTEGER,
    started_ms INTEGER,
    ended_ms INTEGER,
    runner TEXT,
    rev INTEGER NOT NULL
);
CREATE INDEX jobs_of_workflow ON jobs (workflow, position);
CREATE INDEX jobs_by_change ON jobs (pipeline, rev);

-- What a job does, compiled. Apart from `jobs`, whose rows change often.
CREATE TABLE job_specs (
    job TEXT PRIMARY KEY REFERENCES jobs (id),
    version INTEGER NOT NULL,
    spec TEXT NOT NULL
);

-- One parallel run of a job. `queue` is its place in the line while it is queued.
CREATE TABLE tasks (
    id TEXT PRIMARY KEY,
    job TEXT NOT NULL REFERENCES jobs (id),
    pipeline TEXT NOT NULL,
    class TEXT NOT NULL,
    phase TEXT NOT NULL,
    outcome TEXT,
    queue INTEGER,
    allocation TEXT,
    granted INTEGER,
    expires INTEGER,
    step_started INTEGER NOT NULL DEFAULT 0,
    unclaims INTEGER NOT NULL DEFAULT 0,
    cancel TEXT,
    last_seq INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX tasks_of_job ON tasks (job);
CREATE UNIQUE INDEX tasks_queued ON tasks (class, queue) WHERE phase = 'queued';
CREATE INDEX tasks_leased ON tasks (expires) WHERE phase = 'running';
CREATE INDEX tasks_running ON tasks (class) WHERE phase = 'running';

-- Every claim there was: a token of an earlier one is told from one that never was.
CREATE TABLE allocations (
    id TEXT PRIMARY KEY,
    task TEXT NOT NULL REFERENCES tasks (id),
    hash BLOB NOT NULL UNIQUE,
    runner TEXT NOT NULL,
    created_ms INTEGER NOT NULL
);
