//! Giving up root: once, early, in a fixed order, and verified.
//!
//! This runs before there is a second thread, before anything of the project is read and before
//! anything is connected. Every check is there because its absence was somebody's hole:
//!
//! 1. A thread that was started earlier would keep its own ids on some systems.
//! 2. The session comes first, while root may still make one: a terminal of the launch agent is
//!    no terminal of a job. With it comes a security session (macOS), without which the system
//!    ignores the keychains of the slot's user, and a session keyring (Linux), which tasks would
//!    share with the launch agent.
//! 3. Limits come before the user, since raising them takes root.
//! 4. Groups come before the group, the group before the user: after `setuid` neither is allowed,
//!    and root's supplementary groups would stay.
//! 5. A return value is not believed. Every id is read back, and the process tries to become
//!    root again, which has to fail.
//!
//! Any failure ends the process. Nothing goes on with half its privileges.

use std::ffi::CString;
use std::io;

use nix::unistd::Pid;
use russet_protocol::supervise::{Limits, SlotUser};

use russet_platform::os::{self, Limit};

/// Reason why privileges could not be given up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PrivilegeError {
    /// Somebody started a thread too early.
    #[error("privileges can only be dropped by a single thread, and there are {0}")]
    Threads(usize),
    /// Root, and nobody to become.
    #[error(
        "this process is root and was given no user to become\nhint: a task never runs as root"
    )]
    NobodyToBecome,
    /// The user to become is root, or its group is root's.
    #[error("the slot's user has uid {uid} and gid {gid}\nhint: a task never runs as root")]
    RootUser {
        /// Its uid.
        uid: u32,
        /// Its gid.
        gid: u32,
    },
    /// Not root, and somebody else to become.
    #[error("this process has uid {is} and cannot become uid {wanted}\nhint: only root can")]
    NotRoot {
        /// Actual user.
        is: u32,
        /// Expected user.
        wanted: u32,
    },
    /// A system call failed.
    #[error("could not {what}: {source}")]
    Call {
        /// Step that failed.
        what: &'static str,
        /// Cause.
        source: io::Error,
    },
    /// A check found something other than what was set.
    #[error("after dropping privileges {0}")]
    NotVerified(String),
}

fn call<T>(what: &'static str, result: io::Result<T>) -> Result<T, PrivilegeError> {
    result.map_err(|source| PrivilegeError::Call { what, source })
}

fn nix_call<T>(what: &'static str, result: nix::Result<T>) -> Result<T, PrivilegeError> {
    call(what, result.map_err(io::Error::from))
}

/// Becomes the slot's user for good. `None` stays who one is, which root refuses.
///
/// A task of a session at the screen (`is_gui`) was started in that session's audit session by
/// `launchctl asuser`, and stays there: in a new one it would have no graphic access, and the login
/// keychain would be locked for it.
pub(crate) fn drop_for_good(
    user: Option<&SlotUser>,
    limits: &Limits,
    is_gui: bool,
) -> Result<(), PrivilegeError> {
    let threads = call("count threads", os::thread_count())?;
    if threads != 1 {
        return Err(PrivilegeError::Threads(threads));
    }
    let is = nix::unistd::geteuid().as_raw();
    let to = decide_user(is, nix::unistd::getuid().as_raw(), user)?;
    own_session()?;
    if let Some(user) = to.filter(|_| !is_gui) {
        call("make a security session", os::own_security_session(user.uid))?;
    }
    if to.is_some() {
        call("make a session keyring", os::own_session_keyring())?;
    }
    set_limits(limits)?;
    if let Some(user) = to {
        become_user(user)?;
    }
    call("become undumpable", os::make_undumpable())?;
    call("adopt orphans", os::become_subreaper())?;
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o022));
    Ok(())
}

/// Decides which user to become, if any.
fn decide_user(
    effective: u32,
    real: u32,
    user: Option<&SlotUser>,
) -> Result<Option<&SlotUser>, PrivilegeError> {
    let is_root = effective == 0 || real == 0;
    match user {
        None if is_root => Err(PrivilegeError::NobodyToBecome),
        None => Ok(None),
        Some(user) if user.uid == 0 || user.gid == 0 => {
            Err(PrivilegeError::RootUser { uid: user.uid, gid: user.gid })
        }
        Some(user) if is_root => Ok(Some(user)),
        Some(user) if user.uid == effective && user.uid == real => Ok(None),
        Some(user) => Err(PrivilegeError::NotRoot { is: effective, wanted: user.uid }),
    }
}

/// A session of our own, unless this process leads one already.
fn own_session() -> Result<(), PrivilegeError> {
    let me = nix::unistd::getpid();
    if nix::unistd::getsid(None) == Ok(me) {
        return Ok(());
    }
    // The launch agent starts us as the leader of a process group, out of reach of the keys of its
    // terminal, and a leader cannot make a session: so we join our parent's group first. A launch
    // agent that was killed has left us to a parent whose group is in another session.
    if nix::unistd::getpgrp() == me {
        let parent = nix::unistd::getpgid(Some(nix::unistd::getppid()));
        let joined = parent.and_then(|group| nix::unistd::setpgid(Pid::from_raw(0), group));
        // Group 0, as that of a parent outside of a container, stands for our own.
        if joined.is_err() || nix::unistd::getpgrp() == me {
            return session_beside_child();
        }
    }
    nix_call("make a session", nix::unistd::setsid()).map(drop)
}

