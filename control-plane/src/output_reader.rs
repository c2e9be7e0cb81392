//! Reads a step's output back, a bounded piece at a time, wherever the bytes are.

use bytes::Bytes;

use crate::objects::ObjectError;
use crate::state::App;
use crate::store::{StoreError, output};

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
