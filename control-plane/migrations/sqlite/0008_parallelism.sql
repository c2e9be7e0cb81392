-- A job is run by `parallelism` tasks, and again by as many new ones after it failed, `reruns` times
-- so far and at most `max_reruns` times.
ALTER TABLE jobs ADD COLUMN parallelism INTEGER NOT NULL DEFAULT 1;
ALTER TABLE jobs ADD COLUMN max_reruns INTEGER NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN reruns INTEGER NOT NULL DEFAULT 0;

-- `run` says which run of its job a task belongs to. `ordinal` numbers the tasks of a job through all
-- its runs; modulo the parallelism it is the index among those of its run.
ALTER TABLE tasks ADD COLUMN run INTEGER NOT NULL DEFAULT 0;
ALTER TABLE tasks ADD COLUMN ordinal INTEGER NOT NULL DEFAULT 0;
ALTER TABLE tasks ADD COLUMN message TEXT;
ALTER TABLE steps ADD COLUMN ordinal INTEGER NOT NULL DEFAULT 0;
