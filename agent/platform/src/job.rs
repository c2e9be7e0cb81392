//! State of the agent's job, and failures of the service managers' commands, which are the same on
//! both systems.

use super::command::CommandError;
use super::layout::{LABEL, SERVER_LABEL, SERVER_SYSTEMD_UNIT, SYSTEMD_UNIT};

/// Job of Russet's that a service manager starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Job {
    /// Its name with launchd.
    pub label: &'static str,
    /// Its name with systemd.
    pub unit: &'static str,
    /// Command that installs it.
    pub install: &'static str,
    /// Command that loads it where it is installed.
    pub load: &'static str,
}

/// The launch agent, which `russet-boot` starts.
pub const AGENT: Job = Job {
    label: LABEL,
    unit: SYSTEMD_UNIT,
    install: "russet agent install",
    load: "russet agent start",
};

/// The control plane.
pub const SERVER: Job = Job {
    label: SERVER_LABEL,
    unit: SERVER_SYSTEMD_UNIT,
    install: "russet server install",
    load: "russet server install",
};

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
        /// The job.
        job: Job,
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
            Self::Reload { job, .. } => Some(format!("load it with `sudo {}`", job.load)),
            Self::Known { hint, .. } | Self::None { hint, .. } | Self::TimedOut { hint, .. } => {
                Some(hint.clone())
            }
        }
    }
}
