//! Xcodes on this machine: which there are, and which of them a version means.
//!
//! They are told by their `version.plist`, never by the names of their bundles, which people and
//! tools give as they like: `Xcode.app` from the App Store, `Xcode-16.2.0.app`, `Xcode_16.2.app`.

mod error;
mod list;
mod runtimes;
mod stamp;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use russet_protocol::xcode::{Xcode, choose_xcode, sort_xcodes};

pub use error::XcodeError;
pub use list::{Flaw, Installed, inspect_app, list_xcodes};
pub use runtimes::simulator_runtimes;
pub use stamp::Stamp;

/// Directory in which Xcodes are looked for, unless the owner names others besides.
pub const APPLICATIONS: &str = "/Applications";

/// Returns the directories in which Xcodes are looked for: `/Applications`, then the owner's.
#[must_use]
pub fn search_directories(more: &[PathBuf]) -> Vec<PathBuf> {
    let mut all = vec![PathBuf::from(APPLICATIONS)];
    all.extend(more.iter().filter(|path| *path != Path::new(APPLICATIONS)).cloned());
    all
}

/// Returns the Xcode that `wanted` means: a version (see [`choose_xcode`]), or the path of an
/// `.app` or of its developer directory.
///
/// # Errors
///
/// It is not installed, or only half.
pub fn find_xcode(directories: &[PathBuf], wanted: &str) -> Result<Installed, XcodeError> {
    if wanted.starts_with('/') {
        return find_by_path(Path::new(wanted));
    }
    find_among(list_xcodes(directories), directories, wanted)
}

/// Returns the `DEVELOPER_DIR` of the Xcode that `wanted` means.
///
/// # Errors
///
/// Those of [`find_xcode`].
pub fn find_developer_dir(directories: &[PathBuf], wanted: &str) -> Result<PathBuf, XcodeError> {
    find_xcode(directories, wanted).map(|found| found.developer_dir())
}

fn find_by_path(path: &Path) -> Result<Installed, XcodeError> {
    let app = path
        .ancestors()
        .find(|path| path.extension().is_some_and(|extension| extension == "app"))
        .filter(|app| app.is_dir());
    let Some(app) = app else { return Err(XcodeError::NoBundle(path.to_owned())) };
    checked(inspect_app(app))
}

fn find_among(
    mut all: Vec<Installed>,
    directories: &[PathBuf],
    wanted: &str,
) -> Result<Installed, XcodeError> {
    // Half of one is never taken where there is a whole one.
    all.sort_by_key(|one| one.flaw.is_some());
    let whole: Vec<&Xcode> =
        all.iter().filter(|one| one.flaw.is_none()).map(|one| &one.xcode).collect();
    let at = choose_xcode(wanted, &whole).or_else(|| {
        let halves: Vec<&Xcode> = all.iter().map(|one| &one.xcode).collect();
        choose_xcode(wanted, &halves)
    });
    match at.and_then(|at| all.get(at)) {
        Some(found) => checked(found.clone()),
        None => Err(XcodeError::Missing {
            wanted: wanted.to_owned(),
            directories: directories.to_vec(),
            installed: all.iter().filter(|one| one.flaw.is_none()).map(Installed::title).collect(),
        }),
    }
}

fn checked(found: Installed) -> Result<Installed, XcodeError> {
    match found.flaw {
        None => Ok(found),
        Some(flaw) => Err(XcodeError::Half { app: found.app, flaw }),
    }
}

/// Returns the Xcodes that can be used, the newest release first, each once.
#[must_use]
pub fn usable_xcodes(directories: &[PathBuf]) -> Vec<Xcode> {
    let mut all: Vec<Xcode> = list_xcodes(directories)
        .into_iter()
        .filter(|one| one.flaw.is_none())
        .map(|one| one.xcode)
        .collect();
    sort_xcodes(&mut all, |one| one);
    // Copies of one differ in their names alone.
    all.dedup_by(|later, first| {
        let is_copy = later.version == first.version
            && later.build == first.build
            && (later.is_beta, later.beta_number) == (first.is_beta, first.beta_number);
        if is_copy {
            first.names.append(&mut later.names);
        }
        is_copy
    });
    all
}
