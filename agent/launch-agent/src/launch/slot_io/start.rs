//! Starting the task agent of a claimed task.

use std::io;
use std::sync::Arc;

use russet_protocol::supervise::Assignment;

use super::{SlotIo, Task};
use crate::launch::journal::{Identity, Journal};
use crate::launch::state::slot::Input;
use crate::launch::{dirs, heartbeat, spawn};
use crate::metrics::Failure as Trouble;
use russet_platform::Process;
use russet_platform::clock::BootTime;
use russet_platform::darwin::user_domain;

impl SlotIo {
    /// Starts the task agent for the claimed task.
    pub(in crate::launch) async fn start(self: Arc<Self>) {
        let deadline = self.shared.clock.now().after(self.shared.config.max_run_time);
        match self.try_start(deadline).await {
            Ok(child) => {
                self.input(Input::Started { deadline });
                self.watch_child(child).await;
            }
            Err(error) => {
                tracing::error!(slot = self.number, %error, "could not start a task agent");
                self.shared.metrics.failed(Trouble::NotStarted);
                self.input(Input::NotStarted(format!("could not start the task agent: {error}")));
            }
        }
    }

    async fn try_start(self: &Arc<Self>, deadline: BootTime) -> io::Result<tokio::process::Child> {
        let mut journal =
            self.journal().ok_or_else(|| io::Error::other("there is no claimed task"))?;
        if let Some(why) = self.absence().await {
            return Err(io::Error::other(why));
        }
        if journal.assignment.dirs.work != self.dir.paths.work {
            dirs::make_work(&journal.assignment.dirs.work, &self.lease.user)?;
        }
        let running = Arc::clone(&self.shared.tasks).read_owned().await;
        self.with(|task| task.running = Some(running));
        let spawn::Spawned { mut child, pid } = self.take_agent()?;
        // Before it has a task, so before it has started anything.
        self.join_group(pid);
        // What is in it is about the task before.
        spawn::empty_log(&self.dir.fd)?;
        let process = Process::open(pid).map(Arc::new);
        journal.process = Some(Identity::of(pid));
        journal.assignment.deadline = Some(self.shared.clock.deadline(deadline));
        self.show_deadline(deadline);
        // Before the task agent has its assignment: a task that runs is always in the journal.
        journal.write(&self.dir.fd)?;
        self.link.begin(&journal.allocation);
        spawn::assign(&mut child, &self.told(&journal)).await?;
        self.with(|task| {
            task.process = process.ok();
            task.journal = Some(journal);
        });
        self.meter_started();
        self.begin_heartbeat();
        Ok(child)
    }

    /// Returns the assignment: the one in the journal, and the credentials, which are not in it.
    fn told(&self, journal: &Journal) -> Assignment {
        let granted = self.with(|task| std::mem::take(&mut task.granted));
        Assignment {
            credentials: granted.credentials,
            withheld: granted.withheld,
            ..journal.assignment.clone()
        }
    }

    fn join_group(&self, pid: u32) {
        let Some(groups) = &self.shared.groups else { return };
        if let Err(error) = groups.put(self.number, pid) {
            // The slot's user is what ends its processes; the group is there besides.
            tracing::warn!(slot = self.number, %error, "the task has no control group of its own");
        }
    }

    fn take_agent(&self) -> io::Result<spawn::Spawned> {
        if let Some(mut spare) = self.with(|task| task.spare.take())
            && matches!(spare.child.try_wait(), Ok(None))
        {
            return Ok(spare);
        }
        let prefix = if self.is_gui() {
            user_domain::in_session(self.lease.user.uid)
        } else {
            self.shared.config.command_prefix.clone()
        };
        spawn::task_agent(&self.shared.staged.exe, &prefix, &self.dir.fd)
    }

    /// Starts the next task agent, which waits for its assignment: the time that a process takes
    /// to start is not the next task's. A command prefix may do something of its own at the start
    /// of a task, so behind one there is no spare.
    pub(in crate::launch) fn start_spare(&self) {
        let has_prefix = self.is_gui() || !self.shared.config.command_prefix.is_empty();
        if has_prefix || self.class.is_none() {
            return;
        }
        let waits = |task: &mut Task| match &mut task.spare {
            Some(spare) => matches!(spare.child.try_wait(), Ok(None)),
            None => false,
        };
        if !self.with(waits) {
            let spare = spawn::task_agent(&self.shared.staged.exe, &[], &self.dir.fd).ok();
            self.with(|task| task.spare = spare);
        }
    }

    pub(super) fn begin_heartbeat(self: &Arc<Self>) {
        let beating = tokio::spawn(heartbeat::beat(Arc::clone(self))).abort_handle();
        self.with(|task| task.heartbeat = Some(beating));
    }
}
