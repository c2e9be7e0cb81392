//! Things that a task may leave behind on the machine, and removing them as its user.

use std::ffi::CStr;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};

use super::mountinfo;
use crate::command::{CommandError, Tools};
use crate::macos_tools::user_domain::DomainError;

/// Ends the user's launchd domain: what was in it, and what went wrong. Linux has none.
pub fn end_user_domain(_uid: u32) -> (Vec<String>, Option<DomainError>) {
    (Vec::new(), None)
}

/// Ends what a job put into the launchd domain of a session at the screen. Linux has none.
pub fn end_session_jobs(_uid: u32) -> Vec<(String, Result<(), DomainError>)> {
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
pub fn detach_images(_uid: u32) -> Vec<(String, Result<(), CommandError>)> {
    Vec::new()
}

/// Lists the user's mounts that everybody sees: FUSE. Whatever else a user mounts is in a namespace
/// that ends with its processes.
pub fn mounts(uid: u32) -> Vec<PathBuf> {
    let table = std::fs::read("/proc/self/mountinfo").unwrap_or_default();
    mountinfo::of_user(&table, uid)
}

/// Unmounts what this user mounted, as this user.
pub fn unmount(path: &Path) -> Result<(), CommandError> {
    mountinfo::unmount(&Tools::system(), path)
}

/// Removes System V queues, semaphores and shared memory of `uid`. Says how many.
pub fn remove_ipc(uid: u32) -> usize {
    let ids = |kind: &str| -> Vec<i32> {
        let table = std::fs::read_to_string(format!("/proc/sysvipc/{kind}")).unwrap_or_default();
        owned_ids(&table, uid)
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

/// The ids of a `/proc/sysvipc` table whose owner or creator is `uid`: who made an object and gave it
/// to somebody else can use it still. The head names the columns.
fn owned_ids(table: &str, uid: u32) -> Vec<i32> {
    let mut lines = table.lines();
    let head: Vec<&str> = lines.next().unwrap_or_default().split_whitespace().collect();
    let column = |name: &str| head.iter().position(|title| *title == name);
    let id = ["shmid", "semid", "msqid"].iter().find_map(|name| column(name));
    let Some(id) = id else { return Vec::new() };
    let users: Vec<usize> = ["uid", "cuid"].iter().filter_map(|name| column(name)).collect();
    lines
        .filter_map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let is_user = |at: &usize| fields.get(*at).is_some_and(|id| id.parse() == Ok(uid));
            let is_owned = users.iter().any(is_user);
            is_owned.then(|| fields.get(id)?.parse().ok()).flatten()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::owned_ids;

    #[test]
    fn ipc_tables_are_read_by_their_head() {
        let table = "       key      shmid perms  size  cpid lpid nattch   uid   gid  cuid  cgid\n\
                     0          4   600  4096  1 1 0  59000 59000 59000 59000\n\
                     0          5   600  4096  1 1 0  0 0 0 0\n\
                     0          6   600  4096  1 1 0  59001 59001 59000 59000\n";
        assert_eq!(owned_ids(table, 59000), [4, 6]);
        assert!(owned_ids("", 59000).is_empty());
    }
}
