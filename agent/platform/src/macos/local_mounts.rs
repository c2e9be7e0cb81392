//! The file systems of this machine's own disks and memory.

use std::path::PathBuf;

use super::leftovers::mounts_where;

/// Lists the mount points of local file systems that can be written to.
pub fn local_mounts() -> Vec<PathBuf> {
    let is_set = |flags: u32, flag: libc::c_int| flags & flag.cast_unsigned() != 0;
    mounts_where(|entry| {
        is_set(entry.f_flags, libc::MNT_LOCAL) && !is_set(entry.f_flags, libc::MNT_RDONLY)
    })
}
