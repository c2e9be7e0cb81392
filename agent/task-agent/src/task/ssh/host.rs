//! Sessions of a person: processes of the task like those of its steps.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use russet_platform::clock::Clock;
use russet_protocol::ids::AllocationId;
use russet_protocol::ssh::SessionReport;
use russet_ssh_server::{Connection, Host, Started};
use tokio::sync::mpsc;

use crate::task::directories::JobDirs;
use crate::task::environment::{StepVariables, UNATTENDED, Variables};
use crate::task::login_path;
use crate::task::reaper::Reaper;

/// The task, as a server of SSH asks of it.
#[derive(Debug)]
pub(super) struct TaskHost {
    pub(super) reaper: Reaper,
    pub(super) dirs: Arc<JobDirs>,
    pub(super) variables: Arc<StepVariables>,
    pub(super) shell: PathBuf,
    pub(super) greeting: String,
    pub(super) allocation: AllocationId,
    pub(super) clock: Clock,
    /// Reports of sessions, on their way to the control plane.
    pub(super) reports: mpsc::UnboundedSender<SessionReport>,
    /// Times at which sessions began, in milliseconds since 1970.
    pub(super) began: std::sync::Mutex<std::collections::BTreeMap<u64, u64>>,
}

impl TaskHost {
    fn report(&self, connection: &Connection, started_ms: u64, ended_ms: Option<u64>) {
        // Whoever sends them lives until the last session has ended.
        drop(self.reports.send(SessionReport {
            id: format!("{}-{}", self.allocation.as_str(), connection.number),
            from: connection.from.clone(),
            key: connection.key.clone(),
            started_ms,
            ended_ms,
            bytes_in: connection.bytes_in,
            bytes_out: connection.bytes_out,
        }));
    }

    fn times(&self) -> std::sync::MutexGuard<'_, std::collections::BTreeMap<u64, u64>> {
        self.began.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Host for TaskHost {
    fn spawn(&self, command: &mut Command) -> io::Result<Started> {
        self.reaper.spawn_session(command).map(|child| {
            let pid = child.pid;
            Started { pid, exit: child.into_exit() }
        })
    }

    fn environment(&self, has_terminal: bool) -> Vec<(OsString, OsString)> {
        let variables = variables_of_session(self.variables.of_next_step(), has_terminal);
        variables.into_iter().map(|(name, value)| (name.into(), value.into())).collect()
    }

    fn directory(&self) -> PathBuf {
        let work = &self.dirs.work;
        if work.is_dir() { work.clone() } else { self.dirs.slot.home.clone() }
    }

    fn shell(&self) -> PathBuf {
        self.shell.clone()
    }

    fn greeting(&self) -> String {
        self.greeting.clone()
    }

    fn began(&self, connection: &Connection) {
        let now = self.clock.wall_ms();
        self.times().insert(connection.number, now);
        self.report(connection, now, None);
    }

    fn ended(&self, connection: &Connection) {
        let now = self.clock.wall_ms();
        let started = self.times().remove(&connection.number).unwrap_or(now);
        self.report(connection, started, Some(now));
    }
}

/// Returns the variables of a session: those of a step, without what keeps tools from asking where a
/// person sits at a terminal. What the owner or the job set stays.
fn variables_of_session(mut variables: Variables, has_terminal: bool) -> Variables {
    if has_terminal {
        for (name, value) in UNATTENDED {
            if variables.get(name).is_some_and(|set| set == value) {
                variables.remove(name);
            }
        }
    }
    login_path::tell(&mut variables);
    variables
}

#[cfg(test)]
mod tests {
    use super::variables_of_session;
    use crate::task::environment::Variables;

    #[test]
    fn a_person_at_a_terminal_may_be_asked_and_a_command_may_not() {
        let set = [("GIT_EDITOR", "true"), ("PAGER", "less -R"), ("PATH", "/bin")];
        let variables: Variables =
            set.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let shell = variables_of_session(variables.clone(), true);
        assert!(!shell.contains_key("GIT_EDITOR"));
        assert_eq!((shell["PAGER"].as_str(), shell["PATH"].as_str()), ("less -R", "/bin"));
        assert_eq!(variables_of_session(variables, false)["GIT_EDITOR"], "true");
    }
}
