//! Connections of SSH between people and tasks, joined in the memory of this server.
//!
//! A task's agent keeps one WebSocket waiting. A person who dials in gets it, and the agent dials the next.
//! Bytes of SSH are end to end between the two: what passes here is ciphertext, and is neither kept nor
//! looked at.
//!
//! Threat: a reader that stops must cost no memory, so a frame is read once the one before it was taken. A
//! task may have so many connections, and so many that wait.

mod pump;
mod relay;
mod talk;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use axum::extract::ws::{WebSocket, WebSocketUpgrade};
use futures_util::future::BoxFuture;
use russet_protocol::ssh::TunnelOpened;
use tokio::sync::{oneshot, watch};

use crate::signals::{Signals, Subscription};

pub(crate) use pump::{Stop, close_with, join_sockets, keep_alive};
pub(crate) use relay::{RELAYED_HEADER, RelayError, dial_peer, join_peer};
pub(crate) use talk::join_talk;

/// The most connections of a task.
const MAX_OPEN: usize = 10;

/// The most WebSockets of a task that wait. Its agent keeps one; another may be one that it gave up.
const MAX_WAITING: usize = 3;

/// The most bytes of a message. Agents and clients send far less at once.
const MAX_MESSAGE_BYTES: usize = 256 * 1024;

/// The most bytes that wait to be written, besides one message.
const MAX_BUFFER_BYTES: usize = 64 * 1024;

/// Sets the limits of a tunnel.
pub(crate) fn with_limits(upgrade: WebSocketUpgrade) -> WebSocketUpgrade {
    upgrade
        .max_message_size(MAX_MESSAGE_BYTES)
        .max_frame_size(MAX_MESSAGE_BYTES)
        .max_write_buffer_size(MAX_BUFFER_BYTES + MAX_MESSAGE_BYTES)
        .write_buffer_size(MAX_BUFFER_BYTES)
}

/// All tunnels of a server.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tunnels(Arc<Parts>);

#[derive(Debug, Default)]
struct Parts {
    tasks: Mutex<HashMap<String, TaskTunnels>>,
    /// Wakes those who wait for a tunnel of a task.
    changes: Signals,
    /// Number of WebSockets and relays.
    running: watch::Sender<usize>,
    /// Client for other servers, made when the first is dialled: certificates are read for it.
    peer_client: OnceLock<reqwest::Client>,
}

#[derive(Debug, Default)]
struct TaskTunnels {
    /// Those that wait, the newest last.
    waiting: Vec<(u64, oneshot::Sender<Handed>)>,
    next: u64,
    open: usize,
}

impl TaskTunnels {
    fn is_unused(&self) -> bool {
        self.waiting.is_empty() && self.open == 0
    }
}

/// Person who dialled in.
pub(crate) struct PersonEnd {
    pub(crate) socket: WebSocket,
    pub(crate) opened: TunnelOpened,
    /// Done when the right to dial in has ended.
    pub(crate) right_ended: BoxFuture<'static, ()>,
    pub(crate) place: Place,
}

impl std::fmt::Debug for PersonEnd {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PersonEnd").field("opened", &self.opened).finish_non_exhaustive()
    }
}

/// What a tunnel that waits is told.
#[derive(Debug)]
pub(crate) enum Handed {
    Person(Box<PersonEnd>),
    /// Newer ones wait in its stead.
    Replaced,
}

/// A task has as many connections as it may.
#[derive(Debug, thiserror::Error)]
#[error("the task has {MAX_OPEN} connections, which is the most; end one first")]
pub(crate) struct TooManyOpen;

impl Tunnels {
    fn with<T>(&self, task: &str, f: impl FnOnce(&mut TaskTunnels) -> T) -> T {
        let mut tasks = self.0.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        let result = f(tasks.entry(task.to_owned()).or_default());
        if tasks.get(task).is_some_and(TaskTunnels::is_unused) {
            tasks.remove(task);
        }
        result
    }

    /// Begins to wait for a person, as an agent of a task.
    pub(crate) fn wait(&self, task: &str) -> Waiting {
        let (sender, receiver) = oneshot::channel();
        let id = self.with(task, |of| {
            let id = of.next;
            of.next += 1;
            of.waiting.push((id, sender));
            if of.waiting.len() > MAX_WAITING {
                // Its end hears it, or is gone.
                let _is_gone = of.waiting.remove(0).1.send(Handed::Replaced);
            }
            id
        });
        self.0.changes.wake(task);
        Waiting { tunnels: self.clone(), task: task.to_owned(), id, receiver }
    }

    /// Takes the newest tunnel of a task that waits, if one does.
    ///
    /// # Errors
    ///
    /// The task has as many connections as it may.
    pub(crate) fn take(&self, task: &str) -> Result<Option<Taken>, TooManyOpen> {
        self.with(task, |of| {
            if of.open >= MAX_OPEN {
                return Err(TooManyOpen);
            }
            let Some((_, sender)) = of.waiting.pop() else { return Ok(None) };
            of.open += 1;
            let place = Place { tunnels: self.clone(), task: task.to_owned() };
            Ok(Some(Taken { sender, place }))
        })
    }

