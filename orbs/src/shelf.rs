//! The orbs that the compiler finds: local ones, as a lock file pins them, completed from a
//! registry.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::StreamExt as _;
use russet_pipeline::{OrbSource, OrbTrouble, OrbUse, Orbs, is_orb_version};

use crate::error::RegistryError;
use crate::lock::{Lock, hash};
use crate::registry::{Published, Registry};

/// Calls to a registry at once.
const MAX_CALLS: usize = 4;

/// Orbs that one configuration may have fetched, and their bytes together: as many as it may use.
const MAX_FETCHED: usize = 100;
const MAX_FETCHED_BYTES: usize = 16 * 1024 * 1024;

/// Name and version of an orb.
type Key = (String, String);

/// Orbs from somewhere, behind a lock file, and what a registry gave for the rest.
#[derive(Clone, Default)]
pub struct Shelf {
    local: Orbs,
    lock: Arc<Lock>,
    /// Floating versions are asked for anew, whatever is there.
    is_updating: bool,
    /// Sources of the registry, by name and exact version.
    fetched: BTreeMap<Key, String>,
    /// The exact version for each name and version that was asked for.
    chosen: BTreeMap<Key, String>,
    /// Reason for a failure, for each name and version that was asked for.
    failed: BTreeMap<Key, OrbTrouble>,
}

impl std::fmt::Debug for Shelf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shelf").field("fetched", &self.fetched.keys()).finish_non_exhaustive()
    }
}

/// An orb that a registry gave.
#[derive(Clone, Copy, Debug)]
pub struct Fetched<'a> {
    /// Its name.
    pub name: &'a str,
    /// The version that was asked for.
    pub wanted: &'a str,
    /// The exact version.
    pub version: &'a str,
    /// Its source.
    pub source: &'a str,
}

impl Shelf {
    /// Local orbs, as a lock file pins them.
    #[must_use]
    pub fn new(local: Orbs, lock: Lock) -> Self {
        Self { local, lock: Arc::new(lock), ..Self::default() }
    }

    /// The same, but with floating and development versions asked for anew.
    #[must_use]
    pub fn updating(self) -> Self {
        Self { is_updating: true, ..self }
    }

    /// As the compiler takes it.
    #[must_use]
    pub fn orbs(&self) -> Orbs {
        Orbs(Some(Arc::new(self.clone())))
    }

    /// The pins.
    #[must_use]
    pub fn lock(&self) -> &Lock {
        &self.lock
    }

