//! The running agent's part: takes what came, offers the bundle to the state machine, and has the
//! rest put in place. One task does it; [`super::decide`] decides.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use russet_protocol::local::Update;
use tokio::sync::mpsc;

use super::PackageError;
use super::arrival::{self, Arrival};
use super::check::check_arrival;
use super::decide::{Facts, Step, decide_step};
use crate::board::Board;
use crate::files::have_same_content;
use crate::requests::{Command, HoldSource, UpdateMode};
use crate::update::boot_files::{bad_versions, is_in_probation};
use crate::update::exchange::Staged;
use crate::update::ready::Ready;
use crate::update::record::{Record, has_failed_lately, identity_of, installed_version};
use russet_platform::clock::{BootTime, Clock};
use russet_platform::command;
use russet_platform::layout::Layout;

/// Interval of looks; scripts wait for one or two of them.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Interval of tries to put the rest in place.
const FINISH_INTERVAL: Duration = Duration::from_secs(600);

/// Parts of the watch.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) layout: Layout,
    pub(crate) state: PathBuf,
    pub(crate) probation: Duration,
    pub(crate) clock: Clock,
    pub(crate) board: Arc<Board>,
    pub(crate) commands: mpsc::UnboundedSender<Command>,
    pub(crate) ready: Ready,
}

/// Starts to look for what packages bring.
pub(crate) fn start_watch(parts: Parts) -> tokio::task::JoinHandle<()> {
    let watch = Watch { parts, checked: None, held: None, finish_at: None, said: String::new() };
    tokio::spawn(watch.work())
}

struct Watch {
    parts: Parts,
    /// Contents that were looked through and found good.
    checked: Option<Arrival>,
    /// Reason and end of the hold in force.
    held: Option<(String, u64)>,
    /// Time of the next try to put the rest in place.
    finish_at: Option<BootTime>,
    /// Last fault: the same every second helps nobody.
    said: String,
}

impl Watch {
    async fn work(mut self) {
        loop {
            match self.look().await {
                Ok(()) => {}
                Err(error) => self.report_fault(&error.to_string()),
            }
            self.parts.clock.sleep(LOOK_INTERVAL).await;
        }
    }

    async fn look(&mut self) -> Result<(), PackageError> {
        self.take()?;
        let Some(arrival) = arrival::read_arrived(&self.parts.layout)? else {
            self.withdraw();
            return Ok(());
        };
        match self.decide(&arrival) {
            Step::Wait => self.withdraw(),
            Step::Offer => self.offer(arrival).await?,
            Step::Finish => {
                self.withdraw();
                self.finish(&arrival);
            }
            Step::Recover => {
                let (from, to) = (self.parts.layout.previous(), arrival.bundle(&self.parts.layout));
                std::fs::rename(&from, &to).map_err(PackageError::file("fetch back", &from))?;
            }
            Step::Discard(why) => self.discard(&arrival, why)?,
        }
        Ok(())
    }

    /// Takes what came. What came before and was not put in place goes.
    fn take(&mut self) -> Result<(), PackageError> {
        let layout = &self.parts.layout;
        if !arrival::is_incoming(layout) {
            return Ok(());
        }
        if self.parts.ready.withdraw_arrived(|| arrival::take_incoming(layout))? {
            tracing::info!("an installer package has brought a version");
            self.checked = None;
            self.finish_at = None;
        }
        Ok(())
    }

    fn decide(&self, arrival: &Arrival) -> Step {
        let Parts { layout, state, clock, .. } = &self.parts;
        let record = Record::read(state).unwrap_or_default();
        let boot_state = layout.boot_state();
        let is_left_beside = identity_of(&layout.previous()).is_some_and(|beside| {
            let is_noted = record.version_of(&beside) == Some(&arrival.note.version);
            is_noted && !bad_versions(&boot_state).iter().any(|bad| bad.bundle == beside)
        });
        let (executable, installed) = (arrival.executable(layout), layout.executable());
        decide_step(&Facts {
            version: &arrival.note.version,
            allows_downgrade: arrival.note.allows_downgrade,
            installed: &installed_version(Some(&boot_state), state),
            has_bundle: arrival.bundle(layout).exists(),
            // Not read every second.
            is_same: self.checked.as_ref() != Some(arrival)
                && have_same_content(&executable, &installed).unwrap_or(false),
            is_in_probation: is_in_probation(&boot_state),
            has_failed: has_failed_lately(&record, &arrival.note.version, clock.wall_ms() / 1000),
            is_left_beside,
        })
    }

