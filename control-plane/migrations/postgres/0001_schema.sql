-- The tables of migrations/sqlite, which a test compares. Numbers and booleans are BIGINT, since SQLite
-- has integers alone. Text is compared byte by byte, as SQLite does, whatever the locale of the database.
--
-- Times that end in _ms are milliseconds since 1970. `expires` and `granted` are milliseconds of the
-- clock of this database, which all servers that use it go by.
-- `rev` is the id of the transaction that changed a row last. Ids are given when transactions begin, not
-- when they become visible: a reader goes by the horizon of its snapshot (src/store/postgres/mod.rs).

-- Places in the line.
CREATE SEQUENCE places_in_line;

-- `pin` is JSON: what its runners are to run; none is the newest release of the stable channel.
CREATE TABLE resource_classes (
    id TEXT COLLATE "C" PRIMARY KEY,
    name TEXT COLLATE "C" NOT NULL UNIQUE,
    description TEXT COLLATE "C" NOT NULL,
    allow_forks BIGINT NOT NULL DEFAULT 0,
    pin TEXT COLLATE "C"
);

-- Tokens are random and 256 bits wide, so that a plain hash of them gives nothing away.
CREATE TABLE tokens (
    id TEXT COLLATE "C" PRIMARY KEY,
    class TEXT COLLATE "C" NOT NULL REFERENCES resource_classes (name),
    nickname TEXT COLLATE "C" NOT NULL,
    hash BYTEA NOT NULL UNIQUE,
    created_ms BIGINT NOT NULL
);
CREATE INDEX tokens_of_class ON tokens (class);

-- `update_state`, `claimants` and what follows them are JSON. A runner of a single task leaves the lists a day
-- after its last claim.
CREATE TABLE runners (
    class TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    hostname TEXT COLLATE "C" NOT NULL,
    ip TEXT COLLATE "C" NOT NULL,
    version TEXT COLLATE "C" NOT NULL,
    first_ms BIGINT NOT NULL,
    last_ms BIGINT NOT NULL,
    last_used_ms BIGINT,
    update_state TEXT COLLATE "C",
    single_task BIGINT NOT NULL DEFAULT 0,
    claimants TEXT COLLATE "C",
    held_slots TEXT COLLATE "C",
    xcodes TEXT COLLATE "C",
    runtimes TEXT COLLATE "C",
    holds TEXT COLLATE "C",
    PRIMARY KEY (class, name)
);
CREATE INDEX runners_by_name ON runners (name);
CREATE INDEX runners_of_one_task ON runners (last_ms) WHERE single_task = 1;

CREATE TABLE projects (
    name TEXT COLLATE "C" PRIMARY KEY,
    pipelines BIGINT NOT NULL,
    jobs BIGINT NOT NULL
);

CREATE TABLE sources (
    id TEXT COLLATE "C" PRIMARY KEY,
    size BIGINT NOT NULL,
    created_ms BIGINT NOT NULL
);

-- `canceled` is 1 while its jobs are being ended, 2 afterwards. Nothing of either starts.
CREATE TABLE pipelines (
    id TEXT COLLATE "C" PRIMARY KEY,
    project TEXT COLLATE "C" NOT NULL REFERENCES projects (name),
    number BIGINT NOT NULL,
    branch TEXT COLLATE "C",
    tag TEXT COLLATE "C",
    revision TEXT COLLATE "C",
    repository_url TEXT COLLATE "C",
    from_fork BIGINT NOT NULL,
    source TEXT COLLATE "C" REFERENCES sources (id),
    created_ms BIGINT NOT NULL,
    warnings TEXT COLLATE "C" NOT NULL,
    canceled BIGINT NOT NULL DEFAULT 0,
    UNIQUE (project, number)
);
CREATE INDEX pipelines_by_time ON pipelines (created_ms, id);
CREATE INDEX pipelines_of_project ON pipelines (project, created_ms, id);
CREATE INDEX pipelines_being_canceled ON pipelines (id) WHERE canceled = 1;

