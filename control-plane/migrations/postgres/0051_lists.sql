-- Lists of the pipelines of a branch, and of those that somebody submitted.
CREATE INDEX pipelines_of_branch ON pipelines (project, branch, created_ms, id);
CREATE INDEX pipelines_of_author ON pipelines (author, created_ms, id) WHERE author IS NOT NULL;
