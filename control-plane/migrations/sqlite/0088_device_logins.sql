-- Logins of command lines that wait for somebody to allow them in a browser, by the hash of the code that the command
-- line keeps. `user_code` is a keyed hash of the code that a person types. `source` is the address that they are counted
-- for, `request` the wanted token as JSON, `state` one of waiting, allowed, denied and fetched.
CREATE TABLE device_logins (
    id BLOB PRIMARY KEY,
    user_code BLOB NOT NULL UNIQUE,
    source TEXT NOT NULL,
    address TEXT NOT NULL,
    request TEXT NOT NULL,
    until_ms INTEGER NOT NULL,
    interval_s INTEGER NOT NULL,
    polled_ms INTEGER,
    state TEXT NOT NULL,
    user_id TEXT REFERENCES users (id) ON DELETE CASCADE
);
