//! Source snapshots: named by their hash, so that the same one is stored once.
//!
//! Objects have names of their own, used once: the object of a snapshot that was removed may be
//! deleted while the same snapshot is sent again.

use russet_protocol::ids::SourceId;

use crate::objects::unique_name;

/// The object of a snapshot of before objects had names of their own.
pub(crate) fn first_object(id: &SourceId) -> String {
    format!("sources/{id}")
}

/// A new object for a snapshot.
pub(crate) fn new_object(id: &SourceId) -> String {
    format!("sources/{id}-{}", unique_name())
}

/// A new object for a chunk.
pub(crate) fn new_chunk_object(id: &str) -> String {
    format!("chunks/{id}-{}", unique_name())
}

/// Returns true if this is the name of a snapshot or a chunk: a BLAKE3 hash in lower-case
/// hexadecimal.
pub(crate) fn is_id(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}
