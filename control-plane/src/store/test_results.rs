//! Table `test_batches`: results of tests, in the batches they came in.

use std::collections::{BTreeMap, HashMap};

use russet_protocol::ids::JobId;
use russet_protocol::runner::{TestOutcome, TestResult};

use super::rows::{json, keys, to_json};
use super::sql::query;
use super::{Conn, Held, StoreError, WriteTx};

fn name(outcome: TestOutcome) -> &'static str {
    match outcome {
        TestOutcome::Success => "success",
        TestOutcome::Failure => "failure",
        TestOutcome::Error => "error",
        TestOutcome::Skipped => "skipped",
    }
}

/// Adds a batch. Answers whether it is new; a replay changes nothing.
pub(crate) async fn insert(
    tx: &mut WriteTx,
    held: &Held,
    batch: u32,
    results: &[TestResult],
) -> Result<bool, StoreError> {
    let mut counts = BTreeMap::<&str, u64>::new();
    for result in results {
        *counts.entry(name(result.result)).or_default() += 1;
    }
    let done = query(
        "INSERT INTO test_batches (task, batch, job, counts, results) VALUES ($1, $2, $3, $4, $5) \
         ON CONFLICT DO NOTHING",
    )
    .bind(held.task.as_str())
    .bind(batch)
    .bind(held.job.as_str())
    .bind(to_json(&counts)?)
    .bind(to_json(&results)?)
    .execute(tx)
    .await?;
    let is_new = done.rows_affected() == 1;
    if is_new {
        set_has_results(tx, &held.job, true).await?;
    }
    Ok(is_new)
}

/// Notes whether a job has results, for the index that finds the latest jobs that have.
async fn set_has_results(tx: &mut WriteTx, job: &JobId, has: bool) -> Result<(), StoreError> {
    query("UPDATE jobs SET has_results = $1 WHERE id = $2")
        .bind(has)
        .bind(job.as_str())
        .execute(tx)
        .await?;
    Ok(())
}

/// Forgets the results of a job, which is run again: those of the next run count.
pub(crate) async fn forget(tx: &mut WriteTx, job: &JobId) -> Result<(), StoreError> {
    query("DELETE FROM test_batches WHERE job = $1").bind(job.as_str()).execute(tx).await?;
    set_has_results(tx, job, false).await
}

/// Returns the numbers of results that jobs have, by job and outcome.
pub(crate) async fn counts(
    conn: &mut Conn,
    jobs: impl IntoIterator<Item = &str>,
) -> Result<HashMap<String, BTreeMap<String, u64>>, StoreError> {
    let rows = query(
        "SELECT job, counts FROM test_batches WHERE job IN (SELECT value FROM json_each($1))",
    )
    .bind(keys(jobs)?)
    .fetch_all(conn)
    .await?;
    let mut by_job = HashMap::<String, BTreeMap<String, u64>>::new();
    for row in &rows {
        let sum = by_job.entry(row.try_get("job")?).or_default();
        for (outcome, count) in json::<BTreeMap<String, u64>>(row, "counts")? {
            *sum.entry(outcome).or_default() += count;
        }
    }
    Ok(by_job)
}

/// The latest jobs of a name in a project that have results, newest first.
pub(crate) async fn latest_jobs(
    conn: &mut Conn,
    project: &str,
    name: &str,
    most: u32,
) -> Result<Vec<JobId>, StoreError> {
    let rows = query(
        "SELECT id FROM jobs WHERE project = $1 AND name = $2 AND has_results = 1 \
         AND phase = 'ended' ORDER BY number DESC LIMIT $3",
    )
    .bind(project)
    .bind(name)
    .bind(most)
    .fetch_all(conn)
    .await?;
    rows.iter().map(|row| Ok(row.try_get::<String>("id")?.into())).collect()
}

/// All results of a job, in the order in which they came.
pub(crate) async fn of_job(conn: &mut Conn, job: &JobId) -> Result<Vec<TestResult>, StoreError> {
    let rows = query(
        "SELECT results FROM test_batches WHERE job = (SELECT coalesce(kept_from, id) FROM jobs \
         WHERE id = $1) ORDER BY task, batch",
    )
    .bind(job.as_str())
    .fetch_all(conn)
    .await?;
    let mut results = Vec::new();
    for row in &rows {
        results.extend(json::<Vec<TestResult>>(row, "results")?);
    }
    Ok(results)
}
