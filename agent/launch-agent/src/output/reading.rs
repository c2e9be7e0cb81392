//! Reads the output of a task's steps in their order, each from where it was read to.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt as _;

use super::Spool;

/// Size of the largest piece, in bytes. A client that never reads keeps one of them here.
const PIECE_SIZE: usize = 64 * 1024;

/// Steps beyond this are not shown. Each has an open file while it is.
const MAX_STEPS: usize = 256;

/// Bytes that are kept of the end of a task's output.
pub(super) const MAX_KEPT_BYTES: u64 = 256 * 1024;

/// The files of a task's steps, and how far each is read. They stay open, so that what is in
/// them is there also when the task has ended and its files are gone.
#[derive(Debug, Default)]
pub(crate) struct OutputReader {
    steps: BTreeMap<u32, (File, u64)>,
    last: Option<u32>,
}

impl OutputReader {
    /// Opens the steps that are new. A file that is not the slot user's own is left out.
    pub(crate) fn open(&mut self, spool: &Spool) {
        for number in spool.steps(MAX_STEPS).unwrap_or_default() {
            self.open_step(spool, number);
        }
    }

    pub(super) fn open_step(&mut self, spool: &Spool, number: u32) {
        if !self.steps.contains_key(&number)
            && self.steps.len() < MAX_STEPS
            && let Ok(file) = spool.step(number)
        {
            self.steps.insert(number, (file, 0));
        }
    }

    /// Skips all but the last `most` bytes.
    pub(crate) fn skip_to_last(&mut self, most: u64) {
        let mut left = most;
        for (file, at) in self.steps.values_mut().rev() {
            let length = file.metadata().map_or(0, |data| data.len());
            *at = length.saturating_sub(left);
            left = left.saturating_sub(length);
        }
    }

    /// Returns the next piece of the first step that has more; empty when no step has.
    pub(crate) fn next_piece(&mut self) -> Vec<u8> {
        let mut buffer = vec![0; PIECE_SIZE];
        for (&number, (file, at)) in &mut self.steps {
            let Ok(length @ 1..) = file.read_at(&mut buffer, *at) else { continue };
            *at = at.saturating_add(u64::try_from(length).unwrap_or_default());
            let mut piece = Vec::new();
            if self.last.replace(number) != Some(number) {
                piece.extend_from_slice(format!("== step {number}\n").as_bytes());
            }
            piece.extend_from_slice(buffer.get(..length).unwrap_or_default());
            return piece;
        }
        Vec::new()
    }

    /// The end of everything, no more than [`MAX_KEPT_BYTES`] and the lines between steps.
    pub(super) fn into_end(mut self) -> Vec<u8> {
        self.skip_to_last(MAX_KEPT_BYTES);
        let most = usize::try_from(MAX_KEPT_BYTES).unwrap_or(usize::MAX).saturating_mul(2);
        let mut all = Vec::new();
        // What something left behind still writes is not waited for.
        while all.len() < most {
            let piece = self.next_piece();
            if piece.is_empty() {
                break;
            }
            all.extend_from_slice(&piece);
        }
        all
    }
}
