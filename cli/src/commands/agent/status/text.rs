//! The status as people read it: all of it, and in a line.

use russet_protocol::local::{
    Aside, HealthLevel, Hold, HoldOwner, Slot, SlotState, State, Status, Task, TaskSsh, Update,
};

use crate::color::{Paint, outcome_sign};
use crate::render::numbers;
use crate::render::plain;

/// Number of ended tasks that are shown.
const RECENT: usize = 10;

/// Width of a bar, in characters.
const BAR: u64 = 20;

/// All of it. Ends with a line feed.
pub(super) fn full_text(status: &Status, now_ms: u64, paint: Paint) -> String {
    let mut lines = Vec::new();
    add_head(status, now_ms, paint, &mut lines);
    for slot in &status.slots {
        lines.push(String::new());
        in_slot(slot, now_ms, paint, &mut lines);
    }
    add_xcodes(status, paint, &mut lines);
    add_troubles(status, paint, &mut lines);
    add_recent_tasks(status, paint, &mut lines);
    lines.join("\n") + "\n"
}

fn add_head(status: &Status, now_ms: u64, paint: Paint, lines: &mut Vec<String>) {
    let word = status.state.as_str();
    let word = match status.state {
        State::Idle | State::Running => paint.good(word),
        State::Offline | State::Unhealthy => paint.bad(word),
        _ => paint.warn(word),
    };
    let why = status.reason.as_deref().map(|why| format!(": {}", plain(why)));
    lines.push(format!(
        "{} {word} for {}{}",
        paint.strong(&plain(&status.name)),
        numbers::duration_between(status.since_ms, now_ms),
        why.unwrap_or_default(),
    ));
    lines.push(paint.dim(&format!(
        "russet {}, process {}, up {}, {}",
        plain(&status.agent_version),
        status.pid,
        numbers::duration_between(status.started_ms, now_ms),
        plain(&status.control_plane)
    )));
    for hold in &status.holds {
        let of = hold.class.as_deref().map(|class| format!(" ({})", plain(class)));
        let (source, of) = (plain(&hold.source), of.unwrap_or_default());
        let by = hold_owner(hold.owner);
        let reason = plain(&hold.reason);
        let then = hold_end(hold, now_ms).unwrap_or_default();
        lines.push(format!("{}: {reason}{then}", paint.warn(&format!("{source}{of}{by}"))));
    }
}

/// Describes who set a hold, and alone lifts it.
fn hold_owner(owner: HoldOwner) -> &'static str {
    match owner {
        HoldOwner::Person => " by a person",
        HoldOwner::Installer => " by an installer package",
        HoldOwner::Health => " by checks of this machine",
        HoldOwner::Update => " by an update",
        HoldOwner::Server => " by a person at the control plane",
        HoldOwner::Unknown => "",
    }
}

/// Lists the Xcodes and simulator runtimes of a machine that has any to look for.
fn add_xcodes(status: &Status, paint: Paint, lines: &mut Vec<String>) {
    let Some(xcodes) = &status.xcodes else { return };
    let listed = |all: Vec<String>| if all.is_empty() { "none".to_owned() } else { all.join(", ") };
    let xcodes = xcodes.iter().map(|xcode| plain(&xcode.to_string())).collect();
    lines.push(String::new());
    lines.push(format!("{} {}", paint.dim("Xcode"), listed(xcodes)));
    if !status.runtimes.is_empty() {
        let runtimes = status.runtimes.iter().map(|runtime| plain(runtime)).collect();
        lines.push(format!("{} {}", paint.dim("simulators"), listed(runtimes)));
    }
}

/// Describes the end of a hold by itself, and its time.
fn hold_end(hold: &Hold, now_ms: u64) -> Option<String> {
    let left = numbers::duration_between(now_ms, hold.until_ms?);
    Some(match hold.source.as_str() {
        "drain" => format!(" (what still runs in {left} is canceled)"),
        _ => format!(" (for {left} more)"),
    })
}

