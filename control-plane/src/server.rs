//! Start and end of a control plane, and the accept loop between.

mod error;
mod settings;

use std::error::Error;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use russet_orbs::Registry;
use russet_protocol::secret::Secret;
use tokio::net::TcpListener;
use tokio::sync::{oneshot, watch};

use crate::attendance::Attendance;
use crate::clock::{Clock, SystemClock, millis};
use crate::credentials::TokenHash;
use crate::data_dir::{DataDir, DataDirError};
use crate::git::GitRoom;
use crate::hosts::HostRoom;
use crate::kept_caches;
use crate::limits::raise_open_files;
use crate::listen::Gate;
use crate::meters::note_start;
use crate::moving::{check_marks, key_print};
use crate::objects::Objects;
use crate::oidc::{OidcSettings, Provider, ProviderError};
use crate::output_readers::Readers;
use crate::releases::Releases;
use crate::scheduler::leases;
use crate::secrets::Sealer;
use crate::servers::{JoinError, Keys};
use crate::silence::Silence;
use crate::space::Space;
use crate::state::{App, Parts, StorageLimits};
use crate::store::{Store, StoreError, installation, tasks, variables};
use crate::sweep::{run_expiry, sweep_objects};
use crate::text::rfc3339;
use crate::tls::{ServerTls, default_public_url, run_renewal};
use crate::traces::{Tracer, endpoint_for_people, open_tracer};
use crate::tunnels::Tunnels;
use crate::{
    alerts, api, cancel, keeping, listen, presence_writer, projects, reaper, room, servers, web,
};

pub use error::{RunError, StartError};
pub use settings::{Settings, Storage};

/// Time that calls in flight have to end when the server is told to stop. Waiting calls are
/// answered at once; what is left then is cut off, and its caller tries again.
const GRACE: Duration = Duration::from_secs(5);

/// A control plane that listens.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    admin_token: Secret,
    app: App,
    tracer: Option<Tracer>,
    shutdown_delay: Duration,
    close: watch::Sender<bool>,
    /// Keeps other servers out.
    _data_dir: DataDir,
}

impl Server {
    /// Opens the data directory, brings the schema up to date and listens.
    ///
    /// # Errors
    ///
    /// [`StartError`] says which part could not be set up, and where it is.
    pub async fn start(settings: Settings) -> Result<Self, StartError> {
        Self::start_by(settings, Arc::new(SystemClock::new()), true).await
    }

