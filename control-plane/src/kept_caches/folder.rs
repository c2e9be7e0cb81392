//! Directories of kept caches: reading, writing, bounding and emptying them.

use std::collections::HashSet;
use std::fs::{DirBuilder, File};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::objects::unique_name;

use super::document::{ARCHIVE_END, DOCUMENT_END, Document, archive_name};

/// Age from which on an archive without a document is left over from a run that was killed.
const LEFT_AGE: Duration = Duration::from_secs(3600);

/// What was removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Removed {
    /// Number of caches.
    pub caches: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Reads the documents of a directory, the oldest cache first. What cannot be read is as good as not
/// there.
pub(super) fn read_documents(dir: &Path) -> Vec<Document> {
    let mut found: Vec<Document> = file_names(dir)
        .into_iter()
        .filter(|name| name.ends_with(DOCUMENT_END))
        .filter_map(|name| serde_json::from_slice(&std::fs::read(dir.join(name)).ok()?).ok())
        .filter(Document::is_sound)
        .collect();
    found.sort_by_key(|document| document.cache.created_ms);
    found
}

fn file_names(dir: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(dir) else { return Vec::new() };
    entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

/// Puts an archive where a control plane has its objects. Returns false where it is not there, or is
/// not what its document says.
pub(super) fn take_file(archive: &Path, own: &Path, size: u64) -> bool {
    if own.exists() {
        return true;
    }
    let is_whole = std::fs::symlink_metadata(archive)
        .is_ok_and(|metadata| metadata.is_file() && metadata.len() == size);
    is_whole && link_or_copy(archive, own).is_ok()
}

/// Links a file to another place, or copies it where that is on another disk. A copy that is killed
/// leaves no half at that place.
fn link_or_copy(from: &Path, to: &Path) -> io::Result<()> {
    if let Some(parent) = to.parent() {
        make_private(parent)?;
    }
    match std::fs::hard_link(from, to) {
        Ok(()) => return Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound => return Err(error),
        Err(_) => {}
    }
    let draft = to.with_extension(format!("{}.draft", unique_name()));
    std::fs::copy(from, &draft)?;
    std::fs::rename(draft, to)
}

fn make_private(dir: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

/// Keeps a cache whose archive is `own`. One of the same key that has not expired stays as it is.
pub(super) fn publish(dir: &Path, document: &Document, own: &Path, now_ms: i64) -> io::Result<()> {
    let place = dir.join(document.file_name());
    if let Some(old) = read_document(&place) {
        if old.expires_ms > now_ms {
            return Ok(());
        }
        remove_cache(dir, &old)?;
    }
    link_or_copy(own, &dir.join(archive_name(&document.cache.id)))?;
    let draft = dir.join(format!("{}.draft", document.cache.id));
    let text = serde_json::to_vec(document).map_err(io::Error::other)?;
    File::options().write(true).create_new(true).mode(0o600).open(&draft)?.write_all(&text)?;
    // Where another run was faster, its cache stays: the archive of this one goes later.
    let linked = std::fs::hard_link(&draft, &place);
    std::fs::remove_file(draft)?;
    match linked {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            remove_file(&dir.join(archive_name(&document.cache.id)))
        }
        linked => linked,
    }
}

fn read_document(file: &Path) -> Option<Document> {
    let document: Document = serde_json::from_slice(&std::fs::read(file).ok()?).ok()?;
    document.is_sound().then_some(document)
}

/// Removes a cache, the document first.
fn remove_cache(dir: &Path, document: &Document) -> io::Result<()> {
    remove_file(&dir.join(document.file_name()))?;
    remove_file(&dir.join(archive_name(&document.cache.id)))
}

fn remove_file(file: &Path) -> io::Result<()> {
    match std::fs::remove_file(file) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

/// Removes the kept caches of all projects below a directory that have expired, and the oldest until at
/// most `limit` bytes are left.
///
/// # Errors
/// A file cannot be removed.
pub fn bound_kept_caches(all: &Path, limit: u64, now_ms: i64) -> io::Result<Removed> {
    let mut caches: Vec<(PathBuf, Document)> = Vec::new();
    for name in file_names(all) {
        let dir = all.join(name);
        let documents = read_documents(&dir);
        remove_left_over(&dir, &documents)?;
        caches.extend(documents.into_iter().map(|document| (dir.clone(), document)));
    }
    caches.sort_by_key(|(_, document)| std::cmp::Reverse(document.cache.created_ms));
    let (mut total, mut removed) = (0_u64, Removed::default());
    for (dir, document) in &caches {
        let size = document.cache.size;
        total = total.saturating_add(size);
        if total > limit || document.expires_ms <= now_ms {
            remove_cache(dir, document)?;
            total -= size;
            removed.caches += 1;
            removed.bytes += size;
        }
    }
    Ok(removed)
}

/// Removes what a run that was killed left: archives and halves that no document names.
fn remove_left_over(dir: &Path, documents: &[Document]) -> io::Result<()> {
    let named: HashSet<String> =
        documents.iter().map(|document| archive_name(&document.cache.id)).collect();
    for name in file_names(dir) {
        let is_ours = name.ends_with(ARCHIVE_END) || name.ends_with(".draft");
        let file = dir.join(&name);
        if is_ours && !named.contains(&name) && is_old(&file) {
            remove_file(&file)?;
        }
    }
    if is_old(dir) {
        // One without caches goes, too; of others this is refused.
        let _has_files = std::fs::remove_dir(dir);
    }
    Ok(())
}

/// A link sets the time at which a file's entry changed, not the one of its content.
fn is_old(file: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let Ok(metadata) = std::fs::symlink_metadata(file) else { return false };
    let changed = Duration::from_secs(u64::try_from(metadata.ctime()).unwrap_or_default());
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH + changed)
        .is_ok_and(|age| age > LEFT_AGE)
}

/// Removes all kept caches of a project.
///
/// # Errors
/// A file cannot be removed.
pub fn remove_kept_caches(dir: &Path) -> io::Result<Removed> {
    let mut removed = Removed::default();
    for document in read_documents(dir) {
        remove_cache(dir, &document)?;
        removed.caches += 1;
        removed.bytes += document.cache.size;
    }
    Ok(removed)
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use russet_protocol::storage::Cache;

    use super::{
        Document, bound_kept_caches, publish, read_documents, remove_kept_caches, take_file,
    };

    fn document(id: &str, key: &str, created_ms: u64, expires_ms: i64) -> Document {
        let cache = Cache {
            id: id.to_owned(),
            key: key.to_owned(),
            job_number: 1,
            created_ms,
            size: 5,
            blake3: String::new(),
            paths: Vec::new(),
        };
        Document { scope: "s".to_owned(), project: "p".to_owned(), expires_ms, cache }
    }

    fn archive(dir: &Path, text: &str) -> PathBuf {
        let file = dir.join(format!("archive-{text}"));
        std::fs::write(&file, text).unwrap();
        file
    }

    fn ids(dir: &Path) -> Vec<String> {
        read_documents(dir).into_iter().map(|document| document.cache.id).collect()
    }

    #[test]
    fn the_first_cache_of_a_key_stays_until_it_expires() {
        let temp = tempfile::tempdir().unwrap();
        let dir = temp.path().join("p");
        let own = archive(temp.path(), "first");
        publish(&dir, &document("a", "k", 1, 100), &own, 10).unwrap();
        publish(&dir, &document("b", "k", 2, 200), &own, 10).unwrap();
        assert_eq!(ids(&dir), ["a"]);
        publish(&dir, &document("c", "k", 3, 300), &own, 100).unwrap();
        assert_eq!(ids(&dir), ["c"]);
        let files = std::fs::read_dir(&dir).unwrap().count();
        assert_eq!(files, 2, "a document and its archive");
        let taken = temp.path().join("objects/c");
        assert!(take_file(&dir.join("c.tar.zst"), &taken, 5));
        assert_eq!(std::fs::read(taken).unwrap(), b"first");
        assert!(!take_file(&dir.join("c.tar.zst"), &temp.path().join("other"), 6));
    }

    #[test]
    fn the_oldest_and_what_has_expired_go_whichever_project_has_them() {
        let temp = tempfile::tempdir().unwrap();
        let own = archive(temp.path(), "bytes");
        let all = temp.path().join("all");
        let (one, two) = (all.join("one"), all.join("two"));
        publish(&one, &document("a", "k1", 1, 100), &own, 0).unwrap();
        publish(&two, &document("b", "k2", 2, 100), &own, 0).unwrap();
        publish(&one, &document("c", "k3", 3, 100), &own, 0).unwrap();
        publish(&one, &document("d", "k4", 4, 9), &own, 0).unwrap();
        let removed = bound_kept_caches(&all, 10, 10).unwrap();
        assert_eq!((removed.caches, removed.bytes), (2, 10));
        assert_eq!((ids(&one), ids(&two)), (vec!["c".to_owned()], vec!["b".to_owned()]));
        assert_eq!(remove_kept_caches(&one).unwrap().caches, 1);
        assert!(ids(&one).is_empty());
    }

    #[test]
    fn an_id_that_leads_elsewhere_is_not_read() {
        let temp = tempfile::tempdir().unwrap();
        let bad = serde_json::to_vec(&document("../x", "k", 1, 100)).unwrap();
        std::fs::write(temp.path().join("x.json"), bad).unwrap();
        std::fs::write(temp.path().join("y.json"), "{").unwrap();
        assert!(ids(temp.path()).is_empty());
    }
}
