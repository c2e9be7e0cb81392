//! Users of slots: named ones where the owner made them, else unprivileged ids of our own.
//!
//! A slot's user is what separates tasks from each other and from the launch agent, so no two
//! slots may ever have the same one, not even slots of two launch agents. An id of our own is
//! held by a lock on a file that only root can open, for as long as the process lives; an id
//! that still has processes of an earlier launch agent is left alone.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};
use nix::unistd::{Gid, Group, Uid, User};
use russet_protocol::supervise::SlotUser;

use crate::private_directory::own_directory;

/// The ids that slots take where no user is set up. Far from people's ids, from those of the
/// system and from 65534 (nobody).
pub const OWN_IDS: std::ops::RangeInclusive<u32> = 59_000..=59_999;

/// Returns the warning about tasks whose users are only numbers: tools that look themselves up in
/// the user database fail without a word about the reason. `None` where each has a name. (macOS has
/// no such tasks: see [`find_missing_user`].)
#[must_use]
pub fn warning_of_nameless(prefix: &str, users: &[SlotUser]) -> Option<String> {
    let nameless = |user: &&SlotUser| user.dedicated && user.name.is_none();
    let ids: Vec<String> = users.iter().filter(nameless).map(|user| user.uid.to_string()).collect();
    if ids.is_empty() {
        return None;
    }
    let count = users.len();
    let noun = if ids.len() == 1 { "id" } else { "ids" };
    Some(format!(
        "tasks run as user {noun} {}, which have no name on this machine: ssh (also of git) refuses \
         to run as such a user, and node, java and others find no user or home\n  hint: `for n in \
         $(seq {count}); do sudo useradd --system {prefix}$n; done` makes users; so does `sudo russet \
         agent install`",
        ids.join(", "),
    ))
}

/// Returns the reason for which a slot without its user takes no task, where the system needs a
/// record of it (`needs_record`). `None`: the user will do.
#[must_use]
pub fn find_missing_user(
    prefix: &str,
    number: u32,
    user: &SlotUser,
    needs_record: bool,
) -> Option<String> {
    let is_nameless = user.dedicated && user.name.is_none();
    (needs_record && is_nameless).then(|| {
        format!(
            "the user {prefix}{number} does not exist, and as a mere number tasks find no home, no \
             keychain and no simulator; `sudo russet agent repair` makes it again, and `sudo russet \
             agent install` in the first place"
        )
    })
}

/// Reason why a slot has no user.
#[derive(Debug, thiserror::Error)]
pub enum UserError {
    /// A user with the slot's name is none that tasks may run as.
    #[error("user {name} has {what}, so tasks cannot run as it")]
    Unfit {
        /// Its name.
        name: String,
        /// Fault of it.
        what: String,
    },
    /// Every id is taken.
    #[error("none of the user ids {} to {} is free", OWN_IDS.start(), OWN_IDS.end())]
    NoneFree,
    /// The locks cannot be taken.
    #[error("could not lock a user id in {}: {source}", path.display())]
    Lock {
        /// The file.
        path: PathBuf,
        /// Cause.
        source: io::Error,
    },
    /// The user database cannot be read.
    #[error("could not look up user {name}: {source}")]
    LookUp {
        /// Whom.
        name: String,
        /// Cause.
        source: nix::Error,
    },
}

/// A user and the right to run tasks as it.
#[derive(Debug)]
pub struct Lease {
    /// The user.
    pub user: SlotUser,
    /// Held while the lease is.
    _lock: Option<Flock<std::fs::File>>,
}

impl Lease {
    /// A user that needs no lock: the caller itself, or one that a command prefix lands in.
    #[must_use]
    pub fn unlocked(user: SlotUser) -> Self {
        Self { user, _lock: None }
    }
}

/// The caller, which is what tasks run as where the launch agent is not root.
#[must_use]
pub fn calling_user() -> SlotUser {
    let uid = nix::unistd::geteuid();
    SlotUser {
        uid: uid.as_raw(),
        gid: nix::unistd::getegid().as_raw(),
        name: User::from_uid(uid).ok().flatten().map(|user| user.name),
        dedicated: false,
    }
}

