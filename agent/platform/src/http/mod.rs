//! HTTP towards a control plane: one way to build a client, one policy for trying again.
//!
//! The client follows no redirects (a token goes to the origin that it belongs to, and to no
//! other), and for `http://` it loads no certificates, which costs more time than everything
//! else that an agent does when it starts.

mod failure;
mod retry_after;
mod websocket;

use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::StatusCode;
use russet_protocol::backoff::Backoff;

pub use failure::Failure;
pub use retry_after::{next_pause, retry_after, with_jitter};
pub use websocket::{
    Pumped, WebSocket, WebSocketError, open_websocket, pump, pump_talk, wait_for_text,
};

/// Timeout of a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Reason why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The URL is invalid.
    #[error("`{url}` is not the address of a control plane: {reason}")]
    BadUrl {
        /// URL that was given.
        url: String,
        /// Fault of it.
        reason: String,
    },
    /// The file with CA certificates cannot be used.
    #[error("could not read the CA certificates in {}: {reason}", path.display())]
    BadCaFile {
        /// The file.
        path: PathBuf,
        /// Cause.
        reason: String,
    },
    /// A server that the control plane sends a reader to has no TLS, and it has.
    #[error("the store of objects has no TLS")]
    NoTls,
    /// The client cannot be built.
    #[error("could not set up HTTP: {0}")]
    Client(#[source] reqwest::Error),
}

/// A client for the control plane at `api_url`, which trusts `ca_file` besides the system's
/// certificates. With `relay`, every connection goes through that unix socket, whoever listens
/// there; TLS is still ours and proves the server's name. Proxies are not asked then.
///
/// # Errors
/// The address is not `http://…` or `https://…`, or the certificates are invalid.
pub fn api_client(
    api_url: &str,
    ca_file: Option<&Path>,
    relay: Option<&Path>,
) -> Result<reqwest::Client, HttpError> {
    let builder = client_builder(api_url, ca_file)?.redirect(reqwest::redirect::Policy::none());
    let builder = match relay {
        Some(socket) => builder.unix_socket(socket),
        None => builder,
    };
    builder.build().map_err(HttpError::Client)
}

/// A client for files that are verified otherwise. It carries no token, trusts `ca_file` besides the
/// system's certificates where `origin`, the first server that is asked, has TLS, and goes where
/// `redirects` lets it.
///
/// # Errors
/// As for [`api_client`].
pub fn download_client(
    origin: &str,
    ca_file: Option<&Path>,
    redirects: reqwest::redirect::Policy,
) -> Result<reqwest::Client, HttpError> {
    client_builder(origin, ca_file)?.redirect(redirects).build().map_err(HttpError::Client)
}

/// A client for the server at `url` that the control plane at `base` sends a reader to. It carries no
/// credentials and follows no redirect; what comes has to be verified.
///
/// Threat: whoever is on the way would read what TLS has kept from him, so a control plane that has
/// it sends nobody to a server that has not.
///
/// # Errors
/// As for [`api_client`], and [`HttpError::NoTls`]. They may show the URL, which gives a right to read.
pub fn redirected_client(
    base: &str,
    url: &str,
    ca_file: Option<&Path>,
) -> Result<reqwest::Client, HttpError> {
    if base.starts_with("https://") && !url.starts_with("https://") {
        return Err(HttpError::NoTls);
    }
    download_client(url, ca_file, reqwest::redirect::Policy::none())
}

fn client_builder(
    origin: &str,
    ca_file: Option<&Path>,
) -> Result<reqwest::ClientBuilder, HttpError> {
    let bad = |reason: String| HttpError::BadUrl { url: origin.to_owned(), reason };
    let url = reqwest::Url::parse(origin).map_err(|error| bad(error.to_string()))?;
    // Whoever came first has installed the same provider, so a second try is no error.
    drop(rustls::crypto::ring::default_provider().install_default());
    let builder = reqwest::Client::builder()
        .user_agent(concat!("russet/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        .http1_only();
    let builder = match url.scheme() {
        "http" => builder.tls_certs_only([]),
        "https" => {
            let own = ca_file.map(ca_certificates).transpose()?;
            builder.tls_certs_merge(own.unwrap_or_default())
        }
        other => return Err(bad(format!("it begins with `{other}:`"))),
    };
    Ok(if is_loopback(&url) { builder.no_proxy() } else { builder })
}

/// Reads the certificates of an authority of one's own, in PEM.
///
/// # Errors
/// The file cannot be read, or holds something else.
pub fn ca_certificates(path: &Path) -> Result<Vec<reqwest::Certificate>, HttpError> {
    let bad = |reason: String| HttpError::BadCaFile { path: path.to_owned(), reason };
    let pem = std::fs::read(path).map_err(|error| bad(error.to_string()))?;
    reqwest::Certificate::from_pem_bundle(&pem).map_err(|error| bad(error.to_string()))
}

/// Returns true if the address is this machine's own, where compressing and proxies make no sense.
#[must_use]
pub fn is_loopback(url: &reqwest::Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || bare.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// Returns true if the same request may have a better answer later: the server is broken,
/// restarting or busy, and did not judge the request.
#[must_use]
pub fn is_transient(status: StatusCode) -> bool {
    status.is_server_error()
        || status == StatusCode::TOO_MANY_REQUESTS
        || status == StatusCode::REQUEST_TIMEOUT
}

/// Creates pauses between attempts, random so that many agents do not return at the same moment.
#[must_use]
pub fn backoff(first: Duration, longest: Duration) -> Backoff {
    Backoff::new(first, longest).with_jitter(random_fraction)
}

/// A random number in `0.0..1.0`; 0.5 where the system has no random bytes, since nothing secret
/// depends on it.
pub fn random_fraction() -> f64 {
    let mut bytes = [0; 4];
    match getrandom::fill(&mut bytes) {
        Ok(()) => f64::from(u32::from_ne_bytes(bytes)) / (f64::from(u32::MAX) + 1.0),
        Err(_) => 0.5,
    }
}

/// A random number; not cryptographically secure.
pub fn random_number() -> u64 {
    let mut bytes = [0; 8];
    // Without random bytes all machines are the same one, and are updated at the same time.
    if getrandom::fill(&mut bytes).is_ok() { u64::from_ne_bytes(bytes) } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::{api_client, is_loopback, is_transient};
    use reqwest::StatusCode;

    #[test]
    fn only_answers_that_judge_nothing_are_transient() {
        for code in [500, 502, 503, 504, 429, 408] {
            assert!(is_transient(StatusCode::from_u16(code).unwrap()), "{code}");
        }
        for code in [200, 204, 400, 401, 404, 409, 413] {
            assert!(!is_transient(StatusCode::from_u16(code).unwrap()), "{code}");
        }
    }

    #[test]
    fn addresses_are_checked() {
        for bad in ["", "ci.example", "ftp://ci.example"] {
            assert!(api_client(bad, None, None).is_err(), "{bad}");
        }
        assert!(api_client("http://127.0.0.1:1", None, None).is_ok());
        for (url, loopback) in
            [("http://127.0.0.1:1", true), ("http://[::1]:1", true), ("http://10.0.0.1", false)]
        {
            assert_eq!(is_loopback(&url.parse().unwrap()), loopback, "{url}");
        }
    }
}
