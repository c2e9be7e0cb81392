-- Settings of PostgreSQL's cleaning up; SQLite has no dead rows.
SELECT 1;
