//! Goes the way of an update: looks, fetches, stages, and offers what lies ready to the state
//! machine. One task owns all of it; wishes of people come in, the board shows how far it is.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use russet_protocol::admin::Pin;
use russet_protocol::local::Update;
use russet_protocol::manifest::{Artifact, Manifest, Platform};
use tokio::sync::mpsc;

use super::boot_files::{bad_versions, is_in_probation};
use super::exchange::Staged;
use super::offer::{Machine, Offer, Refusal, decide_offer, rollout_place};
use super::record::{Record, identity_of};
use super::source::Source;
use super::{Settings, UpdateError, fetch, unpack};
use crate::board::Board;
use crate::requests::{Command, UpdateAction, UpdateMode, UpdateRequest};
use russet_platform::clock::Clock;
use russet_platform::layout::Layout;

/// While a version lies ready: how soon to look whether the window has opened, and whether the
/// version that runs has proved itself.
const LOOK_AGAIN: Duration = Duration::from_secs(30);
const PROVED_SOON: Duration = Duration::from_millis(200);

/// A version that could not be put in place is left alone for so many seconds.
const FAILED_AGAIN_S: u64 = 3600;

/// The longest wait before the first look, so that a farm that is switched on at once does not ask
/// at once.
const FIRST_LOOK: Duration = Duration::from_secs(120);

/// Parts of the worker.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) settings: Settings,
    pub(crate) layout: Layout,
    pub(crate) state: PathBuf,
    pub(crate) control_plane: String,
    pub(crate) runner: String,
    pub(crate) clock: Clock,
    pub(crate) board: Arc<Board>,
    pub(crate) commands: mpsc::UnboundedSender<Command>,
    pub(crate) requests: mpsc::UnboundedReceiver<UpdateRequest>,
    /// Place in which the launch agent finds the version to put in place.
    pub(crate) ready: Arc<Mutex<Option<Staged>>>,
}

/// Starts the worker, where the owner wants updates.
pub(crate) fn start_worker(parts: Parts) -> Option<tokio::task::JoinHandle<()>> {
    let source = parts.settings.source.clone()?;
    let machine = russet_platform::machine();
    parts.board.update_looks(0, parts.clock.wall_ms());
    let worker = Worker { parts, source, machine, wanted: false, said: String::new() };
    Some(tokio::spawn(worker.work()))
}

struct Worker {
    parts: Parts,
    source: Source,
    /// Facts about the machine, which do not change while it runs.
    machine: russet_platform::machine::Machine,
    /// Set if a person asked for what lies ready.
    wanted: bool,
    /// Last message: the same once an hour for a month helps nobody.
    said: String,
}

impl Worker {
    async fn work(mut self) {
        // Whoever looks at the status sees that updates are looked for.
        if self.parts.board.status().update.is_none() {
            self.show(Update::Unknown);
        }
        let pause = |most: Duration| most.mul_f64(russet_platform::http::random_fraction());
        let first = pause(FIRST_LOOK.min(self.parts.settings.interval));
        let mut next = self.parts.clock.now().after(first);
        let mut ended = None;
        loop {
            let now = self.parts.clock.now();
            let again = self.offer().map(|soon| now.after(soon));
            // Only now the status says what came of it.
            if let Some(number) = ended.take() {
                self.parts.board.update_looks(number, self.parts.clock.wall_ms());
            }
            let wakeup = again.into_iter().chain([next]).min();
            let request = tokio::select! {
                request = self.parts.requests.recv() => match request {
                    Some(request) => Some(request),
                    // The local API could not listen: there are no requests.
                    None => {
                        self.parts.clock.sleep_until_some(wakeup).await;
                        None
                    }
                },
                () = self.parts.clock.sleep_until_some(wakeup) => None,
            };
            if request.is_none() && self.parts.clock.now() < next {
                continue;
            }
            ended = request.map(|request| request.number);
            self.wanted |= request.is_some_and(|request| request.action == UpdateAction::Install);
            if let Err(error) = self.look(request.is_some() || self.wanted).await {
                self.failed(&error);
            }
            // Who asked, asked for what there was.
            self.wanted &= self.ready().is_some();
            // A tenth more or less, so that machines do not ask in step.
            let interval = self.parts.settings.interval;
            next = self.parts.clock.now().after(interval.mul_f64(0.9) + pause(interval / 5));
        }
    }

