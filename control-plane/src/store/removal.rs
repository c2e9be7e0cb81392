//! Deletion of pipelines, little by little.
//!
//! A pipeline is marked first (`deleting`), which hides it. Then its rows go in bounded
//! transactions, children first, so that no claim waits for long. A transaction that removes the
//! row of an object notes the object in `unnamed_objects`, from where it is deleted afterwards:
//! whatever is killed in between, either a row names an object or it is noted.

use russet_protocol::ids::PipelineId;

use super::sql::query;
use super::{StoreError, WriteTx, unnamed};
use crate::scheduler::retention::Part;

/// Statements of one kind of row: the first notes the objects of some rows, the second removes the
/// same rows. Nothing changes rows of a pipeline that is being deleted.
struct Kind {
    objects: Option<&'static str>,
    rows: &'static str,
}

/// Output of steps.
const OUTPUT: Kind = Kind {
    objects: Some(
        "SELECT newest.object FROM (SELECT o.object FROM steps AS s JOIN output AS o ON o.step = s.position \
         WHERE s.pipeline = $1 ORDER BY o.step, o.start LIMIT 400) AS newest WHERE newest.object IS NOT NULL",
    ),
    rows: "DELETE FROM output WHERE (step, start) IN (SELECT o.step, o.start FROM steps AS s \
           JOIN output AS o ON o.step = s.position WHERE s.pipeline = $1 \
           ORDER BY o.step, o.start LIMIT 400)",
};

/// Artifacts.
const ARTIFACTS: Kind = Kind {
    objects: Some(
        "SELECT a.object FROM jobs AS j JOIN artifacts AS a ON a.job = j.id WHERE j.pipeline = $1 \
         ORDER BY a.job, a.path LIMIT 400",
    ),
    rows: "DELETE FROM artifacts WHERE (job, path) IN (SELECT a.job, a.path FROM jobs AS j \
           JOIN artifacts AS a ON a.job = j.id WHERE j.pipeline = $1 \
           ORDER BY a.job, a.path LIMIT 400)",
};

/// Test results. A row may be large.
const TESTS: Kind = Kind {
    objects: None,
    rows: "DELETE FROM test_batches WHERE (task, batch) IN (SELECT b.task, b.batch FROM jobs AS j \
           JOIN test_batches AS b ON b.job = j.id WHERE j.pipeline = $1 \
           ORDER BY b.task, b.batch LIMIT 20)",
};

/// All that a pipeline has, children before what they refer to.
const ALL: [Kind; 16] = [
    OUTPUT,
    ARTIFACTS,
    TESTS,
    Kind {
        objects: Some(
            "SELECT l.object FROM workflows AS w JOIN workspace_layers AS l ON l.workflow = w.id \
             WHERE w.pipeline = $1 ORDER BY l.position LIMIT 400",
        ),
        rows: "DELETE FROM workspace_layers WHERE position IN (SELECT l.position \
               FROM workflows AS w JOIN workspace_layers AS l ON l.workflow = w.id \
               WHERE w.pipeline = $1 ORDER BY l.position LIMIT 400)",
    },
    Kind {
        objects: None,
        rows: "DELETE FROM steps WHERE position IN (SELECT position FROM steps \
               WHERE pipeline = $1 LIMIT 400)",
    },
    Kind {
        objects: None,
        rows: "DELETE FROM allocations WHERE id IN (SELECT a.id FROM jobs AS j \
               JOIN tasks AS t ON t.job = j.id JOIN allocations AS a ON a.task = t.id \
               WHERE j.pipeline = $1 LIMIT 400)",
    },
    Kind {
        objects: None,
        rows: "DELETE FROM ssh_sessions WHERE task IN (SELECT s.task FROM jobs AS j \
               JOIN tasks AS t ON t.job = j.id JOIN ssh_sessions AS s ON s.task = t.id \
               WHERE j.pipeline = $1 LIMIT 20)",
    },
    Kind {
        objects: None,
        rows: "DELETE FROM task_ssh WHERE task IN (SELECT s.task FROM jobs AS j \
               JOIN tasks AS t ON t.job = j.id JOIN task_ssh AS s ON s.task = t.id \
               WHERE j.pipeline = $1 LIMIT 400)",
    },
    Kind {
        objects: None,
        rows: "DELETE FROM tasks WHERE id IN (SELECT t.id FROM jobs AS j \
               JOIN tasks AS t ON t.job = j.id WHERE j.pipeline = $1 LIMIT 400)",
    },
    Kind {
        objects: None,
        rows: "DELETE FROM job_timings WHERE job IN (SELECT t.job FROM jobs AS j \
               JOIN job_timings AS t ON t.job = j.id WHERE j.pipeline = $1 LIMIT 20)",
    },
    Kind {
        objects: None,
        rows: "DELETE FROM job_specs WHERE job IN (SELECT s.job FROM jobs AS j \
               JOIN job_specs AS s ON s.job = j.id WHERE j.pipeline = $1 LIMIT 100)",
    },
    Kind {
        objects: None,
        rows: "DELETE FROM ssh_accesses WHERE job IN (SELECT a.job FROM jobs AS j \
               JOIN ssh_accesses AS a ON a.job = j.id WHERE j.pipeline = $1 LIMIT 400)",
    },
    Kind {
        objects: None,
        rows: "DELETE FROM jobs WHERE id IN (SELECT id FROM jobs WHERE pipeline = $1 LIMIT 400)",
    },
    Kind { objects: None, rows: "DELETE FROM workflows WHERE pipeline = $1" },
    Kind { objects: None, rows: "DELETE FROM setups WHERE pipeline = $1" },
    Kind { objects: None, rows: "DELETE FROM trigger_events WHERE pipeline = $1" },
];

