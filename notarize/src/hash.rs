//! SHA-256, of bytes, files and directories.

use std::path::Path;

use anyhow::{Context as _, Result};
use ring::digest::{Context, SHA256, digest};

use crate::tree;

/// The SHA-256 of bytes.
#[must_use]
pub fn sha256(bytes: &[u8]) -> Vec<u8> {
    digest(&SHA256, bytes).as_ref().to_vec()
}

/// Bytes as lower-case hexadecimal digits.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The SHA-256 of a file, or of a directory with the names, modes and contents in it.
///
/// # Errors
///
/// Something cannot be read.
pub fn hash_tree(path: &Path) -> Result<String> {
    if !path.is_dir() {
        let bytes =
            std::fs::read(path).with_context(|| format!("could not read {}", path.display()))?;
        return Ok(hex(&sha256(&bytes)));
    }
    let mut context = Context::new(&SHA256);
    for node in tree::read(path)? {
        let line = format!("{}\0{:o}\0{}\0", node.path, node.full_mode(), node.bytes().len());
        context.update(line.as_bytes());
        context.update(node.bytes());
    }
    Ok(hex(context.finish().as_ref()))
}
