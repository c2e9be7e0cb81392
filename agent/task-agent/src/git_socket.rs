//! The socket at which git in a task reads what the control plane has of its repository. It begins with
//! the address that git was asked for, in a line: other repositories have addresses that begin alike.

use std::path::{Path, PathBuf};

/// The service of git that is read there, and the only one.
pub(crate) const SERVICE: &str = "git-upload-pack";

/// Most bytes of that line.
pub(crate) const MAX_ADDRESS_BYTES: usize = 4096;

/// Returns the path of the socket in a task's `TMPDIR`. A short one: it has to fit 103 bytes on macOS.
pub(crate) fn socket_in(tmp: &Path) -> PathBuf {
    tmp.join(".git-history")
}
