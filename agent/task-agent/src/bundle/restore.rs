//! Restoring a bundle from its archive, on a client.
//!
//! Threat: the archive comes from a job, which may have written it itself, to have the client write
//! outside of the directory it was told, or leave a link there that leads somebody else out. So
//! each name has plain components below the bundle's own; all directories are made first, then
//! files, each anew, then links, so that nothing is ever written through a link; and a link may
//! only lead into the bundle. It is done in a new directory beside the place, which is taken away
//! unless all of it succeeds. Entries may not share bytes, so that an archive unpacks to at most
//! about a thousand times its size, as deflate limits it.

use std::fs::{File, Permissions};
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, SystemTime};

use zip::{ExtraField, ZipArchive};

use super::{ATTRIBUTES, ATTRIBUTES_PREFIX, BundleError, COMMENT, bundle_name, stays_inside};

/// Length of a link's target, in bytes, at most: that of a path on Linux.
const MAX_LINK_BYTES: u64 = 4096;

/// Bits of a mode that tell the type of a file, and their values, as zip holds them.
const TYPE: u32 = 0o170_000;
const DIRECTORY: u32 = 0o040_000;
const FILE: u32 = 0o100_000;
const LINK: u32 = 0o120_000;

/// Permissions that are restored. Nobody but the owner may write, whatever the job said.
const MAX_MODE: u32 = 0o755;

/// Outcome of a look at a fetched file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Restored {
    /// The file is not an archive that `pack` made. It stays as it is.
    NotABundle,
    /// The bundle stands in the archive's place.
    Bundle {
        /// Path of the bundle.
        path: PathBuf,
        /// Files whose extended attributes the system did not take.
        lost_attributes: u64,
    },
}

/// Kind of an entry, with what only this kind has.
#[derive(Debug)]
enum Kind {
    Directory,
    File,
    Link(PathBuf),
    /// Extended attributes of the entry at this path.
    Attributes(PathBuf),
}

#[derive(Debug)]
struct Entry {
    index: usize,
    /// Path whose first component is the bundle.
    path: PathBuf,
    kind: Kind,
    mode: u32,
    modified: Option<SystemTime>,
}

/// Restores the bundle in `archive` beside it, in the place of an earlier one, and removes the
/// archive.
///
/// # Errors
///
/// A file cannot be written, or the archive is refused or damaged. Nothing but the archive is there
/// then.
pub fn restore(archive: &Path) -> Result<Restored, BundleError> {
    let name = archive.file_name().and_then(|name| bundle_name(name.to_str()?));
    let (Some(name), Some(parent)) = (name, archive.parent()) else {
        return Ok(Restored::NotABundle);
    };
    let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
    let file = File::open(archive).map_err(BundleError::io("open", archive))?;
    let Ok(mut zip) = ZipArchive::new(file) else { return Ok(Restored::NotABundle) };
    if zip.comment() != COMMENT.as_bytes() {
        return Ok(Restored::NotABundle);
    }
    if zip.has_overlapping_entries()? {
        return Err(BundleError::refused(Path::new(name), "shares bytes with another one"));
    }
    let entries = read_entries(&mut zip, name)?;
    let staging = tempfile::Builder::new().prefix(".russet-bundle-").tempdir_in(parent);
    let staging = staging.map_err(BundleError::io("make a directory in", parent))?;
    make_directories(staging.path(), &entries)?;
    write_files(staging.path(), &entries, &mut zip)?;
    let lost_attributes = set_attributes(staging.path(), &entries, &mut zip)?;
    make_links(staging.path(), &entries)?;
    finish_directories(staging.path(), &entries)?;
    let path = parent.join(name);
    let replaced = staging.path().join("replaced");
    match std::fs::rename(&path, &replaced) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(BundleError::io("replace", &path)(error));
        }
        _ => {}
    }
    std::fs::rename(staging.path().join(name), &path).map_err(BundleError::io("make", &path))?;
    std::fs::remove_file(archive).map_err(BundleError::io("remove", archive))?;
    Ok(Restored::Bundle { path, lost_attributes })
}

fn read_entries(zip: &mut ZipArchive<File>, bundle: &str) -> Result<Vec<Entry>, BundleError> {
    let mut entries = Vec::with_capacity(zip.len());
    for index in 0..zip.len() {
        entries.extend(read_entry(zip, index, bundle)?);
    }
    Ok(entries)
}

/// Returns an entry that may be written. `None`: it needs no place.
fn read_entry(
    zip: &mut ZipArchive<File>,
    index: usize,
    bundle: &str,
) -> Result<Option<Entry>, BundleError> {
    let mut entry = zip.by_index(index)?;
    let path = PathBuf::from(std::ffi::OsStr::from_bytes(entry.name_raw()));
    let is_plain = path.components().all(|part| matches!(part, Component::Normal(_)));
    if !is_plain || entry.name_raw().contains(&0) {
        return Err(BundleError::refused(&path, "leads out of the bundle"));
    }
    let modified = entry.extra_data_fields().find_map(|field| match field {
        ExtraField::ExtendedTimestamp(times) => times.mod_time(),
        _ => None,
    });
    let modified = modified.and_then(|seconds| {
        SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds.into()))
    });
    let mode = entry.unix_mode().unwrap_or(0);
    if path.starts_with(ATTRIBUTES) {
        let of = attributes_of(&path).filter(|of| of.starts_with(bundle));
        let made = |of| Entry { index, path, kind: Kind::Attributes(of), mode, modified };
        return Ok(of.map(made));
    }
    if !path.starts_with(bundle) {
        return Err(BundleError::refused(&path, "is not in the bundle"));
    }
    let kind = match mode & TYPE {
        DIRECTORY => Kind::Directory,
        FILE => Kind::File,
        LINK => {
            let mut target = Vec::new();
            let read = entry.by_ref().take(MAX_LINK_BYTES + 1).read_to_end(&mut target);
            read.map_err(zip::result::ZipError::Io)?;
            let target = PathBuf::from(std::ffi::OsStr::from_bytes(&target));
            if target.as_os_str().len() as u64 > MAX_LINK_BYTES || !stays_inside(&path, &target) {
                return Err(BundleError::refused(&path, "is a link that leads out of the bundle"));
            }
            Kind::Link(target)
        }
        _ => return Err(BundleError::refused(&path, "is neither a file, a directory nor a link")),
    };
    if path.components().count() == 1 && !matches!(kind, Kind::Directory) {
        return Err(BundleError::refused(&path, "is not a directory"));
    }
    Ok(Some(Entry { index, path, kind, mode: mode & MAX_MODE, modified }))
}

