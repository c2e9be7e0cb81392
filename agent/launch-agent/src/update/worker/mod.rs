//! Goes the way of an update: looks, fetches, stages, and offers what lies ready to the state
//! machine. One task owns all of it; wishes of people come in, the board shows how far it is.

mod look;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use russet_protocol::local::{LookAnswer, Update};
use tokio::sync::mpsc;

use super::boot_files::is_in_probation;
use super::exchange::Staged;
use super::offer::Refusal;
use super::ready::Ready;
use super::record::{FAILED_AGAIN_S, Record, is_recent};
use super::source::Source;
use super::{Settings, UpdateError};
use crate::board::Board;
use crate::requests::{Command, UpdateAction, UpdateMode, UpdateRequest};
use russet_platform::clock::Clock;
use russet_platform::layout::Layout;

/// While a version lies ready: how soon to look whether the window has opened, and whether the
/// version that runs has proved itself.
const LOOK_AGAIN: Duration = Duration::from_secs(30);
const PROVED_SOON: Duration = Duration::from_millis(200);

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
    pub(crate) ready: Ready,
}

/// Starts the worker, where the owner wants updates.
pub(crate) fn start_worker(mut parts: Parts) -> Option<tokio::task::JoinHandle<()>> {
    let source = parts.settings.source.clone()?;
    let (_, nobody) = mpsc::unbounded_channel();
    let requests = std::mem::replace(&mut parts.requests, nobody);
    let machine = russet_platform::machine();
    let said = String::new();
    let worker = Worker { parts, source, machine, wanted: false, said, answers: Vec::new() };
    Some(tokio::spawn(worker.work(requests)))
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
    /// Answers to those who asked, the newest last.
    answers: Vec<LookAnswer>,
}

