//! Chunks of output: compressed in frames that can be read one by one, with an index of offsets and
//! one of times.
//!
//! What a runner was told is stored is in the database or an object, so that every server reads it.
//! Small pieces go into rows as they come; once there are [`PACK_BYTES`] of them they are
//! packed into one chunk, in place of their rows. Chunks of earlier versions are bytes as they are
//! and stay so.

mod frames;
mod times;

use bytes::Bytes;

pub(crate) use self::frames::{BadFrames, Index};
pub(crate) use self::times::Times;

/// Bytes of output after each of which the small rows before are packed.
pub(crate) const PACK_BYTES: u64 = 256 * 1024;

/// From this many bytes on, compressing makes a chunk smaller by something that counts.
const MIN_COMPRESSED: usize = 4 * 1024;

/// Bytes of a chunk as they are stored.
#[derive(Debug)]
pub(crate) struct Packed {
    pub(crate) bytes: Bytes,
    /// Index of the frames; `None` where the bytes are as they were.
    pub(crate) index: Option<Index>,
}

impl Packed {
    /// Compresses bytes where that makes them smaller, on a thread where nobody waits for it.
    pub(crate) async fn of(bytes: Bytes) -> Self {
        if bytes.len() < MIN_COMPRESSED {
            return Self { bytes, index: None };
        }
        let plain = bytes.clone();
        let compressed = tokio::task::spawn_blocking(move || frames::compress(&plain)).await;
        match compressed {
            Ok(Ok((packed, index))) if packed.len() < bytes.len() => {
                Self { bytes: packed.into(), index: Some(index) }
            }
            _ => Self { bytes, index: None },
        }
    }
}

/// Decompresses frames that [`Index::find`] has found.
pub(crate) async fn decompress(span: frames::FrameSpan, stored: Bytes) -> Result<Bytes, BadFrames> {
    // The usual piece takes a thread less than it costs to change to another.
    if span.length <= frames::FRAME_BYTES as u64 {
        return frames::decompress(&span, &stored).map(Bytes::from);
    }
    let decompressed =
        tokio::task::spawn_blocking(move || frames::decompress(&span, &stored).map(Bytes::from));
    decompressed.await.map_err(|_| BadFrames)?
}
