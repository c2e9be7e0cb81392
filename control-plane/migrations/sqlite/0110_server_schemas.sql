-- Number of the last migration that a server knows; null for versions before this one. What those do not
-- know of waits until they have ended: a task that is to be reached by SSH would run there without.
ALTER TABLE servers ADD COLUMN schema INTEGER;
