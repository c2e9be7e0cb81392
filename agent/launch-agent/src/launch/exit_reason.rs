//! The reasons for which the launch agent ends.

use russet_protocol::exit_reason::AgentExit;

/// The reason for which the launch agent ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExitReason {
    /// A drain ended, or everything was canceled as asked.
    Stopped,
    /// `mode: single-task`, and the task has ended.
    SingleTask,
    /// `idle_timeout` passed.
    Idle,
    /// A new version is in place.
    Updated,
    /// Tasks live on; launchd or a person asked this process to end.
    Left,
    /// Another launch agent uses the state directory.
    StateInUse(String),
    /// It could not start.
    Failed(String),
}

impl ExitReason {
    /// The exit code of the process.
    #[must_use]
    pub fn code(&self) -> u8 {
        self.exit().code()
    }

    /// Its row in the table of exit codes.
    #[must_use]
    pub fn exit(&self) -> AgentExit {
        match self {
            Self::Stopped | Self::SingleTask | Self::Idle => AgentExit::Ended,
            Self::Left => AgentExit::Left,
            Self::Updated => AgentExit::Updated,
            Self::Failed(_) => AgentExit::Failed,
            Self::StateInUse(_) => AgentExit::StateInUse,
        }
    }
}
