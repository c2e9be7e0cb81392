//! Events of the task, numbered, on disk before they are sent.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use russet_protocol::runner::{Event, EventKind};
use russet_protocol::task::{FIRST_STEP, PRE_TASK_STEP};
use tokio::sync::Notify;

use russet_platform::clock::Clock;

/// File in the spool: one event a line.
const EVENTS_FILE: &str = "events.jsonl";

/// Most events of one call.
pub(crate) const BATCH: usize = 500;

/// The events of a task.
#[derive(Debug)]
pub(crate) struct Events {
    clock: Clock,
    state: Mutex<State>,
    /// An event was added.
    pub(crate) added: Notify,
    /// Held while some are being sent, so that none is sent twice at the same time.
    pub(crate) sending: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct State {
    file: File,
    events: Vec<Event>,
    /// Last number that the server has.
    acknowledged: u64,
}

impl Events {
    /// No events yet, or those that another process left in the spool.
    pub(crate) fn open(spool: &Path, clock: Clock) -> io::Result<Self> {
        let path = spool.join(EVENTS_FILE);
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC)
            .open(&path)?;
        let events = if file.metadata()?.len() == 0 { Vec::new() } else { read(&path)? };
        let state = Mutex::new(State { file, events, acknowledged: 0 });
        let (added, sending) = (Notify::new(), tokio::sync::Mutex::new(()));
        Ok(Self { clock, state, added, sending })
    }

    /// Adds an event.
    pub(crate) fn add(&self, kind: EventKind) {
        let mut state = self.lock();
        let event = Event { seq: state.last_seq() + 1, at_ms: self.clock.wall_ms(), kind };
        if let Ok(mut line) = serde_json::to_vec(&event) {
            line.push(b'\n');
            // Without room on disk the event is still sent from memory.
            if let Err(error) = state.file.write_all(&line) {
                tracing::warn!("could not keep an event on disk: {error}");
            }
        }
        state.events.push(event);
        drop(state);
        self.added.notify_one();
    }

    /// The next events to send; empty if the server has all.
    pub(crate) fn unsent(&self) -> Vec<Event> {
        let state = self.lock();
        let next = state.events.iter().filter(|event| event.seq > state.acknowledged);
        next.take(BATCH).cloned().collect()
    }

    /// Returns the number of events that the server does not have.
    pub(crate) fn count_unsent(&self) -> usize {
        let state = self.lock();
        usize::try_from(state.last_seq() - state.acknowledged).unwrap_or(usize::MAX)
    }

    /// Returns true if the server has to hear of events before output of a step: a step that is
    /// heard of first stands first, and one that is not the job's has no name before its event.
    pub(crate) fn come_before_output_of(&self, step: u32) -> bool {
        let state = self.lock();
        let begins = |event: &&Event| matches!(event.kind, EventKind::StepStarted { step: number, .. } if number == step);
        let last = match state.events.iter().find(begins) {
            Some(event) if (FIRST_STEP..PRE_TASK_STEP).contains(&step) => event.seq - 1,
            Some(event) => event.seq,
            None => state.last_seq(),
        };
        state.acknowledged < last
    }

    /// The server has everything up to `seq`.
    pub(crate) fn acknowledge(&self, seq: u64) {
        let mut state = self.lock();
        state.acknowledged = seq.min(state.last_seq());
    }

    /// Number of the last event.
    pub(crate) fn last_seq(&self) -> u64 {
        self.lock().last_seq()
    }

    /// Steps that began and did not end.
    pub(crate) fn unfinished_steps(&self) -> Vec<u32> {
        let state = self.lock();
        let mut open = Vec::new();
        for event in &state.events {
            match &event.kind {
                EventKind::StepStarted { step, .. } => open.push(*step),
                EventKind::StepFinished { step, .. } => open.retain(|other| other != step),
            }
        }
        open
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn last_seq(&self) -> u64 {
        self.events.last().map_or(0, |event| event.seq)
    }
}

/// Reads events up to the first line that is none: it was being written when its writer died, or
/// the job wrote it.
fn read(path: &Path) -> io::Result<Vec<Event>> {
    let text = std::fs::read(path)?;
    let lines = text.split(|&byte| byte == b'\n');
    let parsed = lines.map_while(|line| serde_json::from_slice::<Event>(line).ok());
    Ok(parsed.enumerate().map_while(in_sequence).collect())
}

fn in_sequence((index, event): (usize, Event)) -> Option<Event> {
    (u64::try_from(index).ok()? + 1 == event.seq).then_some(event)
}

#[cfg(test)]
mod tests {
    use super::{EVENTS_FILE, Events, PRE_TASK_STEP};
    use russet_platform::clock::Clock;
    use russet_protocol::outcome::Outcome;
    use russet_protocol::runner::EventKind;
    use std::io::Write as _;

    fn started(step: u32) -> EventKind {
        EventKind::StepStarted { step, name: String::new(), background: false, detail: None }
    }

    #[test]
    fn events_outlive_the_process_that_wrote_them_a_torn_line_does_not() {
        let dir = tempfile::tempdir().unwrap();
        let events = Events::open(dir.path(), Clock::system()).unwrap();
        events.add(started(1));
        let (outcome, exit_code) = (Outcome::Success, Some(0));
        events.add(EventKind::StepFinished {
            step: 1,
            outcome,
            exit_code,
            message: None,
            output_bytes: 0,
        });
        events.add(started(2));
        let path = dir.path().join(EVENTS_FILE);
        let mut file = std::fs::OpenOptions::new().append(true).open(path).unwrap();
        file.write_all(b"\xff\xfe{\"seq\":4,\"at").unwrap();
        let again = Events::open(dir.path(), Clock::system()).unwrap();
        assert_eq!(again.last_seq(), 3);
        assert_eq!(again.unfinished_steps(), [2]);
        again.acknowledge(2);
        assert_eq!(again.unsent().len(), 1);
        again.acknowledge(99);
        assert!(again.unsent().is_empty());
    }

    #[test]
    fn a_step_is_heard_of_before_the_output_of_those_after_it() {
        let dir = tempfile::tempdir().unwrap();
        let events = Events::open(dir.path(), Clock::system()).unwrap();
        events.add(started(1));
        // The server knows the names of a job's steps, so the first output waits for nothing.
        assert!(!events.come_before_output_of(1));
        events.add(started(2));
        events.add(started(PRE_TASK_STEP));
        assert!(!events.come_before_output_of(1) && events.come_before_output_of(2));
        events.acknowledge(1);
        assert!(!events.come_before_output_of(2));
        events.acknowledge(2);
        assert!(events.come_before_output_of(PRE_TASK_STEP) && events.come_before_output_of(9));
        events.acknowledge(3);
        assert!(!events.come_before_output_of(PRE_TASK_STEP) && !events.come_before_output_of(9));
    }
}
