//! Processes: which there are, which one a number means, and when it ends.

use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};

/// A running process, held so that its number can not come to mean another.
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
    /// The descriptor can not be waited for.
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

/// Returns the time at which the process began, in the kernel's own units: together with the number
/// and the boot it means one process for ever. `None`: there is no such process (or only what is
/// left of it).
#[must_use]
pub fn start_time(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in parentheses, may hold anything, parentheses included.
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut fields = rest.split(' ');
    if fields.next()? == "Z" {
        return None;
    }
    // Field 22 of all; the state above is field 3.
    fields.nth(18)?.parse().ok()
}

/// The processes whose real, effective or saved user is `uid`.
#[must_use]
pub fn processes_of(uid: u32) -> Vec<u32> {
    all().filter(|(_, ids)| ids.contains(&uid)).map(|(pid, _)| pid).collect()
}

/// Returns true if `uid` is the real or the effective user of any process.
///
/// Quicker than [`processes_of`]. The priority of a user's processes is asked for, which there is
/// none of without a process whose real user it is, also for a program that took root's ids as its
/// effective ones; and the owner of `/proc/N` is the effective user.
#[must_use]
pub fn has_processes(uid: u32) -> bool {
    // SAFETY: takes numbers only. -1 is a priority as well, so errno decides.
    let none = unsafe {
        nix::errno::Errno::clear();
        libc::getpriority(libc::PRIO_USER, uid) == -1
    } && nix::errno::Errno::last() == nix::errno::Errno::ESRCH;
    !none || effective_owner(uid)
}

fn effective_owner(uid: u32) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    // What can not be listed is looked at closely.
    let Ok(entries) = std::fs::read_dir("/proc") else { return true };
    entries.flatten().any(|entry| {
        let is_process = entry.file_name().as_encoded_bytes().iter().all(u8::is_ascii_digit);
        is_process && entry.metadata().is_ok_and(|metadata| metadata.uid() == uid)
    })
}

/// The users that have processes.
#[must_use]
pub fn user_ids_with_processes() -> std::collections::BTreeSet<u32> {
    all().flat_map(|(_, ids)| ids).collect()
}

/// The user of a process: the effective one.
#[must_use]
pub fn user_of(pid: u32) -> Option<u32> {
    user_ids(pid)?.get(1).copied()
}

fn all() -> impl Iterator<Item = (u32, Vec<u32>)> {
    std::fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(|pid| Some((pid, user_ids(pid)?)))
}

/// From `status`: the owner of `/proc/N` is the effective user alone.
fn user_ids(pid: u32) -> Option<Vec<u32>> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    Some(line.split_whitespace().filter_map(|id| id.parse().ok()).collect())
}

#[cfg(test)]
mod tests {
    use super::{Process, has_processes, processes_of, start_time, user_of};

    #[test]
    fn a_user_without_a_process_has_none_and_root_has_some() {
        assert!(has_processes(nix::unistd::geteuid().as_raw()));
        assert!(!has_processes(58_999));
    }

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
