-- API of a connection's host; null: it has none. Calls to it with the same credential (`call_group`) are paced together.
ALTER TABLE git_connections ADD COLUMN api_url TEXT;
ALTER TABLE git_connections ADD COLUMN call_group TEXT;

-- Time from which on a group may make its next call: the pace, or the end of a pause that the host asked for.
CREATE TABLE host_calls (
    call_group TEXT PRIMARY KEY,
    next_ms INTEGER NOT NULL
);

-- Set for pipelines whose states are reported to the host of their project: those that a push or a wish made of a commit.
ALTER TABLE pipelines ADD COLUMN reports INTEGER NOT NULL DEFAULT 0;

-- `off`, `workflows`, `jobs` or `both`.
ALTER TABLE project_settings ADD COLUMN statuses TEXT NOT NULL DEFAULT 'both';

-- States that hosts are to have at commits. `context` is the name there. `number` is that of the job, or of the last
-- job of the workflow: what is older says nothing any more. `version` counts the states, `sent` is the last one that
-- the host has. It is sent at `due_ms`; null: nothing is to be sent. `attempt` is one whose result is not known.
CREATE TABLE commit_statuses (
    project TEXT NOT NULL,
    revision TEXT NOT NULL,
    context TEXT NOT NULL,
    number INTEGER NOT NULL,
    version INTEGER NOT NULL,
    state TEXT NOT NULL,
    description TEXT NOT NULL,
    path TEXT NOT NULL,
    changed_ms INTEGER NOT NULL,
    due_ms INTEGER,
    attempt TEXT,
    attempts INTEGER NOT NULL DEFAULT 0,
    sent INTEGER NOT NULL DEFAULT 0,
    error TEXT,
    hint TEXT,
    PRIMARY KEY (project, revision, context)
);
CREATE INDEX commit_statuses_due ON commit_statuses (due_ms) WHERE due_ms IS NOT NULL;
CREATE INDEX commit_statuses_by_time ON commit_statuses (project, changed_ms);
