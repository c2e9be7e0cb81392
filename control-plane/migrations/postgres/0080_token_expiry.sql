-- End of a token's validity, after which it is refused, and its last use, to the minute. None: it does not expire, or was
-- not used yet.
ALTER TABLE tokens ADD COLUMN expires_ms BIGINT;
ALTER TABLE tokens ADD COLUMN last_used_ms BIGINT;
CREATE INDEX tokens_expiring ON tokens (expires_ms) WHERE expires_ms IS NOT NULL;