    /// Orbs that the registry gave, by name.
    pub fn fetched(&self) -> impl Iterator<Item = Fetched<'_>> {
        self.chosen.iter().filter_map(|((name, wanted), version)| {
            let source = self.fetched.get(&(name.clone(), version.clone()))?;
            Some(Fetched { name, wanted, version, source })
        })
    }

    /// Says whether the registry gave an orb in this version.
    #[must_use]
    pub fn has_fetched(&self, name: &str, version: &str) -> bool {
        self.fetched.contains_key(&(name.to_owned(), version.to_owned()))
    }

    /// Asks a registry for all that is used and not there. `uses` lists what a configuration uses,
    /// which is only known when the orbs that it names are there: they may use others. What cannot
    /// be had is reported by the compiler, at the place where it is used.
    pub async fn complete(&mut self, registry: &Registry, uses: impl Fn(Orbs) -> Vec<OrbUse>) {
        loop {
            let lacking = self.lacking(uses(self.orbs()));
            if lacking.is_empty() {
                return;
            }
            self.fetch(registry, lacking).await;
        }
    }

    /// Names and versions of what is used, is not there, and was not asked for in vain.
    #[must_use]
    pub fn lacking(&self, uses: Vec<OrbUse>) -> Vec<(String, String)> {
        let missing = uses.into_iter().filter(|orb| orb.version.is_none());
        let missing = missing.map(|orb| (orb.name, orb.wanted));
        missing.filter(|key| !self.failed.contains_key(key)).collect()
    }

    /// Asks a registry for orbs by name and version, and keeps what it answers.
    pub async fn fetch(&mut self, registry: &Registry, lacking: Vec<(String, String)>) {
        let is_down = AtomicBool::new(false);
        let (lock, is_updating) = (Arc::clone(&self.lock), self.is_updating);
        let asked = futures_util::stream::iter(lacking).map(|key| {
            let (lock, is_down) = (&lock, &is_down);
            async move {
                let answer = if is_down.load(Ordering::Relaxed) {
                    Err(registry_down(registry))
                } else {
                    fetch_orb(registry, lock, is_updating, &key.0, &key.1).await
                };
                (key, answer.inspect_err(|failure| failure.note_outage(is_down)))
            }
        });
        let answers: Vec<_> = asked.buffered(MAX_CALLS).collect().await;
        for (key, answer) in answers {
            self.take(key, answer);
        }
    }

    /// Keeps the answer of a registry.
    fn take(&mut self, (name, wanted): Key, answer: Result<Published, Failure>) {
        let bytes: usize = self.fetched.values().map(String::len).sum();
        let answer = answer.map_err(|failure| failure.0).and_then(|published| {
            let is_room = self.fetched.len() < MAX_FETCHED
                && bytes.saturating_add(published.source.len()) <= MAX_FETCHED_BYTES;
            if is_room { Ok(published) } else { Err(too_many()) }
        });
        match answer {
            Ok(Published { version, source }) => {
                self.fetched.insert((name.clone(), version.clone()), source);
                self.chosen.insert((name, wanted), version);
            }
            Err(trouble) => {
                self.failed.insert((name, wanted), trouble);
            }
        }
    }

    /// Says whether a version is to be asked for anew, whatever is there.
    fn is_asked_anew(&self, wanted: &str) -> bool {
        self.is_updating && is_moving(wanted)
    }
}

/// Versions that may stand for something else tomorrow.
fn is_moving(wanted: &str) -> bool {
    wanted.starts_with("dev:") || !is_orb_version(wanted)
}

/// Reason why an orb was not had, and whether the registry is away.
struct Failure(OrbTrouble, bool);

impl Failure {
    /// Remembers that the registry is away, so that no other orb waits for it.
    fn note_outage(&self, is_down: &AtomicBool) {
        if self.1 {
            is_down.store(true, Ordering::Relaxed);
        }
    }
}

impl From<RegistryError> for Failure {
    fn from(error: RegistryError) -> Self {
        let is_outage = error.is_outage();
        Self(error.into(), is_outage)
    }
}

fn registry_down(registry: &Registry) -> Failure {
    let cause = "it did not answer for another orb".to_owned();
    RegistryError::Unreachable { registry: registry.name().to_owned(), cause }.into()
}

fn too_many() -> OrbTrouble {
    let limit = MAX_FETCHED_BYTES / 1024 / 1024;
    OrbTrouble {
        message: format!(
            "the orbs to fetch are more than {MAX_FETCHED}, or longer than {limit} MiB"
        ),
        hint: "use fewer orbs in one configuration".to_owned(),
    }
}

/// Fetches an orb: the pinned version, with the pinned hash, where there is a pin.
async fn fetch_orb(
    registry: &Registry,
    lock: &Lock,
    is_updating: bool,
    name: &str,
    wanted: &str,
) -> Result<Published, Failure> {
    let is_anew = is_updating && is_moving(wanted);
    let Some(pin) = lock.resolve(name, wanted).filter(|_| !is_anew) else {
        return Ok(registry.fetch(name, wanted).await?);
    };
    let published = match registry.fetch(name, &pin.version).await {
        Err(error) if error.is_absence() => {
            return Err(Failure(yanked_trouble(&error, name, pin), false));
        }
        answer => answer?,
    };
    if hash(&published.source) == pin.sha256 {
        Ok(published)
    } else {
        let from = format!("the orb registry {} gives", registry.name());
        Err(Failure(changed_trouble(&from, name, &pin.version), false))
    }
}

