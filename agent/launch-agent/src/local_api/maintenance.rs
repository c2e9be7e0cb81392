//! Requests of a person, here or at the control plane: a pause, a drain. They outlive the agent and
//! the machine's boot, so each is kept in a file, by the wall clock.
//!
//! A pause of the control plane is of a class, and has an id. Whoever resumes this agent lifts it here,
//! at once; the id is kept until the control plane was told and does not name it any more.
//!
//! One task owns it. A change is on disk before it is done, so that whoever was told "paused"
//! finds the machine paused also after a loss of power.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use russet_protocol::machine::ServerPause;
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};

use crate::board::Board;
use crate::requests::{Command, HoldSource};
use russet_platform::clock::Clock;
use russet_platform::replace;

/// Name of the file in the state directory.
const NAME: &str = "maintenance.json";

/// The most characters of the control plane's reason that are shown.
const MAX_REASON_CHARS: usize = 400;

/// Pause and drain in force.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Maintenance {
    version: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pause: Option<Wish>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    drain: Option<Wish>,
    /// Pauses of the control plane, by class.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    server: Vec<(String, ServerPause)>,
    /// Ids of pauses of the control plane that were lifted here, by class.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    lifted: Vec<(String, String)>,
}

/// One wish of a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Wish {
    reason: String,
    /// A pause ends then; a drain cancels then what still runs. Milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    until_ms: Option<u64>,
}

/// A change that a person wants.
#[derive(Clone, Debug)]
pub(super) enum Change {
    /// Claim nothing, perhaps for so long.
    Pause(String, Option<Duration>),
    /// Claim nothing and let what runs finish, perhaps for so long.
    Drain(String, Option<Duration>),
    /// Claim again.
    Resume,
    /// The control plane's pause of a class, by its place; `None`: it has none.
    Server(usize, Option<ServerPause>),
}

/// Channel for requested changes.
#[derive(Clone, Debug)]
pub(crate) struct Keeper(mpsc::Sender<(Change, oneshot::Sender<io::Result<()>>)>);

impl Keeper {
    /// Makes a change; when this returns, it is on disk and on its way.
    pub(super) async fn ask(&self, change: Change) -> io::Result<()> {
        let gone = || io::Error::other("the agent is about to end");
        let (answer, answered) = oneshot::channel();
        self.0.send((change, answer)).await.map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?
    }

    /// Takes the control plane's word about a pause of a class. What cannot be written down is logged,
    /// and said again with the next report.
    pub(crate) async fn set_server_pause(&self, class: usize, pause: Option<ServerPause>) {
        drop(self.ask(Change::Server(class, pause)).await);
    }
}

impl Maintenance {
    fn change(&mut self, change: Change, classes: &[String], now_ms: u64) {
        let at = |time: Option<Duration>| {
            time.map(|time| now_ms.saturating_add(russet_platform::clock::whole_millis(time)))
        };
        match change {
            Change::Pause(reason, time) => self.pause = Some(Wish { reason, until_ms: at(time) }),
            Change::Drain(reason, time) => self.drain = Some(Wish { reason, until_ms: at(time) }),
            Change::Resume => {
                (self.pause, self.drain) = (None, None);
                let lifted = self.server.drain(..).map(|(class, pause)| (class, pause.id));
                self.lifted.extend(lifted);
            }
            Change::Server(class, pause) => {
                if let Some(class) = classes.get(class) {
                    self.set_server_pause(class, pause);
                }
            }
        }
    }

    /// Takes the word of the control plane about a class. One that was lifted here is not taken
    /// again; once the control plane names it no more, it is forgotten.
    fn set_server_pause(&mut self, class: &str, pause: Option<ServerPause>) {
        let id = pause.as_ref().map(|pause| pause.id.as_str());
        self.lifted.retain(|(of, lifted)| of != class || id == Some(lifted.as_str()));
        self.server.retain(|(of, _)| of != class);
        let pause = pause.filter(|pause| self.lifted.iter().all(|(_, id)| *id != pause.id));
        self.server.extend(pause.map(|pause| (class.to_owned(), pause)));
    }

    /// Takes out what is over, and says what follows.
    fn pass_time(&mut self, now_ms: u64) -> Option<Command> {
        let is_over = |wish: &Option<Wish>| {
            wish.as_ref().and_then(|wish| wish.until_ms).is_some_and(|at| at <= now_ms)
        };
        if is_over(&self.pause) {
            self.pause = None;
        }
        self.server.retain(|(_, pause)| pause.until_ms.is_none_or(|at| at > now_ms));
        if !is_over(&self.drain) {
            return None;
        }
        let wish = self.drain.as_mut()?;
        wish.until_ms = None;
        Some(Command::CancelTasks(format!("the time of the drain is over ({})", wish.reason)))
    }

