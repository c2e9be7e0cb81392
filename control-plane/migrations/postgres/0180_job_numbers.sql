-- Public clients name a job by its project and its number.
CREATE INDEX jobs_by_number ON jobs (project, number);
