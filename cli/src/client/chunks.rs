//! The body with which parts of a snapshot are sent: each with its length before it.

use std::collections::HashSet;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::Path;

use futures_util::stream;
use russet_protocol::keeping::Chunk;

use crate::error::{CliError, Result};

/// Reads those parts of an archive that are `wanted`, each once, while they are sent.
pub(super) fn framed_chunks(
    file: &Path,
    chunks: &[Chunk],
    wanted: &HashSet<String>,
) -> Result<reqwest::Body> {
    let opened = std::fs::File::open(file)
        .map_err(|error| CliError::local(format!("could not read {}", file.display()), error))?;
    let parts = wanted_parts(chunks, wanted);
    let frames = stream::iter(parts.into_iter().map(move |part| read_frame(&opened, part)));
    Ok(reqwest::Body::wrap_stream(frames))
}

/// Offset and length of each part that is wanted.
fn wanted_parts(chunks: &[Chunk], wanted: &HashSet<String>) -> Vec<(u64, u64)> {
    let mut wanted: HashSet<&str> = wanted.iter().map(String::as_str).collect();
    let mut parts = Vec::new();
    let mut offset = 0;
    for chunk in chunks {
        if wanted.remove(chunk.id.as_str()) {
            parts.push((offset, chunk.size));
        }
        offset += chunk.size;
    }
    parts
}

fn read_frame(mut file: &std::fs::File, (offset, size): (u64, u64)) -> io::Result<Vec<u8>> {
    let length = u32::try_from(size).map_err(io::Error::other)?;
    let mut frame = length.to_be_bytes().to_vec();
    file.seek(SeekFrom::Start(offset))?;
    file.take(size).read_to_end(&mut frame)?;
    Ok(frame)
}

#[cfg(test)]
mod tests {
    use super::{Chunk, read_frame, wanted_parts};

    #[test]
    fn each_part_that_is_wanted_is_read_once_from_its_place() {
        let chunk = |id: &str, size| Chunk { id: id.to_owned(), size };
        let chunks = [chunk("a", 3), chunk("b", 2), chunk("a", 3), chunk("c", 4)];
        let wanted = ["a", "c"].map(str::to_owned).into();
        let parts = wanted_parts(&chunks, &wanted);
        assert_eq!(parts, [(0, 3), (8, 4)]);
        let mut file = tempfile::tempfile().unwrap();
        std::io::Write::write_all(&mut file, b"aaabbaaacccc").unwrap();
        assert_eq!(read_frame(&file, parts[1]).unwrap(), b"\0\0\0\x04cccc");
    }
}
