//! The socket: made in a directory that only its owner can change, one of each name, and no more
//! connections than the agent can afford.

use std::collections::HashMap;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, FileTypeExt as _, PermissionsExt as _};
use std::path::Path;
use std::sync::{Arc, Mutex};

use axum::extract::connect_info::Connected;
use axum::serve::IncomingStream;
use tokio::net::{UnixListener, UnixStream};

use super::Policy;
use super::access::Access;

/// Connections of everybody together.
const CONNECTIONS: usize = 512;

/// Connections of one user who is no operator. More than anybody needs; fewer than would keep
/// others out.
const CONNECTIONS_EACH: usize = 64;

/// A pause after a failed `accept`, which fails again at once where descriptors have run out.
const PAUSE: std::time::Duration = std::time::Duration::from_millis(100);

type Counts = Arc<Mutex<HashMap<u32, usize>>>;

/// The socket.
#[derive(Debug)]
pub(super) struct Listener {
    socket: UnixListener,
    policy: Policy,
    counts: Counts,
}

/// Process at the other end, as the kernel knows it.
#[derive(Clone, Debug)]
pub(super) struct Peer {
    /// The user.
    pub(super) uid: u32,
    /// Its place among the connections, free again when the connection ends.
    _place: Arc<Place>,
}

#[derive(Debug)]
struct Place {
    uid: u32,
    counts: Counts,
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Ok(mut counts) = self.counts.lock()
            && let Some(count) = counts.get_mut(&self.uid)
        {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.uid);
            }
        }
    }
}

impl Listener {
    /// Listens at `path`; a socket that nobody listens on any more is replaced.
    #[expect(
        clippy::disallowed_methods,
        reason = "the socket lies in a directory of root's, and only a socket is removed"
    )]
    pub(super) fn bind(path: &Path, policy: &Policy) -> io::Result<Self> {
        if let Some(dir) = path.parent()
            && !dir.exists()
        {
            std::fs::DirBuilder::new().recursive(true).mode(0o755).create(dir)?;
        }
        match std::fs::symlink_metadata(path) {
            // The lock on the state directory says that no other agent is alive.
            Ok(found) if found.file_type().is_socket() => std::fs::remove_file(path)?,
            Ok(_) => return Err(io::Error::other("there is something else of this name")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let socket = UnixListener::bind(path)?;
        // Everybody may knock where tasks have users of their own; who it is decides the rest.
        let mode = if policy.owner == 0 { 0o666 } else { 0o600 };
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))?;
        Ok(Self { socket, policy: policy.clone(), counts: Counts::default() })
    }

    fn admit(&self, stream: &UnixStream) -> Option<Peer> {
        let uid = stream.peer_cred().ok()?.uid();
        let mut counts = self.counts.lock().ok()?;
        let all: usize = counts.values().sum();
        let count = counts.entry(uid).or_default();
        let is_full = all >= CONNECTIONS || *count >= CONNECTIONS_EACH;
        // An operator who is not root waits for a place as others do: asking the user database
        // here would keep everybody waiting.
        if is_full && self.policy.plain_access(uid) != Some(Access::Full) {
            return None;
        }
        *count += 1;
        drop(counts);
        let place = Place { uid, counts: Arc::clone(&self.counts) };
        Some(Peer { uid, _place: Arc::new(place) })
    }
}

impl axum::serve::Listener for Listener {
    type Io = UnixStream;
    type Addr = Peer;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            match self.socket.accept().await {
                Ok((stream, _)) => {
                    if let Some(peer) = self.admit(&stream) {
                        return (stream, peer);
                    }
                }
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        Err(io::Error::other("a unix socket has no number"))
    }
}

impl Connected<IncomingStream<'_, Listener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, Listener>) -> Self {
        stream.remote_addr().clone()
    }
}
