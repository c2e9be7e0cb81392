//! Reasons why a queued job waits, in the words that everybody is told. Pure but for the look-up.

use std::collections::HashMap;

use russet_protocol::admin::{Job, RunnerItem};
use russet_protocol::machine::{MachineState, RunnerTask, ServerPause, WaitReason, Waiting};
use russet_protocol::outcome::Phase;
use russet_protocol::resource_class::ResourceClass;
use russet_protocol::ssh::SshNeed;
use russet_protocol::xcode::has_xcode;
use russet_text::one_line_within;

use crate::machines::count_slots;
use crate::people::Reach;
use crate::room::is_room_wait;
use crate::runner_items::list_of_class;
use crate::state::App;
use crate::store::{Conn, StoreError, classes, pauses};
use crate::text::{is_serial_wait, rfc3339};

/// The most characters of a reason.
const MAX_CHARS: usize = 1_000;

/// The most machines that a reason names.
const MAX_NAMED: usize = 8;

/// Explains why jobs wait, to somebody who may see a part of the farm; looks at each class once.
#[derive(Debug)]
pub(crate) struct Explainer {
    sight: Reach,
    classes: HashMap<ResourceClass, ClassFacts>,
}

/// What is known of a class.
#[derive(Clone, Debug, Default)]
struct ClassFacts {
    exists: bool,
    pause: Option<ServerPause>,
    runners: Vec<RunnerItem>,
}

impl Explainer {
    pub(crate) fn new(sight: Reach) -> Self {
        Self { sight, classes: HashMap::new() }
    }

    /// Says in a job why it waits, where that is known.
    pub(crate) async fn explain_wait(
        &mut self,
        app: &App,
        conn: &mut Conn,
        job: &mut Job,
    ) -> Result<(), StoreError> {
        if job.phase != Phase::Queued {
            return Ok(());
        }
        let Some(class) = job.resource_class.clone() else { return Ok(()) };
        let told = |text: &&str| is_serial_wait(text) || is_room_wait(text);
        job.waiting = match job.message.as_deref().filter(told) {
            Some(text) => {
                let is_room = is_room_wait(text);
                let reason = if is_room { WaitReason::Limit } else { WaitReason::SerialGroup };
                Some(Waiting { reason, text: text.to_owned() })
            }
            // Machines of others, and their pauses, are nobody else's business.
            None if !self.sight.covers(Some(class.namespace())) => Some(Waiting {
                reason: WaitReason::Unknown,
                text: format!("it waits for a runner of {class}, whose namespace you may not see"),
            }),
            None => {
                let facts = self.look_at(app, conn, &class).await?;
                let wanted = Wanted { xcode: job.xcode.as_deref(), ssh: job.ssh };
                find_reason(&class, wanted, facts, app.space.is_short())
            }
        };
        if job.message.is_none() {
            job.message = job.waiting.as_ref().map(|waiting| waiting.text.clone());
        }
        Ok(())
    }

    async fn look_at(
        &mut self,
        app: &App,
        conn: &mut Conn,
        class: &ResourceClass,
    ) -> Result<&ClassFacts, StoreError> {
        if !self.classes.contains_key(class) {
            let now_ms = app.clock.wall_ms();
            let facts = ClassFacts {
                exists: classes::exists(conn, class).await?,
                pause: pauses::of_class(conn, class, now_ms)
                    .await?
                    .of_class(class.as_str())
                    .cloned(),
                runners: list_of_class(app, conn, class).await?,
            };
            self.classes.insert(class.clone(), facts);
        }
        Ok(self.classes.entry(class.clone()).or_default())
    }
}

/// Needs of a task that not every runner meets.
#[derive(Clone, Copy, Debug, Default)]
struct Wanted<'a> {
    xcode: Option<&'a str>,
    ssh: Option<SshNeed>,
}