/// A user by its number, which need not be in the user database.
#[must_use]
pub fn by_id(uid: u32, gid: u32) -> SlotUser {
    let name = User::from_uid(Uid::from_raw(uid)).ok().flatten().map(|user| user.name);
    SlotUser { uid, gid, name, dedicated: false }
}

/// The user that owns nothing and may do what everybody may.
#[must_use]
pub fn nobody() -> SlotUser {
    const NAME: &str = "nobody";
    /// Its id where the user database has none: that of most Linux systems.
    const ID: u32 = 65_534;
    let user = User::from_name(NAME).ok().flatten();
    let (uid, gid) = user.map_or((ID, ID), |user| (user.uid.as_raw(), user.gid.as_raw()));
    // Without a name it has no other groups.
    SlotUser { uid, gid, name: None, dedicated: false }
}

/// The account whose session at the screen tasks run in, with the right to do so.
///
/// # Errors
///
/// There is none of this name, or it is not one for tasks.
pub fn at_the_screen(name: &str) -> Result<Lease, UserError> {
    find_screen_account(name).and_then(named_user)
}

/// The account of this name, whose session at the screen tasks may run in.
///
/// # Errors
///
/// There is none of this name, or it is not one for tasks.
pub fn find_screen_account(name: &str) -> Result<User, UserError> {
    let unfit = |what: String| UserError::Unfit { name: name.to_owned(), what };
    let user = User::from_name(name)
        .map_err(|source| UserError::LookUp { name: name.to_owned(), source })?
        .ok_or_else(|| unfit("no account on this machine".to_owned()))?;
    let groups = group_names(&user).map_err(|error| unfit(format!("unknown groups: {error}")))?;
    match find_unfitness(user.uid.as_raw(), &groups) {
        Some(what) => Err(unfit(what)),
        None => Ok(user),
    }
}

/// Groups whose members can become root, or are root.
const ADMINISTRATORS: [&str; 4] = ["admin", "wheel", "root", "sudo"];

/// The first id of people's accounts on macOS. Those below are the system's, and no account that
/// can be logged in at the screen.
const FIRST_ACCOUNT: u32 = 500;

/// Returns the reason for which tasks must not run in a user's session at the screen.
///
/// Threat: a task that runs in the session of an administrator can become root with the password
/// dialogs and the sudo tickets of that session.
fn find_unfitness(uid: u32, groups: &[String]) -> Option<String> {
    if uid < FIRST_ACCOUNT {
        return Some(format!("the id {uid} of a system account"));
    }
    let group = groups.iter().find(|group| ADMINISTRATORS.contains(&group.as_str()))?;
    Some(format!("the rights of an administrator (it is in the group {group})"))
}

/// The names of all groups that a user is in. It may ask a directory service, and wait for it. nix
/// leaves the call out on macOS.
pub fn group_names(user: &User) -> io::Result<Vec<String>> {
    let name = std::ffi::CString::new(user.name.as_str())?;
    let mut count: libc::c_int = 1024;
    let mut ids = vec![0; 1024];
    let gid = user.gid.as_raw();
    // SAFETY: The name is a C string, and the list has room for as many ids as the count says.
    // The ids are of another type on macOS, of the same size.
    #[cfg_attr(target_os = "linux", expect(clippy::useless_conversion, reason = "see above"))]
    let result = unsafe {
        libc::getgrouplist(
            name.as_ptr(),
            gid.try_into().map_err(io::Error::other)?,
            ids.as_mut_ptr(),
            &raw mut count,
        )
    };
    if result < 0 {
        return Err(io::Error::other("it is in too many groups"));
    }
    ids.truncate(usize::try_from(count).unwrap_or_default());
    let group = |id: u32| {
        let name = Group::from_gid(Gid::from_raw(id)).ok().flatten().map(|group| group.name);
        name.unwrap_or_else(|| id.to_string())
    };
    #[cfg(target_os = "macos")]
    let ids = ids.into_iter().map(libc::c_int::cast_unsigned);
    Ok(ids.into_iter().map(group).collect())
}