    /// The same with another clock, for tests. All leases go by it, also on PostgreSQL.
    ///
    /// # Errors
    ///
    /// As for [`Server::start`].
    pub async fn start_with_clock(
        settings: Settings,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, StartError> {
        Self::start_by(settings, clock, false).await
    }

    async fn start_by(
        settings: Settings,
        clock: Arc<dyn Clock>,
        leases_by_database: bool,
    ) -> Result<Self, StartError> {
        note_start();
        // First, since nothing else is to be done where this fails.
        let tls = settings.tls.clone().map(ServerTls::open).transpose()?;
        let in_dir = |error: Box<dyn Error + Send + Sync>| {
            StartError::DataDir(settings.data_dir.clone(), error)
        };
        let from_dir = |error: DataDirError| in_dir(Box::new(error));
        let data_dir = DataDir::open(&settings.data_dir).map_err(from_dir)?;
        check_marks(&settings.data_dir, settings.database.is_some(), settings.objects.is_some())
            .map_err(|error| in_dir(Box::new(error)))?;
        let admin_token = data_dir.admin_token().map_err(from_dir)?;
        let objects = match &settings.objects {
            Some(s3) => Objects::in_bucket(s3)
                .await
                .map_err(|error| StartError::Objects(s3.url.to_string(), Box::new(error)))?,
            None => Objects::in_directory(&data_dir.objects().map_err(from_dir)?, settings.durable)
                .map_err(|error| in_dir(Box::new(error)))?,
        };
        let path = data_dir.database();
        let database = match &settings.database {
            Some(url) => url.to_string(),
            None => path.display().to_string(),
        };
        let not_open = |error| StartError::Database(database.clone(), Box::new(error));
        let from_database =
            |error: StoreError| StartError::Database(database.clone(), Box::new(error));
        let store = match &settings.database {
            Some(url) => Store::connect(url, leases_by_database).await.map_err(not_open)?,
            None => Store::open(&path, settings.durable).await.map_err(not_open)?,
        };
        let has_values = has_values(&store).await.map_err(from_database)?;
        let key = data_dir.secrets_key(settings.secrets_key_file.as_deref(), has_values);
        let key = key.map_err(from_dir)?;
        if !is_known_key(&store, &key_print(&key), has_values).await.map_err(from_database)? {
            let path = settings.secrets_key_file.clone();
            let path = path.unwrap_or_else(|| settings.data_dir.join("secrets.key"));
            return Err(from_dir(DataDirError::OtherKey(path)));
        }
        let admin = TokenHash::of(admin_token.expose());
        let place = objects.identity().await.map_err(|error| in_dir(Box::new(error)))?;
        let server = servers::new_server(
            place,
            place_of(settings.listen.port()),
            &Keys { secrets: &key, admin: &admin },
        );
        let previous = data_dir.begin_server(&server.id).map_err(from_dir)?;
        let oidc = open_provider(settings.oidc, settings.public_url.as_deref())?;
        let releases = settings.releases.unwrap_or_else(|| settings.data_dir.join("releases"));
        let (close, closing) = watch::channel(false);
        let attendance = Attendance::since(clock.wall_ms());
        let hosts = HostRoom::new(&settings.git, Arc::clone(&clock));
        let named = tls
            .as_ref()
            .filter(|_| settings.listen.port() != 0)
            .and_then(|tls| default_public_url(&tls.standing().pair, settings.listen.port()));
        let app = App::of(Parts {
            store,
            objects,
            clock,
            presence: Default::default(),
            token_uses: Default::default(),
            personal_uses: Default::default(),
            session_uses: Default::default(),
            sign_ins: Default::default(),
            attempts: Default::default(),
            silence: Silence::of_lease(millis(settings.lease)),
            attendance,
            lease_ms: millis(settings.lease),
            admin,
            sealer: Sealer::new(&key),
            releases: Releases::new(releases),
            storage: StorageLimits {
                cache_retention_ms: millis(settings.storage.cache_retention),
                workspace_retention_ms: millis(settings.storage.workspace_retention),
                cache_bytes: settings.storage.cache_bytes,
            },
            kept_caches: settings.kept_caches,
            keeping: settings.keeping,
            keeper: Default::default(),
            orb_registry: settings.orb_registry,
            class_aliases: settings.class_aliases,
            public_url: settings.public_url.or(named).map(|url| url.trim_end_matches('/').into()),
            tls: tls.map(Arc::new),
            gate: Arc::new(Gate::new(
                settings.limits,
                raise_open_files(),
                settings.trusted_proxies,
            )),
            spans: Arc::default(),
            calls: Default::default(),
            health: Default::default(),
            space: Space::new(settings.data_dir.clone(), settings.limits.disk_reserve),
            readers: Readers::default(),
            mail: settings.mail,
            oidc,
            server,
            between: settings.between_servers,
            rests: Default::default(),
            ssh_hold: settings.ssh_hold,
            peer_url: settings.peer_url.map(|url| url.trim_end_matches('/').into()),
            tunnels: Tunnels::default(),
            hosts,
            git: GitRoom::new(&settings.data_dir, settings.git),
            closing,
        });
        let tracer = match &settings.otlp_endpoint {
            Some(endpoint) => Some(open_traces(&app, endpoint)?),
            None => None,
        };
        if app.store.is_shared() {
            servers::join(&app, previous.as_deref()).await.map_err(|error| match error {
                JoinError::Sweep(error) => in_dir(Box::new(error)),
                error => StartError::Database(database.clone(), Box::new(error)),
            })?;
        } else {
            restart_leases(&app).await.map_err(from_database)?;
            cancel::resume(&app).await.map_err(from_database)?;
            sweep_objects(&app).await.map_err(|error| in_dir(Box::new(error)))?;
            kept_caches::note_kept(&app).await.map_err(from_database)?;
        }
        room::resume(&app).await.map_err(from_database)?;
        let failed = |error| StartError::Listen(settings.listen, error);
        let listener = TcpListener::bind(settings.listen).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        note_certificate(&app);
        if let Some(registry) = app.orb_registry.as_ref().map(Registry::name) {
            tracing::info!(registry, "orbs that are missing are fetched from a registry");
        }
        tracing::info!(%address, data_dir = %settings.data_dir.display(), "listening");
        let shutdown_delay = settings.shutdown_delay;
        Ok(Self {
            listener,
            address,
            admin_token,
            app,
            tracer,
            shutdown_delay,
            close,
            _data_dir: data_dir,
        })
    }

    /// Origin of this server, as `http://127.0.0.1:port`.
    #[must_use]
    pub fn url(&self) -> String {
        let scheme = if self.app.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// Returns what has the server look at its certificate's files; it does nothing without TLS.
    #[must_use]
    pub fn certificate_looks(&self) -> Option<CertificateLooks> {
        self.app.tls.clone().map(CertificateLooks)
    }

    /// The token of the administrator, which is in `admin.token` of the data directory.
    #[must_use]
    pub fn admin_token(&self) -> &Secret {
        &self.admin_token
    }

    /// Serves until `shutdown` is done, then lets calls in flight end, for a few seconds at most.
    ///
    /// # Errors
    /// It ended by itself.
    pub async fn run(
        self,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> Result<(), RunError> {
        let Self { listener, app, tracer, shutdown_delay, close, _data_dir, .. } = self;
        let (end_traces, traces_end) = oneshot::channel();
        let tracing = tracer.map(|tracer| tokio::spawn(tracer.run(app.clone(), traces_end)));
        let reaper = tokio::spawn(reaper::run_reaper(app.clone()));
        let expiry = tokio::spawn(run_expiry(app.clone()));
        let alerts = tokio::spawn(alerts::run_alerts(app.clone()));
        let schedules = tokio::spawn(api::run_schedules(app.clone()));
        let presence = tokio::spawn(presence_writer::run_presence(app.clone()));
        let mut others = tokio::spawn(servers::run(app.clone()));
        let own = app.clone();
        let polls = tokio::spawn(projects::run_due_work::<projects::Polls>(app.clone()));
        let builds = tokio::spawn(projects::run_due_work::<api::Builds>(app.clone()));
        let statuses =
            tokio::spawn(projects::run_due_work::<projects::CommitStatuses>(app.clone()));
        let keeper = tokio::spawn(keeping::run_keeper(app.clone()));
        let renewal =
            app.tls.clone().map(|tls| tokio::spawn(run_renewal(tls, Arc::clone(&app.clock))));
        let mut closing = app.closing.clone();
        let (gate, tls) = (Arc::clone(&app.gate), app.tls.clone());
        let stopping = app.clone();
        let shutdown = tokio::spawn(async move {
            shutdown.await;
            stopping.health.begin_shutdown();
            tokio::time::sleep(shutdown_delay).await;
            close.send_replace(true);
        });
        let pages = web::router(&app);
        let router = api::router(app, pages);
        let serving = listen::Serving { router, gate, tls, closing: closing.clone() };
        let joined = own.clone();
        let serving = async move {
            listen::serve(listener, serving).await;
            // They say to both ends why they end.
            joined.tunnels.all_ended().await;
        };
        let too_long = async move {
            // An error means that the sender is gone, and so is the server.
            drop(closing.wait_for(|closing| *closing).await);
            tokio::time::sleep(GRACE).await;
        };
        let mut ended = Ok(());
        tokio::select! {
            () = serving => {}
            () = too_long => tracing::info!("calls in flight were cut off"),
            needed = &mut others => ended = Err(match needed {
                Ok(needed) => RunError::TooNew { needed, known: own.store.known() },
                Err(_) => RunError::Broken,
            }),
        }
        if let Err(error) = &ended {
            tracing::error!(%error, "this server cannot go on, and ends");
        }
        shutdown.abort();
        reaper.abort();
        expiry.abort();
        alerts.abort();
        schedules.abort();
        presence.abort();
        others.abort();
        // Their children are ended with them, before the data directory is anybody else's.
        for work in [polls, builds, statuses] {
            work.abort();
            drop(work.await);
        }
        if let Some(renewal) = renewal {
            renewal.abort();
        }
        // What was heard last is there for the other servers, and after a restart.
        keeper.abort();
        presence_writer::write_news(&own).await;
        servers::leave(&own).await;
        if let Some(tracing) = tracing {
            // It gives up by itself after a moment.
            let _is_gone = end_traces.send(());
            drop(tracing.await);
        }
        if let Err(error) = own.store.close().await {
            let error = russet_text::error_chain(&error);
            tracing::warn!(error, "the database was not closed; the next start tidies up");
        }
        ended
    }
}

/// Begins to note what ends, for traces.
fn open_traces(app: &App, endpoint: &str) -> Result<Tracer, StartError> {
    let opened = open_tracer(endpoint, &app.server.id, Arc::clone(&app.spans));
    let (sink, tracer) = opened
        .map_err(|error| StartError::Traces(endpoint_for_people(endpoint), Box::new(error)))?;
    app.store.set_traces(sink);
    tracing::info!(endpoint = endpoint_for_people(endpoint), "traces of pipelines are sent");
    Ok(tracer)
}

/// Has a server look at the files of its certificate.
#[derive(Clone, Debug)]
pub struct CertificateLooks(Arc<ServerTls>);

impl CertificateLooks {
    /// Asks for a look, which follows soon.
    pub fn look_again(&self) {
        self.0.look_again();
    }
}

/// Returns the name by which people know a server among others: that of its machine, and its port.
fn place_of(port: u16) -> String {
    let host = nix::unistd::gethostname().map(|name| name.to_string_lossy().into_owned());
    format!("{}:{port}", host.unwrap_or_else(|_| "localhost".to_owned()))
}

/// Says which certificate is in use.
fn note_certificate(app: &App) {
    let Some(tls) = &app.tls else { return };
    let pair = tls.standing().pair;
    let expires = rfc3339(pair.not_after_s.saturating_mul(1000));
    if pair.not_after_s < app.now_s() {
        tracing::error!(expires, "the certificate has expired: agents and browsers refuse it");
    } else {
        tracing::info!(expires, names = pair.names.join(", "), "TLS with a certificate");
    }
}

/// Returns true if there are values of variables, which the key must fit.
async fn has_values(store: &Store) -> Result<bool, StoreError> {
    variables::any_sealed(&mut store.read().await?).await
}

/// Returns true if the key is the one that values are sealed with, or may become it.
async fn is_known_key(store: &Store, print: &str, has_values: bool) -> Result<bool, StoreError> {
    let known = installation::secrets_key(&mut store.read().await?).await?;
    if known.as_deref() == Some(print) {
        return Ok(true);
    }
    if known.is_some() && has_values {
        return Ok(false);
    }
    let mut tx = store.write().await?;
    installation::set_secrets_key(&mut tx, print).await?;
    tx.commit().await?;
    Ok(true)
}

/// Makes the client of a provider, which is asked when the first person signs in.
fn open_provider(
    settings: Option<OidcSettings>,
    public_url: Option<&str>,
) -> Result<Option<Provider>, StartError> {
    let Some(settings) = settings else { return Ok(None) };
    let provider = public_url
        .ok_or(ProviderError::PublicUrl)
        .and_then(|public_url| Provider::new(settings, public_url));
    provider.map(Some).map_err(|error| StartError::Oidc(error.into()))
}

/// Starts the leases of all tasks that are held anew: no runner could renew one while the server
/// was away. On SQLite, where they go by the clock of the one server.
async fn restart_leases(app: &App) -> Result<(), StoreError> {
    let mut tx = app.store.write().await?;
    let now = tx.lease_ms(&*app.clock);
    let before = leases::lease_end(now, app.lease_ms, false);
    let within = leases::lease_end(now, app.lease_ms, true);
    let held = tasks::restart_leases(&mut tx, now, before, within).await?;
    tx.commit().await?;
    if held > 0 {
        tracing::info!(tasks = held, "runners hold tasks from before; their leases start anew");
    }
    Ok(())
}
