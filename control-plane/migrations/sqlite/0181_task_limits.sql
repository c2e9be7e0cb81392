-- Most tasks of a project, a namespace or a resource class (`scope`) that are in line for a runner or with one.
CREATE TABLE task_limits (
    scope TEXT NOT NULL,
    name TEXT NOT NULL,
    most INTEGER NOT NULL,
    set_by TEXT NOT NULL,
    set_ms INTEGER NOT NULL,
    PRIMARY KEY (scope, name)
);

-- Tasks of a job that count against limits, from when it stands in line until it ends; and whether it waits for room.
ALTER TABLE jobs ADD COLUMN room INTEGER NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN awaits_room INTEGER NOT NULL DEFAULT 0;
CREATE INDEX jobs_with_room ON jobs (project) WHERE room > 0 AND phase != 'ended';
CREATE INDEX jobs_with_room_in_class ON jobs (class) WHERE room > 0 AND phase != 'ended' AND class != '';
CREATE INDEX jobs_awaiting_room ON jobs (project, class, queued_ms, number) WHERE awaits_room = 1;
