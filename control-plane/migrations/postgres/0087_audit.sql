-- Changes that people made. What was before and after is JSON, without secrets.
CREATE TABLE audit_events (
    id TEXT COLLATE "C" PRIMARY KEY,
    at_ms BIGINT NOT NULL,
    who TEXT COLLATE "C" NOT NULL,
    means TEXT COLLATE "C" NOT NULL,
    address TEXT COLLATE "C" NOT NULL,
    operation TEXT COLLATE "C" NOT NULL,
    target TEXT COLLATE "C" NOT NULL,
    before_json TEXT COLLATE "C",
    after_json TEXT COLLATE "C"
);
CREATE INDEX audit_events_by_time ON audit_events (at_ms, id);
CREATE INDEX audit_events_of_person ON audit_events (who, at_ms);
