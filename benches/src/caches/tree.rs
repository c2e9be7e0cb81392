//! Files that are saved and restored.

use std::path::{Path, PathBuf};

use anyhow::Result;

/// Bytes of a file.
pub(super) const FILE: usize = 21_000;

/// A tree of directories with a hundred files each: half of the bytes are noise, half text.
pub(super) fn grow(tree: &Path, files: usize) -> Result<()> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let words =
        ["fn ", "let ", "mut ", "return ", "struct ", "self.", "();\n", "    ", "value", "=> "];
    let mut bytes = Vec::with_capacity(FILE + 16);
    for number in 0..files {
        let dir: PathBuf = tree.join(format!("d{}/e{}", number / 2500, number / 100));
        if number % 100 == 0 {
            std::fs::create_dir_all(&dir)?;
        }
        bytes.clear();
        while bytes.len() < FILE / 2 {
            bytes.extend_from_slice(&next().to_le_bytes());
        }
        while bytes.len() < FILE {
            let index = usize::try_from(next() % words.len() as u64)?;
            bytes.extend_from_slice(words[index].as_bytes());
        }
        bytes.truncate(FILE);
        std::fs::write(dir.join(format!("file{number}")), &bytes)?;
    }
    Ok(())
}
