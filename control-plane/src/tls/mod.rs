//! The server's own TLS: a certificate that is exchanged while the server runs.
//!
//! Both files are looked at now and then, and when the owner asks for it (SIGHUP). What changed is
//! told by contents, so that links that are switched and files that are written in place count
//! alike. A pair that cannot be used changes nothing: the one before stays, and people hear of it.

mod error;
mod expiry;
mod pair;
mod renewal;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use rustls::ServerConfig;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use tokio::sync::Notify;
use tokio_rustls::TlsAcceptor;

pub use error::TlsError;
pub(crate) use expiry::{Warning, due_warnings};
pub(crate) use pair::Pair;
use pair::{Contents, provider};
use renewal::Look;
pub(crate) use renewal::run_renewal;

/// Protocol that is spoken, as ALPN names it (RFC 7301).
const PROTOCOL: &[u8] = b"http/1.1";

/// Files of the server's certificate, and what depends on having one.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// The certificate with its chain, in PEM; the server's own first.
    pub certificate: PathBuf,
    /// Its private key, in PEM.
    pub key: PathBuf,
    /// Interval of looks at them.
    pub interval: Duration,
    /// Time for which browsers are told to come over TLS alone. `None`: they are not told.
    pub hsts: Option<Duration>,
}

impl TlsFiles {
    /// Interval of looks unless configured.
    pub const DEFAULT_INTERVAL: Duration = Duration::from_secs(60);

    /// Returns the address of a server with this certificate, by the first name that is one host's.
    ///
    /// # Errors
    /// The files cannot be used.
    pub fn url(&self, port: u16) -> Result<Option<String>, TlsError> {
        Ok(default_public_url(&self.pair()?, port))
    }

    /// Reads the files, and checks that they fit.
    pub(crate) fn pair(&self) -> Result<Pair, TlsError> {
        Pair::of(&Contents::read(self)?, self)
    }
}

/// State of the certificate, for metrics, alerts and people.
#[derive(Clone, Debug)]
pub(crate) struct Standing {
    pub(crate) pair: Pair,
    /// Reason why what lies in the files is not in use.
    pub(crate) fault: Option<String>,
    /// Looks at which the files could not be used.
    pub(crate) failures: u64,
    /// Exchanges since the start.
    pub(crate) exchanges: u64,
}

#[derive(Debug)]
struct State {
    standing: Standing,
    look: Look,
}

/// TLS of a server.
pub(crate) struct ServerTls {
    files: TlsFiles,
    acceptor: TlsAcceptor,
    current: Arc<Current>,
    state: Mutex<State>,
    asked: Notify,
}

impl std::fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerTls").field("files", &self.files).finish_non_exhaustive()
    }
}

/// The certificate that new connections get.
#[derive(Debug)]
struct Current(RwLock<Arc<CertifiedKey>>);

impl ResolvesServerCert for Current {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

impl ServerTls {
    /// Reads the files and sets TLS up.
    pub(crate) fn open(files: TlsFiles) -> Result<Self, TlsError> {
        let contents = Contents::read(&files)?;
        let pair = Pair::of(&contents, &files)?;
        let current = Arc::new(Current(RwLock::new(Arc::clone(&pair.certified))));
        let resolver: Arc<dyn ResolvesServerCert> = Arc::clone(&current) as _;
        let mut config = ServerConfig::builder_with_provider(Arc::new(provider()))
            .with_protocol_versions(&[&TLS13, &TLS12])
            .map_err(|error| TlsError::Setup(error.to_string()))?
            .with_no_client_auth()
            .with_cert_resolver(resolver);
        config.alpn_protocols = vec![PROTOCOL.to_vec()];
        let standing = Standing { pair, fault: None, failures: 0, exchanges: 0 };
        let state = State { standing, look: Look::new(contents.print()) };
        Ok(Self {
            files,
            acceptor: TlsAcceptor::from(Arc::new(config)),
            current,
            state: Mutex::new(state),
            asked: Notify::new(),
        })
    }

    /// Accepts connections with the certificate of the moment.
    pub(crate) fn acceptor(&self) -> &TlsAcceptor {
        &self.acceptor
    }

    /// Returns the answer to whoever speaks plain HTTP to a port with TLS.
    pub(crate) fn plain_answer(&self) -> Vec<u8> {
        let body = "{\"message\":\"this server speaks https, not http: use its https:// address\"}";
        let length = body.len();
        format!(
            "HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\n\
             content-length: {length}\r\nconnection: close\r\n\r\n{body}"
        )
        .into_bytes()
    }

    /// Returns the value of `Strict-Transport-Security`, if the owner wants it.
    pub(crate) fn hsts(&self) -> Option<String> {
        self.files.hsts.map(|time| format!("max-age={}", time.as_secs()))
    }

    /// Returns the state of the certificate.
    pub(crate) fn standing(&self) -> Standing {
        self.lock().standing.clone()
    }

    /// Looks at the files soon, as SIGHUP asks for.
    pub(crate) fn look_again(&self) {
        self.asked.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn exchange(&self, pair: &Pair) {
        let mut current = self.current.0.write().unwrap_or_else(PoisonError::into_inner);
        *current = Arc::clone(&pair.certified);
    }
}

/// Returns the default of the address under which people reach a server: the first name of its
/// certificate that is one host's. `None`: it has none.
pub(crate) fn default_public_url(pair: &Pair, port: u16) -> Option<String> {
    let name = pair.names.iter().find(|name| !name.starts_with("*."))?;
    Some(if port == 443 { format!("https://{name}") } else { format!("https://{name}:{port}") })
}
