-- Name by which people know a server, the same after a restart: alerts about one are told apart from those
-- about others. NULL: a server of before.
ALTER TABLE servers ADD COLUMN place TEXT;
