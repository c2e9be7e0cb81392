-- Projects that are connected to a Git remote. `sealed` is a JSON object with the credential, sealed. `host_keys`
-- is a file of known hosts with the keys that were seen first. `namespaces` is a JSON list of those whose classes
-- its pipelines may use; null: all. A poll is due at `next_poll_ms`; who takes it moves that on. Before there is
-- a baseline nothing is built.
CREATE TABLE git_connections (
    project TEXT PRIMARY KEY,
    url TEXT NOT NULL,
    host_kind TEXT NOT NULL,
    credential TEXT NOT NULL,
    sealed BLOB NOT NULL,
    public_key TEXT,
    host_keys TEXT NOT NULL DEFAULT '',
    config_path TEXT NOT NULL,
    namespaces TEXT,
    added_by TEXT NOT NULL,
    created_ms INTEGER NOT NULL,
    poll_ms INTEGER NOT NULL,
    next_poll_ms INTEGER NOT NULL,
    polled_ms INTEGER,
    poll_took_ms INTEGER,
    poll_error TEXT,
    poll_hint TEXT,
    failures INTEGER NOT NULL DEFAULT 0,
    has_baseline INTEGER NOT NULL DEFAULT 0,
    default_branch TEXT
);
CREATE INDEX git_connections_due ON git_connections (next_poll_ms);

-- Branches and tags of remotes as they were seen last.
CREATE TABLE git_refs (
    project TEXT NOT NULL,
    name TEXT NOT NULL,
    revision TEXT NOT NULL,
    changes INTEGER NOT NULL,
    changed_ms INTEGER NOT NULL,
    PRIMARY KEY (project, name)
);

-- Causes of pipelines. `event_key` is the same however often a cause is heard of. `state` is waiting, built,
-- skipped or failed; a waiting one is tried at `next_ms`. The pipeline is made in the transaction that makes it
-- `built`.
CREATE TABLE trigger_events (
    id TEXT PRIMARY KEY,
    project TEXT NOT NULL,
    event_key TEXT NOT NULL,
    kind TEXT NOT NULL,
    reference TEXT NOT NULL,
    revision TEXT NOT NULL,
    base_revision TEXT,
    author TEXT,
    state TEXT NOT NULL,
    created_ms INTEGER NOT NULL,
    next_ms INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    done_ms INTEGER,
    pipeline TEXT,
    message TEXT,
    hint TEXT
);
CREATE UNIQUE INDEX trigger_events_key ON trigger_events (project, event_key);
CREATE INDEX trigger_events_due ON trigger_events (next_ms) WHERE state = 'waiting';
CREATE INDEX trigger_events_of_project ON trigger_events (project, created_ms);
CREATE INDEX trigger_events_of_pipeline ON trigger_events (pipeline);
