//! Processes: which there are, which one a number means, and when it ends.

use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};

/// `PROC_ALL_PIDS`, `PROC_UID_ONLY` and `PROC_RUID_ONLY` of `libproc.h`.
const ALL_PIDS: u32 = 1;
const UID_ONLY: u32 = 4;
const RUID_ONLY: u32 = 5;

/// A running process and a kernel queue that tells of its end.
#[derive(Debug)]
pub struct Process {
    pid: libc::pid_t,
    start: u64,
    queue: OwnedFd,
}

impl Process {
    /// The process with this number.
    ///
    /// # Errors
    ///
    /// There is none (`ESRCH`), or the system does not say.
    pub fn open(pid: u32) -> io::Result<Self> {
        let gone = || io::Error::from_raw_os_error(libc::ESRCH);
        let start = start_time(pid).ok_or_else(gone)?;
        let pid = libc::pid_t::try_from(pid).map_err(|_| gone())?;
        // SAFETY: kqueue takes nothing and returns a new descriptor or -1.
        let queue = unsafe { libc::kqueue() };
        if queue < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the descriptor is new and nobody else's. kqueues are not inherited by fork.
        let queue = unsafe { OwnedFd::from_raw_fd(queue) };
        // SAFETY: every field of kevent is an integer or a pointer that may be null.
        let mut change: libc::kevent = unsafe { std::mem::zeroed() };
        change.ident = libc::uintptr_t::try_from(pid).map_err(|_| gone())?;
        change.filter = libc::EVFILT_PROC;
        change.flags = libc::EV_ADD;
        change.fflags = libc::NOTE_EXIT;
        // SAFETY: one change is read, no event is written, the descriptor is open.
        let result = unsafe {
            libc::kevent(
                queue.as_raw_fd(),
                &raw const change,
                1,
                std::ptr::null_mut(),
                0,
                std::ptr::null(),
            )
        };
        if result < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(Self { pid, start, queue })
    }

    /// Sends a signal.
    ///
    /// # Errors
    ///
    /// The process has ended (`ESRCH`), or it is not ours to signal.
    pub fn signal(&self, signal: nix::sys::signal::Signal) -> io::Result<()> {
        // There are no handles for signals here, so look that the number means the same process.
        let same = u32::try_from(self.pid).ok().and_then(start_time) == Some(self.start);
        if !same {
            return Err(io::Error::from_raw_os_error(libc::ESRCH));
        }
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(self.pid), signal)?;
        Ok(())
    }

    /// Returns when the process has ended.
    ///
    /// # Errors
    ///
    /// The queue can not be waited for.
    pub async fn ended(&self) -> io::Result<()> {
        let fd = self.queue.try_clone()?;
        // SAFETY: the descriptor is owned by what waits for it, so it stays open meanwhile.
        let fd = unsafe {
            tokio::io::unix::AsyncFd::register_with_interest(fd, tokio::io::Interest::READABLE)?
        };
        drop(fd.readable().await?);
        Ok(())
    }
}

/// Returns the time at which the process began, in microseconds since 1970. `None`: there is no
/// such process (or only what is left of it).
#[must_use]
pub fn start_time(pid: u32) -> Option<u64> {
    let info = info(pid)?;
    if info.pbi_status == libc::SZOMB {
        return None;
    }
    Some(info.pbi_start_tvsec.saturating_mul(1_000_000).saturating_add(info.pbi_start_tvusec))
}

/// The processes whose effective user is `uid`.
#[must_use]
pub fn processes_of(uid: u32) -> Vec<u32> {
    pids(UID_ONLY, uid)
}

/// Returns true if `uid` is the real or the effective user of any process.
#[must_use]
pub fn has_processes(uid: u32) -> bool {
    !pids(UID_ONLY, uid).is_empty() || !pids(RUID_ONLY, uid).is_empty()
}

/// The users that have processes.
#[must_use]
pub fn user_ids_with_processes() -> std::collections::BTreeSet<u32> {
    pids(ALL_PIDS, 0).into_iter().filter_map(user_of).collect()
}

/// The user of a process: the effective one.
#[must_use]
pub fn user_of(pid: u32) -> Option<u32> {
    info(pid).map(|info| info.pbi_uid)
}

fn info(pid: u32) -> Option<libc::proc_bsdinfo> {
    let pid = libc::c_int::try_from(pid).ok()?;
    let size = libc::c_int::try_from(size_of::<libc::proc_bsdinfo>()).ok()?;
    // SAFETY: every field of proc_bsdinfo is an integer, for which zero is a value.
    let mut info: libc::proc_bsdinfo = unsafe { std::mem::zeroed() };
    // SAFETY: the buffer is as long as it is said to be.
    let written =
        unsafe { libc::proc_pidinfo(pid, libc::PROC_PIDTBSDINFO, 0, (&raw mut info).cast(), size) };
    (written == size).then_some(info)
}

fn pids(kind: u32, argument: u32) -> Vec<u32> {
    // New processes may come between the two calls, so there is room for some more.
    // SAFETY: without a buffer the call only says how many bytes there would be.
    let bytes = unsafe { libc::proc_listpids(kind, argument, std::ptr::null_mut(), 0) };
    let room = usize::try_from(bytes).unwrap_or(0) / size_of::<libc::pid_t>() + 64;
    let mut pids = vec![0 as libc::pid_t; room];
    let size = libc::c_int::try_from(room * size_of::<libc::pid_t>()).unwrap_or(0);
    // SAFETY: the buffer is as long as it is said to be.
    let bytes = unsafe { libc::proc_listpids(kind, argument, pids.as_mut_ptr().cast(), size) };
    let count = usize::try_from(bytes).unwrap_or(0) / size_of::<libc::pid_t>();
    pids.truncate(count);
    pids.into_iter().filter_map(|pid| u32::try_from(pid).ok()).filter(|pid| *pid != 0).collect()
}
