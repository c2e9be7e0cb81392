-- Accounts: people, and service accounts, which have tokens and never sign in. `role` is that over the server.
-- `password` is a hash (argon2id) in the form of the Password Hashing Competition.
CREATE TABLE users (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    role TEXT,
    password TEXT,
    created_ms INTEGER NOT NULL
);

-- Roles in namespaces.
CREATE TABLE user_roles (
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    namespace TEXT NOT NULL,
    role TEXT NOT NULL,
    PRIMARY KEY (user_id, namespace)
);

-- Personal tokens, as hashes. `scopes` is a JSON list. `used_ms` is written from time to time.
CREATE TABLE user_tokens (
    id TEXT PRIMARY KEY,
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    hash BLOB NOT NULL UNIQUE,
    description TEXT NOT NULL,
    scopes TEXT NOT NULL,
    created_ms INTEGER NOT NULL,
    expires_ms INTEGER,
    used_ms INTEGER
);
CREATE INDEX user_tokens_of_user ON user_tokens (user_id);
