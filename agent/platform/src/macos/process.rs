//! A running process, and a kernel queue that tells of its end.

use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};

use super::process_table::start_time;

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
    /// The queue cannot be waited for.
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