/// Returns the reason why no runner takes a task of this class that needs this; `None`: one is about to.
fn find_reason(
    class: &ResourceClass,
    Wanted { xcode, ssh }: Wanted<'_>,
    facts: &ClassFacts,
    is_disk_short: bool,
) -> Option<Waiting> {
    let waiting =
        |reason, text: String| Some(Waiting { reason, text: one_line_within(&text, MAX_CHARS) });
    if is_disk_short {
        let text = "the server keeps the rest of its disk for what runs, and gives out no task: make \
                    room in its data directory";
        return waiting(WaitReason::Disk, text.to_owned());
    }
    if !facts.exists {
        let text = format!(
            "there is no resource class {class}; `russet resource-class create {class}` makes it"
        );
        return waiting(WaitReason::NoClass, text);
    }
    if let Some(pause) = &facts.pause
        && facts.runners.iter().all(|runner| runner.pause.is_some())
    {
        let (words, since) = (pause.words(), time_of(pause.since_ms));
        return waiting(WaitReason::Paused, format!("{class} is {words} (since {since})"));
    }
    if facts.runners.is_empty() {
        let text = format!(
            "no runner of {class} has ever come; `russet token create {class}` makes a token for one"
        );
        return waiting(WaitReason::NoRunner, text);
    }
    let fits = |runner: &&RunnerItem| match (xcode, &runner.xcodes) {
        (Some(wanted), Some(xcodes)) => has_xcode(wanted, xcodes),
        _ => true,
    };
    let fitting: Vec<&RunnerItem> = facts.runners.iter().filter(fits).collect();
    if let (Some(wanted), true) = (xcode, fitting.is_empty()) {
        let all = list_names(facts.runners.iter().map(describe_xcodes));
        return waiting(
            WaitReason::Xcode,
            format!("no runner of {class} has Xcode {wanted}: {all}"),
        );
    }
    let fitting: Vec<&RunnerItem> = fitting
        .into_iter()
        .filter(|runner| ssh.is_none_or(|need| need.is_met_by(runner.ssh)))
        .collect();
    if let (Some(need), true) = (ssh, fitting.is_empty()) {
        let of_forks = if need.from_fork { " into tasks of forks" } else { "" };
        let key = if need.from_fork { "runner.ssh.allow_forks" } else { "runner.ssh.enabled" };
        let text = format!(
            "no runner of {class} allows SSH{of_forks}; the owner of a machine allows it in the \
             agent's configuration: {key}"
        );
        return waiting(WaitReason::Ssh, text);
    }
    let with = xcode.map(|xcode| format!(" with Xcode {xcode}")).unwrap_or_default();
    let (here, away): (Vec<&RunnerItem>, Vec<&RunnerItem>) =
        fitting.iter().copied().partition(|runner| !runner.state.is_away());
    if here.is_empty() {
        // Right after a start of the server all are about to come back.
        if fitting.iter().any(|runner| runner.state == MachineState::Unknown) {
            return None;
        }
        let all = list_names(fitting.iter().map(|runner| describe_away(runner)));
        return waiting(
            WaitReason::Offline,
            format!("no runner of {class}{with} is online: {all}"),
        );
    }
    let (open, held): (Vec<&RunnerItem>, Vec<&RunnerItem>) =
        here.into_iter().partition(|runner| runner.state.takes_tasks());
    if open.is_empty() {
        // One that starts, or makes way for a version, is about to claim.
        let by_person = |runner: &&RunnerItem| is_persons(runner.state);
        let reason = match held.iter().all(by_person) {
            true => WaitReason::Paused,
            false => WaitReason::Unhealthy,
        };
        let all = list_names(held.iter().map(|runner| describe_held(runner)));
        let away = list_away(&away);
        return waiting(reason, format!("no runner of {class}{with} takes tasks now: {all}{away}"));
    }
    if open.iter().any(|runner| runner.tasks.len() < count_slots(runner.machine.as_ref())) {
        return None;
    }
    let tasks: Vec<&RunnerTask> = open.iter().flat_map(|runner| &runner.tasks).collect();
    let oldest = tasks.iter().filter_map(|task| task.since_ms).min().map(time_of);
    let since = oldest.map(|oldest| format!(", the oldest since {oldest}")).unwrap_or_default();
    let run = if tasks.len() == 1 { "task runs" } else { "tasks run" };
    let others = match held.is_empty() {
        true => String::new(),
        false => format!("; {}", list_names(held.iter().map(|runner| describe_held(runner)))),
    };
    let (number, away) = (tasks.len(), list_away(&away));
    let text =
        format!("all runners of {class}{with} are busy: {number} {run}{since}{others}{away}");
    waiting(WaitReason::Busy, text)
}

fn is_persons(state: MachineState) -> bool {
    matches!(state, MachineState::Paused | MachineState::Draining | MachineState::Drained)
}

/// Returns the runners that are away, for the end of a reason that is about those that are here.
fn list_away(away: &[&RunnerItem]) -> String {
    if away.is_empty() {
        return String::new();
    }
    let names = away.iter().map(|runner| format!("{} {}", runner.name, runner.state));
    format!("; away: {}", list_names(names))
}

/// Returns names with what is said of each, and how many more there are.
fn list_names(all: impl ExactSizeIterator<Item = String>) -> String {
    let more = all.len().saturating_sub(MAX_NAMED);
    let mut named: Vec<String> = all.take(MAX_NAMED).collect();
    if more > 0 {
        named.push(format!("and {more} more"));
    }
    named.join("; ")
}

