//! Orbs: those that a project brings along, and those that the server has for all projects.
//! Nothing is fetched from anybody.

use std::sync::Arc;

use russet_pipeline::{OrbSource, Orbs};
use russet_protocol::admin::Orb;
use tokio::runtime::Handle;

use crate::store::{Store, StoreError, orbs};

/// Shelf on which the compiler finds orbs. Its methods are called on a thread that may block.
struct Shelf {
    brought: Vec<Orb>,
    /// Names and versions of those of the server.
    known: Vec<(String, String)>,
    store: Store,
    runtime: Handle,
}

/// The orbs that a project brings along, then those of the server.
pub(crate) async fn shelf(store: &Store, brought: Vec<Orb>) -> Result<Orbs, StoreError> {
    let known = orbs::list(&mut *store.read().await?).await?;
    let known = known.into_iter().map(|item| (item.name, item.version)).collect();
    let (store, runtime) = (store.clone(), Handle::current());
    Ok(Orbs(Some(Arc::new(Shelf { brought, known, store, runtime }))))
}

impl OrbSource for Shelf {
    fn versions(&self, orb: &str) -> Vec<String> {
        let brought = self.brought.iter().filter(|own| own.name == orb).map(|own| &own.version);
        let known = self.known.iter().filter(|(name, _)| name == orb).map(|(_, version)| version);
        brought.chain(known).cloned().collect()
    }

    fn text(&self, orb: &str, version: &str) -> Option<String> {
        let own = self.brought.iter().find(|own| own.name == orb && own.version == version);
        if let Some(own) = own {
            return Some(own.source.clone());
        }
        let read = async { orbs::source(&mut *self.store.read().await?, orb, version).await };
        match self.runtime.block_on(read) {
            Ok(source) => source,
            Err(error) => {
                tracing::error!(%error, orb, version, "an orb can not be read");
                None
            }
        }
    }
}