    fn next_ms(&self) -> Option<u64> {
        let wishes = [&self.pause, &self.drain].into_iter().flatten();
        let server = self.server.iter().filter_map(|(_, pause)| pause.until_ms);
        wishes.filter_map(|wish| wish.until_ms).chain(server).min()
    }

    /// Tells people and the state machine.
    fn tell(
        &self,
        board: &Board,
        commands: &mpsc::UnboundedSender<Command>,
        classes: &[String],
        now_ms: u64,
    ) {
        let until = |source, wish: &Option<Wish>| Some((source, wish.as_ref()?.until_ms?));
        let pause = until(HoldSource::Pause, &self.pause);
        let drain = until(HoldSource::Drain, &self.drain);
        let server = self.server.iter().filter_map(|(_, pause)| pause.until_ms).min();
        let server = server.map(|at| (HoldSource::Server, at));
        let sources = [HoldSource::Pause, HoldSource::Drain, HoldSource::Server];
        board.until(&sources, pause.into_iter().chain(drain).chain(server).collect(), now_ms);
        let known = self.server.iter().map(|(class, pause)| (class.clone(), pause.id.clone()));
        board.server_pauses(known.collect(), self.lifted.clone(), now_ms);
        for command in self.holds().into_iter().chain(self.server_holds(classes)) {
            // The receiver is the launch agent, which is about to read it.
            drop(commands.send(command));
        }
    }

    fn holds(&self) -> [Command; 2] {
        let reason = |wish: &Option<Wish>| wish.as_ref().map(|wish| wish.reason.clone());
        [
            Command::Hold(HoldSource::Pause, reason(&self.pause)),
            Command::Hold(HoldSource::Drain, reason(&self.drain)),
        ]
    }

    /// The control plane's pauses as holds on classes.
    fn server_holds(&self, classes: &[String]) -> Vec<Command> {
        let hold = |(index, class): (usize, &String)| {
            let pause = self.server.iter().find(|(of, _)| of == class);
            let reason = pause.map(|(_, pause)| {
                let words = format!("{} at the control plane", pause.words());
                russet_text::one_line_within(&words, MAX_REASON_CHARS)
            });
            Command::HoldClass(HoldSource::Server, index, reason)
        };
        (0..).zip(classes).map(hold).collect()
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "the file lies in the state directory, where only root writes"
    )]
    fn read(path: &Path) -> io::Result<Self> {
        match std::fs::read(path) {
            Ok(text) => Ok(serde_json::from_slice(&text)?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error),
        }
    }

    fn write(&self, path: &Path) -> io::Result<()> {
        let is_empty = self.server.is_empty() && self.lifted.is_empty();
        if self.pause.is_none() && self.drain.is_none() && is_empty {
            return replace::remove_file(path);
        }
        replace::write(path, &serde_json::to_vec(&Self { version: 1, ..self.clone() })?, 0o600)
    }
}

/// Goes on with what was asked for before, and waits for changes.
pub(super) fn start_keeper(
    state: &Path,
    clock: Clock,
    commands: mpsc::UnboundedSender<Command>,
    board: &Arc<Board>,
    classes: Vec<String>,
) -> (Keeper, tokio::task::JoinHandle<()>) {
    let path = state.join(NAME);
    // A file that cannot be read was written by somebody else or by half: a machine that claims
    // although a person paused it is worse than one that waits to be resumed.
    let mut maintenance = Maintenance::read(&path).unwrap_or_else(|error| {
        tracing::error!(file = %path.display(), %error, "could not read who paused this agent");
        let reason = format!(
            "{} cannot be read ({error}); `russet agent resume` makes it anew",
            path.display()
        );
        Maintenance { pause: Some(Wish { reason, until_ms: None }), ..Maintenance::default() }
    });
    // Those of classes that are not served any more.
    maintenance.server.retain(|(class, _)| classes.contains(class));
    maintenance.lifted.retain(|(class, _)| classes.contains(class));
    maintenance.tell(board, &commands, &classes, clock.wall_ms());
    let (sender, wishes) = mpsc::channel(16);
    let board = Arc::clone(board);
    (
        Keeper(sender),
        tokio::spawn(keep_maintenance(maintenance, path, clock, wishes, commands, board, classes)),
    )
}

