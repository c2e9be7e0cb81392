//! Table `output`: which bytes of a step are where.

use super::rows::{count_column, int_value};
use super::sql::{Row, query};
use super::{Conn, StepRow, StoreError, WriteTx};
use crate::chunks::{Index, Times};

/// Some bytes of a step's output.
#[derive(Clone, Debug)]
pub(crate) struct Chunk {
    /// Offset of the first byte in the step's output.
    pub(crate) start: u64,
    /// Total number, before compression.
    pub(crate) length: u64,
    /// The stored bytes, where they are few.
    pub(crate) data: Option<Vec<u8>>,
    /// Else the object that holds them.
    pub(crate) object: Option<String>,
    /// Index of the frames, as it is stored; `None` where bytes are stored as they are.
    pub(crate) frames: Option<Vec<u8>>,
    /// Times at which they were received; none for those of earlier versions.
    pub(crate) times: Times,
}

impl Chunk {
    /// Returns the index of the frames; `None` where bytes are stored as they are.
    pub(crate) fn index(&self) -> Option<Result<Index, crate::chunks::BadFrames>> {
        self.frames.as_deref().map(|frames| Index::from_bytes(frames, self.length))
    }

    /// Returns the bytes that it takes where it is stored.
    fn stored_length(&self) -> u64 {
        match self.index() {
            Some(Ok(index)) => index.stored_length(),
            Some(Err(_)) | None => self.length,
        }
    }
}

/// Rows of at least so many bytes are not packed with others.
const MIN_LARGE: u64 = crate::chunks::PACK_BYTES / 2;

/// Adds a chunk at the end of a step's output.
pub(crate) async fn append(
    tx: &mut WriteTx,
    step: &StepRow,
    chunk: &Chunk,
) -> Result<(), StoreError> {
    insert(tx, step.key, chunk).await?;
    query("UPDATE steps SET output_bytes = $1, rev = $2 WHERE position = $3")
        .bind(int_value(chunk.start + chunk.length))
        .bind(tx.rev())
        .bind(step.key)
        .execute(tx)
        .await?;
    Ok(())
}

async fn insert(tx: &mut WriteTx, step: i64, chunk: &Chunk) -> Result<(), StoreError> {
    let times = chunk.times.to_bytes();
    query(
        "INSERT INTO output (step, start, length, object, data, frames, times, stored) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(step)
    .bind(int_value(chunk.start))
    .bind(int_value(chunk.length))
    .bind(&chunk.object)
    .bind(&chunk.data)
    .bind(&chunk.frames)
    .bind(&times)
    .bind(int_value(chunk.stored_length()))
    .execute(tx)
    .await?;
    Ok(())
}

/// Puts a chunk in the place of as many small rows as have the same bytes; `false`, and no change,
/// where they are no longer so many.
pub(crate) async fn replace(
    tx: &mut WriteTx,
    step: i64,
    rows: usize,
    chunk: &Chunk,
) -> Result<bool, StoreError> {
    let done = query(
        "DELETE FROM output WHERE step = $1 AND start >= $2 AND start < $3 AND object IS NULL",
    )
    .bind(step)
    .bind(int_value(chunk.start))
    .bind(int_value(chunk.start + chunk.length))
    .execute(tx)
    .await?;
    if done.rows_affected() != rows as u64 {
        return Ok(false);
    }
    insert(tx, step, chunk).await?;
    Ok(true)
}

/// The last chunks that are small and in rows, from the first behind a large one on, `limit` of them
/// at most.
pub(crate) async fn small_tail(
    conn: &mut Conn,
    step: i64,
    limit: u32,
) -> Result<Vec<Chunk>, StoreError> {
    let rows = query(
        "SELECT * FROM output WHERE step = $1 AND start > coalesce((SELECT max(start) FROM output \
         WHERE step = $1 AND (object IS NOT NULL OR length >= $2)), -1) ORDER BY start LIMIT $3",
    )
    .bind(step)
    .bind(int_value(MIN_LARGE))
    .bind(limit)
    .fetch_all(conn)
    .await?;
    rows.iter().map(chunk_from_row).collect()
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
    rows.iter().map(chunk_from_row).collect()
}

fn chunk_from_row(row: &Row) -> Result<Chunk, StoreError> {
    let times: Option<Vec<u8>> = row.try_get("times")?;
    Ok(Chunk {
        start: count_column(row, "start")?,
        length: count_column(row, "length")?,
        data: row.try_get("data")?,
        object: row.try_get("object")?,
        frames: row.try_get("frames")?,
        times: times.map(|times| Times::from_bytes(&times)).unwrap_or_default(),
    })
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
