//! Orbs: those that a project brings along, those that the server has for all projects, and, where
//! the owner names a registry, those that it gives for the rest.

use std::sync::Arc;

use russet_orbs::{Lock, Registry, Shelf};
use russet_pipeline::{Options, OrbSource, Orbs};
use russet_protocol::admin::{Orb, SubmitRequest};
use tokio::runtime::Handle;

use crate::state::App;
use crate::store::{Store, StoreError, orbs};

/// Orbs without a registry. Its methods are called on a thread that may block.
struct Known {
    brought: Vec<Orb>,
    /// Names and versions of those of the server.
    stored: Vec<(String, String)>,
    store: Store,
    runtime: Handle,
}

/// The orbs that a project brings along, then those of the server, as the project pins them.
pub(crate) async fn make_shelf(
    store: &Store,
    request: &SubmitRequest,
) -> Result<Shelf, StoreError> {
    let known = known(store, request.orbs.clone()).await?;
    let pins = Lock { pins: request.orb_pins.clone() };
    Ok(Shelf::new(known, pins))
}

/// Returns the orbs of the server, after those that a project brings along.
pub(crate) async fn known(store: &Store, brought: Vec<Orb>) -> Result<Orbs, StoreError> {
    let stored = orbs::list(&mut store.read().await?).await?;
    let stored = stored.into_iter().map(|item| (item.name, item.version)).collect();
    let (store, runtime) = (store.clone(), Handle::current());
    Ok(Orbs(Some(Arc::new(Known { brought, stored, store, runtime }))))
}

/// The registry that a pipeline may have orbs fetched from. One of a fork is asked as anybody may
/// ask: otherwise whoever opens a pull request could read private orbs in the output of a job.
pub(crate) fn registry(app: &App, request: &SubmitRequest) -> Option<Registry> {
    let registry = app.orb_registry.as_ref()?;
    Some(if request.from_fork { registry.without_token() } else { registry.clone() })
}

/// Asks the registry for what a configuration uses and the shelf does not have. Call it on a
/// thread that may block.
pub(crate) fn complete(
    shelf: &mut Shelf,
    registry: &Registry,
    text: &str,
    options: &Options,
    runtime: &Handle,
) {
    loop {
        let options = Options { orbs: shelf.orbs(), ..options.clone() };
        let lacking = shelf.lacking(russet_pipeline::orbs(text, &options));
        if lacking.is_empty() {
            return;
        }
        runtime.block_on(shelf.fetch(registry, lacking));
    }
}

/// Keeps what the registry gave, so that it is asked once, and tells of it. A published version
/// that another call stored meanwhile is left as it is. Of a fork nothing is kept: which versions
/// other projects run is not for a stranger to say.
pub(crate) async fn keep(
    app: &App,
    shelf: &Shelf,
    is_fork: bool,
) -> Result<Vec<String>, StoreError> {
    let mut notes = Vec::new();
    if shelf.fetched().next().is_none() {
        return Ok(notes);
    }
    let registry = app.orb_registry.as_ref().map(Registry::name).unwrap_or_default();
    let now_ms = app.clock.wall_ms();
    let mut tx = app.store.write().await?;
    for fetched in shelf.fetched() {
        let (name, version) = (fetched.name, fetched.version);
        tracing::info!(registry, orb = name, version, "an orb was fetched from the registry");
        let asked = if fetched.wanted == version {
            String::new()
        } else {
            format!(" for `@{}`", fetched.wanted)
        };
        notes.push(format!("note: the orb `{name}@{version}` was fetched{asked} from {registry}"));
        if is_fork {
            continue;
        }
        if version.starts_with("dev:") || orbs::source(&mut tx, name, version).await?.is_none() {
            let source = fetched.source.to_owned();
            let orb = Orb { name: name.to_owned(), version: version.to_owned(), source };
            orbs::put(&mut tx, &orb, now_ms).await?;
        }
    }
    tx.commit().await?;
    Ok(notes)
}

impl OrbSource for Known {
    fn versions(&self, orb: &str) -> Vec<String> {
        let brought = self.brought.iter().filter(|own| own.name == orb).map(|own| &own.version);
        let stored = self.stored.iter().filter(|(name, _)| name == orb).map(|(_, version)| version);
        brought.chain(stored).cloned().collect()
    }

    fn text(&self, orb: &str, version: &str) -> Option<String> {
        let own = self.brought.iter().find(|own| own.name == orb && own.version == version);
        if let Some(own) = own {
            return Some(own.source.clone());
        }
        let read = async { orbs::source(&mut self.store.read().await?, orb, version).await };
        match self.runtime.block_on(read) {
            Ok(source) => source,
            Err(error) => {
                tracing::error!(%error, orb, version, "an orb cannot be read");
                None
            }
        }
    }
}
