//! One look: what the source shows, what this machine makes of it, and bringing it here.

use std::path::PathBuf;
use std::time::Duration;

use russet_platform::http::Failure;
use russet_protocol::admin::Pin;
use russet_protocol::local::Update;
use russet_protocol::manifest::{Artifact, Manifest, Platform};
use tokio::sync::mpsc;

use super::super::boot_files::bad_versions;
use super::super::exchange::Staged;
use super::super::find::{Found, find_newest};
use super::super::offer::{Machine, Offer, decide_offer, rollout_place};
use super::super::record::{MAX_CHANNELS, Record, has_failed_lately, identity_of};
use super::super::request::FetchError;
use super::super::seen::{Seen, judge_absence};
use super::super::servers::Servers;
use super::super::staging::{make_private, sweep_staging};
use super::super::{UpdateError, fetch, pace, unpack};
use super::{Parts, Worker, put_in_place_failed};
use crate::requests::UpdateRequest;

/// Timeout of finding out what the source shows, lists of many pages included.
const SHOWN_TIMEOUT: Duration = Duration::from_secs(180);

/// Result of the part of a look that may be abandoned and begun anew.
enum Looked {
    /// There is nothing to do any more.
    Done(Update),
    /// An archive that is to be unpacked.
    Fetched(Box<Fetched>),
}

struct Fetched {
    archive: PathBuf,
    directory: PathBuf,
    version: String,
}

/// Way to what the source has.
struct Reach {
    client: reqwest::Client,
    servers: Servers,
}

impl Worker {
    /// Looks what there is, and brings it here. Who asks meanwhile is not kept waiting by an archive
    /// that comes slowly: it is looked anew, and the archive goes on from what came.
    pub(super) async fn look_until_answered(
        &mut self,
        requests: &mut mpsc::UnboundedReceiver<UpdateRequest>,
        asked: &mut Vec<u64>,
    ) -> Result<Update, UpdateError> {
        let looked = loop {
            let is_asked = !asked.is_empty() || self.wanted;
            let request = tokio::select! {
                biased;
                looked = self.look(is_asked) => break looked?,
                Some(request) = requests.recv() => request,
            };
            self.note_request(request, asked);
        };
        match looked {
            Looked::Done(update) => Ok(update),
            Looked::Fetched(fetched) => self.unpack(*fetched).await,
        }
    }

    async fn look(&mut self, asked: bool) -> Result<Looked, UpdateError> {
        let reach = self.reach()?;
        let (found, pin) = self.shown(&reach).await?;
        let Some(found) = found else { return self.nothing_shown(pin).map(Looked::Done) };
        let manifest = self.parts.settings.keys.open(&found.envelope)?;
        let offer = self.judge(&manifest, pin.is_some())?;
        let version = manifest.version.clone();
        let artifact = match offer {
            Offer::Take(artifact) => artifact,
            Offer::UpToDate => {
                return Ok(Looked::Done(self.nothing(up_to_date(pin, Some(version)))));
            }
            Offer::RolloutPending => {
                return Ok(Looked::Done(self.nothing(Update::RolloutPending { version })));
            }
        };
        let staging = self.parts.layout.staging();
        let directory = staging.join(artifact.sha256.get(..16).unwrap_or_default());
        let is_ready =
            |staged: &Staged| staged.bundle.starts_with(&directory) && staged.bundle.exists();
        if self.ready().as_ref().is_some_and(is_ready) {
            return Ok(Looked::Done(self.ready_state(version)));
        }
        if !asked {
            self.check_failed_before(&version)?;
        }
        self.withdraw();
        let address = found.address(&artifact.file)?;
        let archive = self.fetch(&reach, &address, &artifact, &version).await?;
        Ok(Looked::Fetched(Box::new(Fetched { archive, directory, version })))
    }

    /// Makes a client for the source, whatever the control plane is.
    fn reach(&self) -> Result<Reach, UpdateError> {
        let Parts { settings, control_plane, .. } = &self.parts;
        let servers = self.source.servers(control_plane, &settings.hosts);
        let servers = servers.map_err(UpdateError::fetch("the manifest"))?;
        let client = russet_platform::http::download_client(
            &self.source.origin(control_plane),
            settings.ca_file.as_deref(),
            servers.redirects(),
        )?;
        Ok(Reach { client, servers })
    }

    async fn shown(&self, reach: &Reach) -> Result<(Option<Found>, Option<Pin>), UpdateError> {
        let Parts { control_plane, runner, .. } = &self.parts;
        let looking =
            find_newest(&self.source, &reach.client, &reach.servers, control_plane, runner);
        match tokio::time::timeout(SHOWN_TIMEOUT, looking).await {
            Ok(shown) => shown,
            Err(_) => Err(UpdateError::fetch("the manifest")(FetchError::Http(Failure::Slow))),
        }
    }

