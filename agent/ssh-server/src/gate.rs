//! The transport of a connection: it counts bytes, holds a client back, and ends.
//!
//! russh tells a client to send more as soon as it has read what came, and has no way to wait with
//! that for a program that reads slowly. If its queues were bounded, a program whose output waits for
//! the client and whose input waits for the program (`ssh host cat`) would stand still for ever. So
//! input is queued without russh's bound, and what holds the client back is the transport: while too
//! much is queued nothing more is read from it. Unless output waits for the client: its leave to send
//! more is then among what has not been read, so reading goes on up to a second limit.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::task::AtomicWaker;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

/// Bytes of unread input above which a client is held back.
const MAX_QUEUED: usize = 4 * 1024 * 1024;

/// And above which it is held back even if output waits for it.
const MAX_QUEUED_STARVING: usize = 64 * 1024 * 1024;

/// State of a transport, shared by what reads it and what its input is for.
#[derive(Debug)]
pub(crate) struct Gate {
    began: Instant,
    /// Bytes of input that no program has taken yet.
    queued: AtomicUsize,
    /// Outputs that wait for the client's leave.
    starving: AtomicUsize,
    received: AtomicU64,
    sent: AtomicU64,
    /// Time of the last sign of the client, in milliseconds since `began`.
    last_heard: AtomicU64,
    is_ended: AtomicBool,
    reader: AtomicWaker,
    writer: AtomicWaker,
}

impl Gate {
    pub(crate) fn new() -> Self {
        Self {
            began: Instant::now(),
            queued: AtomicUsize::new(0),
            starving: AtomicUsize::new(0),
            received: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            last_heard: AtomicU64::new(0),
            is_ended: AtomicBool::new(false),
            reader: AtomicWaker::new(),
            writer: AtomicWaker::new(),
        }
    }

    /// Counts input that waits for a program.
    pub(crate) fn queue(&self, bytes: usize) {
        self.queued.fetch_add(bytes, Ordering::AcqRel);
    }

    /// Counts input that a program has taken.
    pub(crate) fn take(&self, bytes: usize) {
        self.queued.fetch_sub(bytes, Ordering::AcqRel);
        self.reader.wake();
    }

    /// Says that output waits for the client, for as long as the answer lives.
    pub(crate) fn starve(&self) -> Starving<'_> {
        self.starving.fetch_add(1, Ordering::AcqRel);
        self.reader.wake();
        Starving(self)
    }

    /// Ends both directions at once, without a word.
    pub(crate) fn end(&self) {
        self.is_ended.store(true, Ordering::Release);
        self.reader.wake();
        self.writer.wake();
    }

    pub(crate) fn is_ended(&self) -> bool {
        self.is_ended.load(Ordering::Acquire)
    }

    /// Returns true while the client is held back, and so cannot be heard.
    pub(crate) fn is_holding(&self) -> bool {
        let queued = self.queued.load(Ordering::Acquire);
        let is_starving = self.starving.load(Ordering::Acquire) > 0;
        queued > if is_starving { MAX_QUEUED_STARVING } else { MAX_QUEUED }
    }

    /// Returns the time since anything came from the client.
    pub(crate) fn silence(&self) -> Duration {
        let heard = Duration::from_millis(self.last_heard.load(Ordering::Relaxed));
        self.began.elapsed().saturating_sub(heard)
    }

    /// Returns the bytes that came and those that were sent, encrypted as they are.
    pub(crate) fn bytes(&self) -> (u64, u64) {
        (self.received.load(Ordering::Relaxed), self.sent.load(Ordering::Relaxed))
    }

    fn hear(&self, bytes: usize) {
        self.received.fetch_add(bytes as u64, Ordering::Relaxed);
        let now = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last_heard.store(now, Ordering::Relaxed);
    }
}

/// Output that waits for the client.
#[derive(Debug)]
pub(crate) struct Starving<'a>(&'a Gate);

impl Drop for Starving<'_> {
    fn drop(&mut self) {
        self.0.starving.fetch_sub(1, Ordering::AcqRel);
    }
}

/// A stream behind its gate.
#[derive(Debug)]
pub(crate) struct Transport<S> {
    stream: S,
    gate: std::sync::Arc<Gate>,
}

impl<S> Transport<S> {
    pub(crate) fn new(stream: S, gate: std::sync::Arc<Gate>) -> Self {
        Self { stream, gate }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Transport<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // Before the looks, so that no change between is missed.
        self.gate.reader.register(cx.waker());
        if self.gate.is_ended() {
            return Poll::Ready(Ok(()));
        }
        if self.gate.is_holding() {
            return Poll::Pending;
        }
        let before = buf.filled().len();
        let result = Pin::new(&mut self.stream).poll_read(cx, buf);
        let read = buf.filled().len() - before;
        if read > 0 {
            self.gate.hear(read);
        }
        result
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Transport<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.gate.writer.register(cx.waker());
        if self.gate.is_ended() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        if let Poll::Ready(Ok(length)) = written {
            self.gate.sent.fetch_add(length as u64, Ordering::Relaxed);
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.gate.writer.register(cx.waker());
        if self.gate.is_ended() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::{Gate, MAX_QUEUED, MAX_QUEUED_STARVING, Transport};
    use std::sync::Arc;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    #[test]
    fn a_client_is_held_back_sooner_while_no_output_waits_for_it() {
        let gate = Gate::new();
        gate.queue(MAX_QUEUED + 1);
        assert!(gate.is_holding());
        {
            let _output = gate.starve();
            assert!(!gate.is_holding());
            gate.queue(MAX_QUEUED_STARVING);
            assert!(gate.is_holding());
            gate.take(MAX_QUEUED_STARVING);
        }
        assert!(gate.is_holding());
        gate.take(1);
        assert!(!gate.is_holding());
    }

    #[tokio::test]
    async fn what_is_queued_delays_reading_and_an_end_ends_it() {
        let gate = Arc::new(Gate::new());
        let (mut far, near) = duplex(64);
        let mut transport = Transport::new(near, Arc::clone(&gate));
        far.write_all(b"one").await.unwrap();
        gate.queue(MAX_QUEUED + 1);
        let reading = tokio::spawn(async move {
            let mut text = [0; 3];
            transport.read_exact(&mut text).await.unwrap();
            let rest = transport.read(&mut [0; 3]).await.unwrap();
            (text, rest)
        });
        tokio::task::yield_now().await;
        assert_eq!(gate.bytes().0, 0);
        gate.take(1);
        while gate.bytes().0 == 0 {
            tokio::task::yield_now().await;
        }
        gate.end();
        assert_eq!(reading.await.unwrap(), (*b"one", 0));
    }
}