async fn keep_maintenance(
    mut maintenance: Maintenance,
    path: PathBuf,
    clock: Clock,
    mut wishes: mpsc::Receiver<(Change, oneshot::Sender<io::Result<()>>)>,
    commands: mpsc::UnboundedSender<Command>,
    board: Arc<Board>,
    classes: Vec<String>,
) {
    loop {
        let mut wanted = maintenance.clone();
        let pause =
            wanted.next_ms().map(|at| Duration::from_millis(at.saturating_sub(clock.wall_ms())));
        let wakeup = pause.map(|pause| clock.now().after(pause));
        let (command, answer) = tokio::select! {
            wish = wishes.recv() => {
                let Some((change, answer)) = wish else { return };
                if matches!(change, Change::Resume) {
                    // The receiver is the launch agent, which is about to read it.
                    drop(commands.send(Command::Retry));
                }
                wanted.change(change, &classes, clock.wall_ms());
                (None, Some(answer))
            }
            () = clock.sleep_until_some(wakeup) => (wanted.pass_time(clock.wall_ms()), None),
        };
        if answer.is_none() && wanted == maintenance {
            // The wall clock may be behind the timer by a little, or was set back.
            clock.sleep(Duration::from_millis(20)).await;
            continue;
        }
        let written = wanted.write(&path);
        if let Err(error) = &written {
            tracing::error!(file = %path.display(), %error, "could not keep what a person asked for");
        }
        // Time passes whether or not that can be written down.
        if written.is_ok() || answer.is_none() {
            maintenance = wanted;
            maintenance.tell(&board, &commands, &classes, clock.wall_ms());
            if let Some(command) = command {
                drop(commands.send(command));
            }
        }
        if let Some(answer) = answer {
            // The client may have gone.
            drop(answer.send(written));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Change, Command, HoldSource, Maintenance, ServerPause};
    use std::time::Duration;

    #[test]
    fn a_pause_ends_by_itself_and_a_drain_cancels_and_stays() {
        let mut wanted = Maintenance::default();
        wanted.change(Change::Pause("lunch".into(), Some(Duration::from_secs(60))), &[], 1_000);
        wanted.change(Change::Drain("new disk".into(), Some(Duration::from_secs(90))), &[], 1_000);
        assert_eq!(wanted.next_ms(), Some(61_000));
        assert_eq!(wanted.pass_time(60_999), None);
        assert_eq!(wanted.pass_time(61_000), None);
        assert_eq!(wanted.holds()[0], Command::Hold(HoldSource::Pause, None));
        assert_eq!(wanted.next_ms(), Some(91_000));
        assert!(matches!(wanted.pass_time(91_000), Some(Command::CancelTasks(_))));
        assert_eq!(wanted.pass_time(91_001), None);
        let still = Command::Hold(HoldSource::Drain, Some("new disk".into()));
        assert_eq!(wanted.holds()[1], still);
        wanted.change(Change::Resume, &[], 1);
        assert_eq!(wanted, Maintenance::default());
    }

    #[test]
    fn a_pause_of_the_server_that_is_lifted_here_stays_lifted_until_the_server_knows() {
        let classes = ["a/b".to_owned(), "a/c".to_owned()];
        let pause = |id: &str, until_ms| ServerPause {
            id: id.to_owned(),
            by: "anna".to_owned(),
            until_ms,
            ..ServerPause::default()
        };
        let mut wanted = Maintenance::default();
        wanted.change(Change::Server(1, Some(pause("one", None))), &classes, 1);
        let reason = "paused by anna at the control plane".to_owned();
        let held = Command::HoldClass(HoldSource::Server, 1, Some(reason));
        let free = |class| Command::HoldClass(HoldSource::Server, class, None);
        assert_eq!(wanted.server_holds(&classes), [free(0), held]);
        wanted.change(Change::Resume, &classes, 2);
        assert_eq!(wanted.server_holds(&classes), [free(0), free(1)]);
        // It was on its way.
        wanted.change(Change::Server(1, Some(pause("one", None))), &classes, 3);
        assert_eq!(wanted.server_holds(&classes), [free(0), free(1)]);
        assert_eq!(wanted.lifted, [("a/c".to_owned(), "one".to_owned())]);
        wanted.change(Change::Server(1, None), &classes, 4);
        assert_eq!(wanted, Maintenance::default());
        // A later one counts, and ends by itself.
        wanted.change(Change::Server(1, Some(pause("two", Some(60)))), &classes, 5);
        assert_eq!((wanted.server.len(), wanted.next_ms()), (1, Some(60)));
        assert_eq!(wanted.pass_time(60), None);
        assert_eq!(wanted, Maintenance::default());
    }

    #[test]
    fn it_is_read_as_it_was_written_and_half_a_file_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("maintenance.json");
        assert_eq!(Maintenance::read(&path).unwrap(), Maintenance::default());
        let mut wanted = Maintenance { version: 1, ..Maintenance::default() };
        wanted.change(Change::Pause("lunch".into(), None), &[], 1_000);
        wanted.write(&path).unwrap();
        assert_eq!(Maintenance::read(&path).unwrap(), wanted);
        std::fs::write(&path, "{\"version\":1,\"pau").unwrap();
        assert!(Maintenance::read(&path).is_err());
        Maintenance::default().write(&path).unwrap();
        Maintenance::default().write(&path).unwrap();
        assert!(!path.exists());
    }
}