CREATE TABLE workflows (
    id TEXT COLLATE "C" PRIMARY KEY,
    pipeline TEXT COLLATE "C" NOT NULL REFERENCES pipelines (id),
    position BIGINT NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    phase TEXT COLLATE "C" NOT NULL,
    outcome TEXT COLLATE "C",
    rev BIGINT NOT NULL
);
CREATE INDEX workflows_of_pipeline ON workflows (pipeline);

-- `class` is empty for jobs without steps. `requires`, `statuses` and `contexts` are JSON.
CREATE TABLE jobs (
    id TEXT COLLATE "C" PRIMARY KEY,
    workflow TEXT COLLATE "C" NOT NULL REFERENCES workflows (id),
    pipeline TEXT COLLATE "C" NOT NULL REFERENCES pipelines (id),
    position BIGINT NOT NULL,
    number BIGINT NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    requires TEXT COLLATE "C" NOT NULL,
    class TEXT COLLATE "C" NOT NULL,
    phase TEXT COLLATE "C" NOT NULL,
    outcome TEXT COLLATE "C",
    message TEXT COLLATE "C",
    queued_ms BIGINT,
    started_ms BIGINT,
    ended_ms BIGINT,
    runner TEXT COLLATE "C",
    rev BIGINT NOT NULL,
    kind TEXT COLLATE "C" NOT NULL DEFAULT 'build',
    statuses TEXT COLLATE "C" NOT NULL DEFAULT '{}',
    serial_group TEXT COLLATE "C",
    contexts TEXT COLLATE "C" NOT NULL DEFAULT '[]',
    parallelism BIGINT NOT NULL DEFAULT 1,
    max_reruns BIGINT NOT NULL DEFAULT 0,
    reruns BIGINT NOT NULL DEFAULT 0,
    project TEXT COLLATE "C" NOT NULL DEFAULT '',
    has_results BIGINT NOT NULL DEFAULT 0,
    xcode TEXT COLLATE "C"
);
CREATE INDEX jobs_of_workflow ON jobs (workflow, position);
CREATE INDEX jobs_by_change ON jobs (pipeline, rev);
CREATE INDEX jobs_of_group ON jobs (serial_group, phase) WHERE serial_group IS NOT NULL;
CREATE INDEX jobs_with_results ON jobs (project, name, number) WHERE has_results = 1 AND phase = 'ended';
CREATE INDEX jobs_unfinished ON jobs (workflow, phase) WHERE phase != 'ended';

-- What a job does, compiled. Apart from `jobs`, whose rows change often.
CREATE TABLE job_specs (
    job TEXT COLLATE "C" PRIMARY KEY REFERENCES jobs (id),
    version BIGINT NOT NULL,
    spec TEXT COLLATE "C" NOT NULL
);

-- One parallel run of a job. `queue` is its place in the line while it is queued.
CREATE TABLE tasks (
    id TEXT COLLATE "C" PRIMARY KEY,
    job TEXT COLLATE "C" NOT NULL REFERENCES jobs (id),
    pipeline TEXT COLLATE "C" NOT NULL,
    class TEXT COLLATE "C" NOT NULL,
    phase TEXT COLLATE "C" NOT NULL,
    outcome TEXT COLLATE "C",
    queue BIGINT,
    allocation TEXT COLLATE "C",
    granted BIGINT,
    expires BIGINT,
    step_started BIGINT NOT NULL DEFAULT 0,
    unclaims BIGINT NOT NULL DEFAULT 0,
    cancel TEXT COLLATE "C",
    last_seq BIGINT NOT NULL DEFAULT 0,
    run BIGINT NOT NULL DEFAULT 0,
    ordinal BIGINT NOT NULL DEFAULT 0,
    message TEXT COLLATE "C",
    xcode TEXT COLLATE "C"
);
CREATE INDEX tasks_of_job ON tasks (job);
CREATE UNIQUE INDEX tasks_queued ON tasks (class, queue) WHERE phase = 'queued';
CREATE INDEX tasks_queued_by_xcode ON tasks (class, xcode, queue) WHERE phase = 'queued';
CREATE INDEX tasks_leased ON tasks (expires) WHERE phase = 'running';
CREATE INDEX tasks_running ON tasks (class) WHERE phase = 'running';

