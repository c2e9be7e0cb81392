//! The claim of a task in one statement.
//!
//! Its parts take their rows in the order of `../locks.rs`, since each reads what the one before gives
//! back: the task, its job, its workflow, the runner. The first is taken without waiting; a workflow
//! may be waited for that another claim has just started.

/// Gives a runner the first task of a class after a place, and notes it with the job, the workflow and
/// the runner. `$3` are the Xcodes that the task may name, as JSON; null is any. The claim is `$4`,
/// or `$5` where that was a claim before; `$12` is the most that the task may need of SSH.
pub(in crate::store) const CLAIM: &str = "\
    WITH first AS (SELECT id FROM tasks WHERE class = $1 AND phase = 'queued' AND queue > $2 \
    AND (CAST($3 AS TEXT) IS NULL OR xcode IS NULL \
    OR xcode IN (SELECT jsonb_array_elements_text(CAST($3 AS JSONB)))) AND ssh <= $12 \
    ORDER BY queue LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED), \
    task AS (UPDATE tasks SET phase = 'running', granted = $6, expires = $7, \
    allocation = CASE WHEN EXISTS (SELECT 1 FROM allocations WHERE id = $4) THEN $5 ELSE $4 END, \
    step_started = 0, last_seq = 0 FROM first WHERE tasks.id = first.id \
    RETURNING tasks.id, tasks.job, tasks.pipeline, tasks.ordinal, tasks.queued_ms, tasks.allocation), \
    claim AS (INSERT INTO allocations (id, task, hash, runner, created_ms) \
    SELECT allocation, id, $8, $9, $10 FROM task), \
    job AS (UPDATE jobs SET phase = 'running', started_ms = coalesce(started_ms, $10), \
    runner = $9, message = NULL, rev = $11 FROM task WHERE jobs.id = task.job \
    RETURNING jobs.id, jobs.name, jobs.workflow, jobs.parallelism), \
    workflow AS (UPDATE workflows SET phase = 'running', rev = $11 \
    WHERE id = (SELECT workflow FROM job) AND phase = 'queued' RETURNING id), \
    runner AS (UPDATE runners SET last_used_ms = $10 FROM task, (SELECT count(*) FROM workflow) AS done \
    WHERE runners.class = $1 AND runners.name = $9) \
    SELECT task.id, task.job, job.name AS job_name, job.workflow, task.pipeline, task.ordinal, \
    task.queued_ms, task.allocation, job.parallelism, pipelines.project, pipelines.branch, \
    pipelines.tag, pipelines.from_fork, pipelines.reports FROM task JOIN job ON job.id = task.job \
    JOIN pipelines ON pipelines.id = task.pipeline";

#[cfg(test)]
mod tests;
