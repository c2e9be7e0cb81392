-- `position` is the order in which steps were first heard of. `final_bytes` is how long the output
-- of a step that has ended is said to be; the bytes may come later than that.
CREATE TABLE steps (
    position INTEGER PRIMARY KEY,
    task TEXT NOT NULL REFERENCES tasks (id),
    job TEXT NOT NULL,
    pipeline TEXT NOT NULL,
    number INTEGER NOT NULL,
    name TEXT NOT NULL,
    background INTEGER NOT NULL,
    detail TEXT,
    outcome TEXT,
    exit_code INTEGER,
    message TEXT,
    started_ms INTEGER NOT NULL,
    ended_ms INTEGER,
    output_bytes INTEGER NOT NULL,
    final_bytes INTEGER,
    rev INTEGER NOT NULL,
    UNIQUE (task, number)
);
CREATE INDEX steps_of_job ON steps (job);
CREATE INDEX steps_by_change ON steps (pipeline, rev);

-- The offset table of output. A chunk is in `data` where it is small, else in the object that
-- `object` names, which was written before this row.
CREATE TABLE output (
    step INTEGER NOT NULL REFERENCES steps (position),
    start INTEGER NOT NULL,
    length INTEGER NOT NULL,
    object TEXT,
    data BLOB,
    PRIMARY KEY (step, start)
);

CREATE TABLE artifacts (
    job TEXT NOT NULL REFERENCES jobs (id),
    task TEXT NOT NULL,
    path TEXT NOT NULL,
    size INTEGER NOT NULL,
    blake3 TEXT NOT NULL,
    object TEXT NOT NULL,
    PRIMARY KEY (job, path)
);

-- Results of tests, as they came: `results` and `counts` are JSON.
CREATE TABLE test_batches (
    task TEXT NOT NULL REFERENCES tasks (id),
    batch INTEGER NOT NULL,
    job TEXT NOT NULL,
    counts TEXT NOT NULL,
    results TEXT NOT NULL,
    PRIMARY KEY (task, batch)
);
CREATE INDEX test_batches_of_job ON test_batches (job);
