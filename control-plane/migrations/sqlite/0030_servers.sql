-- Servers that use this database now; none on SQLite, whose file is one server's.
CREATE TABLE servers (
    id TEXT PRIMARY KEY NOT NULL,
    version TEXT NOT NULL,
    objects TEXT NOT NULL,
    secrets TEXT NOT NULL,
    admin TEXT NOT NULL,
    seen_ms INTEGER NOT NULL
);

-- One row. A server whose last migration is below `min_schema` must not use the database: a migration
-- that is not only an addition raises it to its own number.
CREATE TABLE database_state (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    alive_ms INTEGER,
    min_schema INTEGER NOT NULL
);
INSERT INTO database_state (id, min_schema) VALUES (1, 30);
