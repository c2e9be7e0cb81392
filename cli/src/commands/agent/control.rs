//! `russet agent pause`, `resume`, `drain` and `cancel`: what a person wants of the agent of this
//! machine.

use std::time::Duration;

use russet_protocol::local::{CancelRequest, DrainRequest, PauseRequest, Task};

use crate::client::agent::{AgentArgs, AgentClient};
use crate::commands::block_on;
use crate::commands::values;
use crate::error::{CliError, Result};
use crate::exit::Exit;
use crate::render::{self, numbers, plain};

/// `russet agent pause`.
#[derive(clap::Args, Debug)]
pub(crate) struct PauseArgs {
    /// Reason, for everybody who looks
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Claim again after this long, as `90s`, `30m` or `2h`
    #[arg(long = "for", value_name = "TIME", value_parser = values::parse_duration)]
    time: Option<Duration>,
    #[command(flatten)]
    agent: AgentArgs,
}

/// `russet agent resume`.
#[derive(clap::Args, Debug)]
pub(crate) struct ResumeArgs {
    #[command(flatten)]
    agent: AgentArgs,
}

/// `russet agent drain`.
#[derive(clap::Args, Debug)]
pub(crate) struct DrainArgs {
    /// Return when no task runs any more
    #[arg(long)]
    wait: bool,
    /// Reason, for everybody who looks
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Cancel what still runs after this long, as `90s`, `30m` or `2h`
    #[arg(long, value_name = "TIME", value_parser = values::parse_duration)]
    deadline: Option<Duration>,
    #[command(flatten)]
    agent: AgentArgs,
}

/// `russet agent cancel`.
#[derive(clap::Args, Debug)]
pub(crate) struct CancelArgs {
    /// The task, as `russet agent status` calls it
    #[arg(value_name = "TASK", value_parser = values::parse_task_id)]
    task: String,
    /// Reason, for the task's log
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    #[command(flatten)]
    agent: AgentArgs,
}

/// Claims nothing more.
pub(crate) fn pause_agent(args: PauseArgs) -> Result<Exit> {
    let body = PauseRequest { reason: args.reason, for_s: args.time.map(values::whole_seconds) };
    block_on(async {
        args.agent.connect()?.ask("pause", &body).await?;
        render::print_note(
            "Paused: no task is claimed; what runs goes on. `russet agent resume` ends it.",
        );
        Ok(Exit::Success)
    })
}

/// Claims again.
pub(crate) fn resume_agent(args: &ResumeArgs) -> Result<Exit> {
    block_on(async {
        args.agent.connect()?.ask("resume", &()).await?;
        render::print_note("Tasks are claimed again.");
        Ok(Exit::Success)
    })
}

/// Cancels a task, and waits for its end.
pub(crate) fn cancel_task(args: CancelArgs) -> Result<Exit> {
    let body = CancelRequest { reason: args.reason };
    block_on(async {
        let agent = args.agent.connect()?;
        agent.ask(&format!("tasks/{}/cancel", args.task), &body).await?;
        let mut changes = agent.changes().await?;
        while let Some(status) = changes.next().await {
            let mut tasks = status.slots.iter().filter_map(|slot| slot.task.as_ref()?.id.as_ref());
            if !tasks.any(|id| id.as_str() == args.task) {
                render::print_note(format_args!("Task {} has ended.", args.task));
                return Ok(Exit::Success);
            }
        }
        Err(CliError::new(Exit::Infrastructure, "the agent ended before the task did")
            .hint("`russet agent status` says how it is once the agent runs again"))
    })
}

/// Claims nothing more, and waits for what runs.
pub(crate) fn drain_agent(args: DrainArgs) -> Result<Exit> {
    let cancel_after_s = args.deadline.map(values::whole_seconds);
    let body = DrainRequest { reason: args.reason, cancel_after_s };
    block_on(async {
        let agent = args.agent.connect()?;
        agent.ask("drain", &body).await?;
        render::print_note("Draining: no task is claimed. `russet agent resume` ends it.");
        if args.wait { wait_until_idle(&agent).await } else { Ok(Exit::Success) }
    })
}

/// Returns when no task runs any more on an agent that was asked to drain. Says what it waits for.
pub(super) async fn wait_until_idle(agent: &AgentClient) -> Result<Exit> {
    let mut changes = agent.changes().await?;
    let mut said = String::new();
    while let Some(status) = changes.next().await {
        if !status.holds.iter().any(|hold| hold.source == "drain") {
            let message = "somebody resumed the agent before it was drained";
            return Err(CliError::new(Exit::Infrastructure, message));
        }
        let tasks: Vec<&Task> = status.slots.iter().filter_map(|slot| slot.task.as_ref()).collect();
        if tasks.is_empty() {
            render::print_note("Drained: no task runs.");
            return Ok(Exit::Success);
        }
        let line = waiting_for(&tasks);
        if line != said {
            render::print_note(&line);
            said = line;
        }
    }
    Err(CliError::new(Exit::Infrastructure, "the agent ended while it drained")
        .hint("its tasks go on; `russet agent status` says how it is once it runs again"))
}

/// It changes with the tasks, not with the time.
fn waiting_for(tasks: &[&Task]) -> String {
    let count = numbers::counted(u64::try_from(tasks.len()).unwrap_or_default(), "task");
    let names = tasks.iter().filter_map(|task| {
        let name = format!("{} {}", plain(task.project.as_deref()?), plain(task.job.as_deref()?));
        let until = task.usual_ms.map(|usual_ms| {
            format!(
                ", usually done at {}",
                numbers::local_time(task.since_ms.saturating_add(usual_ms))
            )
        });
        Some(name + &until.unwrap_or_default())
    });
    let names: Vec<String> = names.collect();
    if names.is_empty() {
        format!("Waiting for {count}.")
    } else {
        format!("Waiting for {count}: {}.", names.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use russet_protocol::local::Task;

    use super::waiting_for;

    #[test]
    fn what_is_waited_for_is_named() {
        let task = Task {
            project: Some("acme/app".to_owned()),
            job: Some("test".to_owned()),
            ..Task::default()
        };
        assert_eq!(waiting_for(&[&task]), "Waiting for 1 task: acme/app test.");
        assert_eq!(waiting_for(&[&Task::default(), &Task::default()]), "Waiting for 2 tasks.");
    }
}
