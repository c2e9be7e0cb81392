//! Starting and running: settings, what can go wrong at the start, the accept loop.

use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use russet_protocol::secret::Secret;
use tokio::net::TcpListener;

/// How a control plane is set up.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Directory of everything it keeps; created (0700) where it is not there.
    pub data_dir: PathBuf,
    /// Address to listen on. Port 0 takes a free one.
    pub listen: SocketAddr,
    /// Survive the loss of power, not only of the process: every commit and object is synced.
    pub durable: bool,
    /// How long a runner may be silent before its task is taken from it.
    pub lease: Duration,
    /// Origin under which people reach this server, for links. `None` gives no links.
    pub public_url: Option<String>,
}

impl Settings {
    /// How long a lease lasts unless the owner says otherwise.
    pub const DEFAULT_LEASE: Duration = Duration::from_secs(60);

    /// The usual settings for a data directory and an address.
    #[must_use]
    pub fn new(data_dir: PathBuf, listen: SocketAddr) -> Self {
        Self { data_dir, listen, durable: false, lease: Self::DEFAULT_LEASE, public_url: None }
    }
}

/// Why a control plane did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address can not be listened on.
    #[error("cannot listen on {0}")]
    Listen(SocketAddr, #[source] std::io::Error),
}

/// Why a control plane stopped that was not told to.
#[derive(Debug, thiserror::Error)]
#[error("the server failed while it served")]
pub struct RunError(#[source] std::io::Error);

/// A control plane that listens.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    admin_token: Secret,
}

impl Server {
    /// Opens the data directory, brings the schema up to date and listens.
    ///
    /// # Errors
    ///
    /// [`StartError`] says which part could not be set up, and where it is.
    pub async fn start(settings: Settings) -> Result<Self, StartError> {
        let failed = |error| StartError::Listen(settings.listen, error);
        let listener = TcpListener::bind(settings.listen).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self { listener, address, admin_token: Secret::new("not yet") })
    }

    /// Origin of this server, as `http://127.0.0.1:port`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The token of the administrator, which is in `admin.token` of the data directory.
    #[must_use]
    pub fn admin_token(&self) -> &Secret {
        &self.admin_token
    }

    /// Serves until `shutdown` is done, then lets calls in flight end.
    ///
    /// # Errors
    ///
    /// [`RunError`] where the listener fails.
    pub async fn run(
        self,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> Result<(), RunError> {
        axum::serve(self.listener, axum::Router::new())
            .with_graceful_shutdown(shutdown)
            .await
            .map_err(RunError)
    }
}
