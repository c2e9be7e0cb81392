//! Failed access to a path.

use std::io;
use std::path::{Path, PathBuf};

/// Failed access to a file or directory.
#[derive(Debug, thiserror::Error)]
#[error("could not {action} {}: {source}", path.display())]
pub(crate) struct PathError {
    /// Verb: `read`, `write`.
    action: &'static str,
    path: PathBuf,
    source: io::Error,
}

impl PathError {
    /// Returns what makes an error of what the system says, for `map_err`.
    pub(crate) fn when(action: &'static str, path: &Path) -> impl Fn(io::Error) -> Self {
        move |source| Self { action, path: path.to_owned(), source }
    }
}
