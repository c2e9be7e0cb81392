//! Source snapshots: named by their hash, so that the same one is stored once.

use russet_protocol::ids::SourceId;

/// The object that holds a snapshot.
pub(crate) fn object(id: &SourceId) -> String {
    format!("sources/{id}")
}

/// Returns true if this is the name of a snapshot: a BLAKE3 hash in lower-case hexadecimal.
pub(crate) fn is_id(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}
