-- State of a runner's machine, as it last said, as JSON; none: it says nothing.
ALTER TABLE runners ADD COLUMN machine TEXT;
-- When its agent said goodbye; none: it has not, or came back.
ALTER TABLE runners ADD COLUMN left_ms INTEGER;

-- Pauses that people at the server want; `runner` is empty for a whole class.
CREATE TABLE runner_pauses (
    class TEXT NOT NULL,
    runner TEXT NOT NULL,
    id TEXT NOT NULL,
    kind TEXT NOT NULL,
    reason TEXT,
    by_whom TEXT NOT NULL,
    since_ms INTEGER NOT NULL,
    until_ms INTEGER,
    PRIMARY KEY (class, runner)
);

-- Runners for which a pause of their class was lifted.
CREATE TABLE runner_pauses_lifted (
    class TEXT NOT NULL,
    runner TEXT NOT NULL,
    id TEXT NOT NULL,
    PRIMARY KEY (class, runner)
);

-- Names that people gave to runners which claim under another one.
CREATE TABLE runner_names (
    class TEXT NOT NULL,
    claimed TEXT NOT NULL,
    name TEXT NOT NULL,
    PRIMARY KEY (class, claimed)
);