    fn ready(&self) -> Option<Staged> {
        self.parts.ready.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_ready(&self, staged: Option<Staged>) {
        *self.parts.ready.lock().unwrap_or_else(PoisonError::into_inner) = staged;
    }

    /// Tells the state machine of what lies ready. Answers how soon that is to be looked at again.
    fn offer(&self) -> Option<Duration> {
        let Staged { version, .. } = self.ready()?;
        if !self.parts.settings.auto && !self.wanted {
            self.show(Update::Ready { version });
            return None;
        }
        self.show(Update::WaitingForIdle { version });
        // The version before is what a new one is taken back to: it has to be a good one.
        if is_in_probation(&self.parts.layout.boot_state()) {
            return Some(PROVED_SOON);
        }
        let window = self.parts.settings.window;
        let is_open =
            window.is_some_and(|window| window.contains(jiff::ZonedDateTime::now().datetime()));
        let mode = if is_open { UpdateMode::Drain } else { UpdateMode::WhenIdle };
        self.command(Some(mode));
        window.map(|_| LOOK_AGAIN)
    }

    fn command(&self, mode: Option<UpdateMode>) {
        // The launch agent is ending, and so is this task.
        drop(self.parts.commands.send(Command::Update(mode)));
    }

    fn show(&self, update: Update) {
        let board = &self.parts.board;
        let shown = board.status().update;
        // That comes first: what there is afterwards is looked at again.
        let is_proving = matches!(shown, Some(Update::Proving { .. }))
            && is_in_probation(&self.parts.layout.boot_state());
        if shown.as_ref() != Some(&update) && !is_proving {
            board.update(update, self.parts.clock.wall_ms());
        }
    }

    /// Shows an end of the way; that a version was taken back is not forgotten for it.
    fn show_unless_taken_back(&self, update: Update) {
        if !matches!(self.parts.board.status().update, Some(Update::RolledBack { .. })) {
            self.show(update);
        }
    }

    fn failed(&mut self, error: &UpdateError) {
        let why = error.to_string();
        if why != self.said {
            tracing::warn!(error = why, "there was no update");
            self.said.clone_from(&why);
        }
        // What lies ready stays ready.
        if self.ready().is_some() {
            return;
        }
        match error {
            UpdateError::Refused(Refusal::Bad(version, why)) => {
                let (version, why) = (version.clone(), why.clone());
                self.show(Update::RolledBack { version, why });
            }
            _ => self.show_unless_taken_back(Update::Failed { why }),
        }
    }

    /// Looks what there is, and brings it here.
    async fn look(&mut self, asked: bool) -> Result<(), UpdateError> {
        let Parts { settings, layout, state, control_plane, runner, .. } = &self.parts;
        let client = russet_platform::http::download_client(
            control_plane,
            settings.ca_file.as_deref(),
            self.source.redirects(),
        );
        let client = client.map_err(|error| UpdateError::Fetch {
            what: "the manifest".to_owned(),
            why: error.to_string(),
        })?;
        let (found, pin) = self.source.look(&client, control_plane, runner).await?;
        let Some(found) = found else {
            self.nothing(pin.as_ref(), None);
            return Ok(());
        };
        let manifest = settings.keys.open(&found.envelope)?;
        let path = Record::path(state);
        let mut record = Record::read(state).map_err(UpdateError::file("could not read", &path))?;
        let before = record.clone();
        let number = *record
            .seed
            .get_or_insert_with(|| rollout_place(russet_platform::http::random_number()));
        let offer = self.decide(&manifest, &record, number, pin.is_some());
        if offer.is_ok() {
            let seen = record.counters.entry(manifest.channel.clone()).or_default();
            *seen = manifest.counter.max(*seen);
        }
        if record != before {
            record.write(state).map_err(UpdateError::file("could not write", &path))?;
        }
        let artifact = match offer? {
            Offer::Take(artifact) => artifact,
            Offer::UpToDate => {
                self.nothing(pin.as_ref(), Some(&manifest.version));
                return Ok(());
            }
            Offer::NotYet => {
                self.nothing(None, None);
                return Ok(());
            }
        };
        let version = manifest.version.clone();
        let directory = layout.staging().join(artifact.sha256.get(..16).unwrap_or_default());
        let is_ready =
            |staged: &Staged| staged.bundle.starts_with(&directory) && staged.bundle.exists();
        if self.ready().as_ref().is_some_and(is_ready) {
            return Ok(());
        }
        if let Some(failed) = record.failed.filter(|failed| failed.version == version && !asked)
            && self.now_s().saturating_sub(failed.at_s) < FAILED_AGAIN_S
        {
            let why = format!(
                "version {version} could not be put in place; it is tried again within the hour"
            );
            return Err(UpdateError::Archive(why));
        }
        self.withdraw();
        let address = found.address(&artifact.file)?;
        let staged = self.bring(&address, &artifact, version, directory).await?;
        tracing::info!(version = staged.version, "an update lies ready");
        self.said.clear();
        self.set_ready(Some(staged));
        Ok(())
    }

    /// There is nothing to do, perhaps for a pin at which there is this version.
    fn nothing(&mut self, pin: Option<&Pin>, offers: Option<&str>) {
        self.said.clear();
        self.withdraw();
        self.show_unless_taken_back(pin.map_or(Update::UpToDate, |pin| Update::Pinned {
            to: pin.to_string(),
            offers: offers.map(str::to_owned),
        }));
    }

    /// Withdraws the offered version: it is not put in place while another one takes its place.
    fn withdraw(&self) {
        if self.ready().is_some() {
            self.set_ready(None);
            self.command(None);
        }
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

    /// Fetches, verifies, unpacks and tries.
    async fn bring(
        &self,
        address: &str,
        artifact: &Artifact,
        version: String,
        directory: PathBuf,
    ) -> Result<Staged, UpdateError> {
        let Parts { settings, layout, .. } = &self.parts;
        let layout = layout.clone();
        let staging = layout.staging();
        make_private(&staging).map_err(UpdateError::file("could not make", &staging))?;
        sweep_staging(&staging, artifact);
        self.show(Update::Downloading { version: version.clone(), percent: 0 });
        let progress = {
            let (board, clock, version) =
                (Arc::clone(&self.parts.board), self.parts.clock.clone(), version.clone());
            move |percent| {
                let update = Update::Downloading { version: version.clone(), percent };
                board.update(update, clock.wall_ms());
            }
        };
        let archive = fetch::fetch_archive(
            settings.ca_file.as_deref(),
            address,
            artifact,
            &staging,
            progress,
        )
        .await?;
        let (state, probation) = (self.parts.state.clone(), self.parts.settings.probation);
        let staged = tokio::task::spawn_blocking(move || {
            let bundle = unpack::unpack_archive(&archive, &directory, &layout, &version)?;
            Ok(Staged { version, bundle, layout, state, probation })
        });
        staged.await.unwrap_or_else(|_| {
            Err(UpdateError::Archive("the archive could not be unpacked".to_owned()))
        })
    }

    fn now_s(&self) -> u64 {
        self.parts.clock.wall_ms() / 1000
    }
}

/// Archives and staged bundles are root's: who could exchange one could run as root.
fn make_private(path: &std::path::Path) -> std::io::Result<()> {
    use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
    match std::fs::DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            let meta = path.symlink_metadata()?;
            let is_ours = meta.is_dir()
                && meta.uid() == nix::unistd::geteuid().as_raw()
                && meta.mode() & 0o077 == 0;
            if is_ours { Ok(()) } else { Err(std::io::Error::other("it can be changed by others")) }
        }
        made => made,
    }
}

/// Removes what earlier versions left, but not what belongs to this one.
fn sweep_staging(staging: &std::path::Path, artifact: &Artifact) {
    let Ok(entries) = std::fs::read_dir(staging) else { return };
    let ours = artifact.sha256.to_ascii_lowercase();
    for entry in entries.flatten() {
        let name = entry.file_name();
        let is_ours = name.to_string_lossy().starts_with(ours.get(..16).unwrap_or(&ours));
        if is_ours {
            continue;
        }
        let path = entry.path();
        let is_file = entry.file_type().is_ok_and(|kind| !kind.is_dir());
        let removed = if is_file {
            russet_platform::replace::remove_file(&path)
        } else {
            crate::files::remove_tree(&path)
        };
        if let Err(error) = removed {
            tracing::warn!(path = %path.display(), %error, "could not remove");
        }
    }
}