fn in_slot(slot: &Slot, now_ms: u64, paint: Paint, lines: &mut Vec<String>) {
    let class = slot.class.as_deref().map(|class| format!("  {}", plain(class)));
    let title = format!("slot {}{}", slot.number, class.unwrap_or_default());
    let state = slot_state(slot, paint);
    lines.push(format!("{title}{}", state.map(|state| format!("  {state}")).unwrap_or_default()));
    lines.extend(slot.reason.as_deref().map(|reason| format!("  {}", plain(reason))));
    lines.extend(slot.aside.as_ref().map(|aside| format!("  {}", paint.warn(&aside_text(aside)))));
    let Some(task) = &slot.task else { return };
    let step = task.step.as_ref().map(|step| format!("  {}", paint.note(&plain(&step.name))));
    lines.push(format!("  {}{}", paint.strong(&task_name(task)), step.unwrap_or_default()));
    lines.push(format!("  {}", run_time(task, now_ms, paint)));
    lines.extend(task.ssh.and_then(ssh_text).map(|text| format!("  {}", paint.warn(&text))));
    if let Some(why) = &task.canceling {
        lines.push(format!("  {}", paint.warn(&format!("is being canceled: {}", plain(why)))));
    }
    let id = task.id.as_ref().map(|id| format!("task {}", plain(id.as_str())));
    let words: Vec<String> = id.into_iter().chain(task.url.as_deref().map(plain)).collect();
    if !words.is_empty() {
        lines.push(format!("  {}", paint.dim(&words.join("  "))));
    }
}

/// Describes people who are connected to a task, and that it is held for them.
fn ssh_text(ssh: TaskSsh) -> Option<String> {
    match (ssh.sessions, ssh.waiting) {
        (0, false) => None,
        (0, true) => Some("is held for SSH; nobody is connected".to_owned()),
        (1, _) => Some("somebody is connected by SSH".to_owned()),
        (count, _) => Some(format!("{count} sessions of SSH are connected")),
    }
}

/// Describes the directories of a slot that are kept aside.
fn aside_text(aside: &Aside) -> String {
    let directories = match aside.directories {
        1 => "a directory of an earlier task that the system refuses to delete is".to_owned(),
        count => {
            format!("{count} directories of earlier tasks that the system refuses to delete are")
        }
    };
    let place = aside.path.as_deref().map(|path| format!(" in {}", plain(path)));
    let size = russet_text::format_size(aside.bytes);
    format!("{directories} kept aside{} ({size})", place.unwrap_or_default())
}

/// Describes the state of a slot, unless its task says enough.
fn slot_state(slot: &Slot, paint: Paint) -> Option<String> {
    let word = slot.state.as_str();
    match slot.state {
        SlotState::Busy => None,
        // An agent that does not say.
        SlotState::Unknown if slot.task.is_some() => None,
        SlotState::Unknown => Some(paint.dim("no task")),
        SlotState::Free | SlotState::Cleaning => Some(paint.dim(word)),
        SlotState::Settling if slot.reason.is_none() => Some(paint.dim(word)),
        SlotState::Settling => {
            Some(paint.warn("settling: the control plane could not be told how its task ended"))
        }
        SlotState::Held => Some(paint.bad("held: it could not be cleaned")),
    }
}

/// Returns a task's name from its known parts. Readers who may not know them see none.
fn task_name(task: &Task) -> String {
    join_names(task.project.as_deref(), task.job.as_deref())
}

fn join_names(project: Option<&str>, job: Option<&str>) -> String {
    let known: Vec<String> = [project, job].into_iter().flatten().map(plain).collect();
    if known.is_empty() { "a task".to_owned() } else { known.join("  ") }
}

/// Describes the run time, beside the usual duration, and the time left.
fn run_time(task: &Task, now_ms: u64, paint: Paint) -> String {
    let ran_ms = now_ms.saturating_sub(task.since_ms);
    let mut text = numbers::duration_between(task.since_ms, now_ms);
    if let Some(usual_ms) = task.usual_ms {
        let full = (ran_ms * BAR).checked_div(usual_ms).unwrap_or(BAR).min(BAR);
        let part = |sign: &str, count: u64| sign.repeat(usize::try_from(count).unwrap_or(0));
        let bar = format!("{}{}", paint.good(&part("█", full)), paint.dim(&part("░", BAR - full)));
        text = format!("{text}  {bar}  usually {}", numbers::duration_between(0, usual_ms));
    }
    if let Some(deadline_ms) = task.deadline_ms {
        let left = format!("at most {} more", numbers::duration_between(now_ms, deadline_ms));
        text = format!("{text}  {}", paint.dim(&left));
    }
    text
}

