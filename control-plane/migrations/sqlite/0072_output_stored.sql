-- Bytes that a chunk of output takes where it is, which are fewer than it has where it is compressed. Chunks
-- of before do not say it, and count as long as they are.
ALTER TABLE output ADD COLUMN stored INTEGER;
