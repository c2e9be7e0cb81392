-- Whether a runner serves one task and is gone then: it leaves the lists a day after its last claim.
ALTER TABLE runners ADD COLUMN single_task INTEGER NOT NULL DEFAULT 0;
CREATE INDEX runners_of_one_task ON runners (last_ms) WHERE single_task = 1;

-- Which agents claimed under the name lately, as JSON; tells two of one name from one that restarted.
ALTER TABLE runners ADD COLUMN claimants TEXT;
