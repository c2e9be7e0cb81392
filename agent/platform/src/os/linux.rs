//! Linux.

use std::ffi::CStr;
use std::io;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};

use super::{Ids, Process, Usage, check, mountinfo};
use crate::command::Tools;

/// Orphans of a subreaper become its children.
pub const ORPHANS_COME_BACK: bool = true;

/// The shell of a step that names none, as at CircleCI.
pub const DEFAULT_SHELL: &str = "/bin/bash -eo pipefail";

/// `PATH` of a step, before what the owner adds.
const STANDARD_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// `LANG` of a step: UTF-8, so that tools do not choke on names.
pub const LANG: &str = "C.UTF-8";

/// Directories that anybody may write to and that tasks leave files in.
pub const SHARED_DIRECTORIES: [&str; 5] =
    ["/tmp", "/var/tmp", "/dev/shm", "/dev/mqueue", "/run/lock"];

/// Returns the number of threads this process that has.
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

/// `PATH` of a step, before what the owner adds.
pub fn standard_path() -> String {
    STANDARD_PATH.to_owned()
}

/// Only macOS has security sessions.
pub fn own_security_session(_uid: u32) -> io::Result<()> {
    Ok(())
}

/// Sets the supplementary groups: those of the named user, or only `gid`.
pub fn set_groups(name: Option<&CStr>, gid: u32) -> io::Result<()> {
    let result = match name {
        // SAFETY: The name is a valid C string.
        Some(name) => unsafe { libc::initgroups(name.as_ptr(), gid) },
        // SAFETY: The pointer is to one group id, as the count says.
        None => unsafe { libc::setgroups(1, &raw const gid) },
    };
    check(result).map(drop)
}

/// Sets the real, effective and saved group id.
pub fn set_gid(gid: u32) -> io::Result<()> {
    // SAFETY: Takes numbers only.
    check(unsafe { libc::setresgid(gid, gid, gid) }).map(drop)
}

/// Sets the real, effective and saved user id.
pub fn set_uid(uid: u32) -> io::Result<()> {
    // SAFETY: Takes numbers only.
    check(unsafe { libc::setresuid(uid, uid, uid) }).map(drop)
}

/// The ids of this process.
pub fn ids() -> io::Result<Ids> {
    let (mut users, mut groups) = ([0; 3], [0; 3]);
    let [real, effective, saved] = &mut users;
    // SAFETY: Three pointers to ids that live through the call.
    check(unsafe { libc::getresuid(real, effective, saved) })?;
    let [real, effective, saved] = &mut groups;
    // SAFETY: As above.
    check(unsafe { libc::getresgid(real, effective, saved) })?;
    Ok(Ids { users, groups })
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
    // SAFETY: Takes numbers only.
    check(unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0) })?;
    // SAFETY: Takes numbers only.
    match check(unsafe { libc::prctl(libc::PR_GET_DUMPABLE, 0, 0, 0, 0) })? {
        0 => Ok(()),
        _ => Err(io::Error::other("the process is still dumpable")),
    }
}

/// Makes orphans below this process its children, so that they can be found and ended.
pub fn become_subreaper() -> io::Result<()> {
    // SAFETY: Takes numbers only.
    check(unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) }).map(drop)
}

/// Signals every process that this one may signal, itself excluded. False: there is none.
/// Callers make sure that the user is the slot's alone.
pub fn signal_others(signal: i32) -> bool {
    // SAFETY: Takes numbers only.
    unsafe { libc::kill(-1, signal) == 0 }
}

/// Returns true if a process other than this one has `uid` as its effective user.
///
/// The owner of the directory `/proc/N` says it, dumpable or not (it is what is in the directory
/// that is root's for a process that may not be dumped), at the price of one call for each.
/// Signal 0 to everybody would not: it succeeds also where nobody may be signaled.
pub fn has_others(uid: u32) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let me = std::process::id();
    // What can not be listed is looked at closely.
    let Ok(entries) = std::fs::read_dir("/proc") else { return true };
    entries.flatten().any(|entry| {
        let pid = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok());
        pid.is_some_and(|pid| pid != me)
            && entry.metadata().is_ok_and(|metadata| metadata.uid() == uid)
    })
}

