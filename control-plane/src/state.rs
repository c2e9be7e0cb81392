//! State that every call has at hand.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::Arc;

use russet_orbs::Registry;
use russet_protocol::resource_class::ResourceClass;
use tokio::sync::{Notify, watch};

use crate::attendance::Attendance;
use crate::between_servers::BetweenServers;
use crate::cache_place::KeptCaches;
use crate::clock::Clock;
use crate::credentials::TokenHash;
use crate::git::GitRoom;
use crate::health::Health;
use crate::hosts::HostRoom;
use crate::listen::Gate;
use crate::mail::MailServer;
use crate::meters::{HttpMeters, SignInMeters};
use crate::objects::Objects;
use crate::oidc::Provider;
use crate::output_readers::Readers;
use crate::people::Attempts;
use crate::presence::Presence;
use crate::releases::Releases;
use crate::rests::Rests;
use crate::retention_settings::Keeping;
use crate::secrets::Sealer;
use crate::signals::Bus;
use crate::silence::Silence;
use crate::space::Space;
use crate::ssh_hold::SshHold;
use crate::store::Store;
use crate::store::servers::ServerRow;
use crate::tls::ServerTls;
use crate::token_uses::TokenUses;
use crate::trace_events::SpanCounts;
use crate::tunnels::Tunnels;

/// A running server. Each layer of each waiting call has a copy, so a copy is one pointer.
#[derive(Clone, Debug)]
pub(crate) struct App(Arc<Parts>);

impl App {
    /// Puts a server together.
    pub(crate) fn of(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }
}

impl Deref for App {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

/// The parts of a running server.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) store: Store,
    pub(crate) objects: Objects,
    pub(crate) clock: Arc<dyn Clock>,
    /// Duration of a lease, in milliseconds.
    pub(crate) lease_ms: i64,
    pub(crate) admin: TokenHash,
    /// Seals the values of variables.
    pub(crate) sealer: Sealer,
    /// The releases that runners are updated from.
    pub(crate) releases: Releases,
    /// Retention and limits of caches and workspaces.
    pub(crate) storage: StorageLimits,
    /// Place of the caches that outlive this control plane, if any.
    pub(crate) kept_caches: Option<KeptCaches>,
    /// Retention of pipelines and what they leave.
    pub(crate) keeping: Keeping,
    /// Wakes the keeper, which removes what is not kept any longer.
    pub(crate) keeper: Notify,
    /// Registry of orbs that are neither brought along nor here, if any.
    pub(crate) orb_registry: Option<Registry>,
    /// The classes that other names of machines stand for.
    pub(crate) class_aliases: BTreeMap<String, ResourceClass>,
    /// Origin for links, without a slash at its end.
    pub(crate) public_url: Option<Arc<str>>,
    /// Limits of what callers take, and what they have taken.
    pub(crate) gate: Arc<Gate>,
    /// Numbers of spans.
    pub(crate) spans: Arc<SpanCounts>,
    /// Numbers of calls.
    pub(crate) calls: HttpMeters,
    /// Readiness to take work.
    pub(crate) health: Health,
    /// Room in the data directory.
    pub(crate) space: Space,
    /// Readers of output.
    pub(crate) readers: Readers,
    /// Relay for mail, if any.
    pub(crate) mail: Option<MailServer>,
    /// Provider of OpenID Connect, if any.
    pub(crate) oidc: Option<Provider>,
    /// TLS of this server's own, if it has any.
    pub(crate) tls: Option<Arc<ServerTls>>,
    /// This server, as others of the database see it.
    pub(crate) server: ServerRow,
    /// Dealings with others.
    pub(crate) between: BetweenServers,
    /// Runners that get no task for a moment.
    pub(crate) rests: Rests,
    /// Runners that were heard of lately.
    pub(crate) presence: Presence,
    /// Numbers of sign-ins.
    pub(crate) sign_ins: SignInMeters,
    /// Attempts of late at passwords and codes.
    pub(crate) attempts: Attempts,
    /// Last uses of personal tokens.
    pub(crate) personal_uses: TokenUses,
    /// Last uses of sessions of accounts, by their ids in hexadecimal.
    pub(crate) session_uses: TokenUses,
    /// Last uses of runner tokens.
    pub(crate) token_uses: TokenUses,
    /// Times of talk with runners.
    pub(crate) silence: Silence,
    /// Time since which silence of runners means something.
    pub(crate) attendance: Attendance,
    /// Times for which tasks with SSH are held.
    pub(crate) ssh_hold: SshHold,
    /// Address at which other servers of the database reach this one, if any.
    pub(crate) peer_url: Option<Arc<str>>,
    /// Connections of SSH that this server joins.
    pub(crate) tunnels: Tunnels,
    /// Calls to hosts of repositories.
    pub(crate) hosts: HostRoom,
    /// Work with Git remotes.
    pub(crate) git: GitRoom,
    /// Becomes true when the server is to stop: calls that wait give up.
    pub(crate) closing: watch::Receiver<bool>,
}

/// [`crate::Storage`] in milliseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StorageLimits {
    pub(crate) cache_retention_ms: i64,
    pub(crate) workspace_retention_ms: i64,
    /// Bytes of caches that a project may have. `None`: as many as it likes.
    pub(crate) cache_bytes: Option<u64>,
}

impl StorageLimits {
    /// Returns the retention of a cache whose job asks for some time.
    pub(crate) fn cache_retention(&self, asked_ms: Option<u64>) -> i64 {
        let asked = asked_ms.map(|asked| i64::try_from(asked).unwrap_or(i64::MAX));
        asked.map_or(self.cache_retention_ms, |asked| asked.min(self.cache_retention_ms))
    }
}

impl Parts {
    pub(crate) fn bus(&self) -> &Bus {
        self.store.bus()
    }

    /// Returns the time, in milliseconds since 1970.
    pub(crate) fn now_ms(&self) -> u64 {
        u64::try_from(self.clock.wall_ms()).unwrap_or_default()
    }

    /// Returns the time, in seconds since 1970.
    pub(crate) fn now_s(&self) -> i64 {
        self.clock.wall_ms() / 1000
    }

    /// Done when the server is to stop.
    pub(crate) async fn closed(&self) {
        let mut closing = self.closing.clone();
        // An error means that the server is gone already.
        drop(closing.wait_for(|closing| *closing).await);
    }
}