-- Every claim there was: a token of an earlier one is told from one that never was. `continuation` is
-- the hash of the key that lets its task say what its pipeline goes on with.
CREATE TABLE allocations (
    id TEXT COLLATE "C" PRIMARY KEY,
    task TEXT COLLATE "C" NOT NULL REFERENCES tasks (id),
    hash BYTEA NOT NULL UNIQUE,
    runner TEXT COLLATE "C" NOT NULL,
    created_ms BIGINT NOT NULL,
    continuation BYTEA
);
CREATE UNIQUE INDEX allocations_by_continuation ON allocations (continuation) WHERE continuation IS NOT NULL;

-- `position` is the order in which steps were first heard of. `final_bytes` is how long the output
-- of a step that has ended is said to be; the bytes may come later than that.
CREATE TABLE steps (
    position BIGINT GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    task TEXT COLLATE "C" NOT NULL REFERENCES tasks (id),
    job TEXT COLLATE "C" NOT NULL,
    pipeline TEXT COLLATE "C" NOT NULL,
    number BIGINT NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    background BIGINT NOT NULL,
    detail TEXT COLLATE "C",
    outcome TEXT COLLATE "C",
    exit_code BIGINT,
    message TEXT COLLATE "C",
    started_ms BIGINT NOT NULL,
    ended_ms BIGINT,
    output_bytes BIGINT NOT NULL,
    final_bytes BIGINT,
    rev BIGINT NOT NULL,
    ordinal BIGINT NOT NULL DEFAULT 0,
    UNIQUE (task, number)
);
CREATE INDEX steps_of_job ON steps (job);
CREATE INDEX steps_by_change ON steps (pipeline, rev);

-- The offset table of output. A chunk is in `data` where it is small, else in the object that
-- `object` names, which was written before this row.
CREATE TABLE output (
    step BIGINT NOT NULL REFERENCES steps (position),
    start BIGINT NOT NULL,
    length BIGINT NOT NULL,
    object TEXT COLLATE "C",
    data BYTEA,
    PRIMARY KEY (step, start)
);

CREATE TABLE artifacts (
    job TEXT COLLATE "C" NOT NULL REFERENCES jobs (id),
    task TEXT COLLATE "C" NOT NULL,
    path TEXT COLLATE "C" NOT NULL,
    size BIGINT NOT NULL,
    blake3 TEXT COLLATE "C" NOT NULL,
    object TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (job, path)
);
CREATE INDEX artifacts_of_task ON artifacts (task);

-- Results of tests, as they came: `results` and `counts` are JSON.
CREATE TABLE test_batches (
    task TEXT COLLATE "C" NOT NULL REFERENCES tasks (id),
    batch BIGINT NOT NULL,
    job TEXT COLLATE "C" NOT NULL,
    counts TEXT COLLATE "C" NOT NULL,
    results TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (task, batch)
);
CREATE INDEX test_batches_of_job ON test_batches (job);