/// Adds faults of the machine and of updates. What is well is not told.
fn add_troubles(status: &Status, paint: Paint, lines: &mut Vec<String>) {
    let before = lines.len();
    for check in &status.health {
        let name = plain(&check.name);
        let name = match check.level {
            HealthLevel::Bad => paint.bad(&name),
            HealthLevel::Warning => paint.warn(&name),
            HealthLevel::Ok | HealthLevel::Unknown => continue,
        };
        lines.push(format!("{name}: {}", plain(&check.found)));
        lines.extend(check.hint.as_deref().map(|hint| format!("  hint: {}", plain(hint))));
    }
    let update = status.update.as_ref().and_then(|how| update_line(how, &status.agent_version));
    lines.extend(update);
    if lines.len() > before {
        lines.insert(before, String::new());
    }
}

fn update_line(update: &Update, running: &str) -> Option<String> {
    Some(match update {
        Update::Pinned { to, offers } => {
            format!("update: {}", Update::pinned(to, offers.as_deref(), running))
        }
        Update::UpToDate | Update::Unknown => return None,
        Update::Downloading { version, percent } => {
            format!("update: {} is being fetched, {percent} %", plain(version))
        }
        Update::Ready { version } => format!("update: {} is ready", plain(version)),
        Update::WaitingForIdle { version } => {
            format!("update: {} is installed when no task runs", plain(version))
        }
        Update::Proving { version } => {
            format!("update: {} has yet to prove itself, else it is taken back", plain(version))
        }
        Update::Failed { why } => format!("update: none: {}", plain(why)),
        Update::NotOffered { why } => format!("update: no release is offered: {}", plain(why)),
        Update::RolloutPending { version } => {
            format!("update: {} has not been rolled out to this machine yet", plain(version))
        }
        Update::RolledBack { version, why } => {
            format!("update: {} was taken back: it {}", plain(version), plain(why))
        }
    })
}

fn add_recent_tasks(status: &Status, paint: Paint, lines: &mut Vec<String>) {
    if status.recent.is_empty() {
        return;
    }
    lines.push(String::new());
    lines.push(paint.dim("ended lately"));
    for task in status.recent.iter().take(RECENT) {
        let outcome = match task.outcome {
            Some(outcome) => paint
                .outcome(outcome, &format!("{} {:<9}", outcome_sign(outcome), outcome.as_str())),
            None => paint.dim("? unknown  "),
        };
        lines.push(format!(
            "  {}  {outcome}  {:>12}  {}",
            numbers::local_time(task.ended_ms),
            numbers::duration_between(task.started_ms, task.ended_ms),
            join_names(task.project.as_deref(), task.job.as_deref()),
        ));
    }
}

/// Describes a change in a line: the state, running tasks, and the last one that ended.
pub(super) fn change_line(status: &Status) -> String {
    let mut parts = vec![status.state.as_str().to_owned()];
    if let Some(why) = &status.reason {
        parts.push(plain(why));
    }
    for slot in &status.slots {
        let Some(task) = &slot.task else { continue };
        let step = task.step.as_ref().map(|step| format!("  {}", plain(&step.name)));
        let ending = task.canceling.as_ref().map(|_| "  is being canceled");
        parts.push(format!(
            "slot {}: {}{}{}",
            slot.number,
            task_name(task),
            step.unwrap_or_default(),
            ending.unwrap_or_default()
        ));
    }
    if let Some(last) = status.recent.first().filter(|_| status.state == State::Idle) {
        let outcome = last.outcome.map_or("unknown", |outcome| outcome.as_str());
        let names = join_names(last.project.as_deref(), last.job.as_deref());
        parts.push(format!("last {names}: {outcome}"));
    }
    parts.join("; ")
}

#[cfg(test)]
mod tests {
    use russet_protocol::local::{
        Aside, HealthCheck, HealthLevel, Hold, HoldOwner, Recent, Slot, SlotState, State, Status,
        Step, Task, Update,
    };
    use russet_protocol::outcome::Outcome;
    use russet_protocol::xcode::Xcode;

