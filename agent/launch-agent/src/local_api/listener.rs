//! The socket: made in a directory that only its owner can change, one of each name, and no more
//! connections than the agent can afford.
//!
//! Threat: whoever may connect can hold connections and never speak. Those of jobs, of each other
//! user and of root and the owner are counted apart, so that nobody takes the places of another,
//! and a connection without an answer ends soon.

use std::collections::HashMap;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, FileTypeExt as _, PermissionsExt as _};
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::serve::IncomingStream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{UnixListener, UnixStream};

use super::Policy;
use super::access::Access;

/// Connections of root and the owner together, besides those of everybody else.
const MAX_OWNER_CONNECTIONS: usize = 128;

/// Connections of everybody else together.
const MAX_CONNECTIONS: usize = 512;

/// Connections of one user of these. More than anybody needs; fewer than would keep others out.
const MAX_USER_CONNECTIONS: usize = 64;

/// Connections of all users together that tasks run as: they are told that they may not ask.
const MAX_TASK_CONNECTIONS: usize = 16;

/// Timeout of the first answer on a connection, most of which is the caller's to send its request.
const FIRST_ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// A pause after a failed `accept`, which fails again at once where descriptors have run out.
const PAUSE: Duration = Duration::from_millis(100);

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
        if !has_place(&self.policy, &counts, uid) {
            return None;
        }
        *counts.entry(uid).or_default() += 1;
        drop(counts);
        let place = Place { uid, counts: Arc::clone(&self.counts) };
        Some(Peer { uid, _place: Arc::new(place) })
    }
}

/// Decides if one more connection of a user has a place. An operator who is not root is one of
/// everybody here: asking the user database would keep all others waiting.
fn has_place(policy: &Policy, counts: &HashMap<u32, usize>, uid: u32) -> bool {
    let sum = |is_counted: &dyn Fn(Option<Access>) -> bool| -> usize {
        let counted = counts.iter().filter(|(uid, _)| is_counted(policy.plain_access(**uid)));
        counted.map(|(_, count)| count).sum()
    };
    let own = counts.get(&uid).copied().unwrap_or_default();
    match policy.plain_access(uid) {
        Some(Access::Full) => sum(&|access| access == Some(Access::Full)) < MAX_OWNER_CONNECTIONS,
        Some(Access::Nothing) => {
            sum(&|access| access == Some(Access::Nothing)) < MAX_TASK_CONNECTIONS
        }
        _ => {
            let all = sum(&|access| !matches!(access, Some(Access::Full | Access::Nothing)));
            all < MAX_CONNECTIONS && own < MAX_USER_CONNECTIONS
        }
    }
}

/// A connection that ends if there is no answer on it within [`FIRST_ANSWER_TIMEOUT`].
#[derive(Debug)]
pub(super) struct Impatient {
    stream: UnixStream,
    /// `None` after the first answer.
    limit: Option<Pin<Box<tokio::time::Sleep>>>,
}

impl Impatient {
    fn new(stream: UnixStream) -> Self {
        Self { stream, limit: Some(Box::pin(tokio::time::sleep(FIRST_ANSWER_TIMEOUT))) }
    }
}

impl AsyncRead for Impatient {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.limit.as_mut().is_some_and(|limit| limit.as_mut().poll(cx).is_ready()) {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Impatient {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.limit = None;
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.limit = None;
        Pin::new(&mut self.stream).poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl axum::serve::Listener for Listener {
    type Io = Impatient;
    type Addr = Peer;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            match self.socket.accept().await {
                Ok((stream, _)) => {
                    if let Some(peer) = self.admit(&stream) {
                        return (Impatient::new(stream), peer);
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

#[cfg(test)]
mod tests {
    use super::{
        FIRST_ANSWER_TIMEOUT, Impatient, MAX_CONNECTIONS, MAX_OWNER_CONNECTIONS,
        MAX_TASK_CONNECTIONS, MAX_USER_CONNECTIONS, Policy, has_place,
    };
    use std::collections::HashMap;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::UnixStream;

    #[test]
    fn nobody_takes_the_places_of_another() {
        let operators = vec!["%admin".to_owned()];
        let policy = Policy { owner: 0, slot_users: vec![7, 8], operators, is_open: false };
        let has = |counts: &[(u32, usize)], uid| {
            has_place(&policy, &counts.iter().copied().collect::<HashMap<_, _>>(), uid)
        };
        let tasks = [(7, MAX_TASK_CONNECTIONS - 1), (8, 1)];
        assert!(!has(&tasks, 7) && !has(&tasks, 8));
        assert!(has(&tasks, 501) && has(&tasks, 0));
        let greedy = [(501, MAX_USER_CONNECTIONS)];
        assert!(!has(&greedy, 501) && has(&greedy, 502) && has(&greedy, 0));
        let each = MAX_USER_CONNECTIONS;
        let full: Vec<_> = (501..).take(MAX_CONNECTIONS / each).map(|uid| (uid, each)).collect();
        assert!(!has(&full, 600) && has(&full, 0) && has(&full, 7));
        let owner = [(0, MAX_OWNER_CONNECTIONS)];
        assert!(!has(&owner, 0) && has(&owner, 501));
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_without_an_answer_ends_and_one_with_an_answer_stays() {
        let (theirs, ours) = UnixStream::pair().unwrap();
        let mut silent = Impatient::new(ours);
        let began = tokio::time::Instant::now();
        let error = silent.read_u8().await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
        assert_eq!(began.elapsed(), FIRST_ANSWER_TIMEOUT);
        drop(theirs);
        let (_theirs, ours) = UnixStream::pair().unwrap();
        let mut answered = Impatient::new(ours);
        answered.write_all(b"answer").await.unwrap();
        let waiting = tokio::time::timeout(FIRST_ANSWER_TIMEOUT * 3, answered.read_u8());
        assert!(waiting.await.is_err(), "it ended");
    }
}
