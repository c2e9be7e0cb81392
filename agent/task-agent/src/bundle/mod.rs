//! Bundles: directories that macOS shows as one file, such as `Demo.app`.
//!
//! A framework without its links, or a program that is not executable, is broken, and a signature
//! covers all of a bundle. So each is one artifact, a zip archive that Finder opens, and the client
//! restores it. `ditto`, which packs for Finder, is not used: its archives of more than 4 GiB or
//! 65,535 files are not valid zip, and only macOS reads them.

mod pack;
mod restore;
#[cfg(test)]
mod tests;

use std::io;
use std::path::{Path, PathBuf};

use zip::result::ZipError;

pub use pack::pack;
pub use restore::{Restored, restore};

/// Extensions of bundles that are stored whole.
const EXTENSIONS: [&str; 8] =
    ["app", "appex", "framework", "kext", "xcarchive", "xcframework", "xcresult", "xpc"];

/// Suffix of an archive's name, after the bundle's name.
const ARCHIVE_SUFFIX: &str = ".zip";

/// Comment of the archives that `pack` makes; others are the job's own and stay as they are.
const COMMENT: &str = "russet: one bundle";

/// Directory of an archive that holds extended attributes, one AppleDouble file for each file that
/// has any. Finder and `ditto` write and read the same.
const ATTRIBUTES: &str = "__MACOSX";

/// Prefix of the names of AppleDouble files.
const ATTRIBUTES_PREFIX: &str = "._";

/// Bytes that are read at once.
const PIECE: usize = 256 * 1024;

/// Reason why a bundle was not packed or not restored.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// The system refused.
    #[error("could not {doing} {}: {source}", path.display())]
    Io {
        /// The verb of what was tried.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The archive could not be written or read.
    #[error("the archive: {0}")]
    Archive(#[from] ZipError),
    /// A name that a zip archive cannot hold as it is.
    #[error("the name of {path:?} is not UTF-8, so that no archive can hold it")]
    Name {
        /// The file.
        path: PathBuf,
    },
    /// Nobody wants the archive any more.
    #[error("it was stopped")]
    Stopped,
    /// An archive that might write outside of its bundle, or claims more than it holds.
    #[error("its entry `{entry}` {why}")]
    Refused {
        /// Name of the entry, as text for people.
        entry: String,
        /// The rest of the sentence.
        why: &'static str,
    },
}

impl BundleError {
    fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { doing, path, source }
    }

    fn refused(entry: &Path, why: &'static str) -> Self {
        Self::Refused { entry: russet_text::one_line(&entry.to_string_lossy()).to_string(), why }
    }
}

/// Returns true if a directory of this name is a bundle.
#[must_use]
pub fn is_bundle(name: &str) -> bool {
    name.rsplit_once('.').is_some_and(|(stem, extension)| {
        !stem.is_empty() && EXTENSIONS.iter().any(|known| known.eq_ignore_ascii_case(extension))
    })
}

/// Returns the name of the archive in which the bundle `own` is stored. `prefix` is the path that
/// the step gives it: a bundle's own path, or a directory that is to hold it.
#[must_use]
pub fn archive_name(prefix: &str, own: &str) -> String {
    let last = |path: &'_ str| path.rsplit('/').next().unwrap_or_default().to_owned();
    let without_suffix = prefix.strip_suffix(ARCHIVE_SUFFIX);
    let prefix = without_suffix.filter(|path| is_bundle(&last(path))).unwrap_or(prefix);
    match &*last(prefix) {
        "" => format!("{own}{ARCHIVE_SUFFIX}"),
        last if is_bundle(last) => format!("{prefix}{ARCHIVE_SUFFIX}"),
        _ => format!("{prefix}/{own}{ARCHIVE_SUFFIX}"),
    }
}

/// Returns the name of the bundle that an archive of this path may hold.
#[must_use]
pub fn bundle_name(archive: &str) -> Option<&str> {
    let name = archive.rsplit('/').next()?;
    name.strip_suffix(ARCHIVE_SUFFIX).filter(|name| is_bundle(name))
}

/// Returns true if a link at `path`, whose first component is the bundle, leads to a place in it.
///
/// `..` counts only at the beginning: behind the name of another link it would lead elsewhere than
/// it seems to.
fn stays_inside(path: &Path, target: &Path) -> bool {
    use std::path::Component::{CurDir, Normal, ParentDir};
    // Directories between the bundle itself and the link.
    let depth = path.components().count().saturating_sub(2);
    let parts: Vec<_> = target.components().filter(|part| *part != CurDir).collect();
    let ups = parts.iter().take_while(|part| **part == ParentDir).count();
    let is_plain = parts.iter().skip(ups).all(|part| matches!(part, Normal(_)));
    !target.as_os_str().is_empty() && ups <= depth && is_plain
}
