//! Listening: accepts connections, within limits, and lets each serve its requests.
//!
//! A connection costs its buffers and little more: all share one table of routes. The gate decides
//! who has a place; what a call may take is decided once its token is known, in `api`.

mod address;
mod connection;
mod gate;
mod last_answer;
mod places;
mod secure;
mod spares;
mod turn_away;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::http::HeaderValue;
use axum::http::header::STRICT_TRANSPORT_SECURITY;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::timeout;

pub use address::{NotARange, ProxyRange};
pub(crate) use connection::{Connection, Keeping};
pub(crate) use gate::{Gate, Key, Room};
pub(crate) use places::Standing;
pub(crate) use spares::is_out_of_descriptors;

use crate::lacks::Lack;
use crate::tls::ServerTls;
use connection::{BusyGuard, Watched};
use secure::secure;
use spares::{GivenUp, Spares, is_near_limit};
use turn_away::{MAX_TURNED_AWAY, turn_away};

/// Buffer of a connection, in bytes: the longest head of a request, and what is read of a body at
/// once.
const BUFFER_BYTES: usize = 64 * 1024;

/// Pause after the system gave no connection because it has no descriptors or memory left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Silence after which the other end of a connection is asked whether it is still there.
const KEEP_ALIVE: Duration = Duration::from_secs(60);

/// Parts that all connections are served with.
#[derive(Clone, Debug)]
pub(crate) struct Serving {
    /// The one table of routes.
    pub(crate) router: Router,
    /// Places and limits.
    pub(crate) gate: Arc<Gate>,
    /// The server's own TLS, if it has any.
    pub(crate) tls: Option<Arc<ServerTls>>,
    /// Becomes true when the server is to stop.
    pub(crate) closing: watch::Receiver<bool>,
}

