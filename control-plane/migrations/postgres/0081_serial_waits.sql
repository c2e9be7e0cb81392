-- Jobs that wait for their turn in a serial group, for the overview: as many as there are at the moment.
CREATE INDEX jobs_in_groups ON jobs (id) WHERE phase = 'queued' AND serial_group IS NOT NULL;
