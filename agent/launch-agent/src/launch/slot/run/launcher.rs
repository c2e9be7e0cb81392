//! Starting the processes that task agents are.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::launch::process::{Spawned, spawn_task_agent};
use crate::launch::slot::info::SlotInfo;
use russet_platform::macos_tools::user_domain;

/// Starts task agents, and keeps one ready for the next task.
#[derive(Debug)]
pub(in crate::launch::slot) struct TaskAgentLauncher {
    info: Arc<SlotInfo>,
    /// A task agent that waits for the next assignment.
    spare: Mutex<Option<Spawned>>,
}

impl TaskAgentLauncher {
    pub(in crate::launch::slot) fn new(info: Arc<SlotInfo>) -> Self {
        Self { info, spare: Mutex::default() }
    }

    /// Takes the spare task agent, or starts one.
    pub(super) fn take(&self) -> io::Result<Spawned> {
        if let Some(mut spare) = self.spare().take()
            && matches!(spare.child.try_wait(), Ok(None))
        {
            return Ok(spare);
        }
        let info = &self.info;
        let prefix = if info.is_gui() {
            user_domain::in_session(&info.shared.tools, info.user().uid)
        } else {
            info.shared.config.command_prefix.clone()
        };
        spawn_task_agent(&info.shared.staged.exe, &prefix, &info.dir.fd)
    }

    /// Starts the next task agent, which waits for its assignment: the time that a process takes
    /// to start is not the next task's. A command prefix may do something of its own at the start
    /// of a task, so behind one there is no spare.
    pub(in crate::launch::slot) fn start_spare(&self) {
        let info = &self.info;
        let has_prefix = info.is_gui() || !info.shared.config.command_prefix.is_empty();
        if has_prefix || info.class.is_none() {
            return;
        }
        let mut spare = self.spare();
        let waits = spare.as_mut().is_some_and(|spare| matches!(spare.child.try_wait(), Ok(None)));
        if !waits {
            *spare = spawn_task_agent(&info.shared.staged.exe, &[], &info.dir.fd).ok();
        }
    }

    fn spare(&self) -> MutexGuard<'_, Option<Spawned>> {
        self.spare.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
