//! Orbs of a control plane, of which only what a configuration uses is fetched.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use russet_orbs::Shelf;
use russet_pipeline::{Options, OrbSource, OrbTrouble, Orbs};

use crate::client::Client;
use crate::error::Result;

/// Orbs of a project, then those of a control plane.
#[derive(Clone)]
pub(super) struct WithServer {
    own: Orbs,
    /// Names and versions of those of the control plane.
    known: Arc<Vec<(String, String)>>,
    /// Their sources, as far as they are needed.
    sources: Arc<Mutex<BTreeMap<(String, String), String>>>,
}

impl WithServer {
    /// Asks a control plane which orbs it has.
    ///
    /// # Errors
    /// It does not answer.
    pub(super) async fn list(client: &Client, own: Orbs) -> Result<Self> {
        let known = client.orbs().await?.into_iter().map(|item| (item.name, item.version));
        Ok(Self { own, known: Arc::new(known.collect()), sources: Arc::default() })
    }

    /// Fetches what a configuration uses of them. An orb that is there may use others, so what is
    /// used is only known at the end.
    ///
    /// # Errors
    /// The control plane does not answer.
    pub(super) async fn fill(
        &self,
        client: &Client,
        shelf: &Shelf,
        text: &str,
        options: &Options,
    ) -> Result<()> {
        loop {
            let options = Options { orbs: shelf.orbs(), ..options.clone() };
            let used = russet_pipeline::orbs(text, &options).into_iter();
            let used = used.filter_map(|orb| Some((orb.name, orb.version?)));
            let lacking: Vec<(String, String)> = used
                .filter(|(name, version)| shelf.text(name, version).is_none())
                .filter(|orb| self.known.contains(orb))
                .collect();
            if lacking.is_empty() {
                return Ok(());
            }
            for (name, version) in lacking {
                let source = client.orb(&name, &version).await?.source;
                let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
                sources.insert((name, version), source);
            }
        }
    }

    /// Says whether the project itself has an orb in this version.
    fn has_own(&self, orb: &str, version: &str) -> bool {
        self.own.0.as_ref().is_some_and(|own| own.versions(orb).iter().any(|own| own == version))
    }
}

impl OrbSource for WithServer {
    fn versions(&self, orb: &str) -> Vec<String> {
        let own = self.own.0.as_ref().map(|own| own.versions(orb)).unwrap_or_default();
        let known = self.known.iter().filter(|(name, _)| name == orb);
        own.into_iter().chain(known.map(|(_, version)| version.clone())).collect()
    }

    fn text(&self, orb: &str, version: &str) -> Option<String> {
        let own = self.own.0.as_ref().and_then(|own| own.text(orb, version));
        own.or_else(|| {
            let sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
            sources.get(&(orb.to_owned(), version.to_owned())).cloned()
        })
    }

    fn absence(&self, orb: &str, wanted: &str) -> Option<OrbTrouble> {
        self.own.0.as_ref()?.absence(orb, wanted)
    }

    fn place(&self, orb: &str, version: &str) -> String {
        match self.own.0.as_ref().filter(|_| self.has_own(orb, version)) {
            Some(own) => own.place(orb, version),
            None => format!("{orb}@{version}"),
        }
    }
}