/// Every process that can be seen. One that ends meanwhile is left out.
pub fn processes() -> io::Result<Vec<Process>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc")? {
        let entry = entry?;
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        let Ok(status) = std::fs::read(format!("/proc/{pid}/status")) else { continue };
        let Ok(stat) = std::fs::read(format!("/proc/{pid}/stat")) else { continue };
        if let Some(process) =
            parse(pid, &String::from_utf8_lossy(&status), &String::from_utf8_lossy(&stat))
        {
            found.push(process);
        }
    }
    Ok(found)
}

/// The command line of a process, on one line, or `None` where it can not be read.
pub fn command_line(pid: i32) -> Option<String> {
    let bytes = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let words: Vec<_> = bytes
        .split(|byte| *byte == 0)
        .filter(|word| !word.is_empty())
        .map(String::from_utf8_lossy)
        .collect();
    (!words.is_empty()).then(|| words.join(" "))
}

/// Returns the resources that a process has used. `None`: it has ended.
pub fn usage(pid: i32) -> Option<Usage> {
    let stat = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
    // SAFETY: These two take numbers only.
    let (ticks, page) =
        unsafe { (libc::sysconf(libc::_SC_CLK_TCK), libc::sysconf(libc::_SC_PAGESIZE)) };
    let ticks = u64::try_from(ticks).ok().filter(|ticks| *ticks > 0)?;
    let page = u64::try_from(page).ok()?;
    let now = crate::boot_clock_ms();
    parse_usage(&String::from_utf8_lossy(&stat), ticks, page, now)
}

/// The fields of `/proc/N/stat` that say it, in clock ticks and pages. `now_ms` is the time since
/// boot.
fn parse_usage(stat: &str, ticks: u64, page: u64, now_ms: u64) -> Option<Usage> {
    let (_, after) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = after.split_whitespace().collect();
    // Field 3 of proc_pid_stat(5) is the first after the name.
    let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
    let ms = |ticked: u64| ticked.saturating_mul(1000) / ticks;
    Some(Usage {
        state: fields.first()?.chars().next()?,
        cpu_ms: ms(number(14)?.saturating_add(number(15)?)),
        resident_bytes: number(24)?.saturating_mul(page),
        age_ms: now_ms.saturating_sub(ms(number(22)?)),
    })
}

/// Reads the fields that we need. The command's name stands in parentheses and may contain
/// anything, parentheses and line ends too, so fields are counted from the last one.
fn parse(pid: i32, status: &str, stat: &str) -> Option<Process> {
    let uid = status
        .lines()
        .find_map(|line| line.strip_prefix("Uid:"))
        .and_then(|ids| ids.split_whitespace().next())
        .and_then(|uid| uid.parse().ok())?;
    let (before, after) = stat.rsplit_once(')')?;
    let name = before.split_once('(').map_or("", |(_, name)| name);
    let fields: Vec<&str> = after.split_whitespace().collect();
    Some(Process {
        pid,
        parent: fields.get(1)?.parse().ok()?,
        session: fields.get(3)?.parse().ok()?,
        uid,
        is_zombie: matches!(*fields.first()?, "Z" | "X"),
        command: name.to_owned(),
    })
}

/// Ends the user's launchd domain: what was in it, and what went wrong. Linux has none.
pub fn end_user_domain(_uid: u32) -> (Vec<String>, Option<String>) {
    (Vec::new(), None)
}

/// Ends what a job put into the launchd domain of a session at the screen. Linux has none.
pub fn end_session_jobs(_uid: u32) -> Vec<(String, Result<(), String>)> {
    Vec::new()
}

/// Directories that the system gives to each user, outside of homes.
pub fn user_directories(uid: u32) -> Vec<PathBuf> {
    vec![PathBuf::from(format!("/run/user/{uid}"))]
}

/// Takes away what forbids even the owner to delete an entry. Here that takes root to set.
pub fn unprotect(_dir: BorrowedFd<'_>, _name: &CStr) -> bool {
    false
}

/// Disk images that the user attached. Linux has loop devices, which take root.
pub fn detach_images(_uid: u32) -> Vec<(String, Result<(), String>)> {
    Vec::new()
}

/// Lists the user's mounts that everybody sees: FUSE. Whatever else a user mounts is in a namespace
/// that ends with its processes.
pub fn mounts(uid: u32) -> Vec<PathBuf> {
    let table = std::fs::read("/proc/self/mountinfo").unwrap_or_default();
    mountinfo::of_user(&table, uid)
}

