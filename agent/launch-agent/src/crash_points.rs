//! Named steps at which the launch agent can be killed by a test, between the system calls that
//! change a slot's journal, its directories and its process.
//!
//! Every order of these must be safe: a launch agent that is killed at any of them leaves a slot
//! that the next one takes over, and a task with one outcome. `tests/slots.rs` kills at each.
//!
//! Threat: something that ends an agent of root's on request. It is compiled into debug builds
//! alone, and read from a file in the state directory, where only root writes.

/// A step that was just taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CrashPoint {
    /// A claim brought a task, of which nothing is written down.
    Claimed,
    /// The draft of the journal is there, and empty.
    DraftMade,
    /// The draft of the journal is whole.
    DraftWritten,
    /// The journal has its name.
    JournalWritten,
    /// The task agent runs and is in no journal.
    AgentStarted,
    /// The journal names the task agent, which has no assignment.
    AgentNoted,
    /// The task agent has its assignment.
    AssignmentHandedOver,
    /// The task agent has ended, and nothing follows yet from how.
    AgentEnded,
    /// The control plane knows how the task ended.
    Settled,
    /// A helper has emptied the directories.
    Emptied,
    /// A directory of the slot is removed.
    DirectoryRemoved,
    /// A directory of the slot is made anew, and root's.
    DirectoryMade,
    /// A directory of the slot is its user's.
    DirectoryGiven,
    /// Every directory is fresh, and the journal is still there.
    Refreshed,
    /// The journal is gone.
    JournalRemoved,
    /// A set of kept directories is whole, and not in its place.
    KeptWhole,
    /// It is in its place, and the one before in the place of what is to be thrown away.
    KeptExchanged,
    /// It is in its place, and the one before is to go.
    KeptPlaced,
}

impl CrashPoint {
    /// Every step that each task takes, in the order of a task.
    const ALL: [Self; 15] = [
        Self::Claimed,
        Self::DraftMade,
        Self::DraftWritten,
        Self::JournalWritten,
        Self::AgentStarted,
        Self::AgentNoted,
        Self::AssignmentHandedOver,
        Self::AgentEnded,
        Self::Settled,
        Self::Emptied,
        Self::DirectoryRemoved,
        Self::DirectoryMade,
        Self::DirectoryGiven,
        Self::Refreshed,
        Self::JournalRemoved,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Claimed => "claimed",
            Self::DraftMade => "draft made",
            Self::DraftWritten => "draft written",
            Self::JournalWritten => "journal written",
            Self::AgentStarted => "agent started",
            Self::AgentNoted => "agent noted",
            Self::AssignmentHandedOver => "assignment handed over",
            Self::AgentEnded => "agent ended",
            Self::Settled => "settled",
            Self::Emptied => "emptied",
            Self::DirectoryRemoved => "directory removed",
            Self::DirectoryMade => "directory made",
            Self::DirectoryGiven => "directory given",
            Self::Refreshed => "refreshed",
            Self::JournalRemoved => "journal removed",
            Self::KeptWhole => "kept whole",
            Self::KeptExchanged => "kept exchanged",
            Self::KeptPlaced => "kept placed",
        }
    }

    /// Ends this process here, where a test asked for that.
    pub(crate) fn pass(self) {
        #[cfg(debug_assertions)]
        armed::pass(self);
    }
}

/// Returns the names of the steps that only a task takes whose class keeps directories.
#[must_use]
pub fn kept_step_names() -> Vec<&'static str> {
    [CrashPoint::KeptWhole, CrashPoint::KeptExchanged, CrashPoint::KeptPlaced]
        .map(CrashPoint::name)
        .to_vec()
}

/// Returns the names of the steps that each task takes, in the order of a task.
#[must_use]
pub fn step_names() -> Vec<&'static str> {
    CrashPoint::ALL.into_iter().map(CrashPoint::name).collect()
}

/// Reads from the state directory at which step this process is to be killed, if at any.
#[cfg_attr(
    not(debug_assertions),
    expect(unused_variables, reason = "a release is never killed by request")
)]
pub(crate) fn arm(state: &std::path::Path) {
    #[cfg(debug_assertions)]
    armed::read(state);
}

#[cfg(debug_assertions)]
mod armed {
    //! The kill itself, in debug builds.

    use std::path::Path;
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::CrashPoint;

    /// Name of the file: the name of a step, a colon, and at which time it is taken.
    const FILE: &str = "crash-at";

    static STEP: OnceLock<(String, u32)> = OnceLock::new();
    static TAKEN: AtomicU32 = AtomicU32::new(0);

    #[expect(
        clippy::disallowed_methods,
        reason = "the file lies in the state directory, where only root writes"
    )]
    pub(super) fn read(state: &Path) {
        let Ok(text) = std::fs::read_to_string(state.join(FILE)) else { return };
        let Some((name, time)) = text.trim().split_once(':') else { return };
        let Ok(time) = time.parse() else { return };
        // Agents of several tests in one process are armed by none.
        drop(STEP.set((name.to_owned(), time)));
    }

    pub(super) fn pass(point: CrashPoint) {
        let Some((name, time)) = STEP.get() else { return };
        if *name == point.name() && TAKEN.fetch_add(1, Ordering::Relaxed) + 1 == *time {
            let me = nix::unistd::Pid::this();
            if let Err(error) = nix::sys::signal::kill(me, nix::sys::signal::Signal::SIGKILL) {
                tracing::error!(%error, "could not end this process at a step");
            }
        }
    }
}
