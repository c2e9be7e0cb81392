//! Number of readers of output, which bounds the memory of all of them together.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

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
    pub(crate) fn piece(&self) -> u64 {
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
