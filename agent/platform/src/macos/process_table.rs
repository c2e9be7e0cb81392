//! The table of processes, as libproc tells it.

use std::collections::BTreeSet;
use std::io;
use std::mem::MaybeUninit;

use crate::darwin_abi::{
    PROC_ALL_PIDS as ALL_PIDS, PROC_RUID_ONLY as RUID_ONLY, PROC_UID_ONLY as UID_ONLY, TimeBase,
};
use crate::macos_tools::procargs;
use crate::process_info::{ProcessInfo, Usage};
use crate::syscall::check;

/// Lists the numbers of processes of a kind.
fn pids(kind: u32, argument: u32) -> io::Result<Vec<libc::pid_t>> {
    // SAFETY: without a buffer the call only says how many bytes there would be.
    let bytes = check(unsafe { libc::proc_listpids(kind, argument, std::ptr::null_mut(), 0) })?;
    // Room for processes that begin between the two calls.
    let room = usize::try_from(bytes).unwrap_or(0) / size_of::<libc::pid_t>() + 64;
    let mut pids = vec![0 as libc::pid_t; room];
    let size = libc::c_int::try_from(room * size_of::<libc::pid_t>()).unwrap_or(0);
    // SAFETY: the buffer is as long as it is said to be.
    let bytes =
        check(unsafe { libc::proc_listpids(kind, argument, pids.as_mut_ptr().cast(), size) })?;
    pids.truncate(usize::try_from(bytes).unwrap_or(0) / size_of::<libc::pid_t>());
    pids.retain(|pid| *pid > 0);
    Ok(pids)
}

/// Lists every process that can be seen. One that ends meanwhile is left out.
pub fn processes() -> io::Result<Vec<ProcessInfo>> {
    Ok(pids(ALL_PIDS, 0)?.into_iter().filter_map(process_info).collect())
}

/// Lists the processes whose real or effective user is `uid`: also a program that took the ids of
/// somebody else, of which the system tells only little.
///
/// # Errors
/// The table cannot be listed.
pub fn processes_with_user(uid: u32) -> io::Result<Vec<ProcessInfo>> {
    let mut found = pids(UID_ONLY, uid)?;
    found.extend(pids(RUID_ONLY, uid)?);
    found.sort_unstable();
    found.dedup();
    let info = |pid| process_info(pid).or_else(|| short_info(pid));
    Ok(found.into_iter().filter_map(info).collect())
}

/// Facts of a process of another user: XNU compares the effective users for all but the short form
/// (`proc_pidinfo`, CHECK_SAME_USER).
fn short_info(pid: i32) -> Option<ProcessInfo> {
    let mut info = MaybeUninit::<libc::proc_bsdshortinfo>::zeroed();
    let size = size_of_i32::<libc::proc_bsdshortinfo>();
    // SAFETY: The buffer is as large as its size says.
    let got = unsafe {
        libc::proc_pidinfo(pid, libc::PROC_PIDT_SHORTBSDINFO, 0, info.as_mut_ptr().cast(), size)
    };
    // SAFETY: The kernel filled the whole structure, as the size that it returned says.
    let info = (got >= size).then(|| unsafe { info.assume_init() })?;
    let name: Vec<u8> =
        info.pbsi_comm.iter().map(|c| c.cast_unsigned()).take_while(|c| *c != 0).collect();
    Some(ProcessInfo {
        pid,
        parent: info.pbsi_ppid.cast_signed(),
        // SAFETY: Takes a number only.
        session: unsafe { libc::getsid(pid) },
        uid: info.pbsi_ruid,
        is_zombie: info.pbsi_status == libc::SZOMB,
        command: String::from_utf8_lossy(&name).into_owned(),
    })
}

fn process_info(pid: i32) -> Option<ProcessInfo> {
    let info = bsd_info(pid)?;
    let name: Vec<u8> =
        info.pbi_comm.iter().map(|c| c.cast_unsigned()).take_while(|c| *c != 0).collect();
    Some(ProcessInfo {
        pid,
        parent: info.pbi_ppid.cast_signed(),
        // SAFETY: Takes a number only.
        session: unsafe { libc::getsid(pid) },
        uid: info.pbi_ruid,
        is_zombie: info.pbi_status == libc::SZOMB,
        command: String::from_utf8_lossy(&name).into_owned(),
    })
}

/// Returns the parent of a process, whoever's it is.
pub(super) fn parent_of(pid: i32) -> Option<i32> {
    process_info(pid).or_else(|| short_info(pid)).map(|info| info.parent)
}

/// Facts of the process table.
pub(super) fn bsd_info(pid: i32) -> Option<libc::proc_bsdinfo> {
    let mut info = MaybeUninit::<libc::proc_bsdinfo>::zeroed();
    let size = size_of_i32::<libc::proc_bsdinfo>();
    // SAFETY: The buffer is as large as its size says.
    let got = unsafe {
        libc::proc_pidinfo(pid, libc::PROC_PIDTBSDINFO, 0, info.as_mut_ptr().cast(), size)
    };
    // SAFETY: The kernel filled the whole structure, as the size that it returned says.
    (got >= size).then(|| unsafe { info.assume_init() })
}

pub(super) fn size_of_i32<T>() -> i32 {
    i32::try_from(size_of::<T>()).unwrap_or(i32::MAX)
}

/// Resources that a process has.
pub(super) fn task_info(pid: i32) -> Option<libc::proc_taskinfo> {
    let mut info = MaybeUninit::<libc::proc_taskinfo>::zeroed();
    let size = size_of_i32::<libc::proc_taskinfo>();
    // SAFETY: The buffer is as large as its size says.
    let got = unsafe {
        libc::proc_pidinfo(pid, libc::PROC_PIDTASKINFO, 0, info.as_mut_ptr().cast(), size)
    };
    // SAFETY: The kernel filled the whole structure, as the size that it returned says.
    (got >= size).then(|| unsafe { info.assume_init() })
}

