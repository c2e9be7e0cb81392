-- Changes that people made. What was before and after is JSON, without secrets.
CREATE TABLE audit_events (
    id TEXT PRIMARY KEY,
    at_ms INTEGER NOT NULL,
    who TEXT NOT NULL,
    means TEXT NOT NULL,
    address TEXT NOT NULL,
    operation TEXT NOT NULL,
    target TEXT NOT NULL,
    before_json TEXT,
    after_json TEXT
);
CREATE INDEX audit_events_by_time ON audit_events (at_ms, id);
CREATE INDEX audit_events_of_person ON audit_events (who, at_ms);