-- `scope` says who shares them: project, class and, for forks, the branch. `paths` is JSON. `rowid` has
-- the name that SQLite gives the order of insertion.
CREATE TABLE caches (
    rowid BIGINT GENERATED ALWAYS AS IDENTITY,
    id TEXT COLLATE "C" PRIMARY KEY,
    scope TEXT COLLATE "C" NOT NULL,
    key TEXT COLLATE "C" NOT NULL,
    project TEXT COLLATE "C" NOT NULL,
    job_number BIGINT NOT NULL,
    size BIGINT NOT NULL,
    blake3 TEXT COLLATE "C" NOT NULL,
    object TEXT COLLATE "C" NOT NULL,
    paths TEXT COLLATE "C" NOT NULL,
    created_ms BIGINT NOT NULL,
    expires_ms BIGINT NOT NULL,
    UNIQUE (scope, key)
);
CREATE INDEX caches_by_object ON caches (object);
CREATE INDEX caches_by_expiry ON caches (expires_ms);
CREATE INDEX caches_by_project ON caches (project, created_ms);

-- `sealed` is the value under the key of the data directory; scope, owner and name are authenticated
-- with it, so that no row can be passed off as another.
CREATE TABLE variables (
    scope TEXT COLLATE "C" NOT NULL CHECK (scope IN ('project', 'context')),
    owner TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    sealed BYTEA NOT NULL,
    updated_ms BIGINT NOT NULL,
    PRIMARY KEY (scope, owner, name)
);

-- `projects` is JSON: the projects that may use the context; null is all of them.
CREATE TABLE contexts (
    name TEXT COLLATE "C" PRIMARY KEY,
    projects TEXT COLLATE "C" NOT NULL,
    created_ms BIGINT NOT NULL
);

-- `position` is the order in which they came.
CREATE TABLE workspace_layers (
    position BIGINT GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    id TEXT COLLATE "C" NOT NULL UNIQUE,
    workflow TEXT COLLATE "C" NOT NULL,
    job TEXT COLLATE "C" NOT NULL REFERENCES jobs (id),
    task TEXT COLLATE "C" NOT NULL,
    allocation TEXT COLLATE "C" NOT NULL,
    size BIGINT NOT NULL,
    blake3 TEXT COLLATE "C" NOT NULL,
    object TEXT COLLATE "C" NOT NULL,
    expires_ms BIGINT NOT NULL
);
CREATE INDEX layers_of_workflow ON workspace_layers (workflow);
CREATE INDEX layers_by_expiry ON workspace_layers (expires_ms);
CREATE INDEX layers_of_task ON workspace_layers (task);

-- Pipelines whose configuration is `setup: true`. `submission` is JSON: what they were submitted
-- with, for what they go on with. `continued_ms` is when that was; they go on once.
CREATE TABLE setups (
    pipeline TEXT COLLATE "C" PRIMARY KEY REFERENCES pipelines (id),
    submission TEXT COLLATE "C" NOT NULL,
    continued_ms BIGINT
);

-- A version is never replaced, unless it is one in development.
CREATE TABLE orbs (
    name TEXT COLLATE "C" NOT NULL,
    version TEXT COLLATE "C" NOT NULL,
    source TEXT COLLATE "C" NOT NULL,
    created_ms BIGINT NOT NULL,
    PRIMARY KEY (name, version)
);

-- `sealed` is the private key under the key of the data directory; project and fingerprint are
-- authenticated with it.
CREATE TABLE ssh_keys (
    project TEXT COLLATE "C" NOT NULL,
    sha256 TEXT COLLATE "C" NOT NULL,
    md5 TEXT COLLATE "C" NOT NULL,
    kind TEXT COLLATE "C" NOT NULL,
    host TEXT COLLATE "C",
    sealed BYTEA NOT NULL,
    created_ms BIGINT NOT NULL,
    PRIMARY KEY (project, sha256)
);

-- Times of tests that the tasks of a job split by, as JSON: fixed when the first of them asks, kept
-- until the job has ended.
CREATE TABLE job_timings (
    job TEXT COLLATE "C" PRIMARY KEY REFERENCES jobs (id),
    timings TEXT COLLATE "C" NOT NULL
);

-- Sessions of browsers that were ended by logging out, until they would have ended by themselves.
CREATE TABLE ended_sessions (
    id BYTEA PRIMARY KEY,
    until_s BIGINT NOT NULL
);
