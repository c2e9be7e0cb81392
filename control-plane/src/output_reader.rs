//! Reads a step's output back, a bounded piece at a time, wherever the bytes are.

use bytes::Bytes;

use crate::chunks::{BadFrames, decompress};
use crate::objects::ObjectError;
use crate::state::App;
use crate::store::StoreError;
use crate::store::output::{self, Chunk};

/// Number of rows that are read at once: small chunks are put together to a piece.
const ROWS: u32 = 64;

/// Reason why output could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Object(#[from] ObjectError),
    #[error(transparent)]
    Frames(#[from] BadFrames),
    /// A hole, which no append makes.
    #[error("byte {0} of the output of a step is missing")]
    Hole(u64),
    /// A reader that follows is sent away.
    #[error("the server stops")]
    Stopping,
}

/// Some bytes of a step's output, and when they were received.
#[derive(Debug, Default)]
pub(crate) struct Piece {
    pub(crate) bytes: Bytes,
    /// Offsets in the piece, rising, each with the time at which the bytes from there on were received,
    /// in milliseconds since 1970. Bytes before the first are of a time that is not known.
    pub(crate) times: Vec<(u64, i64)>,
}

/// The next bytes of a step's output from `from` on: some, while `from` is before `until`, and
/// none behind `until`.
pub(crate) async fn piece(app: &App, step: i64, from: u64, until: u64) -> Result<Bytes, ReadError> {
    Ok(timed_piece(app, step, from, until).await?.bytes)
}

/// The same with times.
pub(crate) async fn timed_piece(
    app: &App,
    step: i64,
    from: u64,
    until: u64,
) -> Result<Piece, ReadError> {
    let until = until.min(from + app.readers.piece());
    let chunks = {
        let mut conn = app.store.read().await?;
        output::chunks_from(&mut conn, step, from, ROWS).await?
    };
    let mut piece = Vec::new();
    let mut times = Vec::new();
    let mut at = from;
    for chunk in chunks {
        if at >= until || chunk.start > at {
            break;
        }
        let skip = at - chunk.start;
        let take = chunk.length.saturating_sub(skip).min(until - at);
        let bytes = read_chunk(app, &chunk, skip, take).await?;
        // The time of a byte is that of the last pair before it.
        for &(offset, ms) in chunk.times.pairs().iter().filter(|(offset, _)| *offset < skip + take)
        {
            let place = (chunk.start + offset).saturating_sub(from);
            times.retain(|(before, _)| *before < place);
            times.push((place, ms));
        }
        at += take;
        if piece.is_empty() && bytes.len() as u64 >= app.readers.piece() / 2 {
            // The usual case of much output: no copy.
            return Ok(Piece { bytes, times });
        }
        piece.extend_from_slice(&bytes);
    }
    if piece.is_empty() && from < until {
        return Err(ReadError::Hole(from));
    }
    Ok(Piece { bytes: piece.into(), times })
}

/// Some bytes of a chunk: `take` from `skip` on, which it has. Of a compressed one, the frames that
/// have them are read and no others.
pub(crate) async fn read_chunk(
    app: &App,
    chunk: &Chunk,
    skip: u64,
    take: u64,
) -> Result<Bytes, ReadError> {
    let Some(index) = chunk.index() else { return read_stored(app, chunk, skip, take).await };
    let span = index?.find(skip, skip + take);
    let stored = read_stored(app, chunk, span.stored_start, span.stored_length).await?;
    let start = skip - span.start;
    let bytes = decompress(span, stored).await?;
    let range = usize::try_from(start).ok().zip(usize::try_from(start + take).ok());
    let hole = ReadError::Hole(chunk.start + skip);
    let (from, until) = range.filter(|(_, until)| *until <= bytes.len()).ok_or(hole)?;
    Ok(bytes.slice(from..until))
}

/// Some of the bytes of a chunk as they are stored.
async fn read_stored(
    app: &App,
    chunk: &Chunk,
    start: u64,
    length: u64,
) -> Result<Bytes, ReadError> {
    match (&chunk.data, &chunk.object) {
        (Some(data), _) => {
            let range = usize::try_from(start).ok().zip(usize::try_from(start + length).ok());
            let bytes = range.and_then(|(from, until)| data.get(from..until));
            Ok(Bytes::copy_from_slice(bytes.ok_or(ReadError::Hole(chunk.start + start))?))
        }
        (None, Some(object)) => Ok(app.objects.get_range(object, start, length).await?),
        (None, None) => Err(ReadError::Hole(chunk.start)),
    }
}
