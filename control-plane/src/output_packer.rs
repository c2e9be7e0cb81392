//! Puts output away: a chunk into a row or an object, and many small rows into one chunk in their
//! place.

use bytes::Bytes;

use crate::chunks::{PACK_BYTES, Packed, Times};
use crate::objects::{ObjectError, Objects, unique_name};
use crate::output_reader::{ReadError, read_chunk};
use crate::state::App;
use crate::store::output::{self, Chunk};
use crate::store::{Held, StoreError, allocations, locks};

/// Up to this many bytes, as they are stored, are kept in the row itself: an object costs more than
/// that.
const INLINE_LIMIT: usize = 16 * 1024;

/// Rows that are packed at once, at most: more are left to the next time.
const MAX_ROWS: u32 = 16 * 1024;

/// Bytes from which on no more rows are packed at once.
const MAX_BYTES: usize = 4 * 1024 * 1024;

/// Rows below which nothing is won.
const MIN_ROWS: usize = 4;

/// Reason why rows stay as they are. They can be read all the same.
#[derive(Debug, thiserror::Error)]
enum PackError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Object(#[from] ObjectError),
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// Place of a chunk in the output of its step.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    pub(crate) start: u64,
    pub(crate) length: u64,
}

/// Returns the chunk of some bytes, which are in it where they are few, else in the object `name`.
pub(crate) async fn store_chunk(
    objects: &Objects,
    name: String,
    packed: Packed,
    span: Span,
    times: Times,
) -> Result<Chunk, ObjectError> {
    let Span { start, length } = span;
    let frames = packed.index.map(|index| index.to_bytes());
    let mut chunk = Chunk { start, length, data: None, object: None, frames, times };
    if packed.bytes.len() <= INLINE_LIMIT {
        chunk.data = Some(packed.bytes.into());
    } else {
        objects.put(&name, packed.bytes).await?;
        chunk.object = Some(name);
    }
    Ok(chunk)
}

/// Returns true where a chunk is the first to reach beyond a multiple of [`PACK_BYTES`].
pub(crate) fn is_due(start: u64, length: u64) -> bool {
    start / PACK_BYTES != (start + length) / PACK_BYTES
}

/// Packs the last rows of a step, apart from the call that has added to them: the runner is told
/// already that they are stored, and a failure leaves them as they are.
pub(crate) fn pack_later(app: &App, held: Held, step: i64, number: u32) {
    // As many at a time as may decompress: the memory of all of them is bounded.
    let app = app.clone();
    tokio::spawn(async move {
        let Ok(_turn) = app.gate.decoders.try_acquire() else { return };
        if let Err(error) = pack_tail(&app, &held, step, number).await {
            let error = russet_text::error_chain(&error);
            tracing::warn!(error, task.id = %held.task, "small pieces of output stay unpacked");
        }
    });
}

async fn pack_tail(app: &App, held: &Held, step: i64, number: u32) -> Result<(), PackError> {
    let rows = {
        let mut conn = app.store.read().await?;
        output::small_tail(&mut conn, step, MAX_ROWS).await?
    };
    let (Some(first), true) = (rows.first(), rows.len() >= MIN_ROWS) else { return Ok(()) };
    let start = first.start;
    let (mut bytes, mut times) = (Vec::new(), Times::default());
    let mut count = 0;
    for row in &rows {
        if bytes.len() >= MAX_BYTES {
            break;
        }
        if row.start != start + bytes.len() as u64 {
            return Ok(());
        }
        times.append(bytes.len() as u64, &row.times);
        bytes.extend_from_slice(&read_chunk(app, row, 0, row.length).await?);
        count += 1;
    }
    let length = bytes.len() as u64;
    let packed = Packed::of(Bytes::from(bytes)).await;
    let name = format!("output/{}/{number}/{start}-{}", held.task, unique_name());
    let span = Span { start, length };
    let chunk = store_chunk(&app.objects, name, packed, span, times).await?;
    let replaced = replace(app, held, step, count, &chunk).await;
    // After an error of our own the row may be there all the same.
    if let (Ok(false), Some(object)) = (&replaced, &chunk.object) {
        app.objects.delete(object).await;
    }
    replaced.map(|_| ())
}

/// Puts a chunk in the place of its rows; `false` where they are no longer as they were.
async fn replace(
    app: &App,
    held: &Held,
    step: i64,
    rows: usize,
    chunk: &Chunk,
) -> Result<bool, PackError> {
    let mut tx = app.store.write().await?;
    locks::task(&mut tx, &held.task).await?;
    let now = allocations::current_allocation(&mut tx, &held.task).await?;
    // A task that was put back in line has no output any more, or other.
    if now.is_none_or(|now| now.allocation != held.allocation) {
        return Ok(false);
    }
    let is_replaced = output::replace(&mut tx, step, rows, chunk).await?;
    if is_replaced {
        tx.commit().await?;
    } else {
        tx.rollback().await?;
    }
    Ok(is_replaced)
}

#[cfg(test)]
mod tests {
    use super::{PACK_BYTES, is_due};

    #[test]
    fn rows_are_packed_once_for_so_many_bytes() {
        assert!(!is_due(0, PACK_BYTES - 1));
        assert!(is_due(0, PACK_BYTES));
        assert!(is_due(PACK_BYTES - 1, 1));
        assert!(!is_due(PACK_BYTES, 100));
        assert!(is_due(PACK_BYTES + 100, 2 * PACK_BYTES));
    }
}
