//! Dropping privileges, verified, and keeping others out of this process.

use std::ffi::CStr;
use std::io;

use super::process_table::{bsd_info, size_of_i32, task_info};
use crate::darwin_abi::{AU_ASSIGN_ASID, AU_IPV4, AuditInfo};
use crate::process_info::Ids;
use crate::syscall::check;

/// Returns the number of threads of this process.
pub fn thread_count() -> io::Result<usize> {
    let pid = i32::try_from(std::process::id()).unwrap_or(i32::MAX);
    let info = task_info(pid).ok_or_else(io::Error::last_os_error)?;
    Ok(usize::try_from(info.pti_threadnum).unwrap_or_default())
}

/// Closes every descriptor from `first` on.
pub fn close_from(first: u32) -> io::Result<()> {
    // SAFETY: Takes nothing.
    let most = check(unsafe { libc::getdtablesize() })?;
    for fd in i32::try_from(first).unwrap_or(i32::MAX)..most.min(65_536) {
        // SAFETY: Closes descriptors of this process that nothing owns, since it is called
        // before anything but the standard streams is opened. Closing one that is not open fails.
        unsafe { libc::close(fd) };
    }
    Ok(())
}

unsafe extern "C" {
    /// setaudit_addr(2): root alone. It writes the new session's id back into the structure
    /// (xnu, `audit_syscalls.c`).
    fn setaudit_addr(info: *mut AuditInfo, length: libc::c_int) -> libc::c_int;
}

/// Makes a security session, which macOS calls an audit session, of the slot's user. In that of a
/// daemon, which is root's, the keychains of a user are not looked at.
///
/// It is what launchd does for a job with `SessionCreate`; Security.framework's call of that name
/// talks to another process, and this is one system call.
pub fn own_security_session(uid: u32) -> io::Result<()> {
    let mut info = AuditInfo {
        user: uid,
        mask: [0; 2],
        terminal_port: 0,
        terminal_type: AU_IPV4,
        terminal_address: [0; 4],
        session: AU_ASSIGN_ASID,
        flags: 0,
    };
    // SAFETY: The pointer is to a structure of this length (bsm/audit.h, 48 bytes) that lives through
    // the call and may be written to.
    check(unsafe { setaudit_addr(&raw mut info, size_of_i32::<AuditInfo>()) }).map(drop)
}

/// Sets the supplementary groups: those of the named user, or only `gid`.
pub fn set_groups(name: Option<&CStr>, gid: u32) -> io::Result<()> {
    let result = match name {
        // SAFETY: The name is a valid C string. The base group is an `int` here.
        Some(name) => unsafe { libc::initgroups(name.as_ptr(), gid.cast_signed()) },
        // SAFETY: The pointer is to one group id, as the count says.
        None => unsafe { libc::setgroups(1, &raw const gid) },
    };
    check(result).map(drop)
}

/// Sets the real, effective and saved group id, which `setgid` does for root.
pub fn set_gid(gid: u32) -> io::Result<()> {
    // SAFETY: Takes a number only.
    check(unsafe { libc::setgid(gid) }).map(drop)
}

/// Sets the real, effective and saved user id, which `setuid` does for root.
pub fn set_uid(uid: u32) -> io::Result<()> {
    // SAFETY: Takes a number only.
    check(unsafe { libc::setuid(uid) }).map(drop)
}

/// The ids of this process. The saved ones are only in the process table.
pub fn ids() -> io::Result<Ids> {
    let pid = i32::try_from(std::process::id()).unwrap_or(i32::MAX);
    let info = bsd_info(pid).ok_or_else(io::Error::last_os_error)?;
    Ok(Ids {
        users: [info.pbi_ruid, info.pbi_uid, info.pbi_svuid],
        groups: [info.pbi_rgid, info.pbi_gid, info.pbi_svgid],
    })
}

/// macOS has no capabilities.
pub fn holds_capabilities() -> io::Result<bool> {
    Ok(false)
}

/// Forbids other processes of the same user to trace this one. Reading the memory of another
/// process takes its task port, which the system gives nobody for a program with the hardened runtime
/// and without `get-task-allow`, as releases are signed.
pub fn make_undumpable() -> io::Result<()> {
    // SAFETY: The request takes neither address nor data.
    check(unsafe { libc::ptrace(libc::PT_DENY_ATTACH, 0, std::ptr::null_mut(), 0) })?;
    let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // A core file would hold the token. Children inherit the limit: no core files there either.
    // SAFETY: The pointer is to a limit that lives through the call.
    check(unsafe { libc::setrlimit(libc::RLIMIT_CORE, &raw const none) }).map(drop)
}

/// macOS has no subreapers: orphans go to launchd, and are found by their user or session.
pub fn become_subreaper() -> io::Result<()> {
    Ok(())
}