/// Unmounts what this user mounted, as this user.
pub fn unmount(path: &Path) -> Result<(), String> {
    mountinfo::unmount(&Tools::system(), path)
}

/// Removes System V queues, semaphores and shared memory of `uid`. Says how many.
pub fn remove_ipc(uid: u32) -> usize {
    let ids = |kind: &str| -> Vec<i32> {
        let table = std::fs::read_to_string(format!("/proc/sysvipc/{kind}")).unwrap_or_default();
        owned(&table, uid)
    };
    let mut removed = 0;
    for id in ids("shm") {
        // SAFETY: Removing takes no buffer.
        let result = unsafe { libc::shmctl(id, libc::IPC_RMID, std::ptr::null_mut()) };
        removed += usize::from(result == 0);
    }
    for id in ids("sem") {
        // SAFETY: Removing takes no fourth argument.
        let result = unsafe { libc::semctl(id, 0, libc::IPC_RMID) };
        removed += usize::from(result == 0);
    }
    for id in ids("msg") {
        // SAFETY: Removing takes no buffer.
        let result = unsafe { libc::msgctl(id, libc::IPC_RMID, std::ptr::null_mut()) };
        removed += usize::from(result == 0);
    }
    removed
}

/// The ids of a `/proc/sysvipc` table whose owner is `uid`. The head names the columns.
fn owned(table: &str, uid: u32) -> Vec<i32> {
    let mut lines = table.lines();
    let head: Vec<&str> = lines.next().unwrap_or_default().split_whitespace().collect();
    let column = |name: &str| head.iter().position(|title| *title == name);
    let id = ["shmid", "semid", "msqid"].iter().find_map(|name| column(name));
    let (Some(id), Some(owner)) = (id, column("uid")) else { return Vec::new() };
    lines
        .filter_map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let is_owned = fields.get(owner)?.parse() == Ok(uid);
            is_owned.then(|| fields.get(id)?.parse().ok()).flatten()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{owned, parse, parse_usage, processes, usage};

    #[test]
    fn a_process_name_with_parentheses_and_lines_is_read() {
        let stat = "7 (a) S (b\n) Z 1 2 3 0 -1";
        let process = parse(7, "Name:\tx\nUid:\t1000\t0\t0\t0\n", stat).unwrap();
        assert_eq!((process.parent, process.session, process.uid), (1, 3, 1000));
        assert!(process.is_zombie);
        assert_eq!(process.command, "a) S (b\n");
    }

    #[test]
    fn what_a_process_has_used_is_read_from_its_numbered_fields() {
        // The form of proc_pid_stat(5), with a name that tries to shift the fields.
        let stat = "7 (a ) S 9) R 1 7 7 0 -1 4194304 100 0 0 0 250 50 0 0 20 0 1 0 6000 9000 25 0";
        let usage = parse_usage(stat, 100, 4096, 70_000).unwrap();
        assert_eq!((usage.state, usage.cpu_ms), ('R', 3000));
        assert_eq!((usage.resident_bytes, usage.age_ms), (25 * 4096, 10_000));
        assert_eq!(parse_usage("7 (a) R 1", 100, 4096, 0), None);
    }

    #[test]
    fn this_process_has_an_age_and_memory() {
        let usage = usage(std::process::id().cast_signed()).unwrap();
        assert!(usage.resident_bytes > 100_000, "{usage:?}");
        assert!(usage.age_ms < 3_600_000, "{usage:?}");
        assert_eq!(super::usage(i32::MAX), None);
    }

    #[test]
    fn this_process_is_listed() {
        let me = std::process::id();
        let processes = processes().unwrap();
        let mine = processes.iter().find(|process| process.pid.unsigned_abs() == me).unwrap();
        assert!(!mine.is_zombie);
    }

    #[test]
    fn ipc_tables_are_read_by_their_head() {
        let table = "       key      shmid perms  size  cpid lpid nattch   uid   gid\n\
                     0          4   600  4096  1 1 0  59000 59000\n\
                     0          5   600  4096  1 1 0  0 0\n";
        assert_eq!(owned(table, 59000), [4]);
        assert!(owned("", 59000).is_empty());
    }
}
