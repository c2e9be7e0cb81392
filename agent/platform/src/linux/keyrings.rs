//! Keys that the kernel keeps for a user: they outlive processes (keyrings(7)).

use std::io;
use std::time::{Duration, Instant};

/// Operations of keyctl(2), from linux/keyctl.h; the libc crate has the call only.
const JOIN_SESSION_KEYRING: libc::c_int = 1;
const CLEAR: libc::c_int = 7;
const INVALIDATE: libc::c_int = 21;
const GET_PERSISTENT: libc::c_int = 22;

/// Keyrings that belong to each process or user, by their fixed ids.
const OF_SESSION: libc::c_long = -3;
const OF_USER: libc::c_long = -4;
const OF_USER_SESSION: libc::c_long = -5;

/// Time in which the kernel frees keys that were removed; it does so apart.
const FREE_TIMEOUT: Duration = Duration::from_secs(2);

/// Interval at which it is asked meanwhile.
const FREE_INTERVAL: Duration = Duration::from_millis(1);

/// Calls keyctl(2) with numbers; none of the operations here takes a buffer.
fn keyctl(
    operation: libc::c_int,
    first: libc::c_long,
    second: libc::c_long,
) -> io::Result<libc::c_long> {
    // SAFETY: The operations above take numbers only, a null pointer included.
    let result = unsafe { libc::syscall(libc::SYS_keyctl, operation, first, second, 0, 0) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// Puts this process into a session keyring of its own.
///
/// Threat: a session keyring is inherited, and whoever has it may read and change what is in it,
/// whatever their user. With that of the launch agent, tasks of all slots would share one.
///
/// # Errors
/// The kernel has keys and makes no keyring. One without them, and a container that forbids the
/// call, has no keys for tasks either.
pub fn own_session_keyring() -> io::Result<()> {
    match keyctl(JOIN_SESSION_KEYRING, 0, 0) {
        Err(error) if !matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EPERM)) => {
            Err(error)
        }
        _ => Ok(()),
    }
}

/// Removes the keys of this process's user `uid` from the kernel, and its keyrings with them: a job
/// may have changed their permissions for those that come after it. Returns how many keys are gone,
/// and how many are there still.
pub fn remove_keys(uid: u32) -> (u64, u64) {
    let before = count_keys(uid);
    if before == 0 {
        return (0, 0);
    }
    drop(keyctl(CLEAR, OF_SESSION, 0));
    // Asking for the persistent keyring links it to another one.
    let persistent = keyctl(GET_PERSISTENT, -1, OF_SESSION).ok();
    // The second one has a link to the first.
    for keyring in [Some(OF_USER_SESSION), Some(OF_USER), persistent].into_iter().flatten() {
        drop(keyctl(CLEAR, keyring, 0));
        drop(keyctl(INVALIDATE, keyring, 0));
    }
    for key in list_keys(uid) {
        drop(keyctl(INVALIDATE, key, 0));
    }
    let until = Instant::now() + FREE_TIMEOUT;
    let mut after = count_keys(uid);
    while after > 0 && Instant::now() < until {
        std::thread::sleep(FREE_INTERVAL);
        after = count_keys(uid);
    }
    (before.saturating_sub(after), after)
}

/// Returns the number of keys and keyrings that the kernel counts for a user.
fn count_keys(uid: u32) -> u64 {
    parse_count(&std::fs::read_to_string("/proc/key-users").unwrap_or_default(), uid)
}

/// Reads the line `UID: USAGE NKEYS/NIKEYS QNKEYS/MAXKEYS QNBYTES/MAXBYTES` (keyrings(7)).
fn parse_count(table: &str, uid: u32) -> u64 {
    let fields = table.lines().find_map(|line| {
        let (user, rest) = line.split_once(':')?;
        (user.trim().parse() == Ok(uid)).then_some(rest)
    });
    let counts = fields.and_then(|fields| fields.split_whitespace().nth(1));
    counts.and_then(|text| text.split_once('/')?.0.parse().ok()).unwrap_or(0)
}

/// Lists the ids of the user's keys that this process may see. A key is described in any bytes: one that is
/// no text must not hide the others.
fn list_keys(uid: u32) -> Vec<libc::c_long> {
    parse_keys(&String::from_utf8_lossy(&std::fs::read("/proc/keys").unwrap_or_default()), uid)
}

/// Reads lines of the form `ID FLAGS USAGE TIMEOUT PERMISSIONS UID GID TYPE DESCRIPTION`, the id in
/// hexadecimal (keyrings(7)).
fn parse_keys(table: &str, uid: u32) -> Vec<libc::c_long> {
    let key = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().take(6).collect();
        let is_owned = fields.get(5)?.parse() == Ok(uid);
        is_owned.then(|| libc::c_long::from_str_radix(fields.first()?, 16).ok()).flatten()
    };
    table.lines().filter_map(key).collect()
}

#[cfg(test)]
mod tests {
    use super::{parse_count, parse_keys};

    #[test]
    fn the_tables_of_keys_are_read() {
        let users = "    0:     9 8/8 3/1000000 40/25000000\n59000:     3 3/2 3/200 59/20000\n";
        assert_eq!((parse_count(users, 59_000), parse_count(users, 5900)), (3, 0));
        let keys = "0386a0a2 I--Q---     1 perm 1f3f0000     0 65534 keyring   _uid_ses.0: 1\n\
                    222a5e22 I--Q---     1   3d 3f010000 59000 59000 user      name: 6\n";
        assert_eq!(parse_keys(keys, 59_000), [0x222a_5e22]);
    }
}
