-- Times of tests that the tasks of a job split by, as JSON: fixed when the first of them asks, kept
-- until the job has ended.
CREATE TABLE job_timings (
    job TEXT PRIMARY KEY REFERENCES jobs (id),
    timings TEXT NOT NULL
);
