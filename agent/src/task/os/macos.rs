//! macOS.

use std::ffi::CStr;
use std::io;
use std::mem::MaybeUninit;
use std::process::Command;

use super::{Ids, Process, check};

/// Orphans become children of launchd.
pub(crate) const ORPHANS_COME_BACK: bool = false;

/// The shell of a step that names none, as on CircleCI's own Macs: a login shell, so that what
/// people put into `.bash_profile` and `/etc/profile` counts.
pub(crate) const DEFAULT_SHELL: &str = "/bin/bash --login -eo pipefail";

/// `PATH` of a step, before what the owner adds.
pub(crate) const STANDARD_PATH: &str = "/opt/homebrew/bin:/opt/homebrew/sbin:/usr/local/bin:\
                                        /usr/bin:/bin:/usr/sbin:/sbin";

/// `LANG` of a step: UTF-8, so that tools do not choke on names.
pub(crate) const LANG: &str = "en_US.UTF-8";

/// Directories that anybody may write to and that tasks leave files in.
pub(crate) const SHARED_DIRECTORIES: [&str; 3] =
    ["/private/tmp", "/private/var/tmp", "/Users/Shared"];

/// How many threads this process has.
pub(crate) fn thread_count() -> io::Result<usize> {
    let mut info = MaybeUninit::<libc::proc_taskinfo>::zeroed();
    let pid = i32::try_from(std::process::id()).unwrap_or(i32::MAX);
    let size = size_of_i32::<libc::proc_taskinfo>();
    // SAFETY: The buffer is as large as its size says.
    let got = unsafe {
        libc::proc_pidinfo(pid, libc::PROC_PIDTASKINFO, 0, info.as_mut_ptr().cast(), size)
    };
    if got < size {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: The kernel filled the whole structure, as the size that it returned says.
    let info = unsafe { info.assume_init() };
    Ok(usize::try_from(info.pti_threadnum).unwrap_or_default())
}

/// Closes every descriptor from `first` on.
pub(crate) fn close_from(first: u32) -> io::Result<()> {
    // SAFETY: Takes nothing.
    let most = check(unsafe { libc::getdtablesize() })?;
    for fd in i32::try_from(first).unwrap_or(i32::MAX)..most.min(65_536) {
        // SAFETY: Closes descriptors of this process that nothing owns, since it is called
        // before anything but the standard streams is opened. Closing one that is not open fails.
        unsafe { libc::close(fd) };
    }
    Ok(())
}

/// Sets the supplementary groups: those of the named user, or only `gid`.
pub(crate) fn set_groups(name: Option<&CStr>, gid: u32) -> io::Result<()> {
    let result = match name {
        // SAFETY: The name is a valid C string. The base group is an `int` here.
        Some(name) => unsafe { libc::initgroups(name.as_ptr(), gid.cast_signed()) },
        // SAFETY: The pointer is to one group id, as the count says.
        None => unsafe { libc::setgroups(1, &raw const gid) },
    };
    check(result).map(drop)
}

/// Sets the real, effective and saved group id, which `setgid` does for root.
pub(crate) fn set_gid(gid: u32) -> io::Result<()> {
    // SAFETY: Takes a number only.
    check(unsafe { libc::setgid(gid) }).map(drop)
}

/// Sets the real, effective and saved user id, which `setuid` does for root.
pub(crate) fn set_uid(uid: u32) -> io::Result<()> {
    // SAFETY: Takes a number only.
    check(unsafe { libc::setuid(uid) }).map(drop)
}

/// The ids of this process. The saved ones are only in the process table.
pub(crate) fn ids() -> io::Result<Ids> {
    let pid = i32::try_from(std::process::id()).unwrap_or(i32::MAX);
    let info = bsd_info(pid).ok_or_else(io::Error::last_os_error)?;
    Ok(Ids {
        users: [info.pbi_ruid, info.pbi_uid, info.pbi_svuid],
        groups: [info.pbi_rgid, info.pbi_gid, info.pbi_svgid],
    })
}

/// macOS has no capabilities.
pub(crate) fn holds_capabilities() -> io::Result<bool> {
    Ok(false)
}

/// Forbids other processes of the same user to trace this one. Reading the memory of another
/// process takes its task port, which the system does not give for a process that denies tracing.
pub(crate) fn make_undumpable() -> io::Result<()> {
    // SAFETY: The request takes neither address nor data.
    check(unsafe { libc::ptrace(libc::PT_DENY_ATTACH, 0, std::ptr::null_mut(), 0) })?;
    let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // A core file would hold the token. Children inherit the limit: no core files there either.
    // SAFETY: The pointer is to a limit that lives through the call.
    check(unsafe { libc::setrlimit(libc::RLIMIT_CORE, &raw const none) }).map(drop)
}

/// macOS has no subreapers: orphans go to launchd, and are found by their user or session.
pub(crate) fn become_subreaper() -> io::Result<()> {
    Ok(())
}

unsafe extern "C" {
    /// What `kill` of libSystem calls, always with 1 for `posix`: then -1 means the caller too,
    /// whatever kill(2) says (XNU, `killpg1_allfilt`). With 0 it is left out.
    fn __kill(pid: libc::pid_t, signal: libc::c_int, posix: libc::c_int) -> libc::c_int;
}

/// Signals every process that this one may signal, itself excluded. False: there is none.
/// Callers make sure that the user is the slot's alone.
pub(crate) fn signal_others(signal: i32) -> bool {
    // SAFETY: Takes numbers only.
    unsafe { __kill(-1, signal, 0) == 0 }
}

/// `proc_listpids` of libproc.h: all processes. The libc crate has the call only.
const PROC_ALL_PIDS: u32 = 1;

/// Every process that can be seen. One that ends meanwhile is left out.
pub(crate) fn processes() -> io::Result<Vec<Process>> {
    // SAFETY: Without a buffer the call says how large one must be.
    let bytes = check(unsafe { libc::proc_listpids(PROC_ALL_PIDS, 0, std::ptr::null_mut(), 0) })?;
    // Room for processes that begin meanwhile.
    let mut pids = vec![0_i32; usize::try_from(bytes).unwrap_or_default() / 4 + 64];
    let size = i32::try_from(pids.len() * 4).unwrap_or(i32::MAX);
    // SAFETY: The buffer is as large as its size says.
    let bytes =
        check(unsafe { libc::proc_listpids(PROC_ALL_PIDS, 0, pids.as_mut_ptr().cast(), size) })?;
    pids.truncate(usize::try_from(bytes).unwrap_or_default() / 4);
    Ok(pids.into_iter().filter(|pid| *pid > 0).filter_map(process).collect())
}

fn process(pid: i32) -> Option<Process> {
    let info = bsd_info(pid)?;
    let name: Vec<u8> =
        info.pbi_comm.iter().map(|c| c.cast_unsigned()).take_while(|c| *c != 0).collect();
    Some(Process {
        pid,
        parent: info.pbi_ppid.cast_signed(),
        // SAFETY: Takes a number only.
        session: unsafe { libc::getsid(pid) },
        uid: info.pbi_ruid,
        is_zombie: info.pbi_status == libc::SZOMB,
        command: String::from_utf8_lossy(&name).into_owned(),
    })
}

fn bsd_info(pid: i32) -> Option<libc::proc_bsdinfo> {
    let mut info = MaybeUninit::<libc::proc_bsdinfo>::zeroed();
    let size = size_of_i32::<libc::proc_bsdinfo>();
    // SAFETY: The buffer is as large as its size says.
    let got = unsafe {
        libc::proc_pidinfo(pid, libc::PROC_PIDTBSDINFO, 0, info.as_mut_ptr().cast(), size)
    };
    // SAFETY: The kernel filled the whole structure, as the size that it returned says.
    (got >= size).then(|| unsafe { info.assume_init() })
}

fn size_of_i32<T>() -> i32 {
    i32::try_from(size_of::<T>()).unwrap_or(i32::MAX)
}

/// The command line of a process: `ps` knows how to ask for it.
pub(crate) fn command_line(pid: i32) -> Option<String> {
    let output =
        Command::new("/bin/ps").args(["-o", "command=", "-p", &pid.to_string()]).output().ok()?;
    let line = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    (!line.is_empty()).then_some(line)
}

/// Removes what would start processes of `uid` again: its launchd domain, its crontab and its
/// `at` jobs. Call it as that user. Says what there was.
pub(crate) fn stop_respawning(uid: u32) -> Vec<String> {
    // A domain that is not there is what we want; what it ran is ended with everything else.
    drop(Command::new("/bin/launchctl").args(["bootout", &format!("user/{uid}")]).output());
    super::remove_cron_and_at()
}

/// Removes System V queues, semaphores and shared memory of `uid`. Says how many.
pub(crate) fn remove_ipc(uid: u32) -> usize {
    let Ok(listing) = Command::new("/usr/bin/ipcs").arg("-a").output() else { return 0 };
    let name = nix::unistd::User::from_uid(nix::unistd::Uid::from_raw(uid))
        .ok()
        .flatten()
        .map_or_else(|| uid.to_string(), |user| user.name);
    let mut removed = 0;
    for (kind, id) in owned(&String::from_utf8_lossy(&listing.stdout), &name) {
        let status = Command::new("/usr/bin/ipcrm").args([format!("-{kind}"), id]).status();
        removed += usize::from(status.is_ok_and(|status| status.success()));
    }
    removed
}

/// Lines of `ipcs -a` are `T ID KEY MODE OWNER …`, where `T` is `m`, `s` or `q`.
fn owned(listing: &str, owner: &str) -> Vec<(String, String)> {
    listing
        .lines()
        .filter_map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let (kind, id) = (*fields.first()?, *fields.get(1)?);
            let is_owned = fields.get(4) == Some(&owner);
            (is_owned && matches!(kind, "m" | "s" | "q")).then(|| (kind.to_owned(), id.to_owned()))
        })
        .collect()
}
