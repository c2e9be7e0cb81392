-- Jobs that are not built from steps have no class: it is empty. `statuses` is JSON: for each job
-- that is required with other ways of ending than success, those ways.
ALTER TABLE jobs ADD COLUMN kind TEXT NOT NULL DEFAULT 'build';
ALTER TABLE jobs ADD COLUMN statuses TEXT NOT NULL DEFAULT '{}';
ALTER TABLE jobs ADD COLUMN serial_group TEXT;
CREATE INDEX jobs_of_group ON jobs (serial_group, phase) WHERE serial_group IS NOT NULL;
