//! Sockets in a task's `TMPDIR` by which its own processes reach the task agent.
//!
//! Whoever reaches one is the slot's user, as every step is. The kernel is asked all the same, for a
//! user whose slots are not theirs alone.

use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use tokio::net::{UnixListener, UnixStream};

/// Pause after a failure to accept.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// Listener for processes of this user.
#[derive(Debug)]
pub(crate) struct OwnSocket(UnixListener);

impl OwnSocket {
    /// Makes the socket, which goes with the task's directories.
    pub(crate) fn bind(path: &Path) -> io::Result<Self> {
        let listener = UnixListener::bind(path)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
        Ok(Self(listener))
    }

    /// Waits for the next of them. May be dropped.
    pub(crate) async fn accept(&self) -> UnixStream {
        loop {
            match self.0.accept().await {
                Ok((stream, _)) if is_own(&stream) => return stream,
                Ok(_) => {}
                Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
            }
        }
    }
}

fn is_own(stream: &UnixStream) -> bool {
    let me = nix::unistd::geteuid().as_raw();
    stream.peer_cred().is_ok_and(|peer| peer.uid() == me)
}
