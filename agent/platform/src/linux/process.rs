//! A running process, held by a descriptor of the kernel.

use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};

/// A running process, held so that its number cannot come to mean another.
#[derive(Debug)]
pub struct Process {
    pidfd: OwnedFd,
}

impl Process {
    /// The process with this number.
    ///
    /// # Errors
    ///
    /// There is none (`ESRCH`), or the system does not say.
    pub fn open(pid: u32) -> io::Result<Self> {
        let pid =
            libc::pid_t::try_from(pid).map_err(|_| io::Error::from_raw_os_error(libc::ESRCH))?;
        // SAFETY: pidfd_open takes two integers and returns a new descriptor or -1.
        let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
        let fd = i32::try_from(fd).unwrap_or(-1);
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the descriptor is new and nobody else's. pidfds are close-on-exec.
        Ok(Self { pidfd: unsafe { OwnedFd::from_raw_fd(fd) } })
    }

    /// Sends a signal.
    ///
    /// # Errors
    ///
    /// The process has ended (`ESRCH`), or it is not ours to signal.
    pub fn signal(&self, signal: nix::sys::signal::Signal) -> io::Result<()> {
        // SAFETY: the descriptor is open; no siginfo is handed over.
        let result = unsafe {
            libc::syscall(
                libc::SYS_pidfd_send_signal,
                self.pidfd.as_raw_fd(),
                signal as i32,
                std::ptr::null::<libc::siginfo_t>(),
                0,
            )
        };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    /// Returns when the process has ended.
    ///
    /// # Errors
    ///
    /// The descriptor cannot be waited for.
    pub async fn ended(&self) -> io::Result<()> {
        let fd = self.pidfd.try_clone()?;
        // SAFETY: the descriptor is owned by what waits for it, so it stays open meanwhile.
        let fd = unsafe {
            tokio::io::unix::AsyncFd::register_with_interest(fd, tokio::io::Interest::READABLE)?
        };
        drop(fd.readable().await?);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Process;
    use crate::{processes_of, start_time, user_of};

    #[tokio::test]
    async fn a_process_is_seen_while_it_runs_and_its_end_is_noticed() {
        let mut child = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
        let pid = child.id();
        let began = start_time(pid).unwrap();
        assert_eq!(start_time(pid), Some(began));
        let me = nix::unistd::geteuid().as_raw();
        assert!(processes_of(me).contains(&pid));
        assert_eq!(user_of(pid), Some(me));
        let process = Process::open(pid).unwrap();
        process.signal(nix::sys::signal::Signal::SIGKILL).unwrap();
        process.ended().await.unwrap();
        // What is left of it until it is reaped is no process.
        assert_eq!(start_time(pid), None);
        child.wait().unwrap();
        assert!(Process::open(pid).is_err());
    }
}
