-- Rows that are changed often and whose indexes of what is open are read from their beginning: what is dead
-- there is in the way of every claim until it is cleaned up. The default waits for a fifth of the table, which
-- with a history of a million tasks is two hundred thousand of them.
ALTER TABLE tasks SET (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000,
    autovacuum_analyze_scale_factor = 0.02, fillfactor = 85);
ALTER TABLE jobs SET (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000,
    autovacuum_analyze_scale_factor = 0.02);
-- Few rows, each of which a claim changes: room beside them lets their indexes alone.
ALTER TABLE runners SET (fillfactor = 50);