/// Serves until the server is to stop, then lets the calls in flight end.
pub(crate) async fn serve(listener: TcpListener, serving: Serving) {
    let Serving { gate, tls, mut closing, .. } = serving.clone();
    // Held by each connection: when none is left, the receiver ends.
    let (open, mut all_closed) = mpsc::channel::<Infallible>(1);
    let turns = Arc::new(Semaphore::new(MAX_TURNED_AWAY));
    let spares = Spares::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = closed(&mut closing) => break,
        };
        match accepted {
            Ok((stream, _)) if is_near_limit(&stream, gate.open_files) => {
                gate.lacks.note(Lack::Descriptors);
                tokio::spawn(turn_away(stream, tls.clone(), Arc::clone(&turns)));
            }
            Ok((stream, peer)) => {
                if let Some(stream) = accept(stream, peer, serving.clone(), open.clone()) {
                    tokio::spawn(turn_away(stream, tls.clone(), Arc::clone(&turns)));
                }
            }
            Err(error) if is_of_connection(&error) => {}
            Err(error) if is_out_of_descriptors(&error) => {
                gate.lacks.note(Lack::Descriptors);
                match accept_with_spare(&listener, &spares).await {
                    Some((stream, room)) => {
                        let (turns, tls) = (Arc::clone(&turns), tls.clone());
                        tokio::spawn(async move {
                            turn_away(stream, tls, turns).await;
                            drop(room);
                        });
                    }
                    None => tokio::time::sleep(ACCEPT_PAUSE).await,
                }
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept connections; trying again");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop((listener, open));
    // Nothing is ever sent.
    let _none = all_closed.recv().await;
}

/// Accepts a connection, though there are no descriptors left, to turn it away; `None` where that does
/// not work either.
async fn accept_with_spare(
    listener: &TcpListener,
    spares: &Arc<Spares>,
) -> Option<(TcpStream, GivenUp)> {
    let room = spares.give_up()?;
    match timeout(ACCEPT_PAUSE, listener.accept()).await {
        Ok(Ok((stream, _))) => Some((stream, room)),
        Ok(Err(_)) | Err(_) => None,
    }
}

/// Done when the server is to stop.
async fn closed(closing: &mut watch::Receiver<bool>) {
    // An error means that the server is gone already.
    drop(closing.wait_for(|closing| *closing).await);
}

/// Returns true for what went wrong with one connection before it was accepted.
fn is_of_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// Serves a connection. Returns it where there is no place for it.
fn accept(
    stream: TcpStream,
    peer: SocketAddr,
    serving: Serving,
    open: mpsc::Sender<Infallible>,
) -> Option<TcpStream> {
    let gate = Arc::clone(&serving.gate);
    let address = address::plain(peer.ip());
    let Ok((id, evicted)) = gate.arrive(address) else {
        gate.lacks.note(Lack::Connections);
        return Some(stream);
    };
    // Answers are small and someone waits for each: none is to wait for the next packet. And
    // whoever is gone without a word gives its place back.
    let keep_alive = TcpKeepalive::new().with_time(KEEP_ALIVE).with_interval(KEEP_ALIVE / 4);
    if let Err(error) = stream
        .set_nodelay(true)
        .and_then(|()| SockRef::from(&stream).set_tcp_keepalive(&keep_alive))
    {
        tracing::debug!(%error, "a connection is not set up as it should be");
    }
    let has_tls = serving.tls.is_some();
    let connection = Arc::new(Connection::new(id, address, has_tls, gate));
    tokio::spawn(async move {
        tokio::select! {
            () = answer_within(stream, serving, &connection) => {}
            () = connection.overdue() => tracing::debug!(%address, "a silent connection was closed"),
            // Fails only when the gate forgot it, which it does when it ends.
            _ = evicted => tracing::debug!(%address, "a connection was closed for another one"),
        }
        drop(open);
    });
    None
}

/// Answers the requests of a connection, within TLS where the server has it.
async fn answer_within(stream: TcpStream, serving: Serving, connection: &Arc<Connection>) {
    // Below TLS: bytes that it keeps back are not sent yet.
    let watched = |stream| Watched::new(stream, Arc::clone(connection));
    let Serving { router, tls, mut closing, .. } = serving;
    let connection = Arc::clone(connection);
    // Boxed, each takes its own size: else a connection without TLS would have the room for one with it.
    let Some(tls) = tls else {
        return Box::pin(answer(watched(stream), router, connection, None, closing)).await;
    };
    let secured = tokio::select! {
        secured = Box::pin(secure(stream, &tls, watched)) => secured,
        () = closed(&mut closing) => None,
    };
    if let Some(stream) = secured {
        let hsts = tls.hsts().and_then(|value| HeaderValue::from_str(&value).ok());
        Box::pin(answer(stream, router, connection, hsts, closing)).await;
    }
}

/// Answers the requests of a connection until either end closes it.
async fn answer<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: S,
    router: Router,
    connection: Arc<Connection>,
    hsts: Option<HeaderValue>,
    mut closing: watch::Receiver<bool>,
) {
    let service = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: Request<Incoming>| {
        let busy = BusyGuard::new(Arc::clone(&connection));
        request.extensions_mut().insert(Arc::clone(&connection));
        let (answer, hsts) = (service.call(request), hsts.clone());
        async move {
            let mut answer = answer.await?;
            if let Some(hsts) = hsts {
                answer.headers_mut().insert(STRICT_TRANSPORT_SECURITY, hsts);
            }
            Ok::<_, Infallible>(answer.map(|body| Keeping::body(body, busy)))
        }
    });
    let serving = http1::Builder::new()
        // A connection has limits of its own, which know what is silence.
        .header_read_timeout(None)
        .max_buf_size(BUFFER_BYTES)
        .serve_connection(TokioIo::new(stream), service)
        // The tunnels of SSH are WebSockets.
        .with_upgrades();
    tokio::pin!(serving);
    let result = tokio::select! {
        result = serving.as_mut() => result,
        () = closed(&mut closing) => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = result {
        tracing::debug!(%error, "a connection broke off");
    }
}