    use super::{change_line, full_text};
    use crate::color::Paint;

    #[test]
    fn what_is_kept_aside_stands_below_its_slot() {
        let aside = |directories, path: Option<&str>| {
            let path = path.map(str::to_owned);
            super::aside_text(&Aside { directories, bytes: 12_000_000, since_ms: 1, path })
        };
        assert_eq!(
            aside(2, Some("/s/slots/1/aside")),
            "2 directories of earlier tasks that the system refuses to delete are kept aside in \
             /s/slots/1/aside (12 MB)"
        );
        assert!(aside(1, None).ends_with("refuses to delete is kept aside (12 MB)"));
        let slot = Slot { aside: Some(Aside::default()), ..slot(1, SlotState::Free, None) };
        let status = Status { slots: vec![slot], ..Status::default() };
        assert!(full_text(&status, 0, Paint::PLAIN).contains("\n  0 directories"));
    }

    fn slot(number: u32, state: SlotState, reason: Option<&str>) -> Slot {
        Slot { number, state, reason: reason.map(str::to_owned), ..Slot::default() }
    }

    fn status() -> Status {
        let task = Task {
            id: Some("0193c1f0".into()),
            project: Some("acme/app".to_owned()),
            job: Some("test\u{1b}[31m".to_owned()),
            step: Some(Step { number: 2, name: "swift test".to_owned() }),
            deadline_ms: Some(3_600_000),
            usual_ms: Some(130_000),
            canceling: Some("not needed".to_owned()),
            url: Some("https://ci/jobs/7".to_owned()),
            ..Task::default()
        };
        let check = |name: &str, level, hint: Option<&str>| HealthCheck {
            name: name.to_owned(),
            level,
            found: format!("the {name} is so"),
            hint: hint.map(str::to_owned),
        };
        Status {
            state: State::Draining,
            reason: Some("new disk".to_owned()),
            name: "mini-1".to_owned(),
            agent_version: "0.1.0".to_owned(),
            pid: 7,
            control_plane: "https://ci".to_owned(),
            holds: vec![Hold {
                source: "drain".into(),
                owner: HoldOwner::Person,
                reason: "new disk".into(),
                until_ms: Some(665_000),
                ..Hold::default()
            }],
            slots: vec![
                Slot {
                    class: Some("acme/mini".to_owned()),
                    task: Some(task),
                    ..slot(1, SlotState::Busy, None)
                },
                slot(2, SlotState::Free, None),
                Slot { task: Some(Task::default()), ..slot(3, SlotState::Unknown, None) },
                slot(4, SlotState::Held, Some("could not empty /s/4/spool\u{1b}[2J")),
                slot(5, SlotState::Settling, Some("connection refused")),
                slot(6, SlotState::Settling, None),
                slot(7, SlotState::Unknown, None),
            ],
            health: vec![
                check("disk", HealthLevel::Warning, Some("delete what is not needed")),
                check("memory", HealthLevel::Ok, None),
            ],
            xcodes: Some(vec![Xcode {
                version: "16.2".to_owned(),
                build: Some("16C5032a".to_owned()),
                ..Xcode::default()
            }]),
            runtimes: vec!["iOS 18.2 (22C150)".to_owned()],
            update: Some(Update::RolledBack { version: "0.2.0".into(), why: "crashed".into() }),
            ..Status::default()
        }
    }

    #[test]
    fn a_status_says_what_runs_and_what_holds_back() {
        insta::assert_snapshot!(full_text(&status(), 65_000, Paint::PLAIN));
    }

    #[test]
    fn a_line_says_what_changed() {
        assert_eq!(
            change_line(&status()),
            "draining; new disk; slot 1: acme/app  test\u{fffd}[31m  swift test  is being canceled; \
             slot 3: a task"
        );
        let last = Recent {
            project: Some("acme/app".to_owned()),
            job: Some("test".to_owned()),
            outcome: Some(Outcome::Failed),
            ..Recent::default()
        };
        let idle = Status { state: State::Idle, recent: vec![last], ..Status::default() };
        assert_eq!(change_line(&idle), "idle; last acme/app  test: failed");
    }
}
