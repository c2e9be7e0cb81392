//! Limits of processes.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::syscall::check;

/// A limit of a task's processes. nix leaves out the first one on macOS.
#[derive(Clone, Copy, Debug)]
pub enum Limit {
    /// Processes of the user.
    Processes,
    /// Open files of one process.
    OpenFiles,
}

/// Returns the value that a limit may be raised to without being root.
pub fn hard_limit(limit: Limit) -> std::io::Result<u64> {
    let mut value = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // Its type has another name on each system.
    let resource = match limit {
        Limit::Processes => libc::RLIMIT_NPROC,
        Limit::OpenFiles => libc::RLIMIT_NOFILE,
    };
    // SAFETY: The pointer is to a structure that lives through the call.
    check(unsafe { libc::getrlimit(resource, &raw mut value) })?;
    Ok(value.rlim_max)
}

/// Open files that builds need, where the system's own soft limit is lower: macOS gives what
/// launchd starts 256, and linkers and `swift build` open more. It is macOS's `OPEN_MAX`, above
/// which it refuses.
const WANTED_OPEN_FILES: u64 = 10_240;

/// Returns the number of files that a task may open where the owner says nothing: the number that
/// builds need, as far as the hard limit goes, and never fewer than the soft limit.
pub fn open_files(soft: u64, hard: u64) -> u64 {
    soft.max(WANTED_OPEN_FILES.min(hard))
}

/// Raises the limit of open files to [`open_files`]. Where the system refuses, its own limit stays.
pub fn raise_open_files() {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return };
    let wanted = open_files(soft, hard);
    if soft < wanted {
        setrlimit(Resource::RLIMIT_NOFILE, wanted, hard).unwrap_or_default();
    }
}

/// Sets a limit for this process and for those that it starts.
pub fn set_limit(limit: Limit, value: u64) -> std::io::Result<()> {
    let value = libc::rlimit { rlim_cur: value, rlim_max: value };
    let resource = match limit {
        Limit::Processes => libc::RLIMIT_NPROC,
        Limit::OpenFiles => libc::RLIMIT_NOFILE,
    };
    // SAFETY: The pointer is to a structure that lives through the call.
    check(unsafe { libc::setrlimit(resource, &raw const value) }).map(drop)
}

/// Lets every other process go before this one, for work that nobody waits for.
pub fn lower_priority() {
    // SAFETY: Takes numbers only. Its first argument is of another type on each system.
    unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, 19) };
}