/// The trouble with a pinned version that the registry does not have any more.
fn yanked_trouble(
    error: &RegistryError,
    name: &str,
    pin: &russet_protocol::admin::OrbPin,
) -> OrbTrouble {
    OrbTrouble {
        message: format!("the lock file pins {name}@{}, but {error}", pin.version),
        hint: "it was withdrawn, or a token is needed: `russet config orb fetch --update` takes \
               another version for a floating one, and `russet config orb add` a copy that \
               somebody kept"
            .to_owned(),
    }
}

/// The trouble with a source that is not the pinned one.
fn changed_trouble(from: &str, name: &str, version: &str) -> OrbTrouble {
    OrbTrouble {
        message: format!("{from} another source for {name}@{version} than the lock file pins"),
        hint: "a published version never changes, so somebody may have tampered with it; if it is \
               right, take it with `russet config orb rm` and `russet config orb fetch`"
            .to_owned(),
    }
}

impl OrbSource for Shelf {
    fn versions(&self, orb: &str) -> Vec<String> {
        let local = self.local.0.as_ref().map(|local| local.versions(orb)).unwrap_or_default();
        let fetched = self.fetched.keys().filter(|(name, _)| name == orb);
        local.into_iter().chain(fetched.map(|(_, version)| version.clone())).collect()
    }

    fn choose(&self, orb: &str, wanted: &str) -> Option<String> {
        let key = (orb.to_owned(), wanted.to_owned());
        if let Some(version) = self.chosen.get(&key) {
            return Some(version.clone());
        }
        if self.is_asked_anew(wanted) {
            return None;
        }
        let pinned = self.lock.resolve(orb, wanted).map(|pin| pin.version.as_str());
        let version = pinned.unwrap_or(wanted);
        if self.has_fetched(orb, version) {
            return Some(version.to_owned());
        }
        self.local.0.as_ref()?.choose(orb, version)
    }

    fn text(&self, orb: &str, version: &str) -> Option<String> {
        let fetched = self.fetched.get(&(orb.to_owned(), version.to_owned()));
        fetched.cloned().or_else(|| self.local.0.as_ref()?.text(orb, version))
    }

    fn absence(&self, orb: &str, wanted: &str) -> Option<OrbTrouble> {
        if let Some(trouble) = self.failed.get(&(orb.to_owned(), wanted.to_owned())) {
            return Some(trouble.clone());
        }
        let Some(pin) = self.lock.resolve(orb, wanted).filter(|pin| pin.version != wanted) else {
            return self.local.0.as_ref()?.absence(orb, wanted);
        };
        let version = &pin.version;
        Some(OrbTrouble {
            message: format!(
                "the orb `{orb}@{wanted}` is not there: the lock file pins it to {version}"
            ),
            hint: format!(
                "`russet config orb fetch` gets it from a registry, and `russet config orb add \
                 FILE --as {orb}@{version}` takes it from a file"
            ),
        })
    }

    /// An orb that was replaced, on disk or on the way, must not run with a job's secrets.
    fn objection(&self, orb: &str, version: &str, text: &str) -> Option<OrbTrouble> {
        let pin = self.lock.pin(orb, version);
        if let Some(pin) = pin.filter(|_| !self.is_asked_anew(version))
            && hash(text) != pin.sha256
        {
            let from = format!("{} has", self.place(orb, version));
            return Some(changed_trouble(&from, orb, version));
        }
        self.local.0.as_ref()?.objection(orb, version, text)
    }

    fn place(&self, orb: &str, version: &str) -> String {
        match &self.local.0 {
            Some(local) if !self.has_fetched(orb, version) => local.place(orb, version),
            _ => format!("{orb}@{version}"),
        }
    }
}
