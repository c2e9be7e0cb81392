-- Projects that are connected to a Git remote. `sealed` is a JSON object with the credential, sealed. `host_keys`
-- is a file of known hosts with the keys that were seen first. `namespaces` is a JSON list of those whose classes
-- its pipelines may use; null: all. A poll is due at `next_poll_ms`; who takes it moves that on. Before there is
-- a baseline nothing is built.
CREATE TABLE git_connections (
    project TEXT COLLATE "C" PRIMARY KEY,
    url TEXT COLLATE "C" NOT NULL,
    host_kind TEXT COLLATE "C" NOT NULL,
    credential TEXT COLLATE "C" NOT NULL,
    sealed BYTEA NOT NULL,
    public_key TEXT COLLATE "C",
    host_keys TEXT COLLATE "C" NOT NULL DEFAULT '',
    config_path TEXT COLLATE "C" NOT NULL,
    namespaces TEXT COLLATE "C",
    added_by TEXT COLLATE "C" NOT NULL,
    created_ms BIGINT NOT NULL,
    poll_ms BIGINT NOT NULL,
    next_poll_ms BIGINT NOT NULL,
    polled_ms BIGINT,
    poll_took_ms BIGINT,
    poll_error TEXT COLLATE "C",
    poll_hint TEXT COLLATE "C",
    failures BIGINT NOT NULL DEFAULT 0,
    has_baseline BIGINT NOT NULL DEFAULT 0,
    default_branch TEXT COLLATE "C"
);
CREATE INDEX git_connections_due ON git_connections (next_poll_ms);

-- Branches and tags of remotes as they were seen last.
CREATE TABLE git_refs (
    project TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    revision TEXT COLLATE "C" NOT NULL,
    changes BIGINT NOT NULL,
    changed_ms BIGINT NOT NULL,
    PRIMARY KEY (project, name)
);

-- Causes of pipelines. `event_key` is the same however often a cause is heard of. `state` is waiting, built,
-- skipped or failed; a waiting one is tried at `next_ms`. The pipeline is made in the transaction that makes it
-- `built`.
CREATE TABLE trigger_events (
    id TEXT COLLATE "C" PRIMARY KEY,
    project TEXT COLLATE "C" NOT NULL,
    event_key TEXT COLLATE "C" NOT NULL,
    kind TEXT COLLATE "C" NOT NULL,
    reference TEXT COLLATE "C" NOT NULL,
    revision TEXT COLLATE "C" NOT NULL,
    base_revision TEXT COLLATE "C",
    author TEXT COLLATE "C",
    state TEXT COLLATE "C" NOT NULL,
    created_ms BIGINT NOT NULL,
    next_ms BIGINT NOT NULL,
    attempts BIGINT NOT NULL DEFAULT 0,
    done_ms BIGINT,
    pipeline TEXT COLLATE "C",
    message TEXT COLLATE "C",
    hint TEXT COLLATE "C"
);
CREATE UNIQUE INDEX trigger_events_key ON trigger_events (project, event_key);
CREATE INDEX trigger_events_due ON trigger_events (next_ms) WHERE state = 'waiting';
CREATE INDEX trigger_events_of_project ON trigger_events (project, created_ms);
CREATE INDEX trigger_events_of_pipeline ON trigger_events (pipeline);