/// The user of slot `number`: `<prefix><number>` where it exists, else the id that the slot had
/// before, else a free one.
///
/// # Errors
///
/// The named user is unfit, or no id is free.
pub fn lease_user(prefix: &str, number: u32, before: Option<u32>) -> Result<Lease, UserError> {
    let name = format!("{prefix}{number}");
    let found = User::from_name(&name)
        .map_err(|source| UserError::LookUp { name: name.clone(), source })?;
    match found {
        Some(user) => named_user(user),
        None => own_ids(before),
    }
}

fn named_user(user: User) -> Result<Lease, UserError> {
    let (uid, gid) = (user.uid.as_raw(), user.gid.as_raw());
    let unfit = |what: &str| UserError::Unfit { name: user.name.clone(), what: what.to_owned() };
    if uid == 0 {
        return Err(unfit("the id of root"));
    }
    if gid == 0 {
        return Err(unfit("the group of root"));
    }
    // Everything of the id is ended and deleted after a task, so it must not be anybody else's.
    match User::from_uid(user.uid) {
        Ok(Some(owner)) if owner.name != user.name => {
            return Err(unfit(&format!("the id of {}", owner.name)));
        }
        _ => {}
    }
    let lock = lock_uid(uid)?.ok_or_else(|| unfit("tasks of another agent already"))?;
    let user = SlotUser { uid, gid, name: Some(user.name.clone()), dedicated: true };
    Ok(Lease { user, _lock: Some(lock) })
}

fn own_ids(before: Option<u32>) -> Result<Lease, UserError> {
    let before = before.filter(|uid| OWN_IDS.contains(uid));
    if let Some(uid) = before
        && let Some(lease) = try_own(uid)?
    {
        // Processes that it may have are those of this slot's last task.
        return Ok(lease);
    }
    let busy = super::user_ids_with_processes();
    for uid in OWN_IDS.filter(|uid| !busy.contains(uid)) {
        let Some(lease) = try_own(uid)? else { continue };
        // A launch agent may have ended between the look at the processes and the lock, and its
        // task lives on.
        if super::processes_of(uid).is_empty() {
            return Ok(lease);
        }
    }
    Err(UserError::NoneFree)
}

fn try_own(uid: u32) -> Result<Option<Lease>, UserError> {
    // An id that somebody has in the user database is somebody's.
    if !matches!(User::from_uid(Uid::from_raw(uid)), Ok(None)) {
        return Ok(None);
    }
    // So is a group: its files would be the task's to read.
    if !matches!(Group::from_gid(Gid::from_raw(uid)), Ok(None)) {
        return Ok(None);
    }
    let user = SlotUser { uid, gid: uid, name: None, dedicated: true };
    Ok(lock_uid(uid)?.map(|lock| Lease { user, _lock: Some(lock) }))
}

/// `None`: another process holds it.
fn lock_uid(uid: u32) -> Result<Option<Flock<std::fs::File>>, UserError> {
    let directory = Path::new(super::LOCK_DIRECTORY);
    let path = directory.join(format!("uid-{uid}"));
    let failed = |source: io::Error| UserError::Lock { path: path.clone(), source };
    own_directory(directory).map_err(failed)?;
    let file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW)
        .open(&path)
        .map_err(failed)?;
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(lock) => Ok(Some(lock)),
        Err((_, nix::Error::EWOULDBLOCK)) => Ok(None),
        Err((_, error)) => Err(failed(error.into())),
    }
}

/// Keeps other launch agents out of a state directory while it lives.
#[derive(Debug)]
pub struct StateLock {
    _lock: Flock<std::fs::File>,
}

