//! Orbs of a project as its lock file pins them, completed from a control plane and a registry.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use russet_orbs::{Fetched, Lock, Registry, Shelf};
use russet_pipeline::{Options, Orbs};

use super::directories::{self, DIRECTORY};
use super::lock;
use super::server::WithServer;
use crate::client::Client;
use crate::commands::block_on;
use crate::error::Result;
use crate::render;

/// Orbs of some directories and of a project, and its pins.
#[derive(Clone, Debug)]
pub(crate) struct Local {
    /// Directories, of which the first that has a version counts.
    directories: Vec<PathBuf>,
    /// The project's directory, if it is known.
    project: Option<PathBuf>,
    lock: Lock,
    is_updating: bool,
}

impl Local {
    /// The orbs of some directories, then those that a project keeps.
    ///
    /// # Errors
    /// The lock file cannot be used.
    pub(crate) fn of_project(paths: &[PathBuf], project: Option<PathBuf>) -> Result<Self> {
        let directories = directories::of_project(paths, project.as_deref());
        let lock = project.as_deref().map(lock::read).transpose()?.unwrap_or_default();
        Ok(Self { directories, project, lock, is_updating: false })
    }

    /// The same, but with floating and development versions asked for anew.
    pub(crate) fn updating(self) -> Self {
        Self { is_updating: true, ..self }
    }

    /// Directory of the project.
    pub(crate) fn project(&self) -> Option<&Path> {
        self.project.as_deref()
    }

    /// The pins.
    pub(crate) fn lock(&self) -> &Lock {
        &self.lock
    }

    /// Directories, of which the first that has a version counts.
    pub(super) fn directories(&self) -> &[PathBuf] {
        &self.directories
    }

    /// Path at which a project keeps an orb, there or not.
    pub(crate) fn file_of(project: &Path, name: &str, version: &str) -> PathBuf {
        project.join(DIRECTORY).join(format!("{name}@{version}.yml"))
    }

    /// Orbs of the directories alone, without pins.
    pub(crate) fn unpinned(&self) -> Orbs {
        directories::in_directories(self.directories.clone())
    }

    /// As the compiler takes them.
    pub(crate) fn shelf(&self) -> Shelf {
        self.shelf_over(self.unpinned())
    }

    fn shelf_over(&self, orbs: Orbs) -> Shelf {
        let shelf = Shelf::new(orbs, self.lock.clone());
        if self.is_updating { shelf.updating() } else { shelf }
    }

    /// Completes what a configuration uses: from a control plane, and from a registry, which is
    /// said once. What cannot be had is left to the compiler to report.
    ///
    /// # Errors
    /// The control plane does not answer.
    pub(crate) fn resolve(
        &self,
        client: Option<&Client>,
        registry: Option<&Registry>,
        text: &str,
        options: &Options,
    ) -> Result<Shelf> {
        if client.is_none() && registry.is_none() {
            return Ok(self.shelf());
        }
        block_on(self.resolve_from(client, registry, text, options))
    }

    /// The same, for those who wait already.
    ///
    /// # Errors
    /// As for [`Self::resolve`].
    pub(crate) async fn resolve_from(
        &self,
        client: Option<&Client>,
        registry: Option<&Registry>,
        text: &str,
        options: &Options,
    ) -> Result<Shelf> {
        let server = match client {
            Some(client) => Some(WithServer::list(client, self.unpinned()).await?),
            None => None,
        };
        let orbs = server.as_ref().map(|server| Orbs(Some(Arc::new(server.clone()))));
        let mut shelf = self.shelf_over(orbs.unwrap_or_else(|| self.unpinned()));
        // An orb of the one may use orbs of the other.
        loop {
            if let (Some(client), Some(server)) = (client, &server) {
                server.fill(client, &shelf, text, options).await?;
            }
            let before = shelf.fetched().count();
            if let Some(registry) = registry {
                let uses = |orbs| russet_pipeline::orbs(text, &Options { orbs, ..options.clone() });
                shelf.complete(registry, uses).await;
            }
            if shelf.fetched().count() == before {
                break;
            }
        }
        if let Some(registry) = registry.filter(|registry| registry.was_asked()) {
            tell(registry, &shelf);
        }
        Ok(shelf)
    }
}

/// Says that a registry was asked, and which versions floating ones stand for.
fn tell(registry: &Registry, shelf: &Shelf) {
    let item = |Fetched { name, wanted, version, .. }: Fetched<'_>| {
        if wanted == version {
            format!("{name}@{version}")
        } else {
            format!("{name}@{version} (for @{wanted})")
        }
    };
    let items: Vec<String> = shelf.fetched().map(item).collect();
    let items = if items.is_empty() { "no orb".to_owned() } else { items.join(", ") };
    render::print_note(format_args!("Fetched from the orb registry {}: {items}", registry.name()));
}
