//! One connection: its requests, and the time that it may be silent.

use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::body::{Body, HttpBody};
use axum::http::HeaderMap;
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::address;
use super::gate::Gate;
use super::places::{Full, Standing};

/// A connection, as its requests see it.
#[derive(Debug)]
pub(crate) struct Connection {
    id: u64,
    peer: IpAddr,
    /// It has the server's own TLS.
    has_tls: bool,
    gate: Arc<Gate>,
    /// It showed a token.
    is_known: AtomicBool,
    /// Since when bytes of an answer wait for the other end, in milliseconds since `began`; 0: none
    /// do.
    blocked_ms: AtomicU64,
    began: Instant,
    activity: Mutex<Activity>,
}

#[derive(Clone, Copy, Debug)]
struct Activity {
    /// A request is being answered.
    is_busy: bool,
    since: Instant,
}

impl Connection {
    pub(super) fn new(id: u64, peer: IpAddr, has_tls: bool, gate: Arc<Gate>) -> Self {
        let began = Instant::now();
        let activity = Mutex::new(Activity { is_busy: false, since: began });
        let (is_known, blocked_ms) = (AtomicBool::new(false), AtomicU64::new(0));
        Self { id, peer, has_tls, gate, is_known, blocked_ms, began, activity }
    }

    /// Notes whether the other end takes what is sent.
    fn set_blocked(&self, is_blocked: bool) {
        let was_ms = self.blocked_ms.load(Ordering::Relaxed);
        if is_blocked && was_ms == 0 {
            let now_ms = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
            self.blocked_ms.store(now_ms.max(1), Ordering::Relaxed);
        } else if !is_blocked && was_ms != 0 {
            self.blocked_ms.store(0, Ordering::Relaxed);
        }
    }

    /// Returns the time for which the other end has taken nothing of what is sent.
    fn blocked_for(&self, now: Instant) -> Option<Duration> {
        let since = Some(self.blocked_ms.load(Ordering::Relaxed)).filter(|since| *since != 0)?;
        let age = now.saturating_duration_since(self.began);
        Some(age.saturating_sub(Duration::from_millis(since)))
    }

    /// Address of the client of a request, as calls without a token are counted.
    pub(crate) fn client(&self, headers: &HeaderMap) -> IpAddr {
        address::counted(address::client(&self.gate.proxies, self.peer, headers))
    }

    /// The whole address of the client, of which [`Self::client`] is a part.
    pub(crate) fn true_client(&self, headers: &HeaderMap) -> IpAddr {
        address::client(&self.gate.proxies, self.peer, headers)
    }

    /// Returns true where the client came over TLS: to a proxy of ours, which says so, or to us.
    pub(crate) fn is_encrypted(&self, headers: &HeaderMap) -> bool {
        match headers.get("x-forwarded-proto") {
            Some(value) if address::is_proxy(&self.gate.proxies, self.peer) => value == "https",
            _ => self.has_tls,
        }
    }

    /// Notes that a request showed a token.
    pub(crate) fn prove(&self, standing: Standing) -> Result<(), Full> {
        self.gate.prove(self.id, standing)?;
        self.is_known.store(true, Ordering::Relaxed);
        Ok(())
    }

    pub(super) fn set_busy(&self, is_busy: bool) {
        *self.activity.lock().unwrap_or_else(PoisonError::into_inner) =
            Activity { is_busy, since: Instant::now() };
    }

    /// Time that it may go on like this; zero when it is over.
    ///
    /// Threat: a reader that takes nothing keeps what it asked for in memory, also one that has a
    /// token: readers of streams are forgotten, and never hang up.
    fn left(&self, now: Instant) -> Duration {
        let limits = &self.gate.limits;
        let blocked = self.blocked_for(now);
        let left = self.left_of_activity(now, blocked.is_some());
        left.min(limits.write_timeout.saturating_sub(blocked.unwrap_or_default()))
    }

    fn left_of_activity(&self, now: Instant, is_blocked: bool) -> Duration {
        let limits = &self.gate.limits;
        let Activity { is_busy, since } =
            *self.activity.lock().unwrap_or_else(PoisonError::into_inner);
        let is_busy = is_busy || is_blocked;
        let limit = match (is_busy, self.is_known.load(Ordering::Relaxed)) {
            (false, false) => limits.head_timeout,
            (false, true) => limits.idle_timeout,
            (true, false) => limits.anonymous_timeout,
            // It is looked at again, in case that it became idle.
            (true, true) => return limits.idle_timeout,
        };
        limit.saturating_sub(now.saturating_duration_since(since))
    }

    /// Done when it has been silent, or busy without a token, for too long.
    pub(super) async fn overdue(&self) {
        loop {
            match self.left(Instant::now()) {
                Duration::ZERO => return,
                left => tokio::time::sleep(left).await,
            }
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.gate.leave(self.id);
    }
}

/// Keeps a connection busy until it is dropped: with the answer, or with a call whose caller went
/// away.
#[derive(Debug)]
pub(super) struct BusyGuard(Arc<Connection>);

impl BusyGuard {
    pub(super) fn new(connection: Arc<Connection>) -> Self {
        connection.set_busy(true);
        Self(connection)
    }
}

impl Drop for BusyGuard {
    fn drop(&mut self) {
        self.0.set_busy(false);
    }
}

/// The body of an answer, which keeps something until it was sent or given up.
#[derive(Debug)]
pub(crate) struct Keeping<T> {
    inner: Body,
    _kept: T,
}

impl<T: Send + Unpin + 'static> Keeping<T> {
    pub(crate) fn body(inner: Body, kept: T) -> Body {
        Body::new(Self { inner, _kept: kept })
    }
}

impl<T: Unpin> HttpBody for Keeping<T> {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.inner).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// A stream of a connection, which notes whether the other end takes what is sent. An answer whose
/// last bytes wait for a slow reader does not count as silence.
#[derive(Debug)]
pub(super) struct Watched<S> {
    inner: S,
    connection: Arc<Connection>,
}

impl<S> Watched<S> {
    pub(super) fn new(inner: S, connection: Arc<Connection>) -> Self {
        Self { inner, connection }
    }

    fn note<T>(&self, poll: Poll<T>) -> Poll<T> {
        self.connection.set_blocked(poll.is_pending());
        poll
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.inner).poll_write(cx, bytes);
        self.note(poll)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.inner).poll_write_vectored(cx, bytes);
        self.note(poll)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
