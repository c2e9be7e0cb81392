//! Sockets of a slot, on which the launch agent listens to the slot's user.
//!
//! Threat: what is reachable on this machine is reached by whatever runs on it. Such a socket
//! belongs to the slot's user, and the kernel is asked who is at its other end: only that user and
//! whoever runs the agent are heard.

use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use russet_protocol::supervise::SlotUser;
use tokio::net::{UnixListener, UnixStream};

/// Listens at `path`. A socket that an earlier launch agent left is replaced.
pub(in crate::launch) fn bind(path: &Path, user: &SlotUser) -> io::Result<UnixListener> {
    russet_platform::replace::remove_file(path)?;
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    if nix::unistd::geteuid().is_root() {
        std::os::unix::fs::lchown(path, Some(user.uid), Some(user.gid))?;
    }
    Ok(listener)
}

/// Returns true if the slot's user is at the other end, or whoever runs the agent.
pub(in crate::launch) fn is_known(stream: &UnixStream, uid: u32) -> bool {
    let me = nix::unistd::geteuid().as_raw();
    stream.peer_cred().is_ok_and(|peer| [me, uid].contains(&peer.uid()))
}
