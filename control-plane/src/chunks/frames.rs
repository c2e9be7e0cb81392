//! Compressed chunks: zstd frames one after the other, each of [`FRAME_BYTES`] before compression,
//! and an index of their lengths. Whoever wants some bytes decompresses the frames that have them.
//!
//! Threat: a few bytes can decompress to any number of them. What is stored was compressed here, but
//! a store may give back anything; no frame becomes longer than its index says, and no index says
//! more than [`FRAME_BYTES`].

/// Bytes of a frame before compression.
pub(super) const FRAME_BYTES: usize = 128 * 1024;

/// Level of compression: as fast as a pipe, and a third or less of what builds print.
const LEVEL: i32 = 1;

/// Frames that are not what their index says, or an index that cannot be one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("stored output is not what its index says")]
pub(crate) struct BadFrames;

/// Lengths of one frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Frame {
    /// Before compression.
    length: u32,
    stored: u32,
}

/// Lengths of the frames of a chunk, in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Index(Vec<Frame>);

/// Some frames that are beside each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FrameSpan {
    /// Offset of the first byte among those of the chunk, before compression.
    pub(crate) start: u64,
    /// Bytes before compression.
    pub(crate) length: u64,
    /// Offset among the stored bytes.
    pub(crate) stored_start: u64,
    /// Stored bytes.
    pub(crate) stored_length: u64,
    frames: Vec<Frame>,
}

/// Compresses bytes into frames.
pub(super) fn compress(bytes: &[u8]) -> std::io::Result<(Vec<u8>, Index)> {
    let mut compressor = zstd::bulk::Compressor::new(LEVEL)?;
    let mut packed = Vec::with_capacity(bytes.len() / 3);
    let mut frames = Vec::new();
    for part in bytes.chunks(FRAME_BYTES) {
        let frame = compressor.compress(part)?;
        frames.push(Frame { length: fits(part.len())?, stored: fits(frame.len())? });
        packed.extend_from_slice(&frame);
    }
    Ok((packed, Index(frames)))
}

fn fits(length: usize) -> std::io::Result<u32> {
    u32::try_from(length).map_err(std::io::Error::other)
}

/// Decompresses the stored bytes of a span.
pub(super) fn decompress(span: &FrameSpan, stored: &[u8]) -> Result<Vec<u8>, BadFrames> {
    let mut decompressor = zstd::bulk::Decompressor::new().map_err(|_| BadFrames)?;
    let mut rest = stored;
    let mut bytes = Vec::with_capacity(usize::try_from(span.length).map_err(|_| BadFrames)?);
    for frame in &span.frames {
        let (this, after) = rest.split_at_checked(frame.stored as usize).ok_or(BadFrames)?;
        // Takes no more room than the index says.
        let part = decompressor.decompress(this, frame.length as usize).map_err(|_| BadFrames)?;
        if part.len() != frame.length as usize {
            return Err(BadFrames);
        }
        bytes.extend_from_slice(&part);
        rest = after;
    }
    Ok(bytes)
}

