-- Layers of the workspace of a workflow. `position` is the order in which they came.
CREATE TABLE workspace_layers (
    position INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    workflow TEXT NOT NULL,
    job TEXT NOT NULL REFERENCES jobs (id),
    task TEXT NOT NULL,
    allocation TEXT NOT NULL,
    size INTEGER NOT NULL,
    blake3 TEXT NOT NULL,
    object TEXT NOT NULL,
    expires_ms INTEGER NOT NULL
);
CREATE INDEX layers_of_workflow ON workspace_layers (workflow);
CREATE INDEX layers_by_expiry ON workspace_layers (expires_ms);
