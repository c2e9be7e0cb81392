-- Xcodes and simulator runtimes of a runner's machine, as it last said, as JSON; none where it says
-- nothing of them. Likewise the reasons for which it takes no tasks.
ALTER TABLE runners ADD COLUMN xcodes TEXT;
ALTER TABLE runners ADD COLUMN runtimes TEXT;
ALTER TABLE runners ADD COLUMN holds TEXT;

-- The Xcode that a job names; none: any machine will do. A task has that of its job.
ALTER TABLE jobs ADD COLUMN xcode TEXT;
ALTER TABLE tasks ADD COLUMN xcode TEXT;
CREATE INDEX tasks_queued_by_xcode ON tasks (class, xcode, queue) WHERE phase = 'queued';
