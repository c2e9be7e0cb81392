//! Errors of `russet-boot`, in words for the person who reads its log.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::trust::TrustError;

/// Reason for which something could not be done.
#[derive(Debug)]
pub(crate) enum BootError {
    /// It runs as somebody else than root.
    NotRoot,
    /// The path of this program is not known.
    OwnPath(io::Error),
    /// This program does not lie where an installation has it.
    Misplaced(PathBuf),
    /// Signals cannot be listened for.
    Signals(io::Error),
    /// Others than root can change a file, or it is not there.
    Trust(TrustError),
    /// The state directory cannot be made.
    State(PathBuf, io::Error),
    /// Two bundles could not be exchanged.
    Exchange(PathBuf, io::Error),
    /// The exchange may be lost with the machine's power.
    Sync(PathBuf, io::Error),
}

impl BootError {
    /// Makes an error of this path of one of the system's.
    pub(crate) fn at(
        kind: fn(PathBuf, io::Error) -> Self,
        path: &Path,
    ) -> impl Fn(io::Error) -> Self + use<'_> {
        move |error| kind(path.to_owned(), error)
    }
}

impl From<TrustError> for BootError {
    fn from(error: TrustError) -> Self {
        Self::Trust(error)
    }
}

impl fmt::Display for BootError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotRoot => {
                f.write_str("russet-boot has to be started by root (launchd or systemd)")
            }
            Self::OwnPath(error) => write!(f, "could not find the path of russet-boot: {error}"),
            Self::Misplaced(path) => write!(
                f,
                "{} does not lie in an installation; `russet agent install` puts russet-boot \
                 into /opt/russet",
                path.display()
            ),
            Self::Signals(error) => write!(f, "could not listen for signals: {error}"),
            Self::Trust(error) => error.fmt(f),
            Self::State(path, error) => write!(f, "could not make {}: {error}", path.display()),
            Self::Exchange(path, error) => {
                write!(f, "could not exchange {} for the previous version: {error}", path.display())
            }
            Self::Sync(path, error) => write!(f, "could not sync {}: {error}", path.display()),
        }
    }
}
