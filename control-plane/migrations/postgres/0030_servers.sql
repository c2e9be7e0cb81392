-- Servers that use this database now. `objects`, `secrets` and `admin` tell whether two of them have
-- the same objects and keys; `seen_ms` is when each last said that it is there, by the clock of the
-- database.
CREATE TABLE servers (
    id TEXT COLLATE "C" PRIMARY KEY,
    version TEXT COLLATE "C" NOT NULL,
    objects TEXT COLLATE "C" NOT NULL,
    secrets TEXT COLLATE "C" NOT NULL,
    admin TEXT COLLATE "C" NOT NULL,
    seen_ms BIGINT NOT NULL
);

-- One row. `alive_ms` is the last time at which any server was there, by the same clock. A server
-- whose last migration is below `min_schema` must not use the database: a migration that is not only
-- an addition raises it to its own number.
CREATE TABLE database_state (
    id BIGINT PRIMARY KEY CHECK (id = 1),
    alive_ms BIGINT,
    min_schema BIGINT NOT NULL
);
INSERT INTO database_state (id, min_schema) VALUES (1, 30);
