//! Writing the contents of files, with holes.

use std::fs::File;
use std::io::{self, Read, Seek as _, SeekFrom, Write as _};

use crate::archive::limits::Room;

/// Zeros of this many bytes become a hole.
const HOLE: usize = 64 * 1024;

/// Writes `size` bytes. Long runs of zeros become holes, so that a disk image takes no more room
/// than it did, and an archive of nothing but zeros fills no disk.
pub(super) fn write(
    file: &mut File,
    buffer: &mut [u8],
    size: u64,
    content: &mut dyn Read,
    room: &mut Room,
) -> io::Result<()> {
    let mut left = size;
    let mut ends_in_hole = false;
    while left > 0 {
        let most = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let piece = buffer.get_mut(..most).unwrap_or_default();
        content.read_exact(piece)?;
        room.take(count_bytes_outside_holes(size, piece))?;
        if size < HOLE as u64 {
            file.write_all(piece)?;
        } else {
            ends_in_hole = write_with_holes(file, piece)?;
        }
        left -= most as u64;
    }
    if ends_in_hole {
        file.set_len(size)?;
    }
    Ok(())
}

/// Writes a piece of a file, and leaves out zeros. Answers whether it ends with such: then the file
/// is too short until its length is set, or more is written.
pub(crate) fn write_with_holes(file: &mut File, piece: &[u8]) -> io::Result<bool> {
    let mut ends_in_hole = false;
    for part in piece.chunks(HOLE) {
        ends_in_hole = is_zero(part);
        if ends_in_hole {
            file.seek(SeekFrom::Current(i64::try_from(part.len()).unwrap_or(0)))?;
        } else {
            file.write_all(part)?;
        }
    }
    Ok(ends_in_hole)
}

/// Returns the number of bytes of a piece that are written, in a file of `size` bytes.
fn count_bytes_outside_holes(size: u64, piece: &[u8]) -> u64 {
    if size < HOLE as u64 {
        return piece.len() as u64;
    }
    let written = piece.chunks(HOLE).filter(|part| !is_zero(part));
    written.map(|part| part.len() as u64).sum()
}

fn is_zero(bytes: &[u8]) -> bool {
    let (chunks, rest) = bytes.as_chunks::<16>();
    chunks.iter().all(|chunk| u128::from_ne_bytes(*chunk) == 0) && rest.iter().all(|b| *b == 0)
}
