//! A proxy between agents and control plane that fails as networks and servers do.
//!
//! Two layers: a TCP front that can go silent (a cut network: bytes vanish, nothing is closed)
//! and an HTTP layer that delays, duplicates, truncates or refuses single answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Kind of failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// Bytes vanish in both directions; connections stay open and silent.
    Cut,
    /// Open connections are closed, and new ones as soon as they are made.
    Refuse,
    /// Every answer comes so much later.
    Delay(Duration),
    /// Every `n`th request reaches the server twice; the answer is that to the second.
    Duplicate(u64),
    /// Every `n`th answer breaks off in the middle, after the server has acted on the request.
    Truncate(u64),
    /// Every `n`th request is answered with this status without reaching the server.
    Status(u16, u64),
    /// Answers are dated so much later: the clock of whoever asks seems to be behind.
    Clock(Duration),
}

/// A running proxy.
pub struct FaultProxy {
    url: String,
    fault: watch::Sender<Fault>,
    requests: Arc<AtomicU64>,
    faults: Arc<AtomicU64>,
}

#[derive(Clone)]
struct Http {
    target: String,
    client: reqwest::Client,
    fault: watch::Receiver<Fault>,
    requests: Arc<AtomicU64>,
    faults: Arc<AtomicU64>,
}

impl FaultProxy {
    /// Starts a proxy in front of `target`, an origin like `http://127.0.0.1:8080`.
    pub fn start(target: &str) -> Self {
        rustls::crypto::ring::default_provider().install_default().ok();
        let (fault, seen) = watch::channel(Fault::None);
        let (requests, faults) = (Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default());
        let http = Http {
            target: target.to_owned(),
            client: reqwest::Client::builder().no_proxy().build().unwrap(),
            fault: seen.clone(),
            requests: Arc::clone(&requests),
            faults: Arc::clone(&faults),
        };
        let refused = Arc::clone(&faults);
        let (say, listens) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(async move {
                let inner = TcpListener::bind("127.0.0.1:0").await.unwrap();
                let front = TcpListener::bind("127.0.0.1:0").await.unwrap();
                let inner_address = inner.local_addr().unwrap();
                say.send(front.local_addr().unwrap()).unwrap();
                let router = Router::new().fallback(forward).with_state(http);
                tokio::spawn(async move { axum::serve(inner, router).await });
                while let Ok((stream, _)) = front.accept().await {
                    let faults = Arc::clone(&refused);
                    tokio::spawn(carry(stream, inner_address, seen.clone(), faults));
                }
            });
        });
        let url = format!("http://{}", listens.recv().unwrap());
        Self { url, fault, requests, faults }
    }

    /// Origin to give to the agents.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// From now on this goes wrong.
    pub fn set(&self, fault: Fault) {
        self.fault.send_replace(fault);
    }

    /// Number of requests so far.
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::SeqCst)
    }

    /// Number of requests and connections that met a fault.
    pub fn faults(&self) -> u64 {
        self.faults.load(Ordering::SeqCst)
    }
}

/// Carries bytes until the network is cut. What was open then stays open and silent, and is
/// closed when the network comes back, as by a peer that has forgotten the connection.
async fn carry(
    client: TcpStream,
    inner: std::net::SocketAddr,
    mut fault: watch::Receiver<Fault>,
    faults: Arc<AtomicU64>,
) {
    let mut open = Vec::new();
    if *fault.borrow() == Fault::Refuse {
        faults.fetch_add(1, Ordering::SeqCst);
        return;
    }
    if *fault.borrow() == Fault::Cut {
        open.push(client);
    } else {
        let Ok(mut server) = TcpStream::connect(inner).await else { return };
        let mut client = client;
        tokio::select! {
            _ = tokio::io::copy_bidirectional(&mut client, &mut server) => return,
            cut = fault.wait_for(|fault| matches!(fault, Fault::Cut | Fault::Refuse)) => drop(cut),
        }
        if *fault.borrow() == Fault::Refuse {
            return;
        }
        open.extend([client, server]);
    }
    fault.wait_for(|fault| *fault != Fault::Cut).await.ok();
    drop(open);
}

async fn forward(State(http): State<Http>, request: Request) -> Response {
    let number = http.requests.fetch_add(1, Ordering::SeqCst) + 1;
    let fault = *http.fault.borrow();
    let strikes = |every: u64| {
        let strikes = number.is_multiple_of(every);
        if strikes {
            http.faults.fetch_add(1, Ordering::SeqCst);
        }
        strikes
    };
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, 64 << 20).await else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    match fault {
        Fault::Status(status, every) if strikes(every) => {
            return StatusCode::from_u16(status).unwrap().into_response();
        }
        Fault::Duplicate(every) if strikes(every) => {
            send(&http, &parts, body.clone()).await.ok();
        }
        Fault::Delay(delay) => {
            http.faults.fetch_add(1, Ordering::SeqCst);
            tokio::time::sleep(delay).await;
        }
        _ => {}
    }
    let Ok(answer) = send(&http, &parts, body).await else {
        return StatusCode::BAD_GATEWAY.into_response();
    };
    let mut response = Response::builder().status(answer.status());
    for (name, value) in answer.headers() {
        if !matches!(name.as_str(), "transfer-encoding" | "connection") {
            response = response.header(name, dated(name.as_str(), value, fault));
        }
    }
    let body = match fault {
        Fault::Truncate(every) if strikes(every) => {
            broken(answer.bytes().await.unwrap_or_default())
        }
        _ => Body::from_stream(answer.bytes_stream()),
    };
    response.body(body).unwrap()
}

/// Returns the value of a header of an answer, as it is handed on.
fn dated(name: &str, value: &HeaderValue, fault: Fault) -> HeaderValue {
    let Fault::Clock(later) = fault else { return value.clone() };
    if name != "date" {
        return value.clone();
    }
    let date = httpdate::parse_http_date(value.to_str().unwrap()).unwrap();
    HeaderValue::from_str(&httpdate::fmt_http_date(date + later)).unwrap()
}

async fn send(
    http: &Http,
    parts: &axum::http::request::Parts,
    body: Bytes,
) -> reqwest::Result<reqwest::Response> {
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let mut headers = parts.headers.clone();
    headers.remove("host");
    headers.remove("transfer-encoding");
    http.client
        .request(parts.method.clone(), format!("{}{path}", http.target))
        .headers(headers)
        .body(body)
        .send()
        .await
}

/// Half of the bytes, then the end of the connection without an end of the body. An answer
/// without a body breaks off as well: its connection ends before anything is sent.
fn broken(bytes: Bytes) -> Body {
    let half = bytes.slice(..bytes.len() / 2);
    Body::from_stream(stream::iter([Ok(half), Err(std::io::Error::other("cut off"))]))
}
