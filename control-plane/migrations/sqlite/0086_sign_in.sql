-- Sessions of people in browsers, by the hash of their cookie.
CREATE TABLE user_sessions (
    id BLOB PRIMARY KEY,
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    began_ms INTEGER NOT NULL,
    until_s INTEGER NOT NULL,
    address TEXT NOT NULL
);
CREATE INDEX user_sessions_of_user ON user_sessions (user_id);
CREATE INDEX user_sessions_by_time ON user_sessions (until_s);

-- Links with which somebody sets a password, each once, by the hash of their code. Without an account it makes an
-- administrator.
CREATE TABLE sign_in_links (
    id BLOB PRIMARY KEY,
    user_id TEXT REFERENCES users (id) ON DELETE CASCADE,
    until_s INTEGER NOT NULL
);
