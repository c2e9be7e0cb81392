//! Versions that an installer package brings: who puts what in place, and when.
//!
//! Installer writes nothing to the places that code runs from. Everything lands in
//! `opt/russet/incoming`, root's alone, and the package's last script leaves the note `complete` in
//! it, as its last act. An installation that failed or was killed has left no note, and nothing
//! follows from it. A hold on claims is no command that somebody has to take back either: it follows
//! from a version that lies here, for the time that the note allows from its writing on.
//!
//! | when | who | does |
//! |---|---|---|
//! | no agent runs | `russet agent package`, called by the script | everything at once |
//! | at the note | the running agent (`watch`) | renames `incoming` to `arrived`, which is its own, and looks through it |
//! | no task runs | the running agent, at its end | exchanges the bundle, as an update of its own |
//! | the new version has proved itself | the new agent, by a process of its own | russet-boot, `uninstall.sh` and Russet.app, what `russet agent install` makes, and a restart for a new russet-boot |
//!
//! So the russet-boot that watches a new version is the one that was good before it. What is left in
//! `arrived` says how far it is (`decide`); whoever is killed leaves the next one to go on. A
//! package that comes again, or another one, replaces what has arrived and was not put in place.
//!
//! Threat: root runs what lies here. Both directories are root's, 0700, below directories of root's;
//! everything in them is root's, writable by nobody else, and a plain file or directory; the code is
//! signed as this one is where that is known, and tells its version (`check`).

mod arrival;
mod check;
mod decide;
mod place;
mod watch;

use std::path::PathBuf;

pub use arrival::{forget_arrived, is_incoming};
pub use place::{Finishing, Placed, is_agent_running, place_others, place_unless_running};
pub(crate) use watch::{Parts, start_watch};

/// The reason why a package's version is not taken.
#[derive(Debug, thiserror::Error)]
pub enum PackageError {
    /// A directory, or something in it, could be changed by others than root, or is neither file
    /// nor directory.
    #[error("{}: {fault}", path.display())]
    Untrusted {
        /// The path.
        path: PathBuf,
        /// Fault.
        fault: &'static str,
    },
    /// A directory on the way is not root's.
    #[error(transparent)]
    Way(#[from] russet_platform::trust::TrustError),
    /// The note is none.
    #[error("{} is not a note of a package", .0.display())]
    Note(PathBuf),
    /// The code is not signed as this one is.
    #[error(transparent)]
    Signature(#[from] russet_platform::SignatureError),
    /// The program does not run here, or is another version; or it could not be put in place.
    #[error("{0}")]
    Version(String),
    /// A file or directory cannot be used.
    #[error("could not {what} {}: {error}", path.display())]
    File {
        /// Action.
        what: &'static str,
        /// With what.
        path: PathBuf,
        /// Cause.
        error: std::io::Error,
    },
}

impl PackageError {
    fn file(what: &'static str, path: &std::path::Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |error| Self::File { what, path, error }
    }
}

#[cfg(test)]
mod tests;
