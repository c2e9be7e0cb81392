-- Logins of command lines that wait for somebody to allow them in a browser, by the hash of the code that the command
-- line keeps. `user_code` is a keyed hash of the code that a person types. `source` is the address that they are counted
-- for, `request` the wanted token as JSON, `state` one of waiting, allowed, denied and fetched.
CREATE TABLE device_logins (
    id BYTEA PRIMARY KEY,
    user_code BYTEA NOT NULL UNIQUE,
    source TEXT COLLATE "C" NOT NULL,
    address TEXT COLLATE "C" NOT NULL,
    request TEXT COLLATE "C" NOT NULL,
    until_ms BIGINT NOT NULL,
    interval_s BIGINT NOT NULL,
    polled_ms BIGINT,
    state TEXT COLLATE "C" NOT NULL,
    user_id TEXT COLLATE "C" REFERENCES users (id) ON DELETE CASCADE
);
