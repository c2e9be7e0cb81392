-- Sessions of people in browsers, by the hash of their cookie.
CREATE TABLE user_sessions (
    id BYTEA PRIMARY KEY,
    user_id TEXT COLLATE "C" NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    began_ms BIGINT NOT NULL,
    until_s BIGINT NOT NULL,
    address TEXT COLLATE "C" NOT NULL
);
CREATE INDEX user_sessions_of_user ON user_sessions (user_id);
CREATE INDEX user_sessions_by_time ON user_sessions (until_s);

-- Links with which somebody sets a password, each once, by the hash of their code. Without an account it makes an
-- administrator.
CREATE TABLE sign_in_links (
    id BYTEA PRIMARY KEY,
    user_id TEXT COLLATE "C" REFERENCES users (id) ON DELETE CASCADE,
    until_s BIGINT NOT NULL
);
