//! Frames between two WebSockets, one by one, with pings, and the reason when it ends.

use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, WebSocket};
use futures_util::{Sink, SinkExt as _, Stream, StreamExt as _};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, timeout};

/// Interval of pings.
const PING_INTERVAL: Duration = Duration::from_secs(25);

/// Silence after which the other end is taken for lost.
const MAX_SILENCE: Duration = Duration::from_secs(90);

/// Time in which the other end has to take the close frame.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// Reason why a tunnel ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// This server stops.
    Closing,
    /// The task has ended, or was taken from its agent.
    TaskOver,
    /// The token of the person was revoked or has expired, or their role is another one.
    RightEnded,
    /// One end closed it.
    Closed,
    /// One end is gone without a word.
    Lost,
    /// One end sent something else than bytes.
    Misused,
    /// Newer tunnels wait in its stead.
    Replaced,
}

impl Stop {
    /// Returns the close frame (RFC 6455, section 7.4) that says it.
    fn frame(self) -> CloseFrame {
        let (code, reason) = match self {
            Self::Closing => (1012, "the control plane restarts; dial again"),
            Self::TaskOver => (1000, "the task has ended"),
            Self::RightEnded => (1008, "the token was revoked or has expired, or the role changed"),
            // Without a reason: it is how a session ends.
            Self::Closed => (1000, ""),
            Self::Lost => (1011, "the other end is gone; dial again"),
            Self::Misused => (1003, "only bytes of SSH are taken"),
            Self::Replaced => (1000, "newer connections wait in its stead"),
        };
        CloseFrame { code, reason: reason.into() }
    }
}

pub(super) fn pings() -> Interval {
    let mut pings = interval_at(Instant::now() + PING_INTERVAL, PING_INTERVAL);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    pings
}

/// Closes a WebSocket, and says why.
pub(crate) async fn close_with(to: &mut (impl Sink<Message> + Unpin), why: Stop) {
    send_close(to, why.frame()).await;
}

async fn send_close(to: &mut (impl Sink<Message> + Unpin), frame: CloseFrame) {
    // One that takes nothing is dropped all the same.
    drop(timeout(CLOSE_TIMEOUT, to.send(Message::Close(Some(frame)))).await);
}

/// Keeps a WebSocket alive that waits. Returns why it ended.
pub(crate) async fn keep_alive(socket: &mut WebSocket) -> Stop {
    let (mut pings, mut heard) = (pings(), Instant::now());
    loop {
        tokio::select! {
            message = socket.next() => match message {
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => heard = Instant::now(),
                Some(Ok(Message::Close(_))) | None => return Stop::Closed,
                Some(Ok(Message::Text(_) | Message::Binary(_))) => return Stop::Misused,
                Some(Err(_)) => return Stop::Lost,
            },
            _ = pings.tick() => {
                if heard.elapsed() > MAX_SILENCE
                    || socket.send(Message::Ping(Default::default())).await.is_err()
                {
                    return Stop::Lost;
                }
            }
        }
    }
}

/// Passes bytes between two WebSockets until one ends or `stop` is done, then tells both why. Returns that.
pub(crate) async fn join_sockets(
    task: WebSocket,
    person: WebSocket,
    stop: impl Future<Output = Stop>,
) -> Stop {
    let (mut to_task, mut from_task) = task.split();
    let (mut to_person, mut from_person) = person.split();
    let why = tokio::select! {
        why = stop => why,
        why = pass(&mut from_task, &mut to_person) => why,
        why = pass(&mut from_person, &mut to_task) => why,
    };
    tokio::join!(close_with(&mut to_task, why), close_with(&mut to_person, why));
    why
}

/// Passes bytes between a person's WebSocket and that of another server, as [`join_sockets`] does. What the
/// other server says at the end is the person's to hear.
pub(super) async fn join_with_peer(
    person: WebSocket,
    (mut to_peer, from_peer): (
        impl Sink<Message> + Unpin,
        impl Stream<Item = Result<Message, axum::Error>> + Unpin,
    ),
    stop: impl Future<Output = Stop>,
) -> Stop {
    let (mut to_person, mut from_person) = person.split();
    let mut said = None;
    let mut from_peer = from_peer.inspect(|message| {
        if let Ok(Message::Close(Some(frame))) = message {
            said = Some(frame.clone());
        }
    });
    let why = tokio::select! {
        why = stop => why,
        why = pass(&mut from_peer, &mut to_person) => why,
        why = pass(&mut from_person, &mut to_peer) => why,
    };
    let last = said.unwrap_or_else(|| why.frame());
    tokio::join!(close_with(&mut to_peer, why), send_close(&mut to_person, last));
    why
}

/// Passes bytes in one direction. Nothing more is read until the other end has taken what was: so a reader
/// that stops makes the sender stop.
async fn pass<R, W>(from: &mut R, to: &mut W) -> Stop
where
    R: Stream<Item = Result<Message, axum::Error>> + Unpin,
    W: Sink<Message> + Unpin,
{
    let (mut pings, mut heard) = (pings(), Instant::now());
    loop {
        let sent = tokio::select! {
            message = from.next() => match message {
                Some(Ok(bytes @ Message::Binary(_))) => {
                    let sent = to.send(bytes).await;
                    // Time in which the other end took nothing is no silence of this one.
                    heard = Instant::now();
                    sent
                }
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {
                    heard = Instant::now();
                    Ok(())
                }
                Some(Ok(Message::Close(_))) | None => return Stop::Closed,
                Some(Ok(Message::Text(_))) => return Stop::Misused,
                Some(Err(_)) => return Stop::Lost,
            },
            _ = pings.tick() => {
                if heard.elapsed() > MAX_SILENCE {
                    return Stop::Lost;
                }
                to.send(Message::Ping(Default::default())).await
            }
        };
        if sent.is_err() {
            return Stop::Lost;
        }
    }
}