/// A time, as messages name it: to the second, so that they stay the same.
fn time_of(ms: u64) -> String {
    rfc3339(i64::try_from(ms / 1000 * 1000).unwrap_or_default()).replace(".000Z", "Z")
}

fn describe_xcodes(runner: &RunnerItem) -> String {
    let versions: Vec<String> = runner.xcodes.iter().flatten().map(ToString::to_string).collect();
    let versions = if versions.is_empty() { "none".to_owned() } else { versions.join(", ") };
    format!("{} has {versions}", runner.name)
}

fn describe_away(runner: &RunnerItem) -> String {
    let second = runner.last_connected.split('.').next().unwrap_or_default();
    format!("{} {}, last seen {second}Z", runner.name, runner.state)
}

fn describe_held(runner: &RunnerItem) -> String {
    let reason = runner.reason.clone().unwrap_or_else(|| runner.state.to_string());
    format!("{}: {reason}", runner.name)
}

#[cfg(test)]
mod tests {
    use russet_protocol::admin::RunnerItem;
    use russet_protocol::machine::{MachineState, RunnerTask, ServerPause, WaitReason};
    use russet_protocol::resource_class::ResourceClass;
    use russet_protocol::ssh::{SshNeed, SshOffer};
    use russet_protocol::xcode::Xcode;

    use super::{ClassFacts, Wanted, find_reason};

    fn class() -> ResourceClass {
        "acme/ios".parse().unwrap()
    }

    fn runner(name: &str, state: MachineState) -> RunnerItem {
        RunnerItem {
            resource_class: class(),
            hostname: String::new(),
            name: name.to_owned(),
            first_connected: String::new(),
            last_connected: "2026-11-30T06:48:15.123Z".to_owned(),
            last_used: None,
            version: String::new(),
            ip: String::new(),
            update: None,
            status: Default::default(),
            rival: None,
            held_slots: Vec::new(),
            xcodes: None,
            ssh: None,
            runtimes: Vec::new(),
            holds: Vec::new(),
            state,
            reason: None,
            tasks: Vec::new(),
            pause: None,
            machine: None,
        }
    }

    fn with_xcodes(name: &str, xcodes: &[&str]) -> RunnerItem {
        let xcode = |version: &&str| Xcode { version: (*version).to_owned(), ..Xcode::default() };
        let xcodes = Some(xcodes.iter().map(xcode).collect());
        RunnerItem { xcodes, ..runner(name, MachineState::Idle) }
    }

    fn reason(xcode: Option<&str>, runners: &[RunnerItem]) -> Option<(WaitReason, String)> {
        let facts = ClassFacts { exists: true, pause: None, runners: runners.to_vec() };
        find_reason(&class(), Wanted { xcode, ssh: None }, &facts, false)
            .map(|waiting| (waiting.reason, waiting.text))
    }

    #[test]
    fn a_class_that_is_not_there_or_that_nobody_serves_says_what_to_do() {
        let none = find_reason(&class(), Wanted::default(), &ClassFacts::default(), false).unwrap();
        assert_eq!(none.reason, WaitReason::NoClass);
        assert!(none.text.contains("`russet resource-class create acme/ios`"));
        let (kind, text) = reason(None, &[]).unwrap();
        assert_eq!(kind, WaitReason::NoRunner);
        assert!(text.starts_with("no runner of acme/ios has ever come; `russet token create"));
    }

    #[test]
    fn a_full_disk_of_the_server_comes_before_all_else() {
        let full = find_reason(&class(), Wanted::default(), &ClassFacts::default(), true).unwrap();
        assert_eq!(full.reason, WaitReason::Disk);
    }

    #[test]
    fn runners_that_are_away_are_named_with_the_time_at_which_they_were_seen() {
        let away = [runner("one", MachineState::Lost), runner("two", MachineState::Offline)];
        assert_eq!(
            reason(None, &away).unwrap(),
            (
                WaitReason::Offline,
                "no runner of acme/ios is online: one lost, last seen 2026-11-30T06:48:15Z; two \
                 offline, last seen 2026-11-30T06:48:15Z"
                    .to_owned()
            )
        );
        let starting = [away[0].clone(), runner("two", MachineState::Unknown)];
        assert_eq!(reason(None, &starting), None, "a server that has just started accuses nobody");
        assert_eq!(reason(None, &[away[0].clone(), runner("two", MachineState::Idle)]), None);
    }

