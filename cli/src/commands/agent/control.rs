//! `russet agent pause`, `resume`, `drain` and `cancel`: what a person wants of the agent of this
//! machine.

use std::time::{Duration, Instant};

use russet_protocol::local::{
    CancelRequest, DrainRequest, Hold, HoldOwner, PauseRequest, Slot, SlotState, Task,
};

use crate::client::agent::{AgentArgs, AgentClient};
use crate::commands::block_on;
use crate::commands::values;
use crate::error::{CliError, Result};
use crate::exit::Exit;
use crate::render::{self, numbers, plain};

/// Time after which a slot that cannot be cleaned or settled ends the wait for a drain: most
/// troubles are over at the second or third attempt.
const STUCK_TIMEOUT: Duration = Duration::from_secs(10);

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

/// `russet agent accept-machine`.
#[derive(clap::Args, Debug)]
pub(crate) struct AcceptMachineArgs {
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
        let agent = args.agent.connect()?;
        agent.ask("resume", &()).await?;
        let holds = agent.status().await?.holds;
        // A pause of the control plane is lifted here too.
        let is_lifted = |hold: &&Hold| matches!(hold.owner, HoldOwner::Person | HoldOwner::Server);
        let others: Vec<_> = holds.iter().filter(|hold| !is_lifted(hold)).collect();
        if others.is_empty() {
            render::print_note("Tasks are claimed again.");
        }
        for hold in others {
            // Nobody but its owner lifts it, so it is said.
            render::print_note(format_args!(
                "Your hold is lifted, and another one stays: {}: {}",
                plain(&hold.source),
                plain(&hold.reason)
            ));
        }
        Ok(Exit::Success)
    })
}

/// Says that the installation is for this machine.
pub(crate) fn accept_machine(args: &AcceptMachineArgs) -> Result<Exit> {
    block_on(async {
        let agent = args.agent.connect()?;
        agent.ask("machine/accept", &()).await?;
        let name = agent.status().await?.name;
        render::print_note(format_args!(
            "The agent is for this machine now, and claims as {}. If the machine that it was copied \
             from goes on, give one of them another `runner.name` and a token of its own.",
            plain(&name)
        ));
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

/// Returns when no task runs any more on an agent that was asked to drain, and every slot is clean.
/// Says what it waits for. A slot that stays in trouble ends the wait with an error.
pub(super) async fn wait_until_idle(agent: &AgentClient) -> Result<Exit> {
    let mut changes = agent.changes().await?;
    let mut said = String::new();
    let mut stuck_since: Option<(String, Instant)> = None;
    loop {
        let left =
            stuck_since.as_ref().map(|(_, since)| STUCK_TIMEOUT.saturating_sub(since.elapsed()));
        let status = match within(left, changes.next()).await {
            Some(Some(status)) => status,
            Some(None) => break,
            None => {
                return Err(not_drained(&stuck_since.map(|(text, _)| text).unwrap_or_default()));
            }
        };
        if !status.holds.iter().any(|hold| hold.source == "drain") {
            let message = "somebody resumed the agent before it was drained";
            return Err(CliError::new(Exit::Infrastructure, message));
        }
        match drain_progress(&status.slots) {
            Progress::Done => {
                render::print_note("Drained: no task runs.");
                return Ok(Exit::Success);
            }
            Progress::Stuck(text) => {
                let since = stuck_since.map_or_else(Instant::now, |(_, since)| since);
                stuck_since = Some((text, since));
            }
            Progress::Waiting(line) => {
                stuck_since = None;
                if line != said {
                    render::print_note(&line);
                    said = line;
                }
            }
        }
    }
    Err(CliError::new(Exit::Infrastructure, "the agent ended while it drained")
        .hint("its tasks go on; `russet agent status` says how it is once it runs again"))
}

/// Waits for a value, with a limit where there is one.
async fn within<T>(limit: Option<Duration>, value: impl Future<Output = T>) -> Option<T> {
    match limit {
        Some(limit) => tokio::time::timeout(limit, value).await.ok(),
        None => Some(value.await),
    }
}

fn not_drained(reason: &str) -> CliError {
    CliError::new(Exit::Infrastructure, format!("not drained: {reason}")).hint(
        "no task is claimed, and the agent goes on trying; `russet agent status` shows how it is, \
         and operating.md says what to do",
    )
}

/// Progress of a drain.
#[derive(Debug, PartialEq, Eq)]
enum Progress {
    /// Every slot is clean and empty.
    Done,
    /// Slots are busy; this says with what.
    Waiting(String),
    /// Nothing runs, and these slots are in trouble.
    Stuck(String),
}

fn drain_progress(slots: &[Slot]) -> Progress {
    let tasks: Vec<&Task> = slots.iter().filter_map(|slot| slot.task.as_ref()).collect();
    if !tasks.is_empty() {
        return Progress::Waiting(waiting_for(&tasks));
    }
    let is_idle = |slot: &Slot| matches!(slot.state, SlotState::Free | SlotState::Unknown);
    let left: Vec<&Slot> = slots.iter().filter(|slot| !is_idle(slot)).collect();
    if left.is_empty() {
        return Progress::Done;
    }
    if left.iter().any(|slot| slot.reason.is_none() && slot.state != SlotState::Held) {
        return Progress::Waiting("Waiting for slots to be clean.".to_owned());
    }
    let words = left.iter().map(|slot| {
        let what = match slot.state {
            SlotState::Held => "could not be cleaned",
            _ => "cannot tell the control plane how its task ended",
        };
        let reason = slot.reason.as_deref().map(|reason| format!(" ({})", plain(reason)));
        format!("slot {} {what}{}", slot.number, reason.unwrap_or_default())
    });
    Progress::Stuck(words.collect::<Vec<_>>().join("; "))
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
    use russet_protocol::local::{Slot, SlotState, Task};

    use super::{Progress, drain_progress, waiting_for};

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

    #[test]
    fn a_drain_is_done_when_every_slot_is_free_and_says_which_stays_in_trouble() {
        let slot = |number, state, reason: Option<&str>| Slot {
            number,
            state,
            reason: reason.map(str::to_owned),
            ..Slot::default()
        };
        let free = slot(1, SlotState::Free, None);
        // An agent from before slots had states.
        let of_before = slot(2, SlotState::Unknown, None);
        assert_eq!(drain_progress(&[free.clone(), of_before]), Progress::Done);
        let held = slot(2, SlotState::Held, Some("could not empty /s/2/spool\u{1b}[2J"));
        let settling = slot(3, SlotState::Settling, None);
        let waits = drain_progress(&[free.clone(), held.clone(), settling.clone()]);
        assert!(matches!(waits, Progress::Waiting(_)), "{waits:?}");
        let settling = Slot { reason: Some("connection refused".to_owned()), ..settling };
        assert_eq!(
            drain_progress(&[free, held, settling]),
            Progress::Stuck(
                "slot 2 could not be cleaned (could not empty /s/2/spool\u{fffd}[2J); slot 3 \
                 cannot tell the control plane how its task ended (connection refused)"
                    .to_owned()
            )
        );
    }
}
