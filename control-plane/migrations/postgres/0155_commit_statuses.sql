-- API of a connection's host; null: it has none. Calls to it with the same credential (`call_group`) are paced together.
ALTER TABLE git_connections ADD COLUMN api_url TEXT COLLATE "C";
ALTER TABLE git_connections ADD COLUMN call_group TEXT COLLATE "C";

-- Time from which on a group may make its next call: the pace, or the end of a pause that the host asked for.
CREATE TABLE host_calls (
    call_group TEXT COLLATE "C" PRIMARY KEY,
    next_ms BIGINT NOT NULL
);

-- Set for pipelines whose states are reported to the host of their project: those that a push or a wish made of a commit.
ALTER TABLE pipelines ADD COLUMN reports BIGINT NOT NULL DEFAULT 0;

-- `off`, `workflows`, `jobs` or `both`.
ALTER TABLE project_settings ADD COLUMN statuses TEXT COLLATE "C" NOT NULL DEFAULT 'both';

-- States that hosts are to have at commits. `context` is the name there. `number` is that of the job, or of the last
-- job of the workflow: what is older says nothing any more. `version` counts the states, `sent` is the last one that
-- the host has. It is sent at `due_ms`; null: nothing is to be sent. `attempt` is one whose result is not known.
CREATE TABLE commit_statuses (
    project TEXT COLLATE "C" NOT NULL,
    revision TEXT COLLATE "C" NOT NULL,
    context TEXT COLLATE "C" NOT NULL,
    number BIGINT NOT NULL,
    version BIGINT NOT NULL,
    state TEXT COLLATE "C" NOT NULL,
    description TEXT COLLATE "C" NOT NULL,
    path TEXT COLLATE "C" NOT NULL,
    changed_ms BIGINT NOT NULL,
    due_ms BIGINT,
    attempt TEXT COLLATE "C",
    attempts BIGINT NOT NULL DEFAULT 0,
    sent BIGINT NOT NULL DEFAULT 0,
    error TEXT COLLATE "C",
    hint TEXT COLLATE "C",
    PRIMARY KEY (project, revision, context)
);
CREATE INDEX commit_statuses_due ON commit_statuses (due_ms) WHERE due_ms IS NOT NULL;
CREATE INDEX commit_statuses_by_time ON commit_statuses (project, changed_ms);
