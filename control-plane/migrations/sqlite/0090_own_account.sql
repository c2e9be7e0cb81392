-- The token that a token was made with: revoked, it takes along those that were made with it.
ALTER TABLE user_tokens ADD COLUMN parent TEXT REFERENCES user_tokens (id) ON DELETE CASCADE;
CREATE INDEX user_tokens_by_parent ON user_tokens (parent);

-- Last use of a session, written from time to time.
ALTER TABLE user_sessions ADD COLUMN used_ms INTEGER;
