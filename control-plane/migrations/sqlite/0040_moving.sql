-- Name of this installation: made with its database, kept when that is moved. `secrets_key` is what the
-- key that values are sealed with is recognized by, so that no server seals with another one.
CREATE TABLE installation (
    id TEXT PRIMARY KEY,
    secrets_key TEXT
);
INSERT INTO installation (id) VALUES (lower(hex(randomblob(16))));

-- A move into this database that has not ended: no server starts on it. `source` is the installation
-- that is moved, `constraints` is JSON: the foreign keys that are taken away meanwhile.
CREATE TABLE moves (
    source TEXT PRIMARY KEY,
    constraints TEXT NOT NULL,
    began_ms INTEGER NOT NULL
);
