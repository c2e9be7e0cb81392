-- SSH keys of projects. `sealed` is the private key under the key of the data directory; project and
-- fingerprint are authenticated with it.
CREATE TABLE ssh_keys (
    project TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    md5 TEXT NOT NULL,
    kind TEXT NOT NULL,
    host TEXT,
    sealed BLOB NOT NULL,
    created_ms INTEGER NOT NULL,
    PRIMARY KEY (project, sha256)
);
