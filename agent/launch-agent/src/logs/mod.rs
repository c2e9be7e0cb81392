//! The agent's log: a file that the agent rotates itself, and reading it across rotations.
//!
//! launchd keeps the file open that it writes standard error to, so nobody else could rotate that
//! one; it is left for panics and for `russet-boot`. `NAME` is written to, `NAME.1` is the one
//! before it, and so on; the last goes. A line that was written is in one of them at any moment.

mod line;
mod read;
mod rotate;

pub use line::parse;
pub use read::{Follower, Wanted, read_history};
pub use rotate::{Limits, Rotated};

use std::path::{Path, PathBuf};

/// The file before `path` by so many rotations; 0 is `path` itself.
#[must_use]
pub fn numbered_path(path: &Path, number: u32) -> PathBuf {
    if number == 0 {
        return path.to_owned();
    }
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    PathBuf::from(name)
}