impl Worker {
    async fn work(mut self, mut requests: mpsc::UnboundedReceiver<UpdateRequest>) {
        self.begin();
        let pause = |most: Duration| most.mul_f64(russet_platform::http::random_fraction());
        let first = pause(FIRST_LOOK.min(self.parts.settings.interval));
        let mut next = self.parts.clock.now().after(first);
        loop {
            let now = self.parts.clock.now();
            let again = self.offer().map(|soon| now.after(soon));
            let wakeup = again.into_iter().chain([next]).min();
            let request = tokio::select! {
                request = requests.recv() => match request {
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
            let mut asked = Vec::new();
            if let Some(request) = request {
                self.note_request(request, &mut asked);
            }
            let update = match self.look_until_answered(&mut requests, &mut asked).await {
                Ok(update) => update,
                Err(error) => self.failed(&error),
            };
            // Before it is offered: an idle agent makes way at once.
            self.answer(&asked, &update);
            // What lies ready stays ready, and shows.
            if self.ready().is_none() {
                self.show_outcome(update);
            }
            // Who asked, asked for what there was.
            self.wanted &= self.ready().is_some();
            // A tenth more or less, so that machines do not ask in step.
            let interval = self.parts.settings.interval;
            next = self.parts.clock.now().after(interval.mul_f64(0.9) + pause(interval / 5));
        }
    }

    /// Shows what is known before the first look, also of before a restart.
    fn begin(&mut self) {
        let record = Record::read(&self.parts.state).unwrap_or_default();
        self.answers = record.answers;
        self.show_answers();
        let now_s = self.now_s();
        let failed = record.failed.filter(|failed| is_recent(failed.at_s, now_s, FAILED_AGAIN_S));
        // Whoever looks at the status sees that updates are looked for.
        match failed {
            Some(failed) => {
                let why = put_in_place_failed(&failed.version, &failed.why);
                self.show_outcome(Update::Failed { why });
            }
            None if self.parts.board.status().update.is_none() => self.show(Update::Unknown),
            None => {}
        }
    }

    /// Takes a request: its number is noted on disk, so that no later one has it.
    fn note_request(&mut self, request: UpdateRequest, asked: &mut Vec<u64>) {
        asked.push(request.number);
        self.wanted |= request.action == UpdateAction::Install;
        self.change_record(|record| record.looks = record.looks.max(request.number));
    }

    /// Answers those who asked, on disk as well: the agent may end for what was found.
    fn answer(&mut self, asked: &[u64], update: &Update) {
        if asked.is_empty() {
            return;
        }
        let mut kept = Record { answers: std::mem::take(&mut self.answers), ..Record::default() };
        for look in asked {
            kept.answer(LookAnswer { look: *look, update: update.clone().shortened() });
        }
        self.answers = kept.answers;
        let answers = self.answers.clone();
        self.change_record(|record| record.answers = answers);
        self.show_answers();
    }

    fn show_answers(&self) {
        self.parts.board.update_answers(self.answers.clone(), self.parts.clock.wall_ms());
    }

    /// Without room for it the update fails for its own reason; an answer is not worth more.
    fn change_record(&self, change: impl FnOnce(&mut Record)) {
        let state = &self.parts.state;
        let changed = Record::read(state).and_then(|mut record| {
            change(&mut record);
            record.write(state)
        });
        if let Err(error) = changed {
            tracing::warn!(file = %Record::path(state).display(), %error, "could not note a look");
        }
    }

    fn ready(&self) -> Option<Staged> {
        self.parts.ready.fetched()
    }

    fn set_ready(&self, staged: Option<Staged>) {
        self.parts.ready.set_fetched(staged);
    }

    /// State of a version that lies ready.
    fn ready_state(&self, version: String) -> Update {
        if self.parts.settings.auto || self.wanted {
            Update::WaitingForIdle { version }
        } else {
            Update::Ready { version }
        }
    }

    /// Tells the state machine of what lies ready. Answers how soon that is to be looked at again.
    fn offer(&self) -> Option<Duration> {
        let Staged { version, .. } = self.ready()?;
        // A package's version comes first.
        if self.parts.ready.has_arrived() {
            return Some(LOOK_AGAIN);
        }
        let state = self.ready_state(version);
        let is_for_later = matches!(state, Update::Ready { .. });
        self.show(state);
        if is_for_later {
            return None;
        }
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
        if self.parts.ready.has_arrived() {
            return;
        }
        // The launch agent is ending, and so is this task.
        drop(self.parts.commands.send(Command::Update(mode)));
    }

    fn show(&self, update: Update) {
        let board = &self.parts.board;
        let shown = board.status().update;
        // That comes first: what there is afterwards is looked at again.
        let is_proving = matches!(shown, Some(Update::Proving { .. }))
            && is_in_probation(&self.parts.layout.boot_state());
        let update = update.shortened();
        let is_hidden = is_proving || self.parts.ready.has_arrived();
        if shown.as_ref() != Some(&update) && !is_hidden {
            board.update(update, self.parts.clock.wall_ms());
        }
    }

    /// Shows an end of the way; that a version was taken back is not forgotten for it.
    fn show_outcome(&self, update: Update) {
        let is_back = matches!(self.parts.board.status().update, Some(Update::RolledBack { .. }));
        if !is_back || matches!(update, Update::RolledBack { .. }) {
            self.show(update);
        }
    }

    /// Logs a failure, and returns the state that it is.
    fn failed(&mut self, error: &UpdateError) -> Update {
        let update = match error {
            UpdateError::Refused(Refusal::Bad(version, why)) => {
                Update::RolledBack { version: version.clone(), why: why.clone() }
            }
            _ => Update::Failed { why: error.to_string() },
        };
        let update = update.shortened();
        let why = russet_text::one_line_within(&error.to_string(), MAX_LOGGED_CHARS);
        if why != self.said {
            tracing::warn!(error = why, "there was no update");
            self.said = why;
        }
        update
    }

    /// Withdraws the offered version: it is not put in place while another one takes its place.
    fn withdraw(&self) {
        if self.ready().is_some() {
            self.set_ready(None);
            self.command(None);
        }
    }

    fn now_s(&self) -> u64 {
        self.parts.clock.wall_ms() / 1000
    }
}

/// Characters of a reason in the log.
const MAX_LOGGED_CHARS: usize = 500;

fn put_in_place_failed(version: &str, why: &str) -> String {
    let why = if why.is_empty() { "the log says why" } else { why };
    format!("version {version} could not be put in place: {why}; it is tried again within the hour")
}
