-- Targets that hear of alerts. `shown` is what people see of the address; the address, and what its messages are signed
-- with, are sealed.
CREATE TABLE alert_targets (
    name TEXT COLLATE "C" PRIMARY KEY,
    kind TEXT COLLATE "C" NOT NULL,
    shown TEXT COLLATE "C" NOT NULL,
    sealed BYTEA NOT NULL,
    created_ms BIGINT NOT NULL
);

-- Conditions that people hear of, each once for as long as it lasts.
CREATE TABLE alerts (
    id TEXT COLLATE "C" PRIMARY KEY,
    kind TEXT COLLATE "C" NOT NULL,
    subject TEXT COLLATE "C" NOT NULL,
    detail TEXT COLLATE "C" NOT NULL,
    opened_ms BIGINT NOT NULL,
    closed_ms BIGINT
);
CREATE UNIQUE INDEX alerts_open ON alerts (kind, subject) WHERE closed_ms IS NULL;
CREATE INDEX alerts_by_time ON alerts (opened_ms);

-- Messages to targets: tried from `next_ms` on until `done_ms` or `failed_ms`. `payload` is JSON.
CREATE TABLE outbox (
    id TEXT COLLATE "C" PRIMARY KEY,
    target TEXT COLLATE "C" NOT NULL REFERENCES alert_targets (name) ON DELETE CASCADE,
    payload TEXT COLLATE "C" NOT NULL,
    created_ms BIGINT NOT NULL,
    attempts BIGINT NOT NULL DEFAULT 0,
    next_ms BIGINT NOT NULL,
    done_ms BIGINT,
    failed_ms BIGINT,
    error TEXT COLLATE "C"
);
CREATE INDEX outbox_due ON outbox (next_ms) WHERE done_ms IS NULL AND failed_ms IS NULL;
CREATE INDEX outbox_of_target ON outbox (target, created_ms);
