//! Calls of the operating system beyond POSIX for the task agent, under the same names on each.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
mod mountinfo;
#[cfg(target_os = "linux")]
pub use linux::*;

#[cfg(target_os = "macos")]
mod macos;
#[cfg(target_os = "macos")]
pub use macos::*;

/// One process, as the system lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Its id.
    pub pid: i32,
    /// Id of its parent.
    pub parent: i32,
    /// Its session.
    pub session: i32,
    /// Its owner.
    pub uid: u32,
    /// Set if it has ended and only waits for its parent to notice.
    pub is_zombie: bool,
    /// Its command line, or its name where that can not be read.
    pub command: String,
}

/// Resources that a process has used so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// The state, as ps(1) abbreviates it.
    pub state: char,
    /// Time on a processor, in milliseconds.
    pub cpu_ms: u64,
    /// Memory that it has now, in bytes.
    pub resident_bytes: u64,
    /// Since it began, in milliseconds.
    pub age_ms: u64,
}

/// The real, effective and saved ids of this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ids {
    /// User ids.
    pub users: [u32; 3],
    /// Group ids.
    pub groups: [u32; 3],
}

/// A limit on what a task's processes may take. nix leaves out the first one on macOS.
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

/// As many open files as builds need, where the system's own soft limit is lower: macOS gives what
/// launchd starts 256, and linkers and `swift build` open more. It is macOS's `OPEN_MAX`, above
/// which it refuses.
const OPEN_FILES: u64 = 10_240;

/// Returns the number of files a task that may open where the owner says nothing: what builds need,
/// as far as the hard limit goes, and never fewer than the soft limit.
pub fn open_files(soft: u64, hard: u64) -> u64 {
    soft.max(OPEN_FILES.min(hard))
}

/// Raises the limit of open files to [`open_files`]. Where the system refuses, its own limit stays.
pub fn raise_open_files() {
    let mut value = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: The pointer is to a structure that lives through the call.
    let read = check(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut value) });
    let wanted = open_files(value.rlim_cur, value.rlim_max);
    if read.is_err() || value.rlim_cur >= wanted {
        return;
    }
    value.rlim_cur = wanted;
    // SAFETY: The pointer is to a structure that lives through the call.
    drop(check(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const value) }));
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

/// Turns the -1 of a system call into the error that it stands for.
pub fn check(result: libc::c_int) -> std::io::Result<libc::c_int> {
    if result < 0 { Err(std::io::Error::last_os_error()) } else { Ok(result) }
}
