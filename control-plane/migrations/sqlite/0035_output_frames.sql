-- The index of the frames of a compressed chunk, where bytes are not stored as they are, and the
-- times at which its bytes were received. Chunks of before have neither.
ALTER TABLE output ADD COLUMN frames BLOB;
ALTER TABLE output ADD COLUMN times BLOB;
