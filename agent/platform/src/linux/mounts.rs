//! Taking down what is mounted below a slot's directories, by root.
//!
//! Threat: the names on the way to a mount point are the job's, which may exchange one for a link
//! while root is on its way. So root goes by descriptors without following a link, and takes down
//! the mount that the table named and no other. Nothing asks the mounted file system anything: the
//! server of one may have stopped.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::{Component, Path, PathBuf};

use nix::fcntl::{OFlag, open, openat};
use nix::sys::stat::Mode;

use super::mountinfo::MountLine;
use crate::syscall::check;

/// Lists all mount points, in the order in which they were mounted.
#[must_use]
pub fn mount_points() -> Vec<PathBuf> {
    mount_table().into_iter().map(|(_, point)| point).collect()
}

/// Takes down what is mounted at or below `dirs`, also while it is in use. Says what, and whether
/// it worked.
#[must_use]
pub fn detach_below(dirs: &[PathBuf]) -> Vec<(PathBuf, io::Result<()>)> {
    let mut below = mount_table();
    below.retain(|(_, point)| dirs.iter().any(|dir| point.starts_with(dir)));
    // The last one first: it may stand on the others.
    below.into_iter().rev().map(|(id, point)| (point.clone(), detach(id, &point))).collect()
}

fn mount_table() -> Vec<(u32, PathBuf)> {
    let table = std::fs::read("/proc/self/mountinfo").unwrap_or_default();
    let lines = table.split(|byte| *byte == b'\n').filter_map(MountLine::parse);
    lines.map(|line| (line.id, line.point())).collect()
}

fn detach(id: u32, point: &Path) -> io::Result<()> {
    let mount = open_unfollowed(point)?;
    if mount_id(&mount) != Some(id) {
        return Err(io::Error::other("something else is there by now"));
    }
    let path = CString::new(format!("/proc/self/fd/{}", mount.as_raw_fd()))?;
    // By force it ends requests that a server does not answer, and fails, since it is open here.
    // SAFETY: The path is a C string, of a descriptor that is open during both calls (umount2(2)).
    unsafe { libc::umount2(path.as_ptr(), libc::MNT_FORCE) };
    // SAFETY: As above.
    match check(unsafe { libc::umount2(path.as_ptr(), libc::MNT_DETACH) }) {
        // It is gone with the first call.
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) && !is_mounted(id) => Ok(()),
        other => other.map(drop),
    }
}

fn is_mounted(id: u32) -> bool {
    mount_table().iter().any(|(other, _)| *other == id)
}

/// Opens an absolute path without following a link on the way.
fn open_unfollowed(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let mut at = open("/", flags, Mode::empty())?;
    for part in path.components() {
        if let Component::Normal(name) = part {
            at = openat(&at, name, flags, Mode::empty())?;
        }
    }
    Ok(at)
}

/// Reads the mount that a descriptor is on (proc_pid_fdinfo(5)).
fn mount_id(file: &OwnedFd) -> Option<u32> {
    let text = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", file.as_raw_fd())).ok()?;
    text.lines().find_map(|line| line.strip_prefix("mnt_id:"))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{detach, detach_below, mount_points, mount_table};
    use std::path::{Path, PathBuf};
    use std::process::Command;

    /// An empty file system, until it is dropped.
    struct Mounted(PathBuf);

    impl Mounted {
        fn at(path: &Path) -> Self {
            std::fs::create_dir_all(path).unwrap();
            let made = Command::new("mount").args(["-t", "tmpfs", "tmpfs"]).arg(path).status();
            assert!(made.unwrap().success());
            Self(path.to_owned())
        }
    }

    impl Drop for Mounted {
        fn drop(&mut self) {
            let taken = Command::new("umount").arg("-l").arg(&self.0).output();
            assert!(taken.is_ok(), "umount is missing");
        }
    }

    #[test]
    fn what_is_mounted_below_goes_with_what_stands_on_it_and_is_in_use() {
        if !russet_test_skip::can_be_root("to mount something") {
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let (slot, other) = (dir.path().join("slot"), dir.path().join("slot-2"));
        let _mounts = [
            Mounted::at(&slot.join("home/a b")),
            Mounted::at(&slot.join("home/a b/inner")),
            Mounted::at(&other),
        ];
        let in_use = std::fs::File::create(slot.join("home/a b/inner/file")).unwrap();
        let gone: Vec<PathBuf> = detach_below(std::slice::from_ref(&slot))
            .into_iter()
            .map(|(path, result)| {
                result.unwrap();
                path
            })
            .collect();
        assert_eq!(gone, [slot.join("home/a b/inner"), slot.join("home/a b")]);
        assert!(!mount_points().iter().any(|point| point.starts_with(&slot)));
        assert!(mount_points().contains(&other));
        drop(in_use);
        std::fs::remove_dir(slot.join("home/a b")).unwrap();
        assert!(detach_below(&[slot]).is_empty());
    }

    #[test]
    fn a_link_on_the_way_leads_nowhere_and_another_mount_is_not_taken_down() {
        if !russet_test_skip::can_be_root("to mount something") {
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let precious = dir.path().join("precious/disk");
        let _mount = Mounted::at(&precious);
        let table = mount_table();
        let id = table.iter().find(|(_, point)| *point == precious).unwrap().0;
        std::os::unix::fs::symlink(precious.parent().unwrap(), dir.path().join("link")).unwrap();
        detach(id, &dir.path().join("link/disk")).unwrap_err();
        // The table was read before something else came to stand there.
        detach(id + 100_000, &precious).unwrap_err();
        assert!(mount_points().contains(&precious));
    }
}
