-- `pinned` pipelines stay whatever the retention says. Rows of those that are `deleting` go little by
-- little, and nobody sees them any more. `trimmed` says what of a pipeline has gone before it: 1 output,
-- 2 artifacts, 4 test results.
ALTER TABLE pipelines ADD COLUMN pinned BIGINT NOT NULL DEFAULT 0;
ALTER TABLE pipelines ADD COLUMN deleting BIGINT NOT NULL DEFAULT 0;
ALTER TABLE pipelines ADD COLUMN trimmed BIGINT NOT NULL DEFAULT 0;
CREATE INDEX pipelines_being_deleted ON pipelines (id) WHERE deleting = 1;
CREATE INDEX pipelines_of_source ON pipelines (source);

-- A project that is `deleting` goes when its last pipeline has gone.
ALTER TABLE projects ADD COLUMN deleting BIGINT NOT NULL DEFAULT 0;

-- The object of a snapshot. None: `sources/` and its id, as it was before. An empty one: the snapshot is
-- in chunks.
ALTER TABLE sources ADD COLUMN object TEXT COLLATE "C";
CREATE INDEX sources_by_time ON sources (created_ms);

-- Parts of snapshots, each stored once, by their BLAKE3.
CREATE TABLE chunks (
    id TEXT COLLATE "C" PRIMARY KEY,
    size BIGINT NOT NULL,
    object TEXT COLLATE "C" NOT NULL,
    created_ms BIGINT NOT NULL
);
CREATE INDEX chunks_by_time ON chunks (created_ms);

CREATE TABLE source_chunks (
    source TEXT COLLATE "C" NOT NULL REFERENCES sources (id),
    position BIGINT NOT NULL,
    chunk TEXT COLLATE "C" NOT NULL REFERENCES chunks (id),
    PRIMARY KEY (source, position)
);
CREATE INDEX source_chunks_by_chunk ON source_chunks (chunk);

-- Objects whose rows are gone: noted by the transaction that removed the row, deleted afterwards.
CREATE TABLE unnamed_objects (
    object TEXT COLLATE "C" PRIMARY KEY,
    since_ms BIGINT NOT NULL
);
CREATE INDEX unnamed_objects_by_time ON unnamed_objects (since_ms);

-- Whoever copies objects holds their deletion until then.
CREATE TABLE object_holds (
    holder TEXT COLLATE "C" PRIMARY KEY,
    until_ms BIGINT NOT NULL
);

-- `settings` is JSON; the empty project stands for all.
CREATE TABLE retention (
    project TEXT COLLATE "C" PRIMARY KEY,
    settings TEXT COLLATE "C" NOT NULL
);

-- Deleting a row looks for those that refer to it.
CREATE INDEX allocations_of_task ON allocations (task);
CREATE INDEX IF NOT EXISTS layers_of_job ON workspace_layers (job);