    #[test]
    fn a_job_that_no_runner_has_the_xcode_for_waits_for_that_reason() {
        let runners = [with_xcodes("mini-1", &["16.2", "26.0"]), with_xcodes("mini-2", &[])];
        assert_eq!(
            reason(Some("16.3"), &runners).unwrap(),
            (
                WaitReason::Xcode,
                "no runner of acme/ios has Xcode 16.3: mini-1 has 16.2, 26.0; mini-2 has none"
                    .to_owned()
            )
        );
        assert_eq!(reason(Some("26"), &runners), None);
        assert_eq!(reason(None, &runners), None);
        let old = runner("mini-3", MachineState::Idle);
        assert_eq!(reason(Some("16.3"), &[runners[0].clone(), old]), None);
    }

    #[test]
    fn a_rerun_with_ssh_that_no_runner_allows_waits_for_that_reason() {
        let with = |ssh| RunnerItem { ssh, ..runner("mini-1", MachineState::Idle) };
        let find = |from_fork, ssh| {
            let wanted = Wanted { xcode: None, ssh: Some(SshNeed { from_fork }) };
            let facts = ClassFacts { exists: true, pause: None, runners: vec![with(ssh)] };
            find_reason(&class(), wanted, &facts, false)
                .map(|waiting| (waiting.reason, waiting.text))
        };
        let (kind, text) = find(false, None).unwrap();
        assert_eq!(kind, WaitReason::Ssh);
        assert!(text.contains("runner.ssh.enabled"), "{text}");
        let offer = |allow_forks| Some(SshOffer { allow_forks });
        assert!(find(true, offer(false)).unwrap().1.contains("runner.ssh.allow_forks"));
        assert_eq!(find(false, offer(false)), None);
        assert_eq!(find(true, offer(true)), None);
    }

    #[test]
    fn a_pause_names_who_and_why() {
        let mut held = runner("mini-1", MachineState::Paused);
        held.reason = Some("paused by anna: new disk".to_owned());
        assert_eq!(
            reason(None, &[held.clone()]).unwrap(),
            (
                WaitReason::Paused,
                "no runner of acme/ios takes tasks now: mini-1: paused by anna: new disk"
                    .to_owned()
            )
        );
        let pause =
            ServerPause { by: "anna".to_owned(), is_of_class: true, ..ServerPause::default() };
        let facts = ClassFacts { exists: true, pause: Some(pause.clone()), runners: Vec::new() };
        let text = find_reason(&class(), Wanted::default(), &facts, false).unwrap().text;
        assert_eq!(text, "acme/ios is paused with its class by anna (since 1970-01-01T00:00:00Z)");
        // It was lifted for one.
        held.pause = Some(pause);
        let runners = vec![held, runner("mini-2", MachineState::Idle)];
        assert_eq!(
            find_reason(&class(), Wanted::default(), &ClassFacts { runners, ..facts }, false),
            None
        );
    }

    #[test]
    fn runners_that_are_not_well_say_what_is_wrong() {
        let mut sick = runner("mini-1", MachineState::Unhealthy);
        sick.reason = Some("failures: 3 tasks in a row failed".to_owned());
        let paused = runner("mini-2", MachineState::Paused);
        let (kind, text) = reason(None, &[sick, paused]).unwrap();
        assert_eq!(kind, WaitReason::Unhealthy);
        assert_eq!(
            text,
            "no runner of acme/ios takes tasks now: mini-1: failures: 3 tasks in a row failed; \
             mini-2: paused"
        );
    }

    #[test]
    fn runners_that_are_away_are_named_behind_those_that_are_here() {
        let paused = runner("mini-1", MachineState::Paused);
        let (lost, left) =
            (runner("mini-2", MachineState::Lost), runner("mini-3", MachineState::Offline));
        let (kind, text) = reason(None, &[paused, lost, left]).unwrap();
        assert_eq!(kind, WaitReason::Paused);
        assert_eq!(
            text,
            "no runner of acme/ios takes tasks now: mini-1: paused; away: mini-2 lost; mini-3 offline"
        );
    }

    #[test]
    fn busy_runners_are_counted_with_the_oldest_task() {
        let mut busy = runner("mini-1", MachineState::Busy);
        busy.tasks = vec![RunnerTask { since_ms: Some(61_500), ..RunnerTask::default() }];
        let mut other = busy.clone();
        other.tasks[0].since_ms = Some(2_000);
        let paused = runner("mini-3", MachineState::Paused);
        assert_eq!(
            reason(None, &[busy.clone(), other, paused]).unwrap(),
            (
                WaitReason::Busy,
                "all runners of acme/ios are busy: 2 tasks run, the oldest since \
                 1970-01-01T00:00:02Z; mini-3: paused"
                    .to_owned()
            )
        );
        assert_eq!(reason(None, &[busy, runner("mini-2", MachineState::Idle)]), None);
    }
}
