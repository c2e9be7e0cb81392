//! Running a task: its agent is started or adopted, watched, cancelled or killed.

mod adopt;
mod handle;
mod heartbeat;
mod launcher;
mod start;
mod watch;

pub(super) use adopt::TaskAdopter;
pub(super) use handle::TaskAgentHandle;
pub(super) use heartbeat::Heartbeats;
pub(super) use launcher::TaskAgentLauncher;
pub(super) use start::TaskStarter;
pub(super) use watch::TaskWatcher;
