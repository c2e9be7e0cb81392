//! Disk space of copies.

use std::ffi::{CStr, CString};
use std::os::fd::OwnedFd;

use nix::fcntl::AtFlags;
use nix::sys::stat::{FileStat, fstatat};
use nix::sys::statvfs::fstatvfs;

use super::{Local, remove_copy};
use crate::task::clean::files;

/// Bytes of one project, class and fork, at most; what was used least recently goes first.
const MOST_BYTES: u64 = 20 << 30;

/// Free space below which nothing is kept.
pub(super) const FREE_BYTES: u64 = 5 << 30;

impl Local {
    /// Removes what was used least recently until there is room for what is kept now.
    pub(super) fn make_room(&self, dir: &OwnedFd) {
        let mut all: Vec<(i64, u64, CString)> = Vec::new();
        self.for_each(|dir, name| {
            if let Ok(stat) = fstatat(dir, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
                all.push((stat.st_mtime, copy_bytes(dir, name, &stat), name.to_owned()));
            }
        });
        all.sort_unstable_by(|one, other| other.cmp(one));
        let mut sum = 0_u64;
        for (_, bytes, name) in all {
            sum = sum.saturating_add(bytes);
            if sum > MOST_BYTES {
                remove_copy(dir, &name);
            }
        }
    }
}

/// Returns the space of a copy. Blocks that it shares with files of jobs count: those go with their
/// task.
fn copy_bytes(dir: &OwnedFd, name: &CStr, stat: &FileStat) -> u64 {
    let own = files::allocated_bytes(stat);
    if !files::is_directory(stat) {
        return own;
    }
    let Ok(copy) = files::open_directory(dir, name) else { return own };
    let inside = files::list_names(&copy).unwrap_or_default();
    inside
        .iter()
        .filter_map(|name| fstatat(&copy, name.as_c_str(), AtFlags::AT_SYMLINK_NOFOLLOW).ok())
        .fold(own, |sum, stat| sum.saturating_add(files::allocated_bytes(&stat)))
}

#[cfg_attr(
    target_os = "linux",
    expect(clippy::useless_conversion, reason = "it counts in 32 bits on macOS")
)]
pub(super) fn free_bytes(dir: &OwnedFd) -> u64 {
    let free = |room: nix::sys::statvfs::Statvfs| {
        u64::from(room.blocks_available()).saturating_mul(room.fragment_size())
    };
    fstatvfs(dir).map_or(0, free)
}