/// Removes some rows of a kind. Returns true where there were any.
async fn remove_kind(
    tx: &mut WriteTx,
    kind: &Kind,
    id: &PipelineId,
    now_ms: i64,
) -> Result<bool, StoreError> {
    if let Some(objects) = kind.objects {
        let rows = query(objects).bind(id.as_str()).fetch_all(tx).await?;
        for row in &rows {
            unnamed::note(tx, &row.try_get::<String>("object")?, now_ms).await?;
        }
    }
    Ok(query(kind.rows).bind(id.as_str()).execute(tx).await?.rows_affected() > 0)
}

/// Removes some of the rows of a pipeline that is being deleted; with the last of them the pipeline.
/// Returns true while there are more.
pub(crate) async fn remove_some(
    tx: &mut WriteTx,
    id: &PipelineId,
    now_ms: i64,
) -> Result<bool, StoreError> {
    for kind in &ALL {
        if remove_kind(tx, kind, id, now_ms).await? {
            return Ok(true);
        }
    }
    query("DELETE FROM pipelines WHERE id = $1 AND deleting = 1")
        .bind(id.as_str())
        .execute(tx)
        .await?;
    Ok(false)
}

/// Line that takes the place of output that was removed. Shorter output is left as it is.
const OUTPUT_REMOVED: &str = "Output was removed: it was older than the project's retention.\n";

/// Removes some rows of a part of a pipeline; with the last of them notes that the part is gone.
/// Returns true while there are more.
pub(crate) async fn trim_some(
    tx: &mut WriteTx,
    id: &PipelineId,
    part: Part,
    now_ms: i64,
) -> Result<bool, StoreError> {
    let is_more = match part {
        Part::Output => trim_output(tx, id, now_ms).await?,
        Part::Artifacts => remove_kind(tx, &ARTIFACTS, id, now_ms).await?,
        Part::Tests => remove_kind(tx, &TESTS, id, now_ms).await?,
    };
    if !is_more {
        query("UPDATE pipelines SET trimmed = trimmed | CAST($1 AS BIGINT) WHERE id = $2")
            .bind(part as i64)
            .bind(id.as_str())
            .execute(tx)
            .await?;
    }
    Ok(is_more)
}

/// Puts a line in the place of the output of some steps. A step is done as a whole: nobody is to
/// read the half of a log, or to take a step for one that said nothing.
async fn trim_output(tx: &mut WriteTx, id: &PipelineId, now_ms: i64) -> Result<bool, StoreError> {
    let length = i64::try_from(OUTPUT_REMOVED.len()).unwrap_or(0);
    let steps = query(
        "SELECT position FROM steps WHERE pipeline = $1 AND output_bytes > $2 \
         ORDER BY position LIMIT 10",
    )
    .bind(id.as_str())
    .bind(length)
    .fetch_all(tx)
    .await?;
    for row in &steps {
        let step: i64 = row.try_get("position")?;
        let removed = query("DELETE FROM output WHERE step = $1 RETURNING object")
            .bind(step)
            .fetch_all(tx)
            .await?;
        for row in &removed {
            if let Some(object) = row.try_get::<Option<String>>("object")? {
                unnamed::note(tx, &object, now_ms).await?;
            }
        }
        query("INSERT INTO output (step, start, length, data) VALUES ($1, 0, $2, $3)")
            .bind(step)
            .bind(length)
            .bind(OUTPUT_REMOVED.as_bytes())
            .execute(tx)
            .await?;
        query("UPDATE steps SET output_bytes = $1, final_bytes = $2, rev = $3 WHERE position = $4")
            .bind(length)
            .bind(length)
            .bind(tx.rev())
            .bind(step)
            .execute(tx)
            .await?;
    }
    Ok(!steps.is_empty())
}
