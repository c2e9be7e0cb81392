//! Table `output`: which bytes of a step are where.

use super::rows::{count_column, int_value};
use super::sql::query;
use super::{Conn, StepRow, StoreError, WriteTx};

/// Some bytes of a step's output.
#[derive(Clone, Debug)]
pub(crate) struct Chunk {
    /// Offset of the first byte in the step's output.
    pub(crate) start: u64,
    /// Total number.
    pub(crate) length: u64,
    /// The bytes, where they are few.
    pub(crate) data: Option<Vec<u8>>,
    /// Else the object that holds them.
    pub(crate) object: Option<String>,
}

/// Adds a chunk at the end of a step's output.
pub(crate) async fn append(
    tx: &mut WriteTx,
    step: &StepRow,
    chunk: &Chunk,
) -> Result<(), StoreError> {
    query("INSERT INTO output (step, start, length, object, data) VALUES ($1, $2, $3, $4, $5)")
        .bind(step.key)
        .bind(int_value(chunk.start))
        .bind(int_value(chunk.length))
        .bind(&chunk.object)
        .bind(&chunk.data)
        .execute(tx)
        .await?;
    query("UPDATE steps SET output_bytes = $1, rev = $2 WHERE position = $3")
        .bind(int_value(chunk.start + chunk.length))
        .bind(tx.rev())
        .bind(step.key)
        .execute(tx)
        .await?;
    Ok(())
}

/// The chunks from the one that holds byte `from` on, `limit` of them at most.
pub(crate) async fn chunks_from(
    conn: &mut Conn,
    step: i64,
    from: u64,
    limit: u32,
) -> Result<Vec<Chunk>, StoreError> {
    let rows = query(
        "SELECT * FROM output WHERE step = $1 AND start >= \
         coalesce((SELECT max(start) FROM output WHERE step = $1 AND start <= $2), 0) \
         ORDER BY start LIMIT $3",
    )
    .bind(step)
    .bind(int_value(from))
    .bind(limit)
    .fetch_all(conn)
    .await?;
    rows.iter()
        .map(|row| {
            Ok(Chunk {
                start: count_column(row, "start")?,
                length: count_column(row, "length")?,
                data: row.try_get("data")?,
                object: row.try_get("object")?,
            })
        })
        .collect()
}

/// The objects that hold output of a task.
pub(crate) async fn objects_of_task(
    conn: &mut Conn,
    task: &str,
) -> Result<Vec<String>, StoreError> {
    let rows = query(
        "SELECT object FROM output JOIN steps ON steps.position = output.step \
         WHERE steps.task = $1 AND object IS NOT NULL",
    )
    .bind(task)
    .fetch_all(conn)
    .await?;
    rows.iter().map(|row| Ok(row.try_get("object")?)).collect()
}
