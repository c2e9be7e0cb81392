-- Further runs of a workflow are rows of their own, in the pipeline of the first. `run` counts from 1,
-- `origin` is the first run, `rerun_of` the one that is repeated; both are null for the first run.
-- `continued` marks workflows that a setup went on with.
ALTER TABLE workflows ADD COLUMN run BIGINT NOT NULL DEFAULT 1;
ALTER TABLE workflows ADD COLUMN origin TEXT COLLATE "C";
ALTER TABLE workflows ADD COLUMN rerun_of TEXT COLLATE "C";
ALTER TABLE workflows ADD COLUMN rerun_kind TEXT COLLATE "C";
ALTER TABLE workflows ADD COLUMN rerun_by TEXT COLLATE "C";
ALTER TABLE workflows ADD COLUMN rerun_ms BIGINT;
ALTER TABLE workflows ADD COLUMN continued BIGINT NOT NULL DEFAULT 0;
-- The configuration of a setup has one workflow.
UPDATE workflows SET continued = 1
    WHERE position > 0 AND EXISTS (SELECT 1 FROM setups WHERE setups.pipeline = workflows.pipeline);

-- `kept_from` is the job of an earlier run that this row stands for: it did not run again. Never a job
-- that was kept itself. `failed_tests_of` is the job whose failed tests this one runs.
ALTER TABLE jobs ADD COLUMN kept_from TEXT COLLATE "C";
ALTER TABLE jobs ADD COLUMN failed_tests_of TEXT COLLATE "C";
ALTER TABLE jobs ADD COLUMN decided_by TEXT COLLATE "C";
CREATE INDEX layers_of_job ON workspace_layers (job);

ALTER TABLE pipelines ADD COLUMN canceled_by TEXT COLLATE "C";
ALTER TABLE pipelines ADD COLUMN author TEXT COLLATE "C";
