//! Starting the task agent of a claimed task.

use std::io;
use std::sync::Arc;

use russet_protocol::supervise::Assignment;

use super::handle::TaskAgentHandle;
use super::heartbeat::Heartbeats;
use super::launcher::TaskAgentLauncher;
use crate::crash_points::CrashPoint;
use crate::launch::caches::CacheUse;
use crate::launch::process::{Spawned, empty_log, hand_over};
use crate::launch::slot::aside::AsideKeeper;
use crate::launch::slot::info::SlotInfo;
use crate::launch::slot::meter::TaskMeter;
use crate::launch::slot::record::TaskRecord;
use crate::launch::slot::session::session_absence;
use crate::launch::slot::xcode::xcode_obstacle;
use crate::launch::slot_dir::{Identity, Journal, make_work};
use crate::metrics::Failure;
use crate::state::slot::Input;
use russet_platform::Process;
use russet_platform::clock::BootTime;

/// Starts the task agents of a slot.
#[derive(Debug)]
pub(in crate::launch::slot) struct TaskStarter {
    pub(in crate::launch::slot) info: Arc<SlotInfo>,
    pub(in crate::launch::slot) aside: Arc<AsideKeeper>,
    pub(in crate::launch::slot) record: Arc<TaskRecord>,
    pub(in crate::launch::slot) meter: Arc<TaskMeter>,
    pub(in crate::launch::slot) launcher: Arc<TaskAgentLauncher>,
    pub(in crate::launch::slot) agent: Arc<TaskAgentHandle>,
    pub(in crate::launch::slot) heartbeats: Arc<Heartbeats>,
    pub(in crate::launch::slot) caches: Arc<CacheUse>,
}

impl TaskStarter {
    /// Starts the task agent for the claimed task, and tells the state machine.
    pub(in crate::launch::slot) async fn start(&self) -> Option<tokio::process::Child> {
        let shared = &self.info.shared;
        let deadline = shared.clock.now().after(shared.config.max_run_time);
        match self.try_start(deadline).await {
            Ok(child) => {
                self.info.send(Input::Started { deadline });
                Some(child)
            }
            Err(error) => {
                tracing::error!(slot = self.info.number, %error, "could not start a task agent");
                shared.metrics.failed(Failure::NotStarted);
                let reason = format!("could not start the task agent: {error}");
                self.info.send(Input::NotStarted(reason));
                None
            }
        }
    }

    async fn try_start(&self, deadline: BootTime) -> io::Result<tokio::process::Child> {
        let info = &*self.info;
        let mut journal =
            self.record.journal().ok_or_else(|| io::Error::other("there is no claimed task"))?;
        if let Some(why) = session_absence(info).await {
            return Err(io::Error::other(why));
        }
        if let Some(why) = xcode_obstacle(info) {
            return Err(io::Error::other(why));
        }
        if journal.assignment.dirs.work != info.dir.paths.work {
            make_work(&journal.assignment.dirs.work, info.user())?;
        }
        self.caches.begin(&info.shared.caches).await;
        self.aside.leave_slot().await;
        journal.assignment.kept = info.lend_kept(&journal);
        let Spawned { mut child, pid } = self.launcher.take()?;
        CrashPoint::AgentStarted.pass();
        // Before it has a task, so before it has started anything.
        join_group(info, pid);
        // Its lines are about the task before.
        empty_log(&info.dir.fd)?;
        let process = Process::open(pid).map(Arc::new);
        journal.process = Some(Identity::of(pid));
        journal.assignment.deadline = Some(info.shared.clock.deadline(deadline));
        show_deadline(info, deadline);
        // Before the task agent has its assignment: a task that runs is always in the journal.
        journal.write(&info.dir.fd)?;
        CrashPoint::AgentNoted.pass();
        self.agent.channel.begin(&journal.allocation);
        hand_over(&mut child, &self.full_assignment(&journal)).await?;
        self.record.forget_granted();
        CrashPoint::AssignmentHandedOver.pass();
        self.agent.set_process(process.ok());
        self.record.set_journal(journal);
        self.meter.note_started(info);
        self.heartbeats.begin(&self.info, &self.record, &self.meter, &self.agent.channel);
        Ok(child)
    }

    /// The assignment of the journal with the credentials, which are not in the journal.
    fn full_assignment(&self, journal: &Journal) -> Assignment {
        let granted = self.record.granted();
        Assignment {
            credentials: granted.credentials,
            withheld: granted.withheld,
            ..journal.assignment.clone()
        }
    }
}

fn join_group(info: &SlotInfo, pid: u32) {
    let Some(groups) = &info.shared.groups else { return };
    if let Err(error) = groups.put(info.number, pid) {
        // The slot's user is what ends its processes; the group is there besides.
        tracing::warn!(slot = info.number, %error, "the task has no control group of its own");
    }
}

/// Shows people the time at which the task is ended at the latest.
pub(super) fn show_deadline(info: &SlotInfo, deadline: BootTime) {
    let (sink, clock) = (&info.shared.sink, &info.shared.clock);
    let now_ms = clock.wall_ms();
    let left_ms = russet_platform::clock::whole_millis(deadline.since(clock.now()));
    sink.board.deadline(info.number, now_ms.saturating_add(left_ms), now_ms);
}
