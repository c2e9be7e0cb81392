//! The journal of a slot's task, from which the next launch agent goes on.
//!
//! It is there from the claim until the slot is clean again. It holds the task token, so it is
//! root's alone (0600, in a directory of root's). It is replaced by a rename, whole or not at
//! all, and not synced: it outlives this process, and what survives a loss of power is worth
//! nothing, since the task does not.

use std::io::{self, Write as _};
use std::os::fd::OwnedFd;

use nix::fcntl::{OFlag, openat, renameat};
use nix::sys::stat::Mode;
use nix::unistd::{UnlinkatFlags, unlinkat};
use russet_protocol::ids::{AllocationId, TaskId};
use russet_protocol::local::Task;
use russet_protocol::supervise::Assignment;
use serde::{Deserialize, Serialize};

use crate::crash_points::CrashPoint;
use crate::launch::kept::Scope;

/// The version that this code writes.
pub(in crate::launch) const VERSION: u32 = 1;

const NAME: &str = "journal.json";
const DRAFT: &str = "journal.json.new";

/// A task and how to find its agent again.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(in crate::launch) struct Journal {
    /// Version of this document.
    pub(in crate::launch) version: u32,
    /// The boot in which it was written: the numbers below mean nothing in another.
    pub(in crate::launch) boot_id: String,
    /// The claim.
    pub(in crate::launch) allocation: AllocationId,
    /// The task, where the server says it.
    #[serde(default)]
    pub(in crate::launch) task_id: Option<TaskId>,
    /// The part that people are shown, in the words of the control plane.
    #[serde(default)]
    pub(in crate::launch) shown: Task,
    /// The interval of heartbeats that the server asks for.
    #[serde(default)]
    pub(in crate::launch) heartbeat_ms: Option<u64>,
    /// The assignment of the task agent, given or to be given.
    pub(in crate::launch) assignment: Assignment,
    /// The task agent. `None`: it was not started yet, so nothing of the project ran.
    #[serde(default)]
    pub(in crate::launch) process: Option<Identity>,
    /// Tasks with which it shares directories of the home that outlive it, if there are any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::launch) kept: Option<Scope>,
}

/// One process, for ever (within its boot).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::launch) struct Identity {
    /// Its number.
    pub(in crate::launch) pid: u32,
    /// Its start time, in the units of the system.
    pub(in crate::launch) start: u64,
}

/// The state of the task agent of a journal.
#[derive(Debug)]
pub(in crate::launch) enum Found {
    /// It runs.
    Alive(russet_platform::Process),
    /// It was never started.
    NeverStarted,
    /// It has ended.
    Ended,
    /// The machine was restarted.
    Rebooted,
}

impl Identity {
    /// The identity of a process that runs. One that is gone already has no start time.
    pub(in crate::launch) fn of(pid: u32) -> Self {
        Self { pid, start: russet_platform::start_time(pid).unwrap_or(0) }
    }

    /// Returns true if the process that has this number now is this one.
    pub(in crate::launch) fn is_process(&self, pid: u32) -> bool {
        pid == self.pid && russet_platform::start_time(pid) == Some(self.start)
    }
}

impl Journal {
    /// Replaces the journal in the slot's directory.
    pub(in crate::launch) fn write(&self, slot: &OwnedFd) -> io::Result<()> {
        let text = zeroize::Zeroizing::new(serde_json::to_vec(self)?);
        let flags = OFlag::O_WRONLY
            | OFlag::O_CREAT
            | OFlag::O_TRUNC
            | OFlag::O_NOFOLLOW
            | OFlag::O_CLOEXEC;
        let draft = openat(slot, DRAFT, flags, Mode::from_bits_truncate(0o600))?;
        CrashPoint::DraftMade.pass();
        std::fs::File::from(draft).write_all(&text)?;
        CrashPoint::DraftWritten.pass();
        renameat(slot, DRAFT, slot, NAME)?;
        CrashPoint::JournalWritten.pass();
        Ok(())
    }