/// Makes a session from the process group of a child, which ends as soon as there is one.
fn session_beside_child() -> Result<(), PrivilegeError> {
    let (held, released) = nix_call("make a pipe", nix::unistd::pipe())?;
    // SAFETY: This process has one thread, and the child makes system calls alone.
    let child = match nix_call("fork", unsafe { nix::unistd::fork() })? {
        nix::unistd::ForkResult::Parent { child } => child,
        nix::unistd::ForkResult::Child => {
            drop(released);
            // Returns with the end of the other end, also where our parent is killed.
            let _ended = nix::unistd::read(&held, &mut [0]);
            // SAFETY: It ends the process and runs nothing else of ours.
            unsafe { libc::_exit(0) }
        }
    };
    let made = nix_call("make a process group", nix::unistd::setpgid(child, child))
        .and_then(|()| {
            let joined = nix::unistd::setpgid(Pid::from_raw(0), child);
            nix_call("leave the process group", joined)
        })
        .and_then(|()| nix_call("make a session", nix::unistd::setsid()).map(drop));
    drop(released);
    let waited = nix_call("wait for a child", nix::sys::wait::waitpid(child, None));
    made.and(waited.map(drop))
}

fn set_limits(limits: &Limits) -> Result<(), PrivilegeError> {
    if limits.open_files.is_none() {
        os::raise_open_files();
    }
    for (what, limit, wanted) in [
        ("limit processes", Limit::Processes, limits.processes),
        ("limit open files", Limit::OpenFiles, limits.open_files),
    ] {
        let Some(wanted) = wanted else { continue };
        let hard = call(what, os::hard_limit(limit))?;
        // Who is not root can only go down, and a limit above the system's is none.
        let value = if nix::unistd::geteuid().is_root() { wanted } else { wanted.min(hard) };
        call(what, os::set_limit(limit, value))?;
    }
    Ok(())
}

fn become_user(user: &SlotUser) -> Result<(), PrivilegeError> {
    let name = match &user.name {
        Some(name) => Some(CString::new(name.as_str()).map_err(|_| {
            PrivilegeError::NotVerified("the slot user's name has a zero byte".to_owned())
        })?),
        None => None,
    };
    call("set groups", os::set_groups(name.as_deref(), user.gid))?;
    call("set the group", os::set_gid(user.gid))?;
    call("set the user", os::set_uid(user.uid))?;
    verify_drop(user)
}

fn verify_drop(user: &SlotUser) -> Result<(), PrivilegeError> {
    let fail = |text: String| Err(PrivilegeError::NotVerified(text));
    let ids = call("read ids", os::ids())?;
    if ids.users != [user.uid; 3] || ids.groups != [user.gid; 3] {
        return fail(format!("the ids are {:?} and {:?}", ids.users, ids.groups));
    }
    let groups = call("read groups", supplementary_groups())?;
    if groups.contains(&0) || (user.name.is_none() && groups.iter().any(|gid| *gid != user.gid)) {
        return fail(format!("the groups are {groups:?}"));
    }
    if call("read capabilities", os::holds_capabilities())? {
        return fail("capabilities are left".to_owned());
    }
    // SAFETY: These four take numbers or an empty list; each has to fail.
    let regained = unsafe {
        [libc::setuid(0), libc::seteuid(0), libc::setgid(0), libc::setgroups(0, std::ptr::null())]
    };
    if regained.contains(&0) {
        return fail("root can be regained".to_owned());
    }
    // The failed attempts must have changed nothing.
    if call("read ids", os::ids())? != ids {
        return fail("the ids changed".to_owned());
    }
    Ok(())
}

fn supplementary_groups() -> io::Result<Vec<u32>> {
    // SAFETY: With no room the call says how many there are.
    let count = os::check(unsafe { libc::getgroups(0, std::ptr::null_mut()) })?;
    let mut groups = vec![0; usize::try_from(count).unwrap_or_default()];
    // SAFETY: The list has room for as many as the count says.
    let count = os::check(unsafe { libc::getgroups(count, groups.as_mut_ptr()) })?;
    groups.truncate(usize::try_from(count).unwrap_or_default());
    Ok(groups)
}

#[cfg(test)]
mod tests {
    use super::{PrivilegeError, decide_user};
    use russet_protocol::supervise::SlotUser;

    fn user(uid: u32, gid: u32) -> SlotUser {
        SlotUser { uid, gid, name: None, dedicated: true }
    }

    #[test]
    fn root_never_stays_root() {
        assert!(matches!(decide_user(0, 0, None), Err(PrivilegeError::NobodyToBecome)));
        assert!(matches!(decide_user(501, 0, None), Err(PrivilegeError::NobodyToBecome)));
        for bad in [user(0, 5), user(5, 0), user(0, 0)] {
            assert!(matches!(decide_user(0, 0, Some(&bad)), Err(PrivilegeError::RootUser { .. })));
        }
        assert!(matches!(decide_user(0, 0, Some(&user(5, 6))), Ok(Some(_))));
    }

    #[test]
    fn who_is_not_root_stays_who_one_is() {
        assert!(matches!(decide_user(501, 501, None), Ok(None)));
        assert!(matches!(decide_user(501, 501, Some(&user(501, 20))), Ok(None)));
        let other = user(502, 20);
        assert!(matches!(decide_user(501, 501, Some(&other)), Err(PrivilegeError::NotRoot { .. })));
    }
}
