//! TLS of a connection: the handshake, within limits, and an answer to those who speak plain HTTP.
//!
//! Threat: a handshake costs the other end nothing until it is half done. It begins after the
//! connection got its place as a stranger, so whoever hangs in it is the first to make place for
//! others, and its time is short.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::server::TlsStream;

use super::last_answer::answer_and_close;
use crate::tls::ServerTls;

/// Time for a handshake, from the beginning of the connection.
pub(super) const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// First byte of a handshake (RFC 8446, section 5.1: `ContentType.handshake`).
const HANDSHAKE: u8 = 22;

/// Time for the head of a plain request, and for the answer to be taken.
const PLAIN_TIMEOUT: Duration = Duration::from_secs(2);

/// Beginning of a connection to a port with TLS.
#[derive(Debug, PartialEq, Eq)]
enum Beginning {
    /// The other end begins a handshake.
    Handshake,
    /// It speaks plain HTTP, or something else.
    Plain,
    /// It is gone.
    Nothing,
}

/// Makes a connection one with TLS. `None`: that does not work, and the other end was told why
/// where it can understand it. `wrap` is laid below TLS.
pub(super) async fn secure<S: AsyncRead + AsyncWrite + Unpin>(
    stream: TcpStream,
    tls: &Arc<ServerTls>,
    wrap: impl FnOnce(TcpStream) -> S,
) -> Option<TlsStream<S>> {
    let shaken = timeout(HANDSHAKE_TIMEOUT, async {
        match beginning(&stream).await {
            Beginning::Handshake => {}
            Beginning::Plain => {
                // Whoever is gone, or is too slow, gets no answer.
                let _done =
                    timeout(PLAIN_TIMEOUT, answer_and_close(stream, &tls.plain_answer())).await;
                return None;
            }
            Beginning::Nothing => return None,
        }
        match tls.acceptor().accept(wrap(stream)).await {
            Ok(stream) => Some(stream),
            Err(error) => {
                tracing::debug!(%error, "a handshake failed");
                None
            }
        }
    });
    shaken.await.unwrap_or_else(|_| {
        tracing::debug!("a handshake took too long");
        None
    })
}

async fn beginning(stream: &TcpStream) -> Beginning {
    let mut first = [0];
    match stream.peek(&mut first).await {
        Ok(1) if first[0] == HANDSHAKE => Beginning::Handshake,
        Ok(1) => Beginning::Plain,
        Ok(_) | Err(_) => Beginning::Nothing,
    }
}
