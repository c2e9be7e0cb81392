//! macOS.

use std::ffi::{CStr, CString, OsStr, OsString};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd as _, BorrowedFd};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::{Ids, Process, Usage, check};
use crate::command::Tools;
use crate::darwin::{disk_images, path_helper, procargs, user_domain};

/// Orphans become children of launchd.
pub const ORPHANS_COME_BACK: bool = false;

/// The shell of a step that names none, as on CircleCI's own Macs: a login shell, so that what
/// people put into `.bash_profile` and `/etc/profile` counts.
pub const DEFAULT_SHELL: &str = "/bin/bash --login -eo pipefail";

/// Homebrew on Apple silicon, before everything of the system.
const HOMEBREW: [&str; 2] = ["/opt/homebrew/bin", "/opt/homebrew/sbin"];

/// Directories that every Mac has, where `/etc/paths` says less.
const ALWAYS: [&str; 5] = ["/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin", "/sbin"];

/// `PATH` of a step, before what the owner adds: as a login shell makes it (path_helper(8)).
pub fn standard_path() -> String {
    let mut all: Vec<String> = HOMEBREW.iter().map(|&path| path.to_owned()).collect();
    let of_system = path_helper::path(std::path::Path::new("/"));
    for path in of_system.into_iter().chain(ALWAYS.iter().map(|&path| path.to_owned())) {
        if !all.contains(&path) {
            all.push(path);
        }
    }
    all.join(":")
}

/// `LANG` of a step: UTF-8, so that tools do not choke on names.
pub const LANG: &str = "en_US.UTF-8";

/// Directories that anybody may write to and that tasks leave files in.
pub const SHARED_DIRECTORIES: [&str; 3] = ["/private/tmp", "/private/var/tmp", "/Users/Shared"];

/// Returns the number of threads this process that has.
pub fn thread_count() -> io::Result<usize> {
    let pid = i32::try_from(std::process::id()).unwrap_or(i32::MAX);
    let info = task_info(pid).ok_or_else(io::Error::last_os_error)?;
    Ok(usize::try_from(info.pti_threadnum).unwrap_or_default())
}

fn task_info(pid: i32) -> Option<libc::proc_taskinfo> {
    let mut info = MaybeUninit::<libc::proc_taskinfo>::zeroed();
    let size = size_of_i32::<libc::proc_taskinfo>();
    // SAFETY: The buffer is as large as its size says.
    let got = unsafe {
        libc::proc_pidinfo(pid, libc::PROC_PIDTASKINFO, 0, info.as_mut_ptr().cast(), size)
    };
    // SAFETY: The kernel filled the whole structure, as the size that it returned says.
    (got >= size).then(|| unsafe { info.assume_init() })
}

/// Closes every descriptor from `first` on.
pub fn close_from(first: u32) -> io::Result<()> {
    // SAFETY: Takes nothing.
    let most = check(unsafe { libc::getdtablesize() })?;
    for fd in i32::try_from(first).unwrap_or(i32::MAX)..most.min(65_536) {
        // SAFETY: Closes descriptors of this process that nothing owns, since it is called
        // before anything but the standard streams is opened. Closing one that is not open fails.
        unsafe { libc::close(fd) };
    }
    Ok(())
}

/// `struct auditinfo_addr` of bsm/audit.h, which the libc crate does not have.
#[repr(C)]
struct AuditInfo {
    user: u32,
    mask: [u32; 2],
    terminal_port: i32,
    terminal_type: u32,
    terminal_address: [u32; 4],
    session: i32,
    flags: u64,
}

/// `AU_IPv4` of bsm/audit.h: a terminal has an address of one of two kinds, and may be none.
const IPV4: u32 = 4;

/// `AU_ASSIGN_ASID` of bsm/audit.h: the kernel chooses.
const ASSIGN: i32 = -1;

unsafe extern "C" {
    /// setaudit_addr(2): root alone.
    fn setaudit_addr(info: *const AuditInfo, length: libc::c_int) -> libc::c_int;
}

