//! The users as whom tasks run.

use russet_protocol::supervise::SlotUser;

use crate::config::Config;
use crate::launch::events::EventSink;
use crate::launch::exit_reason::ExitReason;
use crate::launch::process::probe_prefix;
use russet_platform::users;

/// The users as whom tasks run.
#[derive(Clone, Debug)]
pub(super) enum TaskUsers {
    /// Each slot as a user of its own.
    OfSlots,
    /// All slots as this one.
    One(SlotUser),
}

/// Finds the users as whom tasks run, which a command prefix may change.
pub(super) async fn find_task_users(
    config: &Config,
    sink: &EventSink,
) -> Result<TaskUsers, ExitReason> {
    let me = nix::unistd::geteuid().as_raw();
    let landed = if config.command_prefix.is_empty() {
        None
    } else {
        let ids = probe_prefix(&config.command_prefix).await.map_err(|reason| {
            ExitReason::Failed(format!(
                "`runner.command_prefix` {reason}\n  hint: it must run what follows it and forward \
                 the exit code"
            ))
        })?;
        (ids.0 != me).then_some(ids)
    };
    match (me, landed) {
        (0, None) => Ok(TaskUsers::OfSlots),
        (0, Some((uid, gid))) => {
            let user = users::by_id(uid, gid);
            let name = user.name.clone().unwrap_or_else(|| uid.to_string());
            sink.warn(format!(
                "`runner.command_prefix` runs tasks as {name}, which is not a slot's own user: \
                 what a task leaves running or outside of its directories is not removed"
            ));
            Ok(TaskUsers::One(user))
        }
        (_, Some((uid, _))) => Err(ExitReason::Failed(format!(
            "`runner.command_prefix` runs tasks as user {uid}, whose directories this agent can \
             not make\n  hint: start the agent as root; it gives tasks a user of their own"
        ))),
        (_, None) => {
            sink.warn(
                "tasks are not isolated: they run as the user of this agent, and can read its \
                 files"
                    .to_owned(),
            );
            Ok(TaskUsers::One(users::calling_user()))
        }
    }
}