/// Returns the start time of a process in microseconds since 1970. `None`: there is no such process
/// (or only what is left of it).
#[must_use]
pub fn start_time(pid: u32) -> Option<u64> {
    let info = bsd_info(i32::try_from(pid).ok()?)?;
    if info.pbi_status == libc::SZOMB {
        return None;
    }
    Some(info.pbi_start_tvsec.saturating_mul(1_000_000).saturating_add(info.pbi_start_tvusec))
}

/// Lists the processes whose real or effective user is `uid`.
#[must_use]
pub fn processes_of(uid: u32) -> Vec<u32> {
    let mut found: Vec<u32> = [UID_ONLY, RUID_ONLY]
        .into_iter()
        .flat_map(|kind| pids(kind, uid).unwrap_or_default())
        .filter_map(|pid| u32::try_from(pid).ok())
        .collect();
    found.sort_unstable();
    found.dedup();
    found
}

/// Returns true if `uid` is the real or the effective user of a process.
#[must_use]
pub fn is_of_user(pid: u32, uid: u32) -> bool {
    processes_of(uid).contains(&pid)
}

/// Returns the age of a process whose start the kernel counts as `start`: in microseconds since
/// 1970.
pub fn age_of_start(start: u64) -> std::time::Duration {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.unwrap_or_default().saturating_sub(std::time::Duration::from_micros(start))
}

/// Returns true if `uid` is the real or the effective user of any process.
#[must_use]
pub fn has_processes(uid: u32) -> bool {
    [UID_ONLY, RUID_ONLY].iter().any(|kind| pids(*kind, uid).is_ok_and(|pids| !pids.is_empty()))
}

/// Lists the users that have processes.
#[must_use]
pub fn user_ids_with_processes() -> BTreeSet<u32> {
    let pids = pids(ALL_PIDS, 0).unwrap_or_default();
    pids.into_iter().filter_map(bsd_info).map(|info| info.pbi_uid).collect()
}

/// Returns the effective user of a process.
#[must_use]
pub fn user_of(pid: u32) -> Option<u32> {
    bsd_info(i32::try_from(pid).ok()?).map(|info| info.pbi_uid)
}

unsafe extern "C" {
    /// System call behind `kill` of libSystem, always with 1 for `posix`: then -1 means the caller
    /// too, whatever kill(2) says (XNU, `killpg1_allfilt`). With 0 it is left out.
    fn __kill(pid: libc::pid_t, signal: libc::c_int, posix: libc::c_int) -> libc::c_int;
}

/// Signals every process that this one may signal, itself excluded. False: there is none.
/// Callers make sure that the user is the slot's alone.
pub fn signal_others(signal: i32) -> bool {
    // SAFETY: Takes numbers only.
    unsafe { __kill(-1, signal, 0) == 0 }
}

/// Returns true if there is a process of this one's user besides this one: signal 0 reaches nobody
/// else. Callers make sure that `uid` is that user.
pub fn has_others(_uid: u32) -> bool {
    signal_others(0)
}

/// Returns the command line of a process of this user.
pub fn command_line(pid: i32) -> Option<String> {
    let mut name = [libc::CTL_KERN, libc::KERN_PROCARGS2, pid];
    let mut buffer = vec![0_u8; MAX_ARGUMENT_BYTES];
    let mut size = buffer.len();
    // SAFETY: The name has as many parts as it says, and the buffer as many bytes.
    let result = unsafe {
        libc::sysctl(
            name.as_mut_ptr(),
            3,
            buffer.as_mut_ptr().cast(),
            &raw mut size,
            std::ptr::null_mut(),
            0,
        )
    };
    check(result).ok()?;
    procargs::command_line(buffer.get(..size)?)
}

/// Arguments and environment of a process have no more room than this (`kern.argmax`).
const MAX_ARGUMENT_BYTES: usize = 1 << 20;

/// Returns the resources that a process has used. `None`: it has ended.
pub fn usage(pid: i32) -> Option<Usage> {
    let info = bsd_info(pid)?;
    let task = task_info(pid)?;
    let began =
        info.pbi_start_tvsec.saturating_mul(1000).saturating_add(info.pbi_start_tvusec / 1000);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).ok()?;
    Some(Usage {
        state: match info.pbi_status {
            libc::SRUN => 'R',
            libc::SSLEEP => 'S',
            libc::SSTOP => 'T',
            libc::SZOMB => 'Z',
            _ => 'I',
        },
        cpu_ms: mach_ms(task.pti_total_user.saturating_add(task.pti_total_system)),
        resident_bytes: task.pti_resident_size,
        age_ms: crate::clock::whole_millis(now).saturating_sub(began),
    })
}

/// The kernel counts in ticks of the Mach clock, which are not nanoseconds on Apple silicon.
fn mach_ms(ticks: u64) -> u64 {
    let mut base = TimeBase { numer: 0, denom: 0 };
    // SAFETY: The pointer is to a structure of two numbers that lives through the call.
    unsafe { mach_timebase_info(&raw mut base) };
    let nanoseconds = u128::from(ticks) * u128::from(base.numer) / u128::from(base.denom.max(1));
    u64::try_from(nanoseconds / 1_000_000).unwrap_or(u64::MAX)
}

unsafe extern "C" {
    fn mach_timebase_info(base: *mut TimeBase) -> libc::c_int;
}
