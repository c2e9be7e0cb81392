//! The way to the control plane for a task agent that has none of its own.
//!
//! From macOS 15 on, what launchd starts and is not root is refused on the local network, without
//! a word and without a question. So the launch agent, which is root, listens on a socket of the
//! slot and passes bytes between it and the control plane. They are the task agent's own TLS: what
//! the launch agent passes on it can neither read nor change.
//!
//! Threats. The socket is one more way from a job to root: so nothing that comes through it is
//! read, the one place that it leads to is fixed by the configuration before the first byte, and
//! what a job can take is bounded (connections, buffers, time to connect). Somebody else's job must
//! not use it: the socket is the slot user's alone, in a directory of root's, and the kernel is
//! asked who is at its other end. A connection that is idle costs two descriptors and no timer.

mod when;

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use russet_protocol::supervise::SlotUser;
use tokio::net::{TcpStream, UnixListener, UnixStream};
use tokio::sync::Semaphore;

use super::socket;
use russet_platform::clock::Clock;

pub(in crate::launch) use when::{Circumstances, is_relay_wanted};

/// A task agent has a few at once: output, events, heartbeat, caches.
const MAX_CONNECTIONS: usize = 32;

/// Buffer of each direction, in bytes.
const BUFFER_SIZE: usize = 64 * 1024;

/// Timeout of a connection to the control plane.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Destination of a slot's relay: fixed for the life of the launch agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::launch) struct RelayTarget {
    host: String,
    port: u16,
}

impl RelayTarget {
    /// The host and port of the control plane.
    pub(in crate::launch) fn of(api_url: &str) -> Option<Self> {
        let url = reqwest::Url::parse(api_url).ok()?;
        let host = url.host_str()?.trim_start_matches('[').trim_end_matches(']').to_owned();
        Some(Self { host, port: url.port_or_known_default()? })
    }
}

/// Listens at `path`, for the slot's user, until it is aborted. A socket that an earlier launch
/// agent left is replaced.
pub(in crate::launch) fn start_relay(
    path: &Path,
    slot: u32,
    user: &SlotUser,
    target: RelayTarget,
    clock: &Clock,
) -> io::Result<tokio::task::JoinHandle<()>> {
    let listener = socket::bind(path, user)?;
    let relay = Relay { slot, uid: user.uid, target: Arc::new(target), clock: clock.clone() };
    Ok(tokio::spawn(relay.accept(listener)))
}

struct Relay {
    slot: u32,
    uid: u32,
    target: Arc<RelayTarget>,
    clock: Clock,
}

impl Relay {
    async fn accept(self, listener: UnixListener) {
        let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        // Dropped with this task: connections end with the launch agent, and the task agent makes
        // new ones to the next.
        let mut connections = tokio::task::JoinSet::new();
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                Some(_) = connections.join_next() => continue,
            };
            let stream = match accepted {
                Ok((stream, _)) => stream,
                // Out of descriptors, most likely: give others time to close theirs.
                Err(error) => {
                    tracing::warn!(slot = self.slot, %error, "the relay could not accept");
                    self.clock.sleep(Duration::from_secs(1)).await;
                    continue;
                }
            };
            // One too many is hung up on: whoever it was tries again later.
            if self.is_known(&stream)
                && let Ok(place) = Arc::clone(&room).try_acquire_owned()
            {
                let (target, slot) = (Arc::clone(&self.target), self.slot);
                connections.spawn(async move {
                    pass_bytes(stream, &target, slot).await;
                    drop(place);
                });
            }
        }
    }

    fn is_known(&self, stream: &UnixStream) -> bool {
        let known = socket::is_known(stream, self.uid);
        if !known {
            tracing::warn!(slot = self.slot, "refused a stranger on the relay's socket");
        }
        known
    }
}

/// Passes bytes both ways until both sides are done; one that has nothing more to say may still
/// listen.
async fn pass_bytes(mut inner: UnixStream, target: &RelayTarget, slot: u32) {
    let connecting = TcpStream::connect((target.host.as_str(), target.port));
    let mut outer = match tokio::time::timeout(CONNECT_TIMEOUT, connecting).await {
        Ok(Ok(stream)) => stream,
        // The task agent sees a connection that ends, and says what it says of any such.
        Ok(Err(error)) => return tracing::debug!(slot, %error, "the relay could not connect"),
        Err(_) => return tracing::debug!(slot, "the relay could not connect in time"),
    };
    // Where it is refused, small pieces wait for each other, and nothing else is different.
    drop(outer.set_nodelay(true));
    let passed =
        tokio::io::copy_bidirectional_with_sizes(&mut inner, &mut outer, BUFFER_SIZE, BUFFER_SIZE)
            .await;
    if let Err(error) = passed {
        tracing::debug!(slot, %error, "a connection of the relay broke");
    }
}

#[cfg(test)]
mod tests;