/// Makes a security session, which macOS calls an audit session, of the slot's user. In that of a
/// daemon, which is root's, the keychains of a user are not looked at.
///
/// It is what launchd does for a job with `SessionCreate`; Security.framework's call of that name
/// talks to another process, and this is one system call.
pub fn own_security_session(uid: u32) -> io::Result<()> {
    let info = AuditInfo {
        user: uid,
        mask: [0; 2],
        terminal_port: 0,
        terminal_type: IPV4,
        terminal_address: [0; 4],
        session: ASSIGN,
        flags: 0,
    };
    // SAFETY: The pointer is to a structure of this length that lives through the call.
    check(unsafe { setaudit_addr(&raw const info, size_of_i32::<AuditInfo>()) }).map(drop)
}

/// Sets the supplementary groups: those of the named user, or only `gid`.
pub fn set_groups(name: Option<&CStr>, gid: u32) -> io::Result<()> {
    let result = match name {
        // SAFETY: The name is a valid C string. The base group is an `int` here.
        Some(name) => unsafe { libc::initgroups(name.as_ptr(), gid.cast_signed()) },
        // SAFETY: The pointer is to one group id, as the count says.
        None => unsafe { libc::setgroups(1, &raw const gid) },
    };
    check(result).map(drop)
}

/// Sets the real, effective and saved group id, which `setgid` does for root.
pub fn set_gid(gid: u32) -> io::Result<()> {
    // SAFETY: Takes a number only.
    check(unsafe { libc::setgid(gid) }).map(drop)
}

/// Sets the real, effective and saved user id, which `setuid` does for root.
pub fn set_uid(uid: u32) -> io::Result<()> {
    // SAFETY: Takes a number only.
    check(unsafe { libc::setuid(uid) }).map(drop)
}

/// The ids of this process. The saved ones are only in the process table.
pub fn ids() -> io::Result<Ids> {
    let pid = i32::try_from(std::process::id()).unwrap_or(i32::MAX);
    let info = bsd_info(pid).ok_or_else(io::Error::last_os_error)?;
    Ok(Ids {
        users: [info.pbi_ruid, info.pbi_uid, info.pbi_svuid],
        groups: [info.pbi_rgid, info.pbi_gid, info.pbi_svgid],
    })
}

/// macOS has no capabilities.
pub fn holds_capabilities() -> io::Result<bool> {
    Ok(false)
}

/// Forbids other processes of the same user to trace this one. Reading the memory of another
/// process takes its task port, which the system does not give for a process that denies tracing.
pub fn make_undumpable() -> io::Result<()> {
    // SAFETY: The request takes neither address nor data.
    check(unsafe { libc::ptrace(libc::PT_DENY_ATTACH, 0, std::ptr::null_mut(), 0) })?;
    let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // A core file would hold the token. Children inherit the limit: no core files there either.
    // SAFETY: The pointer is to a limit that lives through the call.
    check(unsafe { libc::setrlimit(libc::RLIMIT_CORE, &raw const none) }).map(drop)
}

