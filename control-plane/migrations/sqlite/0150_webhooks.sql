-- Webhooks of the hosts of repositories. `webhook_ms` is the time at which a project's secret was made, which is in
-- `sealed`; null: there is none. `heard` counts the changes that were heard of by webhooks; at a branch or tag it is
-- the number of its last one, so that a poll that began before knows it.
ALTER TABLE git_connections ADD COLUMN webhook_ms INTEGER;
ALTER TABLE git_connections ADD COLUMN heard INTEGER NOT NULL DEFAULT 0;
ALTER TABLE git_refs ADD COLUMN heard INTEGER NOT NULL DEFAULT 0;

-- What a webhook says of a cause, as a JSON object of values of `pipeline.…`. `held` is one more state: it waits for
-- somebody to let it through.
ALTER TABLE trigger_events ADD COLUMN from_fork INTEGER NOT NULL DEFAULT 0;
ALTER TABLE trigger_events ADD COLUMN event TEXT;
ALTER TABLE trigger_events ADD COLUMN approved_by TEXT;

-- Whether pull requests of forks are built: none, approve or build.
ALTER TABLE project_settings ADD COLUMN forks TEXT NOT NULL DEFAULT 'none';

-- Deliveries of webhooks whose signature was right. `payload` is compressed by zstd, and is removed after a time.
CREATE TABLE webhook_deliveries (
    project TEXT NOT NULL,
    delivery TEXT NOT NULL,
    event TEXT NOT NULL,
    action TEXT,
    received_ms INTEGER NOT NULL,
    outcome TEXT NOT NULL,
    message TEXT NOT NULL,
    payload BLOB,
    PRIMARY KEY (project, delivery)
);
CREATE INDEX webhook_deliveries_of_project ON webhook_deliveries (project, received_ms, delivery);
CREATE INDEX webhook_deliveries_with_payload ON webhook_deliveries (received_ms) WHERE payload IS NOT NULL;
CREATE INDEX webhook_deliveries_old ON webhook_deliveries (received_ms);
CREATE INDEX trigger_events_of_revision ON trigger_events (project, revision);
CREATE INDEX trigger_events_held ON trigger_events (project, created_ms) WHERE state = 'held';
