//! Reads a step's output back, a bounded piece at a time, wherever the bytes are.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

use crate::objects::ObjectError;
use crate::state::App;
use crate::store::{StoreError, output};

/// Bytes of a piece while few read.
const MAX_PIECE: u64 = 512 * 1024;

/// Bytes of a piece while many do.
const MIN_PIECE: u64 = 16 * 1024;

/// Readers from which on pieces become smaller: what all of them hold stays as much.
const MANY_READERS: u64 = 16;

/// Counts the readers of output.
#[derive(Clone, Debug, Default)]
pub(crate) struct Readers(Arc<AtomicU64>);

impl Readers {
    /// Counts one more until it is dropped.
    pub(crate) fn enter(&self) -> Reading {
        self.0.fetch_add(1, Ordering::Relaxed);
        Reading(self.clone())
    }

    /// Returns how many bytes a piece may have: what a slow reader costs in memory.
    fn piece(&self) -> u64 {
        let readers = self.0.load(Ordering::Relaxed);
        (MAX_PIECE * MANY_READERS / readers.max(MANY_READERS)).max(MIN_PIECE)
    }
}

/// A reader that is counted.
#[derive(Debug)]
pub(crate) struct Reading(Readers);

impl Drop for Reading {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Number of rows that are read at once: small chunks are put together to a piece.
const ROWS: u32 = 64;

/// Reason why output could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Object(#[from] ObjectError),
    /// A hole, which no append makes.
    #[error("byte {0} of the output of a step is missing")]
    Hole(u64),
    /// A reader that follows is sent away.
    #[error("the server stops")]
    Stopping,
}

/// The next bytes of a step's output from `from` on: some, while `from` is before `until`, and
/// none behind `until`.
pub(crate) async fn piece(app: &App, step: i64, from: u64, until: u64) -> Result<Bytes, ReadError> {
    let until = until.min(from + app.readers.piece());
    let chunks = {
        let mut conn = app.store.read().await?;
        output::chunks_from(&mut conn, step, from, ROWS).await?
    };
    let mut piece = Vec::new();
    let mut at = from;
    for chunk in chunks {
        if at >= until || chunk.start > at {
            break;
        }
        let skip = at - chunk.start;
        let take = chunk.length.saturating_sub(skip).min(until - at);
        match (chunk.data, chunk.object) {
            (Some(data), _) => {
                let bytes = usize::try_from(skip)
                    .ok()
                    .zip(usize::try_from(skip + take).ok())
                    .and_then(|(from, to)| data.get(from..to));
                piece.extend_from_slice(bytes.ok_or(ReadError::Hole(at))?);
            }
            (None, Some(object)) => {
                let bytes = app.objects.get_range(&object, skip, take).await?;
                if piece.is_empty() {
                    // The usual case of much output: no copy.
                    return Ok(bytes);
                }
                piece.extend_from_slice(&bytes);
            }
            (None, None) => return Err(ReadError::Hole(at)),
        }
        at += take;
    }
    if piece.is_empty() && from < until {
        return Err(ReadError::Hole(from));
    }
    Ok(piece.into())
}

#[cfg(test)]
mod tests {
    use super::{MAX_PIECE, MIN_PIECE, Readers};

    #[test]
    fn many_readers_have_smaller_pieces() {
        let readers = Readers::default();
        let few: Vec<_> = (0..16).map(|_| readers.enter()).collect();
        assert_eq!(readers.piece(), MAX_PIECE);
        let many: Vec<_> = (0..1000).map(|_| readers.enter()).collect();
        assert_eq!(readers.piece(), MIN_PIECE);
        drop((few, many));
        assert_eq!(readers.piece(), MAX_PIECE);
    }
}
