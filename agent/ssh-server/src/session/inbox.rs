//! Input of a channel on its way to a program.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::sync::mpsc;

use crate::gate::Gate;

/// End that the connection fills. Dropping it is the end of the input.
#[derive(Debug)]
pub(crate) struct InboxSender {
    sender: mpsc::UnboundedSender<Bytes>,
    gate: Arc<Gate>,
}

/// End that a program reads. What it does not take is forgotten with it.
#[derive(Debug)]
pub(crate) struct Inbox {
    receiver: mpsc::UnboundedReceiver<Bytes>,
    current: Bytes,
    gate: Arc<Gate>,
}

/// Makes a queue for input, bounded by its transport's gate.
pub(crate) fn inbox(gate: &Arc<Gate>) -> (InboxSender, Inbox) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let sender = InboxSender { sender, gate: Arc::clone(gate) };
    (sender, Inbox { receiver, current: Bytes::new(), gate: Arc::clone(gate) })
}

impl InboxSender {
    pub(crate) fn push(&self, data: &[u8]) {
        self.gate.queue(data.len());
        if self.sender.send(Bytes::copy_from_slice(data)).is_err() {
            self.gate.take(data.len());
        }
    }
}

impl Inbox {
    /// Returns the next piece; none: the input has ended.
    pub(crate) async fn next(&mut self) -> Option<Bytes> {
        let piece = self.receiver.recv().await?;
        self.gate.take(piece.len());
        Some(piece)
    }
}

impl AsyncRead for Inbox {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.current.is_empty() {
            match ready!(self.receiver.poll_recv(cx)) {
                Some(piece) => {
                    self.gate.take(piece.len());
                    self.current = piece;
                }
                None => return Poll::Ready(Ok(())),
            }
        }
        let length = self.current.len().min(buf.remaining());
        buf.put_slice(&self.current[..length]);
        self.current.advance(length);
        Poll::Ready(Ok(()))
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        self.receiver.close();
        while let Ok(piece) = self.receiver.try_recv() {
            self.gate.take(piece.len());
        }
    }
}
