-- Name of this installation: made with its database, kept when that is moved. `secrets_key` is what the
-- key that values are sealed with is recognized by, so that no server seals with another one.
CREATE TABLE installation (
    id TEXT COLLATE "C" PRIMARY KEY,
    secrets_key TEXT COLLATE "C"
);
INSERT INTO installation (id) VALUES (replace(gen_random_uuid()::text, '-', ''));

-- A move into this database that has not ended: no server starts on it. `source` is the installation
-- that is moved, `constraints` is JSON: the foreign keys that are taken away meanwhile.
CREATE TABLE moves (
    source TEXT COLLATE "C" PRIMARY KEY,
    constraints TEXT COLLATE "C" NOT NULL,
    began_ms BIGINT NOT NULL
);
