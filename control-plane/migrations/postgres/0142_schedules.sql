-- Last submission of each branch, which schedules run again. `submission` is JSON, with the configuration. `namespaces`
-- is a JSON list of those whose classes it may use; null: all.
CREATE TABLE branch_submissions (
    project TEXT COLLATE "C" NOT NULL,
    branch TEXT COLLATE "C" NOT NULL,
    number BIGINT NOT NULL,
    submission TEXT COLLATE "C" NOT NULL,
    namespaces TEXT COLLATE "C",
    PRIMARY KEY (project, branch)
);

-- Schedules. `parameters` is JSON. Without `next_ms` it never fires again.
CREATE TABLE schedules (
    id TEXT COLLATE "C" PRIMARY KEY,
    project TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    cron TEXT COLLATE "C" NOT NULL,
    timezone TEXT COLLATE "C" NOT NULL,
    branch TEXT COLLATE "C" NOT NULL,
    parameters TEXT COLLATE "C" NOT NULL,
    missed TEXT COLLATE "C" NOT NULL,
    paused BIGINT NOT NULL DEFAULT 0,
    created_by TEXT COLLATE "C" NOT NULL,
    created_ms BIGINT NOT NULL,
    next_ms BIGINT
);
CREATE UNIQUE INDEX schedules_of_project ON schedules (project, name);
CREATE INDEX schedules_due ON schedules (next_ms) WHERE next_ms IS NOT NULL AND paused = 0;

-- Times for which schedules fired: each once. `pipeline_id` was chosen with the time, so that a server that is killed
-- submits it later and no two submit it. Without `done_ms` that is still to come.
CREATE TABLE schedule_firings (
    schedule TEXT COLLATE "C" NOT NULL,
    at_ms BIGINT NOT NULL,
    pipeline_id TEXT COLLATE "C" NOT NULL,
    done_ms BIGINT,
    failure TEXT COLLATE "C",
    PRIMARY KEY (schedule, at_ms)
);
CREATE INDEX schedule_firings_open ON schedule_firings (at_ms) WHERE done_ms IS NULL;
