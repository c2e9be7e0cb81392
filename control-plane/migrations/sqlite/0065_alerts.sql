-- Targets that hear of alerts. `shown` is what people see of the address; the address, and what its messages are signed
-- with, are sealed.
CREATE TABLE alert_targets (
    name TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    shown TEXT NOT NULL,
    sealed BLOB NOT NULL,
    created_ms INTEGER NOT NULL
);

-- Conditions that people hear of, each once for as long as it lasts.
CREATE TABLE alerts (
    id TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    subject TEXT NOT NULL,
    detail TEXT NOT NULL,
    opened_ms INTEGER NOT NULL,
    closed_ms INTEGER
);
CREATE UNIQUE INDEX alerts_open ON alerts (kind, subject) WHERE closed_ms IS NULL;
CREATE INDEX alerts_by_time ON alerts (opened_ms);

-- Messages to targets: tried from `next_ms` on until `done_ms` or `failed_ms`. `payload` is JSON.
CREATE TABLE outbox (
    id TEXT PRIMARY KEY,
    target TEXT NOT NULL REFERENCES alert_targets (name) ON DELETE CASCADE,
    payload TEXT NOT NULL,
    created_ms INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    next_ms INTEGER NOT NULL,
    done_ms INTEGER,
    failed_ms INTEGER,
    error TEXT
);
CREATE INDEX outbox_due ON outbox (next_ms) WHERE done_ms IS NULL AND failed_ms IS NULL;
CREATE INDEX outbox_of_target ON outbox (target, created_ms);