    /// Starts to listen for tunnels of a task that begin to wait.
    pub(crate) fn subscribe(&self, task: &str) -> Subscription {
        self.0.changes.subscribe(task)
    }

    /// Counts something that says to its ends why it ends, until the answer is dropped.
    pub(crate) fn count(&self) -> Counted {
        self.0.running.send_modify(|running| *running += 1);
        Counted(self.clone())
    }

    /// Returns the client that dials other servers.
    ///
    /// # Errors
    ///
    /// It cannot be made.
    pub(crate) fn peer_client(&self) -> Result<&reqwest::Client, RelayError> {
        if let Some(client) = self.0.peer_client.get() {
            return Ok(client);
        }
        let client = relay::new_client()?;
        Ok(self.0.peer_client.get_or_init(|| client))
    }

    /// Done when all have ended.
    pub(crate) async fn all_ended(&self) {
        let mut running = self.0.running.subscribe();
        // An error means that there is none any more.
        drop(running.wait_for(|running| *running == 0).await);
    }
}

/// A tunnel that waits for a person.
#[derive(Debug)]
pub(crate) struct Waiting {
    tunnels: Tunnels,
    task: String,
    id: u64,
    receiver: oneshot::Receiver<Handed>,
}

impl Waiting {
    /// Waits for a person; `None`: the one who took it has gone.
    pub(crate) async fn handed(&mut self) -> Option<Handed> {
        (&mut self.receiver).await.ok()
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.tunnels.with(&self.task, |of| of.waiting.retain(|(id, _)| *id != self.id));
    }
}

/// A tunnel that a person took.
#[derive(Debug)]
pub(crate) struct Taken {
    sender: oneshot::Sender<Handed>,
    place: Place,
}

impl Taken {
    /// Hands the person over to the task's side, which joins the two. Returns the socket where that side is
    /// gone.
    pub(crate) fn hand_over(
        self,
        socket: WebSocket,
        opened: TunnelOpened,
        right_ended: BoxFuture<'static, ()>,
    ) -> Result<(), Box<WebSocket>> {
        let end = PersonEnd { socket, opened, right_ended, place: self.place };
        match self.sender.send(Handed::Person(Box::new(end))) {
            Err(Handed::Person(end)) => Err(Box::new(end.socket)),
            _ => Ok(()),
        }
    }
}

/// Place of a connection among those of its task.
#[derive(Debug)]
pub(crate) struct Place {
    tunnels: Tunnels,
    task: String,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.tunnels.with(&self.task, |of| of.open = of.open.saturating_sub(1));
    }
}

/// See [`Tunnels::count`].
#[derive(Debug)]
pub(crate) struct Counted(Tunnels);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.0.running.send_modify(|running| *running = running.saturating_sub(1));
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::{Handed, MAX_OPEN, MAX_WAITING, Tunnels};

    #[test]
    fn the_newest_that_waits_is_taken_and_one_that_is_gone_never() {
        let tunnels = Tunnels::default();
        assert!(tunnels.take("t").unwrap().is_none());
        let mut first = tunnels.wait("t");
        let second = tunnels.wait("t");
        drop(second);
        let taken = tunnels.take("t").unwrap().unwrap();
        assert!(tunnels.take("t").unwrap().is_none());
        // The person went before the connection was one.
        drop(taken);
        assert!(first.handed().now_or_never().unwrap().is_none());
        drop(first);
        assert!(tunnels.0.tasks.lock().unwrap().is_empty(), "nothing of a task is kept");
    }

    #[test]
    fn a_task_has_so_many_connections_and_so_many_that_wait() {
        let tunnels = Tunnels::default();
        let mut waiting: Vec<_> = (0..=MAX_WAITING).map(|_| tunnels.wait("t")).collect();
        assert!(matches!(waiting[0].handed().now_or_never(), Some(Some(Handed::Replaced))));
        let mut taken = Vec::new();
        for _ in 0..MAX_OPEN {
            waiting.push(tunnels.wait("t"));
            taken.push(tunnels.take("t").unwrap().unwrap());
        }
        assert!(tunnels.take("t").is_err());
        assert!(tunnels.take("other").unwrap().is_none(), "tasks do not count for each other");
        taken.pop();
        assert!(tunnels.take("t").unwrap().is_some());
    }

    #[tokio::test]
    async fn whoever_waits_for_a_tunnel_is_woken_and_the_last_end_is_awaited() {
        let tunnels = Tunnels::default();
        let mut changes = tunnels.subscribe("t");
        let counted = tunnels.count();
        assert!(tunnels.all_ended().now_or_never().is_none());
        let _waiting = tunnels.wait("t");
        changes.changed().await;
        drop(counted);
        tunnels.all_ended().await;
    }
}
