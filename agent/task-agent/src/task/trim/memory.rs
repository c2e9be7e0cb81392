//! What trimming knows from earlier looks, so that one that ran out of time is gone on with.
//!
//! The file is root's, in a directory that only root may enter, and is handed over open: whoever the
//! cache belongs to reaches it by no path.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::plan::Known;

/// More than any cache has. What is longer is begun anew.
const MAX_BYTES: u64 = 64 << 20;

/// Known entries of all caches of a user.
#[derive(Debug, Default)]
pub(super) struct Memory {
    file: Option<File>,
    caches: Caches,
}

/// By the paths of caches and the names of entries, which need not be text.
type Caches = BTreeMap<String, BTreeMap<String, Seen>>;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Seen {
    /// Latest change, in seconds since 1970.
    changed: i64,
    #[serde(default)]
    is_unfinished: bool,
}

impl Memory {
    /// Reads what there is. A file that cannot be read is one without anything in it.
    pub(super) fn read(file: Option<File>) -> Self {
        let caches = file.as_ref().and_then(|file| {
            let mut text = Vec::new();
            file.take(MAX_BYTES).read_to_end(&mut text).ok()?;
            serde_json::from_slice(&text).ok()
        });
        Self { file, caches: caches.unwrap_or_default() }
    }

    /// Returns what is known of an entry whose own last change is `changed`.
    pub(super) fn known(&self, cache: &Path, name: &std::ffi::CStr, changed: i64) -> Known {
        let seen = self.caches.get(&key(cache.as_os_str().as_bytes()));
        let seen = seen.and_then(|entries| entries.get(&key(name.to_bytes())));
        Known {
            changed: seen.map_or(changed, |seen| seen.changed.max(changed)),
            is_unfinished: seen.is_some_and(|seen| seen.is_unfinished),
        }
    }

    /// Notes the entries of a cache, in place of those of before.
    pub(super) fn note(&mut self, cache: &Path, entries: &[(&std::ffi::CStr, Known)]) {
        let seen =
            |known: Known| Seen { changed: known.changed, is_unfinished: known.is_unfinished };
        let entries =
            entries.iter().map(|(name, known)| (key(name.to_bytes()), seen(*known))).collect();
        self.caches.insert(key(cache.as_os_str().as_bytes()), entries);
    }

    /// Writes it down. Half of it, after a kill, is as good as nothing.
    pub(super) fn write(mut self) -> io::Result<()> {
        let Some(file) = &mut self.file else { return Ok(()) };
        let text = serde_json::to_vec(&self.caches)?;
        file.set_len(0)?;
        file.rewind()?;
        file.write_all(&text)
    }
}

/// Bytes as text, each of them kept apart.
fn key(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

#[cfg(test)]
mod tests {
    use super::{Known, Memory};
    use std::path::Path;

    #[test]
    fn what_was_seen_is_known_the_next_time_and_nonsense_is_nothing() {
        let file = tempfile::tempfile().unwrap();
        let cache = Path::new("/cache");
        let mut memory = Memory::read(Some(file.try_clone().unwrap()));
        assert_eq!(memory.known(cache, c"a", 7), Known { changed: 7, is_unfinished: false });
        let known = Known { changed: 50, is_unfinished: true };
        memory.note(cache, &[(c"a", known), (c"b\xff", known)]);
        memory.write().unwrap();
        let again = || {
            let mut file = file.try_clone().unwrap();
            std::io::Seek::rewind(&mut file).unwrap();
            Memory::read(Some(file))
        };
        assert_eq!(again().known(cache, c"a", 7), known);
        assert_eq!(again().known(cache, c"b\xff", 99), Known { changed: 99, ..known });
        assert_eq!(again().known(Path::new("/other"), c"a", 7).changed, 7);
        file.set_len(3).unwrap();
        assert_eq!(again().known(cache, c"a", 7).changed, 7);
        assert_eq!(Memory::read(None).known(cache, c"a", 7).changed, 7);
    }
}