impl Index {
    /// Returns it as it is stored: two numbers of 32 bits for each frame, little-endian.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let numbers = self.0.iter().flat_map(|frame| [frame.length, frame.stored]);
        numbers.flat_map(u32::to_le_bytes).collect()
    }

    /// Reads it, for a chunk of `length` bytes before compression.
    pub(crate) fn from_bytes(bytes: &[u8], length: u64) -> Result<Self, BadFrames> {
        let (pairs, rest) = bytes.as_chunks::<8>();
        let frames: Vec<Frame> = pairs
            .iter()
            .map(|&[a, b, c, d, e, f, g, h]| Frame {
                length: u32::from_le_bytes([a, b, c, d]),
                stored: u32::from_le_bytes([e, f, g, h]),
            })
            .collect();
        let sum: u64 = frames.iter().map(|frame| u64::from(frame.length)).sum();
        let is_good = |frame: &Frame| (1..=FRAME_BYTES).contains(&(frame.length as usize));
        if !rest.is_empty() || sum != length || !frames.iter().all(is_good) {
            return Err(BadFrames);
        }
        Ok(Self(frames))
    }

    /// Returns the number of stored bytes of all frames.
    pub(crate) fn stored_length(&self) -> u64 {
        self.0.iter().map(|frame| u64::from(frame.stored)).sum()
    }

    /// Finds the frames with the bytes from `from` to `until`, which are within the chunk.
    pub(crate) fn find(&self, from: u64, until: u64) -> FrameSpan {
        let mut span = FrameSpan {
            start: 0,
            length: 0,
            stored_start: 0,
            stored_length: 0,
            frames: Vec::new(),
        };
        let mut at = 0;
        for frame in &self.0 {
            let (length, stored) = (u64::from(frame.length), u64::from(frame.stored));
            if at + length <= from {
                span.start += length;
                span.stored_start += stored;
            } else if at < until {
                span.length += length;
                span.stored_length += stored;
                span.frames.push(*frame);
            }
            at += length;
        }
        span
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{BadFrames, FRAME_BYTES, Index, compress, decompress};

    fn read(packed: &[u8], index: &Index, from: u64, until: u64) -> Result<Vec<u8>, BadFrames> {
        let span = index.find(from, until);
        let start = span.stored_start as usize;
        let bytes = decompress(&span, &packed[start..start + span.stored_length as usize])?;
        let skip = (from - span.start) as usize;
        Ok(bytes[skip..skip + (until - from) as usize].to_vec())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn any_range_of_a_chunk_has_the_bytes_that_went_in(
            length in 1..4 * FRAME_BYTES, seed: u8, cut in (0.0..1.0f64, 0.0..1.0f64),
        ) {
            let bytes: Vec<u8> =
                (0..length).map(|n| (n / 7) as u8 ^ (n % 3) as u8 ^ seed).collect();
            let (packed, index) = compress(&bytes).unwrap();
            let again = Index::from_bytes(&index.to_bytes(), length as u64).unwrap();
            prop_assert_eq!(&again, &index);
            let at = |share: f64| (share * length as f64) as u64;
            let (from, until) = (at(cut.0.min(cut.1)), at(cut.0.max(cut.1)));
            let read = read(&packed, &again, from, until).unwrap();
            prop_assert!(read == bytes[from as usize..until as usize]);
            // No more than the frames that have them.
            let span = again.find(from, until);
            prop_assert!(span.length < until - from + 2 * FRAME_BYTES as u64);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn writes_however_they_are_split_read_back_as_one(
            lengths in proptest::collection::vec(0..2 * FRAME_BYTES, 1..6),
            noise in any::<u32>(), cut in (0.0..1.0f64, 0.0..1.0f64),
        ) {
            let all: Vec<u8> = (0..lengths.iter().sum::<usize>())
                .map(|n| if n % 5 == 0 { (n as u32).wrapping_mul(noise) as u8 } else { b'a' })
                .collect();
            // Each write is a chunk, behind those before it.
            let (mut chunks, mut start) = (Vec::new(), 0);
            for length in lengths {
                let (packed, index) = compress(&all[start..start + length]).unwrap();
                prop_assert_eq!(packed.len() as u64, index.stored_length());
                chunks.push((start, length, packed, index));
                start += length;
            }
            let at = |share: f64| (share * all.len() as f64) as usize;
            let (from, until) = (at(cut.0.min(cut.1)), at(cut.0.max(cut.1)));
            let mut got = Vec::new();
            for (start, length, packed, index) in &chunks {
                let range = (from.max(*start), until.min(start + length));
                if range.0 < range.1 {
                    let within = ((range.0 - start) as u64, (range.1 - start) as u64);
                    got.extend(read(packed, index, within.0, within.1).unwrap());
                }
                // Offsets rise from each frame to the next, on both sides, up to the end.
                let (mut next, mut stored) = (0, 0);
                while next < *length as u64 {
                    let span = index.find(next, next + 1);
                    prop_assert_eq!((span.start, span.stored_start), (next, stored));
                    prop_assert!(span.length > 0 && span.stored_length > 0);
                    next += span.length;
                    stored += span.stored_length;
                }
                prop_assert_eq!((next, stored), (*length as u64, packed.len() as u64));
            }
            prop_assert!(got == all[from..until]);
        }
    }

    #[test]
    fn a_frame_becomes_no_longer_than_its_index_says() {
        let bomb = zstd::bulk::compress(&vec![0; 64 << 20], 1).unwrap();
        let index = [100_u32.to_le_bytes(), (bomb.len() as u32).to_le_bytes()].concat();
        let index = Index::from_bytes(&index, 100).unwrap();
        assert_eq!(read(&bomb, &index, 0, 100), Err(BadFrames));
        let (packed, index) = compress(&[7; 1000]).unwrap();
        let changed = index.find(0, 1000);
        assert_eq!(decompress(&changed, &packed[1..]), Err(BadFrames));
    }

    #[test]
    fn an_index_that_cannot_be_one_is_refused() {
        let frame = |length: u32| [length.to_le_bytes(), 9_u32.to_le_bytes()].concat();
        assert!(Index::from_bytes(&frame(10), 10).is_ok());
        assert_eq!(Index::from_bytes(&frame(10), 11), Err(BadFrames));
        assert_eq!(Index::from_bytes(&frame(10)[..7], 10), Err(BadFrames));
        let large = FRAME_BYTES as u32 + 1;
        assert_eq!(Index::from_bytes(&frame(large), u64::from(large)), Err(BadFrames));
        assert_eq!(Index::from_bytes(&[frame(0), frame(5)].concat(), 5), Err(BadFrames));
    }
}
