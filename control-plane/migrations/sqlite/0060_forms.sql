-- Forms of pages that were sent, each to be done once: by a hash of session, form and what it is for.
CREATE TABLE form_uses (
    id BLOB PRIMARY KEY,
    until_s INTEGER NOT NULL
);
CREATE INDEX form_uses_by_time ON form_uses (until_s);

-- The few jobs that wait for somebody.
CREATE INDEX jobs_on_hold ON jobs (id) WHERE phase = 'on_hold';
