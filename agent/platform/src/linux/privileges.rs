//! Dropping privileges, verified, and keeping others out of this process.

use std::ffi::CStr;
use std::io;

use nix::sys::prctl;
use nix::unistd::{Gid, Uid};

use crate::process_info::Ids;

/// Returns the number of threads of this process.
pub fn thread_count() -> io::Result<usize> {
    Ok(std::fs::read_dir("/proc/self/task")?.count())
}

/// Closes every descriptor from `first` on.
pub fn close_from(first: u32) -> io::Result<()> {
    // SAFETY: Closes descriptors of this process only; nothing here owns one of them, since it
    // is called before anything but the standard streams is opened.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, 0) };
    if result == 0 {
        return Ok(());
    }
    // Kernels before 5.9 do not know the call.
    for entry in std::fs::read_dir("/proc/self/fd")? {
        let number = entry?.file_name().to_str().and_then(|name| name.parse::<u32>().ok());
        if let Some(fd) = number
            && fd >= first
            && let Ok(fd) = i32::try_from(fd)
        {
            // SAFETY: As above. The directory that is being read closes last, with an error that
            // nobody sees.
            unsafe { libc::close(fd) };
        }
    }
    Ok(())
}

/// Does nothing: only macOS has security sessions.
pub fn own_security_session(_uid: u32) -> io::Result<()> {
    Ok(())
}

/// Sets the supplementary groups: those of the named user, or only `gid`.
pub fn set_groups(name: Option<&CStr>, gid: u32) -> io::Result<()> {
    let gid = Gid::from_raw(gid);
    match name {
        Some(name) => nix::unistd::initgroups(name, gid)?,
        None => nix::unistd::setgroups(&[gid])?,
    }
    Ok(())
}

/// Sets the real, effective and saved group id.
pub fn set_gid(gid: u32) -> io::Result<()> {
    let gid = Gid::from_raw(gid);
    Ok(nix::unistd::setresgid(gid, gid, gid)?)
}

/// Sets the real, effective and saved user id.
pub fn set_uid(uid: u32) -> io::Result<()> {
    let uid = Uid::from_raw(uid);
    Ok(nix::unistd::setresuid(uid, uid, uid)?)
}

/// Returns the ids of this process.
pub fn ids() -> io::Result<Ids> {
    let (users, groups) = (nix::unistd::getresuid()?, nix::unistd::getresgid()?);
    Ok(Ids {
        users: [users.real, users.effective, users.saved].map(Uid::as_raw),
        groups: [groups.real, groups.effective, groups.saved].map(Gid::as_raw),
    })
}

/// Returns true if this process holds a capability, which would be a part of root under another
/// name.
pub fn holds_capabilities() -> io::Result<bool> {
    let status = std::fs::read_to_string("/proc/thread-self/status")?;
    let held = ["CapInh:", "CapPrm:", "CapEff:", "CapAmb:"];
    Ok(status
        .lines()
        .filter_map(|line| line.split_once('\t'))
        .any(|(name, value)| held.contains(&name) && value.trim().bytes().any(|b| b != b'0')))
}

/// Forbids other processes of the same user to trace this one or to read its memory and
/// descriptors.
pub fn make_undumpable() -> io::Result<()> {
    prctl::set_dumpable(false)?;
    if prctl::get_dumpable()? {
        return Err(io::Error::other("the process is still dumpable"));
    }
    Ok(())
}

/// Makes orphans below this process its children, so that they can be found and ended.
pub fn become_subreaper() -> io::Result<()> {
    Ok(prctl::set_child_subreaper(true)?)
}
