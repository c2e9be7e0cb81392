//! POSIX message queues, which outlive processes (mq_overview(7)).
//!
//! They are files of a file system that everybody can use by name, mounted or not. Where nobody has
//! mounted it, root mounts it for one process, where nobody else sees it.

use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};

use nix::sys::resource::{Resource, setrlimit};

/// Place of the mounted file system.
const MOUNT_POINT: &str = "/dev/mqueue";

/// `MQUEUE_MAGIC` of the kernel's ipc/mqueue.c: the type that statfs(2) tells.
const MAGIC: libc::c_long = 0x1980_0202;

/// `FSCONFIG_CMD_CREATE` of linux/mount.h.
const CREATE: libc::c_int = 6;

/// Opens the directory of all message queues, where it is not mounted where everybody sees it.
///
/// Without rights to do so, for root lacks them in some containers, this process and those that it
/// starts can make no queues.
///
/// # Errors
/// Neither works.
pub fn open_message_queues() -> io::Result<Option<OwnedFd>> {
    if is_mounted() {
        return Ok(None);
    }
    match mount_apart() {
        Ok(queues) => Ok(Some(queues)),
        // The kernel has none.
        Err(error) if error.raw_os_error() == Some(libc::ENODEV) => Ok(None),
        Err(_) => {
            setrlimit(Resource::RLIMIT_MSGQUEUE, 0, 0)?;
            Ok(None)
        }
    }
}

fn is_mounted() -> bool {
    nix::sys::statfs::statfs(MOUNT_POINT).is_ok_and(|stat| stat.filesystem_type().0 == MAGIC)
}

fn mount_apart() -> io::Result<OwnedFd> {
    let name = c"mqueue";
    // SAFETY: The name is a C string; the result is a new descriptor or -1.
    let context = unsafe { new_descriptor(libc::syscall(libc::SYS_fsopen, name.as_ptr(), 1)) }?;
    let null = std::ptr::null::<libc::c_char>();
    // SAFETY: The descriptor is open, and this command takes neither key nor value.
    let created =
        unsafe { libc::syscall(libc::SYS_fsconfig, context.as_raw_fd(), CREATE, null, null, 0) };
    if created != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: The descriptor is open; 1 is `FSMOUNT_CLOEXEC`. The result is a new descriptor or -1.
    unsafe { new_descriptor(libc::syscall(libc::SYS_fsmount, context.as_raw_fd(), 1, 0)) }
}

/// Takes the descriptor that a call returned.
///
/// # Safety
/// It has to be nobody else's, or negative.
unsafe fn new_descriptor(result: libc::c_long) -> io::Result<OwnedFd> {
    let fd = i32::try_from(result).unwrap_or(-1);
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: See above.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
