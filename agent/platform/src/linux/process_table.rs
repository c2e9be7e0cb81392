//! The table of processes, read from `/proc`.

use std::collections::BTreeSet;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;

use nix::errno::Errno;

use crate::process_info::{ProcessInfo, Usage};

/// Bytes that a `status` has room in, and with it all else that is read here, long command lines excepted.
const FACT_BYTES: usize = 4096;

/// The numbers of all processes that can be seen.
fn list_pids() -> io::Result<impl Iterator<Item = u32>> {
    let entries = std::fs::read_dir("/proc")?;
    Ok(entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()))
}

/// Reads what the kernel says about a process under a name of proc_pid(5).
///
/// There is room for it before the first read: such files have no size, and a buffer that grows with
/// what comes takes seven reads where this takes two.
fn read_fact(pid: impl std::fmt::Display, name: &str) -> Option<Vec<u8>> {
    let mut file = std::fs::File::open(format!("/proc/{pid}/{name}")).ok()?;
    let mut bytes = Vec::with_capacity(FACT_BYTES);
    file.read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

/// Reads such a file as text. A process names itself as it likes, also in bytes that are no text, and must not
/// hide by that.
fn read_text(pid: impl std::fmt::Display, name: &str) -> Option<String> {
    Some(String::from_utf8_lossy(&read_fact(pid, name)?).into_owned())
}

/// Lists every process that can be seen. One that ends meanwhile is left out.
pub fn processes() -> io::Result<Vec<ProcessInfo>> {
    Ok(list_pids()?.filter_map(|pid| read_process(pid, |_| true)).collect())
}

/// Lists the processes whose real, effective or saved user is `uid`: also a program that took the
/// ids of somebody else, and one of this user's that somebody else started.
///
/// # Errors
/// The table cannot be listed.
pub fn processes_with_user(uid: u32) -> io::Result<Vec<ProcessInfo>> {
    Ok(list_pids()?.filter_map(|pid| read_process(pid, |ids| ids.contains(&uid))).collect())
}

/// Reads the facts of a process whose user ids are `wanted`.
fn read_process(pid: u32, wanted: impl Fn(&[u32]) -> bool) -> Option<ProcessInfo> {
    let status = read_text(pid, "status")?;
    if !wanted(&parse_user_ids(&status)?) {
        return None;
    }
    parse_process(i32::try_from(pid).ok()?, &status, &read_text(pid, "stat")?)
}

/// Returns the start time of a process in the kernel's own units: together with the number and the
/// boot it means one process for ever. `None`: there is no such process (or only what is left of
/// it).
#[must_use]
pub fn start_time(pid: u32) -> Option<u64> {
    let stat = read_text(pid, "stat")?;
    // The name, in parentheses, may hold anything, parentheses included.
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut fields = rest.split(' ');
    if fields.next()? == "Z" {
        return None;
    }
    // Field 22 of all; the state above is field 3.
    fields.nth(18)?.parse().ok()
}

/// Lists the processes whose real, effective or saved user is `uid`.
#[must_use]
pub fn processes_of(uid: u32) -> Vec<u32> {
    all_user_ids().filter(|(_, ids)| ids.contains(&uid)).map(|(pid, _)| pid).collect()
}

/// Returns true if `uid` is the real, effective or saved user of a process.
#[must_use]
pub fn is_of_user(pid: u32, uid: u32) -> bool {
    let ids = read_text(pid, "status").and_then(|status| parse_user_ids(&status));
    ids.is_some_and(|ids| ids.contains(&uid))
}

/// Returns the age of a process whose start the kernel counts as `start`.
pub fn age_of_start(start: u64) -> std::time::Duration {
    // SAFETY: Takes a number only.
    let ticks = u64::try_from(unsafe { libc::sysconf(libc::_SC_CLK_TCK) }).unwrap_or(100).max(1);
    let started_ms = start.saturating_mul(1000) / ticks;
    std::time::Duration::from_millis(crate::boot_clock_ms().saturating_sub(started_ms))
}

/// Returns true if `uid` is the real or the effective user of any process.
///
/// Quicker than [`processes_of`]. The priority of a user's processes is asked for, which there is
/// none of without a process whose real user it is, also for a program that took root's ids as its
/// effective ones; and the owner of `/proc/N` is the effective user.
#[must_use]
pub fn has_processes(uid: u32) -> bool {
    // SAFETY: takes numbers only. -1 is a priority as well, so errno decides.
    let has_none = unsafe {
        Errno::clear();
        libc::getpriority(libc::PRIO_USER, uid) == -1
    } && Errno::last() == Errno::ESRCH;
    !has_none || is_effective_user(uid, None)
}

/// Returns true if a process other than this one has `uid` as its effective user.
///
/// Signal 0 to everybody would not say it: it succeeds also where nobody may be signaled.
#[must_use]
pub fn has_others(uid: u32) -> bool {
    is_effective_user(uid, Some(std::process::id()))
}

/// The owner of the directory `/proc/N` is the effective user, dumpable or not (files in the
/// directory are root's for a process that may not be dumped), at the price of one call for each.
fn is_effective_user(uid: u32, except: Option<u32>) -> bool {
    // A table that cannot be listed is looked at closely.
    let Ok(mut pids) = list_pids() else { return true };
    pids.any(|pid| {
        Some(pid) != except
            && std::fs::metadata(format!("/proc/{pid}")).is_ok_and(|meta| meta.uid() == uid)
    })
}

/// Lists the users that have processes.
#[must_use]
pub fn user_ids_with_processes() -> BTreeSet<u32> {
    all_user_ids().flat_map(|(_, ids)| ids).collect()
}

/// Returns the effective user of a process.
#[must_use]
pub fn user_of(pid: u32) -> Option<u32> {
    let status = read_text(pid, "status")?;
    parse_user_ids(&status)?.get(1).copied()
}

fn all_user_ids() -> impl Iterator<Item = (u32, Vec<u32>)> {
    let ids = |pid: u32| {
        let status = read_text(pid, "status")?;
        Some((pid, parse_user_ids(&status)?))
    };
    list_pids().into_iter().flatten().filter_map(ids)
}

/// The real, effective, saved and file system user of a `status`.
fn parse_user_ids(status: &str) -> Option<Vec<u32>> {
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    Some(line.split_whitespace().filter_map(|id| id.parse().ok()).collect())
}

/// Signals every process that this one may signal, itself excluded. False: there is none.
/// Callers make sure that the user is the slot's alone.
pub fn signal_others(signal: i32) -> bool {
    // SAFETY: Takes numbers only.
    unsafe { libc::kill(-1, signal) == 0 }
}

/// Returns the command line of a process, on one line; `None` where it cannot be read.
pub fn command_line(pid: i32) -> Option<String> {
    let bytes = read_fact(pid, "cmdline")?;
    let words: Vec<_> = bytes
        .split(|byte| *byte == 0)
        .filter(|word| !word.is_empty())
        .map(String::from_utf8_lossy)
        .collect();
    (!words.is_empty()).then(|| words.join(" "))
}

/// Returns the resources that a process has used. `None`: it has ended.
pub fn usage(pid: i32) -> Option<Usage> {
    let stat = read_text(pid, "stat")?;
    // SAFETY: These two take numbers only.
    let (ticks, page) =
        unsafe { (libc::sysconf(libc::_SC_CLK_TCK), libc::sysconf(libc::_SC_PAGESIZE)) };
    let ticks = u64::try_from(ticks).ok().filter(|ticks| *ticks > 0)?;
    let page = u64::try_from(page).ok()?;
    let now = crate::boot_clock_ms();
    parse_usage(&stat, ticks, page, now)
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
fn parse_process(pid: i32, status: &str, stat: &str) -> Option<ProcessInfo> {
    let uid = *parse_user_ids(status)?.first()?;
    let (before, after) = stat.rsplit_once(')')?;
    let name = before.split_once('(').map_or("", |(_, name)| name);
    let fields: Vec<&str> = after.split_whitespace().collect();
    Some(ProcessInfo {
        pid,
        parent: fields.get(1)?.parse().ok()?,
        session: fields.get(3)?.parse().ok()?,
        uid,
        is_zombie: matches!(*fields.first()?, "Z" | "X"),
        command: name.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt as _;

    use super::{has_processes, parse_process, parse_usage, processes, usage};

    #[test]
    fn a_user_without_a_process_has_none_and_root_has_some() {
        assert!(has_processes(nix::unistd::geteuid().as_raw()));
        assert!(!has_processes(58_999));
    }

    #[test]
    fn a_process_name_with_parentheses_and_lines_is_read() {
        let stat = "7 (a) S (b\n) Z 1 2 3 0 -1";
        let process = parse_process(7, "Name:\tx\nUid:\t1000\t0\t0\t0\n", stat).unwrap();
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
    fn a_process_does_not_hide_behind_a_name_that_is_no_text() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join(std::ffi::OsStr::from_bytes(b"\xff) S"));
        std::fs::copy("/bin/sleep", &program).unwrap();
        let mut child = std::process::Command::new(&program).arg("100").spawn().unwrap();
        let uid = nix::unistd::geteuid().as_raw();
        let found = (
            super::start_time(child.id()).is_some(),
            super::user_of(child.id()),
            super::processes_of(uid).contains(&child.id()),
        );
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(found, (true, Some(uid), true));
    }

    #[test]
    fn this_process_is_listed() {
        let me = std::process::id();
        let processes = processes().unwrap();
        let mine = processes.iter().find(|process| process.pid.unsigned_abs() == me).unwrap();
        assert!(!mine.is_zombie);
    }
}
