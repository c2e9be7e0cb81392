//! Tasks in the menu: what runs, and what ended lately.

use jiff::tz::TimeZone;
use russet_protocol::ids::TaskId;
use russet_protocol::local::{Recent, Status, Task, TaskSsh};
use russet_protocol::outcome::Outcome;

use super::super::words::{self, plain_text};
use super::super::{Choice, Item, Log};

/// So many ended tasks are shown; the agent knows fifty.
const MOST_RECENT: usize = 15;

/// Each task that runs: its names, which open its log, and below how far it is.
pub(super) fn running(status: &Status, now_ms: u64, menu: &mut Vec<Item>) {
    let tasks: Vec<_> = status.slots.iter().filter_map(|slot| slot.task.as_ref()).collect();
    if tasks.is_empty() {
        return;
    }
    menu.push(Item::Separator);
    for task in tasks {
        let name = task_name(task.project.as_deref(), task.job.as_deref(), task.class.as_deref());
        menu.push(match &task.id {
            Some(id) => log_item(status, name.clone(), id, &name),
            None => Item::Text(name),
        });
        if let Some(step) = &task.step {
            menu.push(Item::Text(format!("    {}", plain_text(&step.name))));
        }
        menu.push(Item::Text(format!("    {}", run_time(task, now_ms))));
        if let Some(text) = task.ssh.and_then(ssh_text) {
            menu.push(Item::Text(format!("    {text}")));
        }
        if let Some(why) = &task.canceling {
            menu.push(Item::Text(format!("    is being canceled: {}", plain_text(why))));
        }
    }
}

/// Describes people who are connected to a task, and that it is held for them.
fn ssh_text(ssh: TaskSsh) -> Option<&'static str> {
    match (ssh.sessions, ssh.waiting) {
        (0, false) => None,
        (0, true) => Some("held for SSH, nobody connected"),
        (1, _) => Some("somebody is connected by SSH"),
        _ => Some("several people are connected by SSH"),
    }
}

/// The project, without its provider, and the job; else the class, which everybody may know.
fn task_name(project: Option<&str>, job: Option<&str>, class: Option<&str>) -> String {
    let short = |project: &str| {
        let project = plain_text(project);
        let parts: Vec<&str> = project.rsplitn(3, '/').collect();
        match parts.as_slice() {
            [repository, owner, _] => format!("{owner}/{repository}"),
            _ => project.clone(),
        }
    };
    match (project.map(short), job.map(plain_text), class.map(plain_text)) {
        (Some(project), Some(job), _) => format!("{project} · {job}"),
        (Some(name), None, _) | (None, Some(name), _) => name,
        (None, None, Some(class)) => format!("A task of {class}"),
        (None, None, None) => "A task".to_owned(),
    }
}

/// Describes its run time, beside its usual duration, or until it is ended.
fn run_time(task: &Task, now_ms: u64) -> String {
    let ran_ms = now_ms.saturating_sub(task.since_ms);
    let ran = words::length(ran_ms);
    if let Some(usual_ms) = task.usual_ms.filter(|usual_ms| *usual_ms > 0) {
        // It is told that it takes longer, not by how much: nobody knows when it ends.
        let percent = (u128::from(ran_ms) * 100 / u128::from(usual_ms)).min(100);
        let bar = words::progress_bar(u64::try_from(percent).unwrap_or(100));
        return format!("{ran}  {bar} of about {}", words::about(usual_ms));
    }
    match task.deadline_ms {
        Some(deadline_ms) if deadline_ms > now_ms => {
            format!("{ran}, at most {} more", words::about(deadline_ms - now_ms))
        }
        _ => ran,
    }
}

/// Lists the tasks that ended lately, the newest first. Each opens the log that the agent kept;
/// where there is none, its page, which the control plane has.
pub(super) fn add_recent_tasks(
    status: &Status,
    now_ms: u64,
    zone: &TimeZone,
    menu: &mut Vec<Item>,
) {
    menu.push(Item::Separator);
    let items: Vec<_> = status
        .recent
        .iter()
        .take(MOST_RECENT)
        .map(|task| recent_item(status, task, now_ms, zone))
        .collect();
    menu.push(if items.is_empty() {
        Item::Text("No recent tasks".to_owned())
    } else {
        Item::Menu("Recent Tasks".to_owned(), items)
    });
}

/// Returns the line that opens a task's log, for those who may read logs.
fn log_item(status: &Status, label: String, id: &TaskId, name: &str) -> Item {
    let log = Log::Task { id: id.clone(), name: name.to_owned() };
    Item::choice_if(status.may_change != Some(false), label, Choice::Log(log))
}

fn recent_item(status: &Status, task: &Recent, now_ms: u64, zone: &TimeZone) -> Item {
    let name = task_name(task.project.as_deref(), task.job.as_deref(), task.class.as_deref());
    let label = format!(
        "{}  {name}  {}, {}, {}",
        sign(task.outcome),
        outcome(task.outcome),
        words::length(task.ended_ms.saturating_sub(task.started_ms)),
        words::time(task.ended_ms, now_ms, zone)
    );
    match (&task.id, &task.url) {
        (Some(id), _) if task.has_log && status.may_change != Some(false) => {
            log_item(status, label, id, &name)
        }
        (_, Some(url)) => Item::choice(label, Choice::Page(url.clone())),
        (_, None) => Item::Text(label),
    }
}

/// A sign for how a task ended: its form alone says it.
fn sign(outcome: Option<Outcome>) -> &'static str {
    match outcome {
        Some(Outcome::Success) => "✓",
        Some(Outcome::Failed | Outcome::TimedOut) => "✗",
        Some(Outcome::Canceled) => "⊘",
        Some(Outcome::InfrastructureFail) => "⚠",
        Some(Outcome::NotRun | Outcome::Unauthorized) | None => "–",
    }
}

/// Describes an outcome, in words.
pub(in crate::controller) fn outcome(outcome: Option<Outcome>) -> &'static str {
    match outcome {
        Some(Outcome::Success) => "succeeded",
        Some(Outcome::Failed) => "failed",
        Some(Outcome::TimedOut) => "ran out of time",
        Some(Outcome::Canceled) => "canceled",
        Some(Outcome::InfrastructureFail) => "infrastructure failure",
        Some(Outcome::NotRun) => "was not run",
        Some(Outcome::Unauthorized) => "was not allowed to run",
        None => "given back",
    }
}

/// The name of a task that ended.
pub(in crate::controller) fn name_of(task: &Recent) -> String {
    task_name(task.project.as_deref(), task.job.as_deref(), task.class.as_deref())
}
