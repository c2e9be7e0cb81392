//! Channels of one connection, and what is told to the person on its terminals.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use russh::ChannelId;
use tokio::runtime::Handle as Runtime;

use crate::session::{InboxSender, Output, Program, TerminalRequest, on_terminal};

/// Channels of a connection at once.
const MAX_CHANNELS: usize = 32;

/// Time for which a line waits for the terminal of somebody who has just logged in. After that it may
/// not be true any more.
const UNSEEN_FOR: Duration = Duration::from_secs(10);

/// A channel with what was asked for, and its program once it runs.
pub(crate) struct Open {
    pub(crate) output: Output,
    pub(crate) variables: Vec<(String, String)>,
    pub(crate) terminal: Option<TerminalRequest>,
    pub(crate) input: Option<InboxSender>,
    pub(crate) program: Option<Program>,
}

impl Open {
    pub(crate) fn new(output: Output) -> Self {
        Self { output, variables: Vec::new(), terminal: None, input: None, program: None }
    }

    fn has_terminal(&self) -> bool {
        self.program.as_ref().is_some_and(Program::has_terminal)
    }
}

/// Channels of a connection, shared with who tells its person something.
pub(crate) struct Channels {
    open: Mutex<HashMap<ChannelId, Open>>,
    /// Newest line that there was no terminal for, and when.
    unseen: Mutex<Option<(Instant, Bytes)>>,
    /// Of the connection: whoever tells its person something may be on another thread.
    runtime: Runtime,
}

impl std::fmt::Debug for Channels {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Channels({})", self.lock().len())
    }
}

impl Channels {
    /// Of a connection of this runtime.
    pub(crate) fn new() -> Self {
        Self { open: Mutex::default(), unseen: Mutex::default(), runtime: Runtime::current() }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, HashMap<ChannelId, Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn is_full(&self) -> bool {
        self.lock().len() >= MAX_CHANNELS
    }

    /// Shows a line on each terminal. Who does not read his gets it when he does, and who has none yet
    /// gets it when he has.
    pub(crate) fn tell(&self, line: &str) {
        let text = on_terminal(&format!("\n*** {line} ***\n"));
        let open = self.lock();
        let terminals: Vec<&Open> = open.values().filter(|open| open.has_terminal()).collect();
        if terminals.is_empty() {
            *self.unseen() = Some((Instant::now(), text));
            return;
        }
        for open in terminals {
            self.show(open, text.clone());
        }
    }

    /// Shows on the terminal of a channel that has just got one what was told before.
    pub(crate) fn catch_up(&self, id: ChannelId) {
        let open = self.lock();
        let Some(open) = open.get(&id).filter(|open| open.has_terminal()) else { return };
        if let Some((_, text)) = self.unseen().take().filter(|(at, _)| at.elapsed() < UNSEEN_FOR) {
            self.show(open, text);
        }
    }

    fn show(&self, open: &Open, text: Bytes) {
        let output = open.output.clone();
        self.runtime.spawn(async move { output.send(text).await });
    }

    fn unseen(&self) -> MutexGuard<'_, Option<(Instant, Bytes)>> {
        self.unseen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hangs all programs up.
    pub(crate) fn close(&self) {
        self.lock().clear();
    }
}
