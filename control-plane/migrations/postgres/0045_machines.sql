-- State of a runner's machine, as it last said, as JSON; none: it says nothing.
ALTER TABLE runners ADD COLUMN machine TEXT COLLATE "C";
-- When its agent said goodbye; none: it has not, or came back.
ALTER TABLE runners ADD COLUMN left_ms BIGINT;

-- Pauses that people at the server want; `runner` is empty for a whole class.
CREATE TABLE runner_pauses (
    class TEXT COLLATE "C" NOT NULL,
    runner TEXT COLLATE "C" NOT NULL,
    id TEXT COLLATE "C" NOT NULL,
    kind TEXT COLLATE "C" NOT NULL,
    reason TEXT COLLATE "C",
    by_whom TEXT COLLATE "C" NOT NULL,
    since_ms BIGINT NOT NULL,
    until_ms BIGINT,
    PRIMARY KEY (class, runner)
);

-- Runners for which a pause of their class was lifted.
CREATE TABLE runner_pauses_lifted (
    class TEXT COLLATE "C" NOT NULL,
    runner TEXT COLLATE "C" NOT NULL,
    id TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (class, runner)
);

-- Names that people gave to runners which claim under another one.
CREATE TABLE runner_names (
    class TEXT COLLATE "C" NOT NULL,
    claimed TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (class, claimed)
);
