-- Targets of a project, which hear of its workflows and jobs; without a project, a target hears of alerts. The `name` of
-- one of a project is an id, and `label` what people call it. `events` is a JSON list; `hears_jobs` says if jobs are
-- in it. `send_on` is `always`, `failure` or `change`. With an `author`, only pipelines of that person are told of.
ALTER TABLE alert_targets ADD COLUMN project TEXT COLLATE "C";
ALTER TABLE alert_targets ADD COLUMN label TEXT COLLATE "C";
ALTER TABLE alert_targets ADD COLUMN events TEXT COLLATE "C" NOT NULL DEFAULT '[]';
ALTER TABLE alert_targets ADD COLUMN hears_jobs BIGINT NOT NULL DEFAULT 0;
ALTER TABLE alert_targets ADD COLUMN send_on TEXT COLLATE "C" NOT NULL DEFAULT 'always';
ALTER TABLE alert_targets ADD COLUMN author TEXT COLLATE "C";
CREATE UNIQUE INDEX alert_targets_of_project ON alert_targets (project, label) WHERE project IS NOT NULL;

-- Last outcome of each workflow and job on a branch or tag, of projects with a target that hears of changes. `job_name` is
-- empty for the workflow itself, `number` that of the pipeline.
CREATE TABLE last_outcomes (
    project TEXT COLLATE "C" NOT NULL,
    ref TEXT COLLATE "C" NOT NULL,
    workflow_name TEXT COLLATE "C" NOT NULL,
    job_name TEXT COLLATE "C" NOT NULL,
    number BIGINT NOT NULL,
    outcome TEXT COLLATE "C" NOT NULL,
    ended_ms BIGINT NOT NULL,
    PRIMARY KEY (project, ref, workflow_name, job_name)
);
CREATE INDEX last_outcomes_by_time ON last_outcomes (ended_ms);

-- Cause of a pipeline, as `pipeline.trigger_source` says it. None: `api`.
ALTER TABLE pipelines ADD COLUMN trigger_source TEXT COLLATE "C";