/// Returns the path that the extended attributes at `path` are of.
fn attributes_of(path: &Path) -> Option<PathBuf> {
    let below = path.strip_prefix(ATTRIBUTES).ok()?;
    let own = below.file_name()?.to_str()?.strip_prefix(ATTRIBUTES_PREFIX)?;
    Some(below.with_file_name(own))
}

/// Makes every directory that an entry is or lies in.
fn make_directories(staging: &Path, entries: &[Entry]) -> Result<(), BundleError> {
    for entry in entries {
        let directory = match entry.kind {
            Kind::Directory => Some(&*entry.path),
            Kind::File | Kind::Link(_) => entry.path.parent(),
            Kind::Attributes(_) => None,
        };
        if let Some(directory) = directory {
            let path = staging.join(directory);
            std::fs::create_dir_all(&path).map_err(BundleError::io("make", &path))?;
        }
    }
    Ok(())
}

/// Turns the error of an entry that finds another in its place into a refusal.
fn not_made<'a>(entry: &'a Entry, path: &'a Path) -> impl FnOnce(io::Error) -> BundleError + 'a {
    move |error| match error.kind() {
        io::ErrorKind::AlreadyExists => BundleError::refused(&entry.path, "is there twice"),
        _ => BundleError::io("make", path)(error),
    }
}

fn write_files(
    staging: &Path,
    entries: &[Entry],
    zip: &mut ZipArchive<File>,
) -> Result<(), BundleError> {
    for entry in entries.iter().filter(|entry| matches!(entry.kind, Kind::File)) {
        let path = staging.join(&entry.path);
        let file = File::options().write(true).create_new(true).mode(0o600).open(&path);
        let mut file = file.map_err(not_made(entry, &path))?;
        io::copy(&mut zip.by_index(entry.index)?, &mut file)
            .map_err(BundleError::io("write", &path))?;
        let set = set_time(&file, entry);
        set.and_then(|()| file.set_permissions(Permissions::from_mode(entry.mode)))
            .map_err(BundleError::io("write", &path))?;
    }
    Ok(())
}

fn set_time(file: &File, entry: &Entry) -> io::Result<()> {
    entry.modified.map_or(Ok(()), |time| file.set_modified(time))
}

/// Sets extended attributes where the system has them. Returns the number of files that did not
/// take theirs. There are no links yet that could lead them elsewhere.
fn set_attributes(
    staging: &Path,
    entries: &[Entry],
    zip: &mut ZipArchive<File>,
) -> Result<u64, BundleError> {
    let mut lost = 0;
    if !russet_platform::HAS_PACKED_ATTRIBUTES {
        return Ok(lost);
    }
    for entry in entries {
        let Kind::Attributes(of) = &entry.kind else { continue };
        let path = staging.join(of);
        if !path.exists() {
            continue;
        }
        let failed = || BundleError::io("set the extended attributes of", &path);
        let mut packed = tempfile::NamedTempFile::new_in(staging).map_err(failed())?;
        io::copy(&mut zip.by_index(entry.index)?, &mut packed).map_err(failed())?;
        if russet_platform::unpack_attributes(packed.path(), &path).is_err() {
            lost += 1;
        }
    }
    Ok(lost)
}

fn make_links(staging: &Path, entries: &[Entry]) -> Result<(), BundleError> {
    for entry in entries {
        if let Kind::Link(target) = &entry.kind {
            let path = staging.join(&entry.path);
            std::os::unix::fs::symlink(target, &path).map_err(not_made(entry, &path))?;
        }
    }
    Ok(())
}

/// Sets times and modes of directories, the deepest first. Their owner can always remove them.
fn finish_directories(staging: &Path, entries: &[Entry]) -> Result<(), BundleError> {
    let is_directory = |entry: &&Entry| matches!(entry.kind, Kind::Directory);
    let mut directories: Vec<_> = entries.iter().filter(is_directory).collect();
    directories.sort_by_key(|entry| std::cmp::Reverse(entry.path.components().count()));
    for entry in directories {
        let path = staging.join(&entry.path);
        let flags = libc::O_NOFOLLOW | libc::O_DIRECTORY | libc::O_CLOEXEC;
        let opened = File::options().read(true).custom_flags(flags).open(&path);
        opened
            .and_then(|directory| {
                set_time(&directory, entry)?;
                directory.set_permissions(Permissions::from_mode(entry.mode | 0o700))
            })
            .map_err(BundleError::io("finish", &path))?;
    }
    Ok(())
}
