//! The agent as a child: started with fixed arguments, watched until it ends.

use std::fmt;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::files::Health;
use crate::layout::Layout;
use crate::signals::Signals;
use crate::state::State;

/// After TERM the agent needs less than 30 s; launchd and systemd kill after 60 s.
const LEAVE_LIMIT: Duration = Duration::from_secs(45);

/// Interval of looking at the health of a version in probation.
const LOOK: Duration = Duration::from_millis(100);

#[cfg(target_os = "macos")]
const HOST: &str = "launchd";
#[cfg(not(target_os = "macos"))]
const HOST: &str = "systemd";

/// End of the agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// It could not be executed, and never will be.
    NotStarted(String),
    /// There was no room for another process.
    NoRoom(String),
    /// With this code.
    Exit(i32),
    /// By this signal.
    Signal(i32),
    /// It did not prove itself in its time, having come so far, and was killed. Its tasks go on.
    TooLate(Option<Health>),
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotStarted(reason) | Self::NoRoom(reason) => {
                write!(f, "cannot be started: {reason}")
            }
            Self::Exit(code) => {
                let meaning = crate::table::AgentExit::from_code(*code)
                    .map_or("it crashed", crate::table::AgentExit::meaning);
                write!(f, "exited with code {code} ({meaning})")
            }
            Self::Signal(signal) => write!(f, "was killed by signal {signal}"),
            Self::TooLate(None) => f.write_str("was not ready within its probation"),
            Self::TooLate(Some(_)) => {
                f.write_str("had no answer from the control plane within its probation")
            }
        }
    }
}

/// Arguments and environment of its start.
pub(crate) struct Arguments<'a> {
    pub(crate) exe: PathBuf,
    pub(crate) layout: &'a Layout,
}

/// The agent while it runs.
pub(crate) struct Run {
    child: Child,
    /// Its standard input, on which nothing is ever written: should this process be killed, it
    /// ends, and the agent leaves its tasks to the next one. It closes when this is dropped.
    _life: Option<ChildStdin>,
}

/// Observations of a run.
pub(crate) struct Watched {
    pub(crate) ended: Ended,
    pub(crate) health: Option<Health>,
    /// It was in probation, and proved itself.
    pub(crate) proved: bool,
}

impl Run {
    pub(crate) fn start(arguments: &Arguments<'_>) -> std::io::Result<Self> {
        let Arguments { exe, layout } = arguments;
        let mut child = Command::new(exe)
            .args(["agent", "run", "--host", HOST, "--config"])
            .arg(layout.config())
            .arg("--boot-state")
            .arg(layout.boot_state())
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()?;
        let life = child.stdin.take();
        Ok(Self { child, _life: life })
    }

    /// Waits for its end, forwards a TERM, and watches a version in probation.
    pub(crate) fn watch(
        mut self,
        signals: &Signals,
        state: &State,
        mut probation: Option<Duration>,
    ) -> Watched {
        let began = Instant::now();
        let mut leave_by = None;
        let mut proved = false;
        loop {
            let status = self.child.try_wait();
            let health = state.health(self.child.id());
            if probation.is_some() && health == Some(Health::Proved) {
                state.end_probation();
                (probation, proved) = (None, true);
            }
            if let Ok(Some(status)) = status {
                return Watched { ended: ended(status), health, proved };
            }
            if signals.must_end() && leave_by.is_none() {
                self.signal(libc::SIGTERM);
                leave_by = Some(Instant::now() + LEAVE_LIMIT);
            }
            if leave_by.is_some_and(|at| Instant::now() >= at) {
                self.kill();
                return Watched { ended: Ended::Signal(libc::SIGKILL), health, proved };
            }
            let too_late = probation.is_some_and(|limit| began.elapsed() >= limit);
            if too_late && leave_by.is_none() {
                self.kill();
                return Watched { ended: Ended::TooLate(health), health, proved };
            }
            let soon = (probation.is_some() || leave_by.is_some()).then_some(LOOK);
            signals.wait(soon);
        }
    }

    fn signal(&self, signal: i32) {
        if let Ok(pid) = i32::try_from(self.child.id()) {
            // SAFETY: kill takes two integers. The child was not waited for, so the number is its.
            unsafe { libc::kill(pid, signal) };
        }
    }

    fn kill(&mut self) {
        self.signal(libc::SIGKILL);
        // It is gone at once, or it is in the kernel and will be.
        drop(self.child.wait());
    }
}

/// Classifies the error of a program that cannot be started.
pub(crate) fn not_started(error: &std::io::Error) -> Ended {
    let text = error.to_string();
    #[cfg(target_os = "macos")]
    let of_the_file = [libc::ENOENT, libc::EACCES, libc::ENOEXEC, libc::EBADARCH, libc::EBADMACHO];
    #[cfg(not(target_os = "macos"))]
    let of_the_file = [libc::ENOENT, libc::EACCES, libc::ENOEXEC];
    match error.raw_os_error() {
        Some(number) if of_the_file.contains(&number) => Ended::NotStarted(text),
        _ => Ended::NoRoom(text),
    }
}

fn ended(status: ExitStatus) -> Ended {
    match (status.code(), status.signal()) {
        (Some(code), _) => Ended::Exit(code),
        (None, signal) => Ended::Signal(signal.unwrap_or(0)),
    }
}
