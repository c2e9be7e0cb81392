//! Settings of a control plane.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use russet_orbs::Registry;
use russet_protocol::resource_class::ResourceClass;

use crate::between_servers::BetweenServers;
use crate::cache_place::KeptCaches;
use crate::git::GitSettings;
use crate::limits::Limits;
use crate::listen::ProxyRange;
use crate::mail::MailServer;
use crate::objects::S3Settings;
use crate::oidc::OidcSettings;
use crate::retention_settings::Keeping;
use crate::ssh_hold::SshHold;
use crate::store::DatabaseUrl;
use crate::tls::TlsFiles;

/// Settings of a control plane.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Directory of everything it keeps; created (0700) where it is not there.
    pub data_dir: PathBuf,
    /// Address to listen on. Port 0 takes a free one.
    pub listen: SocketAddr,
    /// Database on PostgreSQL. `None`: SQLite, in the data directory.
    pub database: Option<DatabaseUrl>,
    /// Objects in a bucket of S3. `None`: in the data directory.
    pub objects: Option<S3Settings>,
    /// Survive the loss of power, not only of the process: every commit and object is synced. The
    /// commits of PostgreSQL are as durable as it is set to.
    pub durable: bool,
    /// Silence of a runner after which its task is taken from it. A task in its steps has
    /// twice the time, since a lease that lapses then costs a build.
    pub lease: Duration,
    /// Origin under which people reach this server, for links. `None` gives no links.
    pub public_url: Option<String>,
    /// File with the key that the values of variables are sealed with. `None`: `secrets.key` in
    /// the data directory.
    pub secrets_key_file: Option<PathBuf>,
    /// Directory of the releases that runners are updated from. `None`: `releases` in the data
    /// directory, which need not be there.
    pub releases: Option<PathBuf>,
    /// Retention and limits of caches and workspaces.
    pub storage: Storage,
    /// Place of caches that outlive this control plane. `None`: they are in its data directory.
    pub kept_caches: Option<KeptCaches>,
    /// Retention of pipelines and what they leave.
    pub keeping: Keeping,
    /// Limits of what callers may take.
    pub limits: Limits,
    /// Dealings with other servers on the same PostgreSQL database.
    pub between_servers: BetweenServers,
    /// Proxies that are believed when they say who their client is.
    pub trusted_proxies: Vec<ProxyRange>,
    /// Registry of orbs that no project brings along and that are not here. `None` fetches
    /// nothing from anybody.
    pub orb_registry: Option<Registry>,
    /// The classes that other names of machines stand for, such as those of CircleCI's own.
    pub class_aliases: BTreeMap<String, ResourceClass>,
    /// Relay for mail about alerts. `None`: no mail.
    pub mail: Option<MailServer>,
    /// Address of a collector of traces that speaks OTLP over HTTP: its base, as
    /// `OTEL_EXPORTER_OTLP_ENDPOINT` has it. `None`: no traces.
    pub otlp_endpoint: Option<String>,
    /// Time for which the server goes on after it was told to stop, and says at `/readyz` that it is not
    /// ready, so that proxies send nothing more to it.
    pub shutdown_delay: Duration,
    /// Provider of OpenID Connect that people sign in at. Takes [`Settings::public_url`].
    pub oidc: Option<OidcSettings>,
    /// Certificate of its own. `None`: it speaks plain HTTP.
    pub tls: Option<TlsFiles>,
    /// Times for which tasks that are rerun with SSH are held.
    pub ssh_hold: SshHold,
    /// Address at which other servers on the same database reach this one, to join a person with a task
    /// whose agent waits here. `None`: they do not.
    pub peer_url: Option<String>,
    /// Git remotes that projects may be connected to.
    pub git: GitSettings,
}

/// Retention and limits of caches and workspaces.
#[derive(Clone, Copy, Debug)]
pub struct Storage {
    /// Retention of a cache. Jobs can ask for less.
    pub cache_retention: Duration,
    /// Retention of a workspace.
    pub workspace_retention: Duration,
    /// Bytes of caches that one project may have; the oldest go first. `None` is no limit.
    pub cache_bytes: Option<u64>,
}

impl Default for Storage {
    fn default() -> Self {
        const DAY: Duration = Duration::from_secs(24 * 3600);
        Self { cache_retention: DAY * 15, workspace_retention: DAY * 15, cache_bytes: None }
    }
}

impl Settings {
    /// Duration of a lease unless configured.
    pub const DEFAULT_LEASE: Duration = Duration::from_secs(60);

    /// The usual settings for a data directory and an address.
    #[must_use]
    pub fn new(data_dir: PathBuf, listen: SocketAddr) -> Self {
        Self {
            data_dir,
            listen,
            database: None,
            objects: None,
            durable: false,
            lease: Self::DEFAULT_LEASE,
            public_url: None,
            secrets_key_file: None,
            releases: None,
            storage: Storage::default(),
            kept_caches: None,
            keeping: Keeping::default(),
            limits: Limits::default(),
            between_servers: BetweenServers::default(),
            trusted_proxies: Vec::new(),
            orb_registry: None,
            class_aliases: BTreeMap::new(),
            mail: None,
            otlp_endpoint: None,
            shutdown_delay: Duration::ZERO,
            oidc: None,
            tls: None,
            ssh_hold: SshHold::default(),
            peer_url: None,
            git: GitSettings::default(),
        }
    }
}
