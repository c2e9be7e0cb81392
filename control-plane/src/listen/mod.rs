//! Listening: accepts connections, within limits, and lets each serve its requests.
//!
//! A connection costs its buffers and little more: all share one table of routes. The gate decides
//! who has a place; what a call may take is decided once its token is known, in `api`.

mod address;
mod connection;
mod gate;
mod places;
mod spares;
mod turn_away;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::timeout;

pub use address::{NotARange, ProxyRange};
pub(crate) use connection::{Connection, Keeping};
pub(crate) use gate::{Gate, Key, Room};
pub(crate) use places::Standing;
pub(crate) use spares::is_out_of_descriptors;

use crate::lacks::Lack;
use connection::{BusyGuard, Watched};
use spares::{GivenUp, Spares, is_near_limit};
use turn_away::{MAX_TURNED_AWAY, turn_away};

/// Buffer of a connection, in bytes: the longest head of a request, and what is read of a body at
/// once.
const BUFFER_BYTES: usize = 64 * 1024;

/// Pause after the system gave no connection because it has no descriptors or memory left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Silence after which the other end of a connection is asked whether it is still there.
const KEEP_ALIVE: Duration = Duration::from_secs(60);

/// Serves until `closing` becomes true, then lets the calls in flight end.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    gate: Arc<Gate>,
    mut closing: watch::Receiver<bool>,
) {
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
                tokio::spawn(turn_away(stream, Arc::clone(&turns)));
            }
            Ok((stream, peer)) => {
                let (router, gate) = (router.clone(), Arc::clone(&gate));
                if let Some(stream) =
                    accept(stream, peer, router, gate, closing.clone(), open.clone())
                {
                    tokio::spawn(turn_away(stream, Arc::clone(&turns)));
                }
            }
            Err(error) if is_of_connection(&error) => {}
            Err(error) if is_out_of_descriptors(&error) => {
                gate.lacks.note(Lack::Descriptors);
                match accept_with_spare(&listener, &spares).await {
                    Some((stream, room)) => {
                        let turns = Arc::clone(&turns);
                        tokio::spawn(async move {
                            turn_away(stream, turns).await;
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
    router: Router,
    gate: Arc<Gate>,
    closing: watch::Receiver<bool>,
    open: mpsc::Sender<Infallible>,
) -> Option<TcpStream> {
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
    let connection = Arc::new(Connection::new(id, address, gate));
    tokio::spawn(async move {
        tokio::select! {
            () = answer(stream, router, Arc::clone(&connection), closing) => {}
            () = connection.overdue() => tracing::debug!(%address, "a silent connection was closed"),
            // Fails only when the gate forgot it, which it does when it ends.
            _ = evicted => tracing::debug!(%address, "a connection was closed for another one"),
        }
        drop(open);
    });
    None
}

/// Answers the requests of a connection until either end closes it.
async fn answer(
    stream: TcpStream,
    router: Router,
    connection: Arc<Connection>,
    mut closing: watch::Receiver<bool>,
) {
    let stream = TokioIo::new(Watched::new(stream, Arc::clone(&connection)));
    let service = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: Request<Incoming>| {
        let busy = BusyGuard::new(Arc::clone(&connection));
        request.extensions_mut().insert(Arc::clone(&connection));
        let answer = service.call(request);
        async move {
            let answer = answer.await?;
            Ok::<_, Infallible>(answer.map(|body| Keeping::body(body, busy)))
        }
    });
    let serving = http1::Builder::new()
        // A connection has limits of its own, which know what is silence.
        .header_read_timeout(None)
        .max_buf_size(BUFFER_BYTES)
        .serve_connection(stream, service);
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
