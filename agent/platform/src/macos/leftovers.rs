//! Things that a task may leave behind on the machine, and removing them as its user.

use std::ffi::{CStr, CString, OsStr, OsString};
use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::command::{CommandError, Tools};
use crate::darwin_abi::{
    FILESEC_BYTES as FILESEC, KAUTH_FILESEC_MAGIC as FILESEC_MAGIC,
    KAUTH_FILESEC_NOACL as FILESEC_NO_LIST, MNT_FORCE as FORCE,
};
use crate::macos_tools::disk_images;
use crate::macos_tools::user_domain::{self, DomainError};
use crate::syscall::check;

unsafe extern "C" {
    /// sys/mount.h; the libc crate does not have it.
    #[link_name = "unmount"]
    fn sys_unmount(path: *const libc::c_char, flags: libc::c_int) -> libc::c_int;
}

/// Ends the user's launchd domain. Says what was in it, and what went wrong.
pub fn end_user_domain(uid: u32) -> (Vec<String>, Option<DomainError>) {
    let tools = Tools::system();
    // What is not understood of it is not shown.
    let printed = user_domain::print_command(&tools, uid).limit(TOOL_TIMEOUT).run_ok();
    let jobs =
        printed.map_or_else(|_| Vec::new(), |out| user_domain::foreign_services(&out.text()));
    match user_domain::bootout(&tools, uid).limit(TOOL_TIMEOUT).run() {
        Ok(output) => {
            if user_domain::is_in_progress(&output) {
                wait_until_domain_ends(&tools, uid);
            }
            (jobs, user_domain::check_bootout(&output).err())
        }
        Err(error) => (jobs, Some(error.into())),
    }
}

/// Waits until launchd has ended a domain, within the timeout of a tool. What is there after that
/// is found as a process.
fn wait_until_domain_ends(tools: &Tools, uid: u32) {
    let deadline = Instant::now() + TOOL_TIMEOUT;
    while Instant::now() < deadline
        && user_domain::print_command(tools, uid).limit(TOOL_TIMEOUT).run_ok().is_ok()
    {
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Ends what a job put into the launchd domain of a session at the screen: everything that is
/// neither Apple's nor installed for all users. Says what, and whether it worked.
pub fn end_session_jobs(uid: u32) -> Vec<(String, Result<(), DomainError>)> {
    let tools = Tools::system();
    let Ok(printed) = user_domain::print_session(&tools, uid).limit(TOOL_TIMEOUT).run_ok() else {
        return Vec::new();
    };
    let installed = user_domain::labels_in(Path::new("/Library/LaunchAgents"));
    let ended = |label: String| {
        let bootout = user_domain::bootout_session_job(&tools, uid, &label).limit(TOOL_TIMEOUT);
        let result = match bootout.run() {
            Ok(output) => user_domain::check_bootout(&output),
            Err(error) => Err(error.into()),
        };
        (label, result)
    };
    user_domain::session_jobs(&printed.text(), &installed).into_iter().map(ended).collect()
}

/// Timeout of a tool of the system at the end of a task.
const TOOL_TIMEOUT: Duration = Duration::from_secs(15);

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
pub fn detach_images(uid: u32) -> Vec<(String, Result<(), CommandError>)> {
    // Asking takes a tenth of a second, so it is only done where there can be one.
    if !has_devices(uid) && mounts(uid).is_empty() {
        return Vec::new();
    }
    let tools = Tools::system();
    let Ok(listing) = disk_images::info_command(&tools).limit(TOOL_TIMEOUT).run_ok() else {
        return Vec::new();
    };
    let images = disk_images::of_user(&listing.stdout, uid).unwrap_or_default();
    let detached = |image: disk_images::Image| {
        let command = disk_images::detach_command(&tools, &image.device).limit(TOOL_TIMEOUT);
        let result = command.run_ok().map(drop);
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
    mounts_where(|entry| entry.f_owner == uid)
}

pub(super) fn mounts_where(wanted: impl Fn(&libc::statfs) -> bool) -> Vec<PathBuf> {
    let table = mount_table();
    table.iter().filter(|entry| wanted(entry)).map(|entry| text_of(&entry.f_mntonname)).collect()
}

/// Returns the path in a field of the kernel's table.
pub(super) fn text_of(field: &[libc::c_char]) -> PathBuf {
    let bytes = field.iter().map(|c| c.cast_unsigned());
    PathBuf::from(OsString::from_vec(bytes.take_while(|byte| *byte != 0).collect()))
}

/// Reads the kernel's table of mounts, in the order in which they were mounted.
pub(super) fn mount_table() -> Vec<libc::statfs> {
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
    table
}

/// Unmounts what this user mounted, as this user: the kernel lets who mounted do it.
pub fn unmount(path: &Path) -> io::Result<()> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    // SAFETY: The path is a C string.
    let result = unsafe { sys_unmount(path.as_ptr(), FORCE) };
    check(result).map(drop)
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