/// macOS has no subreapers: orphans go to launchd, and are found by their user or session.
pub fn become_subreaper() -> io::Result<()> {
    Ok(())
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

/// `proc_listpids` of libproc.h: all processes. The libc crate has the call only.
const PROC_ALL_PIDS: u32 = 1;

/// Every process that can be seen. One that ends meanwhile is left out.
pub fn processes() -> io::Result<Vec<Process>> {
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

/// The command line of a process of this user.
pub fn command_line(pid: i32) -> Option<String> {
    let mut name = [libc::CTL_KERN, libc::KERN_PROCARGS2, pid];
    let mut buffer = vec![0_u8; MOST_ARGUMENTS];
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
const MOST_ARGUMENTS: usize = 1 << 20;

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
        age_ms: crate::clock::millis(now).saturating_sub(began),
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

/// `mach_timebase_info_data_t` of mach/mach_time.h, which the libc crate has given up.
#[repr(C)]
struct TimeBase {
    numer: u32,
    denom: u32,
}

unsafe extern "C" {
    fn mach_timebase_info(base: *mut TimeBase) -> libc::c_int;
    /// sys/mount.h; the libc crate does not have it.
    #[link_name = "unmount"]
    fn sys_unmount(path: *const libc::c_char, flags: libc::c_int) -> libc::c_int;
}

/// `MNT_FORCE` of sys/mount.h: also while it is in use.
const FORCE: libc::c_int = 0x0008_0000;

/// Ends the user's launchd domain. Says what was in it, and what went wrong.
pub fn end_user_domain(uid: u32) -> (Vec<String>, Option<String>) {
    let tools = Tools::system();
    // What is not understood of it is not shown.
    let printed = user_domain::print(&tools, uid).limit(TOOL_LIMIT).run_ok();
    let jobs =
        printed.map_or_else(|_| Vec::new(), |out| user_domain::foreign_services(&out.text()));
    match user_domain::bootout(&tools, uid).limit(TOOL_LIMIT).run() {
        Ok(output) => (jobs, user_domain::problem(&output)),
        Err(error) => (jobs, Some(error.to_string())),
    }
}

/// Ends what a job put into the launchd domain of a session at the screen: everything that is
/// neither Apple's nor installed for all users. Says what, and whether it worked.
pub fn end_session_jobs(uid: u32) -> Vec<(String, Result<(), String>)> {
    let tools = Tools::system();
    let Ok(printed) = user_domain::print_session(&tools, uid).limit(TOOL_LIMIT).run_ok() else {
        return Vec::new();
    };
    let installed = user_domain::labels_in(Path::new("/Library/LaunchAgents"));
    let ended = |label: String| {
        let bootout = user_domain::bootout_session_job(&tools, uid, &label).limit(TOOL_LIMIT);
        let result = match bootout.run() {
            Ok(output) => user_domain::problem(&output).map_or(Ok(()), Err),
            Err(error) => Err(error.to_string()),
        };
        (label, result)
    };
    user_domain::session_jobs(&printed.text(), &installed).into_iter().map(ended).collect()
}

/// Timeout of a tool of the system at the end of a task.
const TOOL_LIMIT: Duration = Duration::from_secs(15);

/// Directories that the system gives to each user, outside of homes: in `/var/folders`.
pub fn user_directories(_uid: u32) -> Vec<PathBuf> {
    // They are this process's own user's, which is the slot's.
    [libc::_CS_DARWIN_USER_TEMP_DIR, libc::_CS_DARWIN_USER_CACHE_DIR, libc::_CS_DARWIN_USER_DIR]
        .into_iter()
        .filter_map(configured)
        .collect()
}

/// A path that confstr(3) knows.
fn configured(name: libc::c_int) -> Option<PathBuf> {
    let mut buffer = vec![0_u8; 1024];
    // SAFETY: The buffer has as many bytes as it says.
    let length = unsafe { libc::confstr(name, buffer.as_mut_ptr().cast(), buffer.len()) };
    // The length counts the zero byte at the end; 0 is an error.
    let bytes = buffer.get(..length.checked_sub(1)?)?;
    let path = PathBuf::from(OsStr::from_bytes(bytes));
    path.is_absolute().then_some(path)
}

/// Takes away what forbids even the owner to delete an entry: flags (`chflags uchg`) and the
/// access list (`chmod +a "everyone deny delete"`). An owner may always change both. False: there
/// was nothing that could be done.
pub fn unprotect(dir: BorrowedFd<'_>, name: &CStr) -> bool {
    let mut no_flags = 0_u32.to_ne_bytes();
    // An attribute reference (offset and length), and a `kauth_filesec` without owner, group and
    // list: XNU takes that for "remove the list" (`setattrlist_internal`).
    let mut no_list = [0_u8; 8 + FILESEC];
    let reference = [8_u32, FILESEC as u32, FILESEC_MAGIC];
    for (place, number) in no_list.chunks_exact_mut(4).zip(reference) {
        place.copy_from_slice(&number.to_ne_bytes());
    }
    if let Some(count) = no_list.get_mut(8 + FILESEC - 8..8 + FILESEC - 4) {
        count.copy_from_slice(&FILESEC_NO_LIST.to_ne_bytes());
    }
    // Flags first: a file that may not be changed keeps its list too.
    let flags = set_attribute(dir, name, libc::ATTR_CMN_FLAGS, &mut no_flags);
    let list = set_attribute(dir, name, libc::ATTR_CMN_EXTENDED_SECURITY, &mut no_list);
    flags || list
}

/// `KAUTH_FILESEC_SIZE(0)`, `KAUTH_FILESEC_MAGIC` and `KAUTH_FILESEC_NOACL` of sys/kauth.h: a magic
/// number, two ids of 16 bytes, the count of entries and flags.
const FILESEC: usize = 4 + 16 + 16 + 4 + 4;
const FILESEC_MAGIC: u32 = 0x012c_c16d;
const FILESEC_NO_LIST: u32 = u32::MAX;

fn set_attribute(dir: BorrowedFd<'_>, name: &CStr, what: u32, value: &mut [u8]) -> bool {
    let mut list = libc::attrlist {
        bitmapcount: libc::ATTR_BIT_MAP_COUNT,
        reserved: 0,
        commonattr: what,
        volattr: 0,
        dirattr: 0,
        fileattr: 0,
        forkattr: 0,
    };
    // SAFETY: The name is a C string, the list has the form that it says, the value has as many
    // bytes as it says, and a link at the end is not followed.
    let result = unsafe {
        libc::setattrlistat(
            dir.as_raw_fd(),
            name.as_ptr(),
            (&raw mut list).cast(),
            value.as_mut_ptr().cast(),
            value.len(),
            libc::FSOPT_NOFOLLOW,
        )
    };
    result == 0
}

/// Takes away the disk images that the user attached. Says which, and whether it worked.
pub fn detach_images(uid: u32) -> Vec<(String, Result<(), String>)> {
    // Asking takes a tenth of a second, so it is only done where there can be one.
    if !has_devices(uid) && mounts(uid).is_empty() {
        return Vec::new();
    }
    let tools = Tools::system();
    let Ok(listing) = disk_images::info(&tools).limit(TOOL_LIMIT).run_ok() else {
        return Vec::new();
    };
    let images = disk_images::of_user(&listing.stdout, uid).unwrap_or_default();
    let detached = |image: disk_images::Image| {
        let command = disk_images::detach(&tools, &image.device).limit(TOOL_LIMIT);
        let result = command.run_ok().map(drop).map_err(|error| error.to_string());
        (format!("{} ({})", image.path, image.device), result)
    };
    images.into_iter().map(detached).collect()
}

/// Returns true if a disk device belongs to the user: an image that it attached.
fn has_devices(uid: u32) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::read_dir("/dev").into_iter().flatten().flatten().any(|entry| {
        entry.file_name().as_bytes().starts_with(b"disk")
            && entry.metadata().is_ok_and(|meta| meta.uid() == uid)
    })
}

/// Lists the user's mounts, in the order in which they were mounted. Only the kernel's table is
/// looked at: asking the file systems themselves could take for ever.
pub fn mounts(uid: u32) -> Vec<PathBuf> {
    // SAFETY: Without a buffer the call says how many there are.
    let count = unsafe { libc::getfsstat(std::ptr::null_mut(), 0, libc::MNT_NOWAIT) };
    let room = usize::try_from(count).unwrap_or_default() + 8;
    let mut table: Vec<libc::statfs> = Vec::with_capacity(room);
    let size = i32::try_from(room * size_of::<libc::statfs>()).unwrap_or(i32::MAX);
    // SAFETY: The buffer has room for as many bytes as it says.
    let count = unsafe { libc::getfsstat(table.as_mut_ptr(), size, libc::MNT_NOWAIT) };
    let count = usize::try_from(count).unwrap_or_default().min(room);
    // SAFETY: The kernel filled so many entries.
    unsafe { table.set_len(count) };
    let path = |entry: &libc::statfs| {
        let bytes = entry.f_mntonname.iter().map(|c| c.cast_unsigned());
        PathBuf::from(OsString::from_vec(bytes.take_while(|byte| *byte != 0).collect()))
    };
    table.iter().filter(|entry| entry.f_owner == uid).map(path).collect()
}

/// Unmounts what this user mounted, as this user: the kernel lets who mounted do it.
pub fn unmount(path: &Path) -> Result<(), String> {
    let path = CString::new(path.as_os_str().as_bytes()).map_err(|error| error.to_string())?;
    // SAFETY: The path is a C string.
    let result = unsafe { sys_unmount(path.as_ptr(), FORCE) };
    check(result).map(drop).map_err(|error| error.to_string())
}

/// Removes System V queues, semaphores and shared memory of `uid`. Says how many.
pub fn remove_ipc(uid: u32) -> usize {
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
