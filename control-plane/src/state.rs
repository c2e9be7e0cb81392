//! What every call has at hand.

use std::sync::Arc;

use tokio::sync::watch;

use crate::clock::Clock;
use crate::credentials::TokenHash;
use crate::objects::Objects;
use crate::releases::Releases;
use crate::secrets::Sealer;
use crate::signals::Bus;
use crate::store::Store;

/// The parts of a running server. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct App {
    pub(crate) store: Store,
    pub(crate) objects: Objects,
    pub(crate) clock: Arc<dyn Clock>,
    /// How long a lease lasts, in milliseconds.
    pub(crate) lease_ms: i64,
    pub(crate) admin: TokenHash,
    /// Seals the values of variables.
    pub(crate) sealer: Sealer,
    /// The releases that runners are updated from.
    pub(crate) releases: Arc<Releases>,
    /// Origin for links, without a slash at its end.
    pub(crate) public_url: Option<Arc<str>>,
    /// Becomes true when the server is to stop: calls that wait give up.
    pub(crate) closing: watch::Receiver<bool>,
}

impl App {
    pub(crate) fn bus(&self) -> &Bus {
        self.store.bus()
    }

    /// Done when the server is to stop.
    pub(crate) async fn closed(&self) {
        let mut closing = self.closing.clone();
        // An error means that the server is gone already.
        drop(closing.wait_for(|closing| *closing).await);
    }
}
