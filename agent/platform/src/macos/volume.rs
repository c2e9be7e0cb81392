//! Volumes: those that forget whose a file is, and writing to their disks.

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};

/// Has what is in memory written to disks. False: it is only scheduled, which is all that sync(2)
/// promises.
///
/// # Errors
///
/// None here; on Linux, that the disk fails.
pub fn sync_volume(_directory: &Path) -> io::Result<bool> {
    rustix::fs::sync();
    Ok(false)
}

/// Returns the volume of a path where it is mounted to ignore owners, as external volumes are by
/// default. Trying does not tell: the kernel shows root the owner that is on disk, and everybody
/// else themselves (XNU, `vnode_getattr`).
pub(crate) fn volume_without_owners(path: &Path) -> io::Result<Option<PathBuf>> {
    let volume = rustix::fs::statfs(path)?;
    if volume.f_flags & libc::MNT_IGNORE_OWNERSHIP.cast_unsigned() == 0 {
        return Ok(None);
    }
    let name = volume.f_mntonname.iter().map(|byte| byte.cast_unsigned());
    let bytes: Vec<u8> = name.take_while(|byte| *byte != 0).collect();
    Ok(Some(PathBuf::from(OsString::from_vec(bytes))))
}