/// Locks a state directory. `None`: another launch agent has it.
///
/// # Errors
///
/// The file of the lock cannot be opened.
pub fn lock_state(directory: &OwnedFd) -> io::Result<Option<StateLock>> {
    let flags = nix::fcntl::OFlag::O_WRONLY
        | nix::fcntl::OFlag::O_CREAT
        | nix::fcntl::OFlag::O_NOFOLLOW
        | nix::fcntl::OFlag::O_CLOEXEC;
    let mode = nix::sys::stat::Mode::from_bits_truncate(0o600);
    let file = nix::fcntl::openat(directory, "agent.lock", flags, mode)?;
    match Flock::lock(std::fs::File::from(file), FlockArg::LockExclusiveNonblock) {
        Ok(lock) => Ok(Some(StateLock { _lock: lock })),
        Err((_, nix::Error::EWOULDBLOCK)) => Ok(None),
        Err((_, error)) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn users_without_a_name_are_warned_of_with_the_command_that_makes_some() {
        let user = |uid, name: Option<&str>| super::SlotUser {
            uid,
            gid: uid,
            name: name.map(str::to_owned),
            dedicated: true,
        };
        let named = user(400, Some("_russet1"));
        assert_eq!(super::warning_of_nameless("_russet", std::slice::from_ref(&named)), None);
        let users = [named, user(59_000, None)];
        let warning = super::warning_of_nameless("_russet", &users).unwrap();
        assert!(warning.contains("59000") && !warning.contains("400"), "{warning}");
        assert!(warning.contains("sudo ") && warning.contains("_russet"), "{warning}");
    }

    #[test]
    fn a_slot_without_the_record_of_its_user_is_held_where_the_system_needs_one() {
        let user = |name: Option<&str>, dedicated| super::SlotUser {
            uid: 59_000,
            gid: 59_000,
            name: name.map(str::to_owned),
            dedicated,
        };
        let missing = |user, needs| super::find_missing_user("_russet", 2, &user, needs);
        let reason = missing(user(None, true), true).unwrap();
        assert!(reason.contains("_russet2 does not exist"), "{reason}");
        assert!(reason.contains("sudo russet agent repair"), "{reason}");
        assert_eq!(missing(user(Some("_russet2"), true), true), None);
        // Linux does with a number; and who a prefix lands in is its owner's matter.
        assert_eq!(missing(user(None, true), false), None);
        assert_eq!(missing(user(None, false), true), None);
    }

    use super::{OWN_IDS, lease_user};

    #[test]
    fn leases_are_never_of_the_same_id() {
        if !russet_test_skip::can_be_root("to have users of slots") {
            return;
        }
        let leases: Vec<_> =
            (0..5).map(|number| lease_user("_no_such_user", number, None).unwrap()).collect();
        let mut ids: Vec<u32> = leases.iter().map(|lease| lease.user.uid).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), 5);
        assert!(ids.iter().all(|uid| OWN_IDS.contains(uid)));
        // The one that is held is not given to another slot that had it before.
        let again = lease_user("_no_such_user", 9, ids.first().copied()).unwrap();
        assert!(!ids.contains(&again.user.uid));
    }

    #[test]
    fn an_account_for_the_screen_is_no_administrators_and_no_system_account() {
        let groups =
            |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(super::find_unfitness(502, &groups(&["staff", "everyone"])), None);
        for (uid, names, wanted) in [
            (502, &["staff", "admin"][..], "administrator"),
            (502, &["wheel"], "administrator"),
            (350, &["staff"], "system account"),
            (0, &[], "system account"),
        ] {
            let error = super::find_unfitness(uid, &groups(names)).unwrap();
            assert!(error.contains(wanted), "{error}");
        }
        let error = super::at_the_screen("no-such-account").unwrap_err();
        assert!(error.to_string().contains("no account on this machine"), "{error}");
        let error = super::at_the_screen("root").unwrap_err();
        assert!(error.to_string().contains("system account"), "{error}");
        let root = nix::unistd::User::from_name("root").unwrap().unwrap();
        assert!(super::group_names(&root).unwrap().contains(&"root".to_owned()));
    }

    #[test]
    fn root_is_no_slot_user() {
        if nix::unistd::geteuid().is_root() {
            let error = super::lease_user("roo", 0, None);
            // `roo0` does not exist; the check itself is on the record that is found.
            assert!(error.is_ok());
            let root = nix::unistd::User::from_name("root").unwrap().unwrap();
            assert!(super::named_user(root).is_err());
        }
    }

    #[test]
    fn a_second_name_for_the_id_of_somebody_else_is_no_slot_user() {
        if nix::unistd::geteuid().is_root() {
            let mut alias = nix::unistd::User::from_name("daemon").unwrap().unwrap();
            alias.name = "_russet1".to_owned();
            alias.gid = nix::unistd::Gid::from_raw(59_999);
            let error = super::named_user(alias).unwrap_err();
            assert!(error.to_string().contains("the id of daemon"), "{error}");
        }
    }
}