    /// The journal in the slot's directory, if there is one.
    pub(in crate::launch) fn read(slot: &OwnedFd) -> io::Result<Option<Self>> {
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let file = match openat(slot, NAME, flags, Mode::empty()) {
            Ok(file) => std::fs::File::from(file),
            Err(nix::Error::ENOENT) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        Ok(Some(serde_json::from_reader(io::BufReader::new(file))?))
    }

    /// Deletes the journal: the slot is clean.
    pub(in crate::launch) fn remove(slot: &OwnedFd) -> io::Result<()> {
        match unlinkat(slot, NAME, UnlinkatFlags::NoRemoveDir) {
            Ok(()) => {
                CrashPoint::JournalRemoved.pass();
                Ok(())
            }
            Err(nix::Error::ENOENT) => Ok(()),
            Err(error) => {
                let error = io::Error::from(error);
                Err(io::Error::new(error.kind(), format!("could not delete {NAME}: {error}")))
            }
        }
    }

    /// Looks for the task agent, in the boot `boot_id`.
    ///
    /// The process is held first and its start time compared then: it cannot be exchanged for
    /// another in between.
    pub(in crate::launch) fn find_task_agent(&self, boot_id: &str) -> Found {
        if self.boot_id != boot_id {
            return Found::Rebooted;
        }
        let Some(identity) = &self.process else { return Found::NeverStarted };
        match russet_platform::Process::open(identity.pid) {
            Ok(process) if russet_platform::start_time(identity.pid) == Some(identity.start) => {
                Found::Alive(process)
            }
            _ => Found::Ended,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Found, Identity, Journal};
    use std::os::fd::OwnedFd;

    fn journal(process: Option<Identity>) -> Journal {
        // A journal of version 1, as it stands on disks: it is read for ever.
        let text = r#"{
            "version": 1, "boot_id": "this boot", "allocation": "a",
            "task_id": "t", "heartbeat_ms": 10000,
            "assignment": {
                "version": 1, "mode": "run", "token": "secret", "allocation": "a",
                "api_url": "http://localhost", "runner": "mini", "max_run_time_ms": 1000,
                "dirs": { "root": "/s/1", "home": "/s/1/home", "work": "/s/1/work",
                          "tmp": "/s/1/tmp", "spool": "/s/1/spool" },
                "deadline": { "boot_ms": 5000, "boot_id": "this boot" }
            },
            "process": { "pid": 1, "start": 2 },
            "added_later": true
        }"#;
        Journal { process, ..serde_json::from_str(text).unwrap() }
    }

    fn child() -> std::process::Child {
        std::process::Command::new("sleep").arg("1000").spawn().unwrap()
    }

    #[test]
    fn a_journal_is_private_and_comes_back_as_it_was() {
        use std::os::unix::fs::MetadataExt as _;
        let dir = tempfile::tempdir().unwrap();
        let fd: OwnedFd = std::fs::File::open(dir.path()).unwrap().into();
        assert!(Journal::read(&fd).unwrap().is_none());
        let mut written = journal(Some(Identity { pid: 7, start: 9 }));
        written.write(&fd).unwrap();
        written.task_id = Some("other".into());
        written.write(&fd).unwrap();
        let meta = std::fs::metadata(dir.path().join("journal.json")).unwrap();
        assert_eq!(meta.mode() & 0o777, 0o600);
        let read = Journal::read(&fd).unwrap().unwrap();
        assert_eq!(read.process, Some(Identity { pid: 7, start: 9 }));
        assert_eq!(read.task_id, Some("other".into()));
        assert_eq!(read.assignment.token.expose(), "secret");
        Journal::remove(&fd).unwrap();
        Journal::remove(&fd).unwrap();
        assert!(Journal::read(&fd).unwrap().is_none());
    }

    #[test]
    fn a_running_task_agent_is_found() {
        let mut child = child();
        let found = journal(Some(Identity::of(child.id()))).find_task_agent("this boot");
        assert!(matches!(found, Found::Alive(_)));
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn a_pid_that_means_another_process_now_is_not_the_task_agent() {
        let mut child = child();
        let Identity { pid, start } = Identity::of(child.id());
        let found = journal(Some(Identity { pid, start: start - 1 })).find_task_agent("this boot");
        assert!(matches!(found, Found::Ended));
        child.kill().unwrap();
        child.wait().unwrap();
        let found = journal(Some(Identity { pid, start })).find_task_agent("this boot");
        assert!(matches!(found, Found::Ended));
    }

    #[test]
    fn after_a_restart_of_the_machine_nothing_is_looked_for() {
        let me = Identity::of(std::process::id());
        assert!(matches!(journal(Some(me)).find_task_agent("next boot"), Found::Rebooted));
    }

    #[test]
    fn a_task_agent_that_was_never_started_ran_nothing() {
        assert!(matches!(journal(None).find_task_agent("this boot"), Found::NeverStarted));
    }
}
