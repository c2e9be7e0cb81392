-- When a task stood in line and when it ended, for waits and traces; none for tasks of before.
ALTER TABLE tasks ADD COLUMN queued_ms INTEGER;
ALTER TABLE tasks ADD COLUMN ended_ms INTEGER;
-- The `traceparent` of the call that submitted the pipeline: its trace is a part of the caller's.
ALTER TABLE pipelines ADD COLUMN trace_parent TEXT;
-- Duration of the call that submitted it, and when the span of the whole was made.
ALTER TABLE pipelines ADD COLUMN compile_ms INTEGER;
ALTER TABLE pipelines ADD COLUMN traced_ms INTEGER;
