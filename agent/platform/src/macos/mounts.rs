//! Taking down what is mounted below a slot's directories, by root.
//!
//! Threat: unmount(2) takes a path, whose names are the job's and can be exchanged for a link. So
//! only disks are taken down here, by their device, which is the kernel's word; what has none (a
//! network share) is named and left.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::leftovers::{mount_table, mounts_where, text_of};
use crate::command::Tools;
use crate::macos_tools::disk_images;

/// Timeout of a tool.
const TOOL_TIMEOUT: Duration = Duration::from_secs(30);

/// Lists all mount points, in the order in which they were mounted.
#[must_use]
pub fn mount_points() -> Vec<PathBuf> {
    mounts_where(|_| true)
}

/// Takes down what is mounted at or below `dirs`, also while it is in use. Says what, and whether
/// it worked.
#[must_use]
pub fn detach_below(dirs: &[PathBuf]) -> Vec<(PathBuf, io::Result<()>)> {
    let table = mount_table();
    let named = table.iter().map(|entry| {
        (text_of(&entry.f_mntonname), text_of(&entry.f_mntfromname).display().to_string())
    });
    let mut below: Vec<(PathBuf, String)> =
        named.filter(|(point, _)| dirs.iter().any(|dir| point.starts_with(dir))).collect();
    // The last one first: it may stand on the others.
    below.reverse();
    below.into_iter().map(|(point, device)| (point, detach(&device))).collect()
}

fn detach(device: &str) -> io::Result<()> {
    if !device.starts_with("/dev/disk") {
        return Err(io::Error::other("it is no disk, and is unmounted by whoever mounted it"));
    }
    let tools = Tools::system();
    disk_images::detach_device(&tools, device, TOOL_TIMEOUT).map_err(io::Error::other)
}
