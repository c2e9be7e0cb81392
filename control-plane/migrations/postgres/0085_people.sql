-- Accounts: people, and service accounts, which have tokens and never sign in. `role` is that over the server.
-- `password` is a hash (argon2id) in the form of the Password Hashing Competition.
CREATE TABLE users (
    id TEXT COLLATE "C" PRIMARY KEY,
    name TEXT COLLATE "C" NOT NULL UNIQUE,
    kind TEXT COLLATE "C" NOT NULL,
    role TEXT COLLATE "C",
    password TEXT COLLATE "C",
    created_ms BIGINT NOT NULL
);

-- Roles in namespaces.
CREATE TABLE user_roles (
    user_id TEXT COLLATE "C" NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    namespace TEXT COLLATE "C" NOT NULL,
    role TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (user_id, namespace)
);

-- Personal tokens, as hashes. `scopes` is a JSON list. `used_ms` is written from time to time.
CREATE TABLE user_tokens (
    id TEXT COLLATE "C" PRIMARY KEY,
    user_id TEXT COLLATE "C" NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    hash BYTEA NOT NULL UNIQUE,
    description TEXT COLLATE "C" NOT NULL,
    scopes TEXT COLLATE "C" NOT NULL,
    created_ms BIGINT NOT NULL,
    expires_ms BIGINT,
    used_ms BIGINT
);
CREATE INDEX user_tokens_of_user ON user_tokens (user_id);
