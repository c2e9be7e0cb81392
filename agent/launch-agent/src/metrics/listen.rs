//! Metrics over HTTP on a loopback port, where the owner wants one.
//!
//! Threat: every process of the machine can connect, tasks included. So there are numbers behind it
//! and no names, few connections, and little time for each; what is stuck costs a place until
//! somebody else wants it. A task can still take the port itself while no agent runs, or connect
//! faster than others are answered; the local socket is for those who mind.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, Response, StatusCode, header};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, Id, JoinSet};

use super::Metrics;

/// Connections at once. A farm has one or two who ask. The oldest ends for one more: whoever reads
/// is answered in milliseconds, so it is one that does not.
const MAX_CONNECTIONS: usize = 16;

/// Maximum duration of a connection.
const LONGEST: Duration = Duration::from_secs(10);

/// The longest head of a request; hyper takes no less.
const HEAD: usize = 8 * 1024;

/// A pause before the port is tried again.
const BIND_PAUSE: Duration = Duration::from_secs(30);

/// A pause after a failed `accept`, which fails again at once where descriptors have run out.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The metrics, in the form that the request asks for.
pub(crate) fn answer_request(metrics: &Metrics, headers: &HeaderMap) -> Response<Body> {
    let accepts = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    let is_open = accepts.is_some_and(|text| text.contains("application/openmetrics-text"));
    let kind = if is_open { OPEN_METRICS } else { PROMETHEUS };
    make_reply(StatusCode::OK, kind, metrics.text(is_open))
}

fn make_reply(status: StatusCode, kind: &'static str, text: String) -> Response<Body> {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(kind));
    response
}

fn route_request<B>(metrics: &Metrics, request: &Request<B>) -> Response<Body> {
    match (request.method(), request.uri().path()) {
        (&Method::GET, "/metrics") => answer_request(metrics, request.headers()),
        (_, "/metrics") => make_reply(StatusCode::METHOD_NOT_ALLOWED, "text/plain", String::new()),
        _ => make_reply(StatusCode::NOT_FOUND, "text/plain", "look at /metrics\n".to_owned()),
    }
}

/// Listens for as long as there is an agent. A port that somebody else has is said and tried again:
/// a farm that builds without being measured is worth more than one that does not build.
pub(crate) fn start_listening(
    address: SocketAddr,
    metrics: Arc<Metrics>,
) -> tokio::task::JoinHandle<()> {
    tokio::spawn(async move {
        let listener = bind_listener(address).await;
        let mut connections = Connections::default();
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = connections.ended() => continue,
            };
            let Ok((stream, _)) = accepted else {
                // Out of descriptors, most likely.
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            };
            let metrics = Arc::clone(&metrics);
            connections.begin(async move {
                // Its errors are its own.
                drop(tokio::time::timeout(LONGEST, serve_connection(stream, &metrics)).await);
            });
        }
    })
}

/// The connections that are served, which end with the launch agent.
#[derive(Debug, Default)]
struct Connections {
    running: JoinSet<()>,
    /// The oldest first.
    by_age: VecDeque<AbortHandle>,
}

impl Connections {
    /// Serves one, in the place of the oldest where there are too many.
    fn begin(&mut self, serving: impl Future<Output = ()> + Send + 'static) {
        if self.by_age.len() >= MAX_CONNECTIONS
            && let Some(oldest) = self.by_age.pop_front()
        {
            oldest.abort();
        }
        self.by_age.push_back(self.running.spawn(serving));
    }

    /// Waits until one has ended; for ever while there is none.
    async fn ended(&mut self) {
        let id: Id = match self.running.join_next_with_id().await {
            Some(Ok((id, ()))) => id,
            Some(Err(error)) => error.id(),
            None => std::future::pending().await,
        };
        self.by_age.retain(|handle| handle.id() != id);
    }
}

async fn bind_listener(address: SocketAddr) -> TcpListener {
    let mut is_said = false;
    loop {
        match TcpListener::bind(address).await {
            Ok(listener) => {
                let address = listener.local_addr().unwrap_or(address);
                tracing::info!(%address, "listening for those who read metrics");
                return listener;
            }
            Err(error) if !is_said => {
                is_said = true;
                tracing::error!(
                    %address,
                    %error,
                    "could not listen for those who read metrics; tasks run all the same, and it is \
                     tried again every {} s; `metrics.listen` names the address",
                    BIND_PAUSE.as_secs()
                );
            }
            Err(_) => {}
        }
        tokio::time::sleep(BIND_PAUSE).await;
    }
}

async fn serve_connection(stream: TcpStream, metrics: &Metrics) -> hyper::Result<()> {
    let service = hyper::service::service_fn(|request: Request<hyper::body::Incoming>| {
        let response = route_request(metrics, &request);
        async move { Ok::<_, Infallible>(response) }
    });
    hyper::server::conn::http1::Builder::new()
        .keep_alive(false)
        .max_buf_size(HEAD)
        .serve_connection(TokioIo::new(stream), service)
        .await
}

#[cfg(test)]
mod tests {
    use super::super::{MetricSources, Metrics};
    use axum::http::{Request, StatusCode};
    use std::sync::Arc;
    use std::time::Duration;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;

    /// Connects to a listener that may just be starting.
    async fn connect(address: std::net::SocketAddr) -> TcpStream {
        let connecting = async {
            loop {
                match TcpStream::connect(address).await {
                    Ok(stream) => return stream,
                    Err(_) => tokio::task::yield_now().await,
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(30), connecting).await.unwrap()
    }

    #[tokio::test]
    async fn whoever_reads_is_answered_while_others_hold_every_place() {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let metrics = Arc::new(Metrics::new(MetricSources::for_tests(&["acme/mini"])));
        let listening = super::start_listening(address, metrics);
        let mut slow = Vec::new();
        for _ in 0..super::MAX_CONNECTIONS + 4 {
            let mut stream = connect(address).await;
            stream.write_all(b"GET /metrics HTTP/1.1\r\nhost").await.unwrap();
            slow.push(stream);
        }
        let mut owner = connect(address).await;
        owner.write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        let reading = owner.read_to_string(&mut answer);
        tokio::time::timeout(super::LONGEST / 2, reading).await.unwrap().unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        listening.abort();
    }

    #[test]
    fn there_is_one_page_in_two_forms() {
        let metrics = Metrics::new(MetricSources::for_tests(&["acme/mini"]));
        let ask = |method: &str, path: &str, accept: &str| {
            let request = Request::builder().method(method).uri(path).header("accept", accept);
            let response = super::route_request(&metrics, &request.body(()).unwrap());
            let kind = response.headers()["content-type"].to_str().unwrap().to_owned();
            (response.status(), kind)
        };
        let (status, kind) = ask("GET", "/metrics", "application/openmetrics-text;version=1.0.0");
        assert!(status == StatusCode::OK && kind.starts_with("application/openmetrics-text"));
        let (status, kind) = ask("GET", "/metrics", "*/*");
        assert!(status == StatusCode::OK && kind.starts_with("text/plain; version=0.0.4"));
        assert_eq!(ask("GET", "/", "*/*").0, StatusCode::NOT_FOUND);
        assert_eq!(ask("POST", "/metrics", "*/*").0, StatusCode::METHOD_NOT_ALLOWED);
    }
}