    /// Offers the bundle to the state machine, and holds claims for it as long as the note allows.
    async fn offer(&mut self, arrival: Arrival) -> Result<(), PackageError> {
        let Parts { layout, state, probation, clock, board, ready, .. } = &self.parts;
        if self.checked.as_ref() != Some(&arrival) {
            let (checked, place) = (arrival.clone(), layout.clone());
            let checking = tokio::task::spawn_blocking(move || check_arrival(&checked, &place));
            let checked = checking.await;
            let checked =
                checked.unwrap_or_else(|error| Err(PackageError::Version(error.to_string())));
            if let Err(error) = checked {
                return self.discard(&arrival, &error.to_string());
            }
            self.checked = Some(arrival.clone());
        }
        let version = arrival.note.version.clone();
        if !ready.has_arrived() {
            ready.set_arrived(Staged {
                version: version.clone(),
                bundle: arrival.bundle(layout),
                layout: layout.clone(),
                state: state.clone(),
                probation: *probation,
            });
            tracing::info!(version, "the version of a package lies ready");
            self.command(Command::Update(Some(UpdateMode::WhenIdle)));
        }
        let update = Update::WaitingForIdle { version: version.clone() };
        if board.status().update.as_ref() != Some(&update) {
            board.update(update, clock.wall_ms());
        }
        let until = arrival.hold_until_ms(clock.wall_ms());
        let reason =
            format!("version {version} of an installer package waits for the tasks that run");
        self.hold(until.map(|until| (reason, until)));
        Ok(())
    }

    /// Sets the hold, or lifts it.
    fn hold(&mut self, hold: Option<(String, u64)>) {
        if hold == self.held {
            return;
        }
        let (reason, until) = hold.clone().unzip();
        let source = HoldSource::Installer;
        let until = until.map(|until| (source, until)).into_iter().collect();
        self.parts.board.until(&[source], until, self.parts.clock.wall_ms());
        self.command(Command::Hold(source, reason));
        self.held = hold;
    }

    /// Offers nothing and holds nothing.
    fn withdraw(&mut self) {
        self.hold(None);
        if self.parts.ready.has_arrived() {
            self.parts.ready.withdraw_arrived(|| ());
            self.command(Command::Update(None));
        }
    }

    fn discard(&mut self, arrival: &Arrival, why: &str) -> Result<(), PackageError> {
        self.withdraw();
        let version = &arrival.note.version;
        self.report_fault(&format!("version {version} of a package was not installed: {why}"));
        self.checked = None;
        arrival::forget_arrived(&self.parts.layout)
    }

    /// Has the rest put in place by a process of its own, which may start this one anew.
    fn finish(&mut self, arrival: &Arrival) {
        let now = self.parts.clock.now();
        if self.finish_at.is_some_and(|at| at > now) {
            return;
        }
        self.finish_at = Some(now.after(FINISH_INTERVAL));
        let layout = &self.parts.layout;
        let mut finishing =
            command::Command::new(layout.executable()).args(["agent", "package", "--finish"]);
        if layout.root() != std::path::Path::new("/") {
            finishing = finishing.arg("--root").arg(layout.root());
        }
        match finishing.detach() {
            Ok(()) => tracing::info!(version = arrival.note.version, "the rest is put in place"),
            Err(error) => self.report_fault(&format!("could not finish an installation: {error}")),
        }
    }

    fn report_fault(&mut self, why: &str) {
        if self.said == why {
            return;
        }
        tracing::error!(error = why, "an installer package");
        self.parts.board.update(Update::Failed { why: why.to_owned() }, self.parts.clock.wall_ms());
        why.clone_into(&mut self.said);
    }

    fn command(&self, command: Command) {
        // The launch agent is ending, and so is this task.
        drop(self.parts.commands.send(command));
    }
}
