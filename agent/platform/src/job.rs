//! State of the agent's job, and failures of the service managers' commands, which are the same on
//! both systems.

use super::command::CommandError;

/// State of the job with launchd or systemd.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct JobState {
    /// The service manager knows the job.
    pub loaded: bool,
    /// It starts with the system.
    pub enabled: bool,
    /// Its process, where there is one.
    pub pid: Option<u32>,
    /// The service manager waits before it starts the job again.
    pub throttled: bool,
    /// The exit code of the process before, where there was one.
    pub last_exit: Option<i32>,
    /// In the service manager's own words: `running`, `spawn scheduled`, `active (running)` …
    pub words: String,
}

/// Reason why a service manager did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServiceError {
    /// A tool failed in a way that nothing more is known about.
    #[error(transparent)]
    Command(Box<CommandError>),
    /// It failed in a way that is understood.
    #[error("{what}: {source}")]
    Known {
        /// Fault, as the beginning of a sentence.
        what: String,
        /// Remedy.
        hint: String,
        /// Error of the tool.
        source: Box<CommandError>,
    },
    /// There is no service manager here.
    #[error("{what}")]
    None {
        /// Missing thing.
        what: String,
        /// Alternative.
        hint: String,
    },
    /// The process that reloads the job could not be started, or failed.
    #[error("the job could not be loaded anew: {source}")]
    Reload {
        /// Cause, or what it said.
        source: std::io::Error,
    },
    /// The job did not come to the state that was waited for.
    #[error("{what}")]
    TimedOut {
        /// Event that was waited for, and the time.
        what: String,
        /// Remedy.
        hint: String,
    },
}

impl From<CommandError> for ServiceError {
    fn from(error: CommandError) -> Self {
        Self::Command(Box::new(error))
    }
}

impl ServiceError {
    /// Returns the remedy.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Command(error) => error.hint(),
            Self::Reload { .. } => Some("load it with `sudo russet agent start`".to_owned()),
            Self::Known { hint, .. } | Self::None { hint, .. } | Self::TimedOut { hint, .. } => {
                Some(hint.clone())
            }
        }
    }
}
