//! End of the agent: how it is told from others, and its words.

use std::fmt;
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
use std::time::Duration;

use crate::files::Health;

/// End of the agent, or of the attempt to start it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// It was not started: it is not there, or others than root can change it.
    Untrusted(String),
    /// The system could not execute it, and never will.
    Unexecutable(String),
    /// There was no room for another process.
    NoRoom(String),
    /// With this code.
    Exit(i32),
    /// By this signal.
    Signal(i32),
    /// It did not prove itself in its time, and was killed. Its tasks go on.
    TooLate,
}

/// Observations of a run.
#[derive(Clone, Debug)]
pub(crate) struct End {
    pub(crate) ended: Ended,
    /// Progress that it reported.
    pub(crate) health: Option<Health>,
    /// Set if it noted that it ends because its owner wants it to.
    pub(crate) is_asked: bool,
    /// Set if it could not have reported anything: the state directory cannot be used.
    pub(crate) is_mute: bool,
    /// Time from its start to its end.
    pub(crate) ran: Duration,
}

impl End {
    /// An end of which nothing else is known.
    pub(crate) fn new(ended: Ended) -> Self {
        Self { ended, health: None, is_asked: false, is_mute: false, ran: Duration::ZERO }
    }

    /// Returns true if it had proved itself in this run.
    pub(crate) fn is_proved(&self) -> bool {
        self.health == Some(Health::Proved)
    }
}

impl From<ExitStatus> for Ended {
    fn from(status: ExitStatus) -> Self {
        match (status.code(), status.signal()) {
            (Some(code), _) => Self::Exit(code),
            (None, signal) => Self::Signal(signal.unwrap_or(0)),
        }
    }
}

impl Ended {
    /// Classifies the error of a program that cannot be started.
    pub(crate) fn not_started(error: &std::io::Error) -> Self {
        let text = error.to_string();
        #[cfg(target_os = "macos")]
        let of_the_file =
            [libc::ENOENT, libc::EACCES, libc::ENOEXEC, libc::EBADARCH, libc::EBADMACHO];
        #[cfg(not(target_os = "macos"))]
        let of_the_file = [libc::ENOENT, libc::EACCES, libc::ENOEXEC];
        match error.raw_os_error() {
            // The file itself was looked at before.
            Some(libc::ENOENT) => {
                Self::Unexecutable("the loader or interpreter that it names is missing".to_owned())
            }
            Some(number) if of_the_file.contains(&number) => Self::Unexecutable(text),
            _ => Self::NoRoom(text),
        }
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Untrusted(reason) | Self::Unexecutable(reason) | Self::NoRoom(reason) => {
                write!(f, "cannot be started: {reason}")
            }
            // The table's words are those of an agent that was asked.
            Self::Exit(0) => f.write_str("exited with code 0"),
            Self::Exit(code) => {
                let meaning = crate::table::AgentExit::from_code(*code)
                    .map_or("it crashed", crate::table::AgentExit::meaning);
                write!(f, "exited with code {code} ({meaning})")
            }
            Self::Signal(signal) => write!(f, "was killed by signal {signal}"),
            Self::TooLate => f.write_str("did not prove itself in its time"),
        }
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.ended, self.health) {
            (Ended::TooLate, None) => f.write_str("was not ready within its probation"),
            (Ended::TooLate, Some(_)) => {
                f.write_str("had no answer from the control plane within its probation")
            }
            (Ended::Exit(0), _) if self.is_asked => write!(f, "{}, as asked", self.ended),
            (Ended::Exit(0), _) => write!(f, "{}, though nobody asked it to end", self.ended),
            (ended, _) => ended.fmt(f),
        }
    }
}
