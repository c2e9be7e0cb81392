-- Last submission of each branch, which schedules run again. `submission` is JSON, with the configuration. `namespaces`
-- is a JSON list of those whose classes it may use; null: all.
CREATE TABLE branch_submissions (
    project TEXT NOT NULL,
    branch TEXT NOT NULL,
    number INTEGER NOT NULL,
    submission TEXT NOT NULL,
    namespaces TEXT,
    PRIMARY KEY (project, branch)
);

-- Schedules. `parameters` is JSON. Without `next_ms` it never fires again.
CREATE TABLE schedules (
    id TEXT PRIMARY KEY,
    project TEXT NOT NULL,
    name TEXT NOT NULL,
    cron TEXT NOT NULL,
    timezone TEXT NOT NULL,
    branch TEXT NOT NULL,
    parameters TEXT NOT NULL,
    missed TEXT NOT NULL,
    paused INTEGER NOT NULL DEFAULT 0,
    created_by TEXT NOT NULL,
    created_ms INTEGER NOT NULL,
    next_ms INTEGER
);
CREATE UNIQUE INDEX schedules_of_project ON schedules (project, name);
CREATE INDEX schedules_due ON schedules (next_ms) WHERE next_ms IS NOT NULL AND paused = 0;

-- Times for which schedules fired: each once. `pipeline_id` was chosen with the time, so that a server that is killed
-- submits it later and no two submit it. Without `done_ms` that is still to come.
CREATE TABLE schedule_firings (
    schedule TEXT NOT NULL,
    at_ms INTEGER NOT NULL,
    pipeline_id TEXT NOT NULL,
    done_ms INTEGER,
    failure TEXT,
    PRIMARY KEY (schedule, at_ms)
);
CREATE INDEX schedule_firings_open ON schedule_firings (at_ms) WHERE done_ms IS NULL;
