//! Cuts an archive into chunks, each a zstd frame, so that what two snapshots of a project have in
//! common is the same bytes in both, and is stored and sent once.
//!
//! The cuts follow the content (a gear hash, as FastCDC has it), so that bytes that come in between
//! move none but the cuts around them. Frames one behind the other are a zstd stream: whoever unpacks
//! the archive knows nothing of this.

use std::io::{self, Write};

use russet_protocol::keeping::Chunk;

/// Bytes below which nothing is cut.
const MIN_CHUNK: usize = 16 * 1024;

/// Bytes at which is cut, whatever they are.
const MAX_CHUNK: usize = 256 * 1024;

/// Bits of the hash that are 0 where is cut: the 16 highest make chunks of 64 KiB and the least.
const CUT_MASK: u64 = 0xffff << 48;

/// Writes what it is given as chunks.
pub(super) struct Chunker<W> {
    out: W,
    compressor: zstd::bulk::Compressor<'static>,
    /// Bytes of the chunk that is begun.
    begun: Vec<u8>,
    hash: u64,
    chunks: Vec<Chunk>,
}

impl<W: Write> Chunker<W> {
    pub(super) fn new(out: W, level: i32) -> io::Result<Self> {
        let mut compressor = zstd::bulk::Compressor::new(level)?;
        compressor.include_checksum(true)?;
        let begun = Vec::with_capacity(MAX_CHUNK);
        Ok(Self { out, compressor, begun, hash: 0, chunks: Vec::new() })
    }

    /// Ends the last chunk. Returns the writer and the chunks.
    pub(super) fn finish(mut self) -> io::Result<(W, Vec<Chunk>)> {
        if !self.begun.is_empty() || self.chunks.is_empty() {
            self.end_chunk()?;
        }
        Ok((self.out, self.chunks))
    }

    fn end_chunk(&mut self) -> io::Result<()> {
        let frame = self.compressor.compress(&self.begun)?;
        let id = blake3::hash(&frame).to_hex().to_string();
        let size = u64::try_from(frame.len()).unwrap_or_default();
        self.out.write_all(&frame)?;
        self.chunks.push(Chunk { id, size });
        self.begun.clear();
        self.hash = 0;
        Ok(())
    }

    /// Returns the number of bytes that belong to the chunk that is begun, and sets whether it ends
    /// behind them.
    fn bytes_to_cut(&mut self, bytes: &[u8]) -> (usize, bool) {
        let mut length = self.begun.len();
        for (index, byte) in bytes.iter().enumerate() {
            length += 1;
            let gear = GEAR.get(usize::from(*byte)).copied().unwrap_or_default();
            self.hash = (self.hash << 1).wrapping_add(gear);
            let is_cut = length >= MIN_CHUNK && self.hash & CUT_MASK == 0;
            if is_cut || length >= MAX_CHUNK {
                return (index + 1, true);
            }
        }
        (bytes.len(), false)
    }
}

impl<W: Write> Write for Chunker<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let (count, is_end) = self.bytes_to_cut(bytes);
        self.begun.extend_from_slice(bytes.get(..count).unwrap_or_default());
        if is_end {
            self.end_chunk()?;
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// A random number for each byte. They never change: other numbers would cut elsewhere, and all of a
/// project would be stored once more.
static GEAR: [u64; 256] = gear_numbers();

/// Numbers of the generator SplitMix64 (Steele, Lea and Flood, 2014), from 0 on.
const fn gear_numbers() -> [u64; 256] {
    let mut numbers = [0; 256];
    let mut state: u64 = 0;
    let mut index = 0;
    while index < numbers.len() {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        numbers[index] = z ^ (z >> 31);
        index += 1;
    }
    numbers
}

#[cfg(test)]
mod tests {
    use super::{Chunk, Chunker, MAX_CHUNK};
    use std::collections::BTreeSet;
    use std::io::{Read as _, Write as _};

    /// Bytes that are not compressed.
    fn noise(length: usize, seed: u64) -> Vec<u8> {
        let mut state = seed;
        let next = |_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 56) as u8
        };
        (0..length).map(next).collect()
    }

    fn chunked(bytes: &[u8]) -> (Vec<u8>, Vec<Chunk>) {
        let mut chunker = Chunker::new(Vec::new(), 1).unwrap();
        for part in bytes.chunks(7777) {
            chunker.write_all(part).unwrap();
        }
        chunker.finish().unwrap()
    }

    #[test]
    fn frames_one_behind_the_other_are_the_archive() {
        for length in [0, 1, MAX_CHUNK, 3_000_000] {
            let bytes = noise(length, 1);
            let (packed, chunks) = chunked(&bytes);
            let mut unpacked = Vec::new();
            zstd::Decoder::new(&packed[..]).unwrap().read_to_end(&mut unpacked).unwrap();
            assert!(unpacked == bytes, "{length} bytes");
            assert_eq!(chunks.iter().map(|chunk| chunk.size).sum::<u64>(), packed.len() as u64);
        }
    }

    #[test]
    fn bytes_that_come_in_between_change_only_the_chunks_around_them() {
        let before = noise(4_000_000, 1);
        let mut after = before.clone();
        after.splice(2_000_000..2_000_000, b"one line more\n".iter().copied());
        let ids = |bytes: &[u8]| -> BTreeSet<String> {
            chunked(bytes).1.into_iter().map(|chunk| chunk.id).collect()
        };
        let (before, after) = (ids(&before), ids(&after));
        assert!(before.len() > 30, "{} chunks", before.len());
        assert!(after.difference(&before).count() <= 2, "{}", after.difference(&before).count());
    }
}
