//! The file that names a kept cache.

use russet_protocol::storage::Cache;
use serde::{Deserialize, Serialize};

/// A kept cache. Fields are only added, with defaults: the next run may be of another version.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Document {
    /// Project, class and branch of a fork that may see it.
    pub(super) scope: String,
    pub(super) project: String,
    /// In milliseconds since 1970.
    pub(super) expires_ms: i64,
    pub(super) cache: Cache,
}

/// Longest id that is part of a file's name, in bytes.
const MAX_ID: usize = 200;

/// End of the names of documents.
pub(super) const DOCUMENT_END: &str = ".json";

/// End of the names of archives.
pub(super) const ARCHIVE_END: &str = ".tar.zst";

impl Document {
    /// Name of its file: the same for the same key, so that there is one cache for each.
    pub(super) fn file_name(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        for part in [&self.scope, &self.cache.key] {
            hasher.update(&part.len().to_le_bytes());
            hasher.update(part.as_bytes());
        }
        format!("{}{DOCUMENT_END}", hasher.finalize().to_hex())
    }

    /// Returns true if its id can be part of a file's name: it was read from a file.
    pub(super) fn is_sound(&self) -> bool {
        let id = &self.cache.id;
        !id.is_empty()
            && id.len() <= MAX_ID
            && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    }
}

/// Name of the archive of a cache, whose id is used once.
pub(super) fn archive_name(id: &str) -> String {
    format!("{id}{ARCHIVE_END}")
}
