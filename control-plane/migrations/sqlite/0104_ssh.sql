-- Reruns with SSH. Off by default: a class says by name that its tasks may be reached, and those of forks.
ALTER TABLE resource_classes ADD COLUMN allow_ssh INTEGER NOT NULL DEFAULT 0;
ALTER TABLE resource_classes ADD COLUMN allow_ssh_forks INTEGER NOT NULL DEFAULT 0;

-- Need of a job and its tasks for SSH, and offer of a runner: 0 none, 1 SSH, 2 SSH into tasks of forks. A
-- task goes to runners that offer as much.
ALTER TABLE jobs ADD COLUMN ssh INTEGER NOT NULL DEFAULT 0;
ALTER TABLE tasks ADD COLUMN ssh INTEGER NOT NULL DEFAULT 0;
ALTER TABLE runners ADD COLUMN ssh INTEGER NOT NULL DEFAULT 0;

-- Public keys of people. `key` is a line of OpenSSH without a comment.
CREATE TABLE user_ssh_keys (
    id TEXT PRIMARY KEY,
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    key TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    created_ms INTEGER NOT NULL
);
CREATE UNIQUE INDEX user_ssh_keys_of_user ON user_ssh_keys (user_id, fingerprint);

-- Access of a person to the tasks of a job. `user_id` is null for the holder of the admin token; `keys` is a
-- JSON list. The account may be gone, so it is not referred to.
CREATE TABLE ssh_accesses (
    job TEXT PRIMARY KEY REFERENCES jobs (id),
    user_id TEXT,
    person TEXT NOT NULL,
    keys TEXT NOT NULL,
    idle_ms INTEGER NOT NULL,
    longest_ms INTEGER NOT NULL
);

-- State of a task's SSH, of one claim of it. `ready` is the document of its agent. `ends_ms` is when the hold
-- ends if nothing changes, `extended_ms` what people added, `end_by` who asked to end it. `server` is the
-- server at which the agent waits for a connection, `peer_url` where other servers reach that one.
CREATE TABLE task_ssh (
    task TEXT PRIMARY KEY REFERENCES tasks (id),
    allocation TEXT NOT NULL,
    ready TEXT NOT NULL,
    waiting INTEGER NOT NULL DEFAULT 0,
    sessions INTEGER NOT NULL DEFAULT 0,
    ends_ms INTEGER,
    extended_ms INTEGER NOT NULL DEFAULT 0,
    end_by TEXT,
    server TEXT,
    peer_url TEXT
);

-- Sessions that agents reported, so that one that is reported twice is in the audit log once.
CREATE TABLE ssh_sessions (
    task TEXT NOT NULL REFERENCES tasks (id),
    session TEXT NOT NULL,
    ended INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (task, session)
);
