//! Git's own server behind HTTP: `git http-backend` as CGI (git-http-backend(1)).

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, Response, StatusCode, Uri};
use base64::Engine as _;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

struct Served {
    root: PathBuf,
    authorization: String,
    followed: AtomicUsize,
}

/// A server of the repositories in a directory, which asks for a user and a password. Below `/moved` it
/// redirects to `/elsewhere`, and counts who follows.
pub(crate) struct GitHttp {
    pub(crate) url: String,
    served: Arc<Served>,
    running: JoinHandle<()>,
}

impl GitHttp {
    pub(crate) async fn start(root: &Path, user: &str, password: &str) -> Self {
        let text = format!("{user}:{password}");
        let encoded = base64::engine::general_purpose::STANDARD.encode(text);
        let served = Arc::new(Served {
            root: root.to_owned(),
            authorization: format!("Basic {encoded}"),
            followed: AtomicUsize::new(0),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(serve).with_state(Arc::clone(&served));
        let running = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, served, running }
    }

    /// Number of redirects that were followed.
    pub(crate) fn followed(&self) -> usize {
        self.served.followed.load(Ordering::SeqCst)
    }
}

impl Drop for GitHttp {
    fn drop(&mut self) {
        self.running.abort();
    }
}

async fn serve(
    State(served): State<Arc<Served>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let header = |name: &str| {
        headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
    };
    let plain = |status: StatusCode, name: &str, value: &str| {
        Response::builder().status(status).header(name, value).body(Body::empty()).unwrap()
    };
    if let Some(rest) = uri.path().strip_prefix("/moved") {
        let query = uri.query().unwrap_or_default();
        return plain(StatusCode::FOUND, "location", &format!("/elsewhere{rest}?{query}"));
    }
    if uri.path().starts_with("/elsewhere") {
        served.followed.fetch_add(1, Ordering::SeqCst);
    }
    if header("authorization") != served.authorization {
        return plain(StatusCode::UNAUTHORIZED, "www-authenticate", "Basic realm=\"git\"");
    }
    let mut child = tokio::process::Command::new("git")
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", &served.root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("PATH_INFO", uri.path())
        .env("QUERY_STRING", uri.query().unwrap_or_default())
        .env("REQUEST_METHOD", method.as_str())
        .env("CONTENT_TYPE", header("content-type"))
        .env("CONTENT_LENGTH", body.len().to_string())
        .env("HTTP_CONTENT_ENCODING", header("content-encoding"))
        .env("GIT_PROTOCOL", header("git-protocol"))
        .env("REMOTE_USER", "test")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let feeding = tokio::spawn(async move {
        // It may have read enough already.
        drop(stdin.write_all(&body).await);
    });
    let output = child.wait_with_output().await.unwrap().stdout;
    feeding.await.unwrap();
    let end = output.windows(4).position(|part| part == b"\r\n\r\n").unwrap();
    let mut response = Response::builder();
    for line in String::from_utf8_lossy(&output[..end]).lines() {
        let (name, value) = line.split_once(": ").unwrap();
        response = match name {
            "Status" => response.status(value.split(' ').next().unwrap()),
            _ => response.header(name, value),
        };
    }
    response.body(Body::from(output[end + 4..].to_vec())).unwrap()
}
