-- Every query that is asked again and again has an index, so that none grows with the history of
-- a project.

-- The latest jobs of a name in a project that have test results.
ALTER TABLE jobs ADD COLUMN project TEXT NOT NULL DEFAULT '';
ALTER TABLE jobs ADD COLUMN has_results INTEGER NOT NULL DEFAULT 0;
UPDATE jobs SET
    project = (SELECT project FROM pipelines WHERE pipelines.id = jobs.pipeline),
    has_results = EXISTS (SELECT 1 FROM test_batches WHERE test_batches.job = jobs.id);
CREATE INDEX jobs_with_results ON jobs (project, name, number)
    WHERE has_results = 1 AND phase = 'ended';

-- The jobs of a workflow that are blocked, or open at all.
CREATE INDEX jobs_unfinished ON jobs (workflow, phase) WHERE phase != 'ended';

-- Lists of pipelines, of all projects and of one.
DROP INDEX pipelines_by_time;
CREATE INDEX pipelines_by_time ON pipelines (created_ms, id);
CREATE INDEX pipelines_of_project ON pipelines (project, created_ms, id);

CREATE INDEX artifacts_of_task ON artifacts (task);
CREATE INDEX layers_of_task ON workspace_layers (task);
CREATE INDEX runners_by_name ON runners (name);

-- Canceled pipelines: 1 while their jobs are being ended, 2 afterwards. Nothing of either starts.
ALTER TABLE pipelines ADD COLUMN canceled INTEGER NOT NULL DEFAULT 0;
CREATE INDEX pipelines_being_canceled ON pipelines (id) WHERE canceled = 1;

-- Numbers of commits and places in the line are above this one. It is raised at each start of a
-- server, by more than a server can use: no start has to look for the highest.
CREATE TABLE counters (
    name TEXT PRIMARY KEY,
    value INTEGER NOT NULL
);
INSERT INTO counters (name, value) VALUES ('numbers', max(
    coalesce((SELECT max(rev) FROM jobs), 0),
    coalesce((SELECT max(rev) FROM steps), 0),
    coalesce((SELECT max(rev) FROM workflows), 0),
    coalesce((SELECT max(queue) FROM tasks), 0)
));

-- Sessions of browsers that were ended by logging out, until they would have ended by themselves.
CREATE TABLE ended_sessions (
    id BLOB PRIMARY KEY,
    until_s INTEGER NOT NULL
);
