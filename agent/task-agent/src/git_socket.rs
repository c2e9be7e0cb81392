//! The socket at which git in a task reads what the control plane has of its repository.

use std::path::{Path, PathBuf};

/// The service of git that is read there, and the only one.
pub(crate) const SERVICE: &str = "git-upload-pack";

/// Returns the path of the socket in a task's `TMPDIR`. A short one: it has to fit 103 bytes on macOS.
pub(crate) fn socket_in(tmp: &Path) -> PathBuf {
    tmp.join(".git-history")
}