    /// Decides about a manifest that is believed, and notes that it was seen.
    fn judge(&self, manifest: &Manifest, is_pinned: bool) -> Result<Offer, UpdateError> {
        let state = &self.parts.state;
        let path = Record::path(state);
        let mut record = Record::read(state).map_err(UpdateError::file("could not read", &path))?;
        let before = record.clone();
        let number = *record
            .seed
            .get_or_insert_with(|| rollout_place(russet_platform::http::random_number()));
        let offer = self.decide(manifest, &record, number, is_pinned);
        if offer.is_ok() {
            let seen = Seen { counter: manifest.counter, expires_s: manifest.expires_s };
            if !record.see(&manifest.channel, seen) {
                return Err(UpdateError::Channels(MAX_CHANNELS));
            }
        }
        if record != before {
            record.write(state).map_err(UpdateError::file("could not write", &path))?;
        }
        offer
    }

    /// A version that could not be put in place is left alone for a while.
    pub(super) fn check_failed_before(&self, version: &str) -> Result<(), UpdateError> {
        let path = Record::path(&self.parts.state);
        let record = Record::read(&self.parts.state);
        let record = record.map_err(UpdateError::file("could not read", &path))?;
        let has_failed = has_failed_lately(&record, version, self.now_s());
        match record.failed.filter(|_| has_failed) {
            Some(failed) => Err(UpdateError::Archive(put_in_place_failed(version, &failed.why))),
            None => Ok(()),
        }
    }

    /// State where the source shows no release: a pin may be why.
    fn nothing_shown(&mut self, pin: Option<Pin>) -> Result<Update, UpdateError> {
        if pin.is_some() {
            return Ok(self.nothing(up_to_date(pin, None)));
        }
        let path = Record::path(&self.parts.state);
        let record = Record::read(&self.parts.state);
        let record = record.map_err(UpdateError::file("could not read", &path))?;
        let update = judge_absence(&self.source.absence(), record.newest_seen(), self.now_s());
        self.withdraw();
        if let Some(why) = update.why().filter(|why| *why != self.said) {
            tracing::warn!(reason = why, "the source shows no release");
            self.said = why.to_owned();
        }
        Ok(update)
    }

    /// There is nothing to install.
    fn nothing(&mut self, update: Update) -> Update {
        self.said.clear();
        self.withdraw();
        update
    }

    fn decide(
        &self,
        manifest: &Manifest,
        record: &Record,
        seed: u16,
        is_pinned: bool,
    ) -> Result<Offer, UpdateError> {
        let layout = &self.parts.layout;
        let bundle = identity_of(&layout.bundle()).unwrap_or_default();
        let bad = bad_versions(&layout.boot_state());
        let none = || UpdateError::Archive("there are no releases for this system".to_owned());
        let (this, channel) = (&self.machine, &*self.parts.settings.channel);
        // `macOS 15.6.1 (24G90)`: only macOS has a minimum.
        let os = this.system.as_deref().and_then(|system| system.strip_prefix("macOS "));
        let os = os.and_then(|rest| rest.split_whitespace().next()).map(str::to_owned);
        let machine = Machine {
            running: record.version_of(&bundle).unwrap_or(env!("CARGO_PKG_VERSION")),
            channel: (!self.source.chooses()).then_some(channel),
            is_pinned,
            platform: Platform::of_this_program().ok_or_else(none)?,
            arch: &this.architecture,
            os: os.as_deref(),
            counter: record.counters.get(&manifest.channel).copied().unwrap_or_default(),
            seed,
            bad: &bad,
            taken_back_s: record.installed.as_ref().map(|installed| installed.at_s),
            now_s: self.now_s(),
            // Looking is not asking for what has not been rolled out to this machine.
            asked: self.wanted,
        };
        Ok(decide_offer(manifest, &machine)?)
    }

    async fn fetch(
        &self,
        reach: &Reach,
        address: &str,
        artifact: &Artifact,
        version: &str,
    ) -> Result<PathBuf, UpdateError> {
        let staging = self.parts.layout.staging();
        make_private(&staging).map_err(UpdateError::file("could not make", &staging))?;
        sweep_staging(&staging, artifact);
        let progress = |percent| {
            self.show(Update::Downloading { version: version.to_owned(), percent });
        };
        progress(0);
        let Reach { client, servers } = reach;
        let way = fetch::Way { client, servers, limits: pace::LIMITS, address };
        fetch::fetch_archive(way, artifact, &staging, progress).await
    }

    /// Unpacks an archive and tries its program. Not abandoned: it is on a thread of its own.
    async fn unpack(&mut self, fetched: Fetched) -> Result<Update, UpdateError> {
        let Fetched { archive, directory, version } = fetched;
        let (layout, state) = (self.parts.layout.clone(), self.parts.state.clone());
        let probation = self.parts.settings.probation;
        let staged = tokio::task::spawn_blocking(move || {
            let bundle = unpack::unpack_archive(&archive, &directory, &layout, &version)?;
            Ok(Staged { version, bundle, layout, state, probation })
        });
        let staged = staged.await.unwrap_or_else(|_| {
            Err(UpdateError::Archive("the archive could not be unpacked".to_owned()))
        })?;
        tracing::info!(version = staged.version, "an update lies ready");
        self.said.clear();
        let version = staged.version.clone();
        self.set_ready(Some(staged));
        Ok(self.ready_state(version))
    }
}

/// State where nothing is newer, perhaps for a pin at which there is this version.
fn up_to_date(pin: Option<Pin>, offers: Option<String>) -> Update {
    match pin {
        Some(pin) => Update::Pinned { to: pin.to_string(), offers },
        None => Update::UpToDate,
    }
}
