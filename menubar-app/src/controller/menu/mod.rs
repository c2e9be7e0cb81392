//! The menu of each state.

mod tasks;
mod update;

pub(super) use tasks::{name_of, outcome};

use russet_menubar_bundle::Shape;
use russet_protocol::local::{HealthLevel, HoldOwner, Slot, State, Status};

use super::words::{self, plain_text};
use super::{Choice, Item, Link, Log, Lost, Model, Verb, View};

impl Model {
    /// Returns the view at a time.
    pub(crate) fn view(&self, now_ms: u64) -> View {
        let (shape, words) = self.state(now_ms);
        let (summary, rest) = words
            .split_first()
            .map_or((String::new(), &[][..]), |(first, rest)| (first.clone(), rest));
        let mut menu = vec![Item::Text(summary.clone())];
        menu.extend(rest.iter().cloned().map(Item::Text));
        menu.extend(self.refusal.iter().cloned().map(Item::Text));
        if let Link::Heard(status) = &self.link {
            self.of_agent(status, now_ms, &mut menu);
        }
        menu.push(Item::Separator);
        let can_read =
            matches!(&self.link, Link::Heard(status) if status.may_change != Some(false));
        menu.push(Item::choice_if(can_read, "Open Agent Log", Choice::Log(Log::Agent)));
        let has_dashboard = self.dashboard().is_some();
        menu.push(Item::choice_if(has_dashboard, "Open Dashboard", Choice::Dashboard));
        menu.push(Item::Separator);
        menu.push(Item::Choice {
            label: "Notify When a Task Fails".to_owned(),
            choice: Choice::ToggleFailures,
            is_enabled: true,
            is_ticked: Some(self.settings.notify_failures),
        });
        menu.push(Item::choice("About Russet", Choice::About));
        menu.push(Item::choice("Quit", Choice::Quit));
        View { shape, summary, menu }
    }

    /// Returns the agent's state: its picture, a line that says it, and lines that give the reason.
    fn state(&self, now_ms: u64) -> (Shape, Vec<String>) {
        match &self.link {
            Link::Opening => (Shape::Starting, vec!["Looking for the agent…".to_owned()]),
            Link::Lost { why, since_ms } => {
                let since = words::time(*since_ms, now_ms, &self.zone);
                (Shape::Unreachable, lost(why, &since))
            }
            Link::Heard(status) => {
                let since = words::time(status.since_ms, now_ms, &self.zone);
                let mut lines = vec![in_words(status, &since)];
                lines.extend(status.reason.as_deref().map(plain_text));
                lines.extend(hold_owners(status));
                (shape(status), lines)
            }
        }
    }

    fn of_agent(&self, status: &Status, now_ms: u64, menu: &mut Vec<Item>) {
        held_classes(status, menu);
        health(status, menu);
        stuck_slots(status, menu);
        tasks::running(status, now_ms, menu);
        tasks::add_recent_tasks(status, now_ms, &self.zone, menu);
        menu.push(Item::Separator);
        verbs(status, menu);
        update::add_update(status, menu);
    }
}

fn count_busy_slots(status: &Status) -> usize {
    status.slots.iter().filter(|slot| slot.task.is_some()).count()
}

fn shape(status: &Status) -> Shape {
    match status.state {
        State::Idle => Shape::Idle,
        State::Running => Shape::Running(count_busy_slots(status)),
        State::Draining => Shape::Draining(count_busy_slots(status)),
        State::Paused => Shape::Paused,
        State::Unhealthy => Shape::Unhealthy,
        State::Offline => Shape::Offline,
        State::Updating => Shape::Updating,
        State::Starting | State::Unknown => Shape::Starting,
    }
}

fn in_words(status: &Status, since: &str) -> String {
    let tasks = words::counted(count_busy_slots(status), "task");
    let words = match status.state {
        State::Idle => "Idle".to_owned(),
        State::Running => format!("Running {tasks}"),
        State::Draining => format!("Draining, {tasks} left"),
        State::Paused => "Paused".to_owned(),
        State::Unhealthy => "Unhealthy, takes no tasks".to_owned(),
        State::Offline => "Cannot reach the control plane".to_owned(),
        State::Updating => "Updating".to_owned(),
        State::Starting => "Starting".to_owned(),
        State::Unknown => "In a state that this version does not know".to_owned(),
    };
    let also = match status.state {
        State::Paused | State::Unhealthy | State::Offline if count_busy_slots(status) > 0 => {
            format!(", {tasks} running")
        }
        _ => String::new(),
    };
    format!("{words}{also} since {since}")
}

fn lost(why: &Lost, since: &str) -> Vec<String> {
    match why {
        Lost::NotInstalled => vec![
            "No agent is installed on this machine".to_owned(),
            "Install the Russet package, or run `sudo russet agent install`".to_owned(),
        ],
        Lost::NotRunning(why) => vec![
            format!("Cannot reach the agent since {since}"),
            plain_text(why),
            "`sudo russet agent start` starts it; `sudo russet agent doctor` looks why".to_owned(),
        ],
        Lost::Refused(why) => {
            vec![format!("The agent does not say how it is since {since}"), plain_text(why)]
        }
    }
}

/// Returns a line with whoever holds claims back: the person who reads it knows what "Resume" ends.
fn hold_owners(status: &Status) -> Option<String> {
    let word = |owner| match owner {
        HoldOwner::Person => Some("a person"),
        HoldOwner::Installer => Some("an installer package"),
        HoldOwner::Health => Some("checks of this Mac"),
        HoldOwner::Update => Some("an update"),
        HoldOwner::Server => Some("a person at the control plane"),
        // An agent of before says none.
        HoldOwner::Unknown => None,
    };
    let mut owners: Vec<&str> = status.holds.iter().filter_map(|hold| word(hold.owner)).collect();
    owners.dedup();
    (!owners.is_empty()).then(|| format!("Held back by {}", owners.join(", ")))
}

/// Adds the reasons why slots cannot be used, and the places of what is kept aside, below the
/// findings that there are such.
fn stuck_slots(status: &Status, menu: &mut Vec<Item>) {
    let reason = |slot: &Slot| Some((slot.number, slot.reason.as_deref().map(plain_text)?));
    let place = |slot: &Slot| {
        let path = slot.aside.as_ref()?.path.as_deref()?;
        Some((slot.number, format!("kept aside in {}", plain_text(path))))
    };
    let slots = &status.slots;
    let lines = slots.iter().filter_map(reason).chain(slots.iter().filter_map(place));
    menu.extend(lines.map(|(number, text)| Item::Text(format!("    slot {number}: {text}"))));
}

/// Adds the reasons why classes are held, unless one of them is the reason of the whole state.
fn held_classes(status: &Status, menu: &mut Vec<Item>) {
    let lines = status.holds.iter().filter_map(|hold| {
        let class = plain_text(hold.class.as_deref()?);
        let is_said = status.reason.as_ref() == Some(&hold.reason);
        (!is_said).then(|| Item::Text(format!("! {class}: {}", plain_text(&hold.reason))))
    });
    let mut lines: Vec<Item> = lines.collect();
    if !lines.is_empty() {
        menu.push(Item::Separator);
        menu.append(&mut lines);
    }
}

/// Adds the findings about the machine, with remedies.
fn health(status: &Status, menu: &mut Vec<Item>) {
    let mut lines = Vec::new();
    for check in &status.health {
        let sign = match check.level {
            HealthLevel::Bad => "✗",
            HealthLevel::Warning => "!",
            HealthLevel::Ok | HealthLevel::Unknown => continue,
        };
        lines.push(Item::Text(format!(
            "{sign} {}: {}",
            plain_text(&check.name),
            plain_text(&check.found)
        )));
        lines.extend(
            check.hint.as_deref().map(|hint| Item::Text(format!("    {}", plain_text(hint)))),
        );
    }
    if !lines.is_empty() {
        menu.push(Item::Separator);
        menu.append(&mut lines);
    }
}

/// Adds the person's choices. Without the agent's word that they may not, they may try.
fn verbs(status: &Status, menu: &mut Vec<Item>) {
    let may = status.may_change != Some(false);
    let is_held = status.holds.iter().any(|hold| matches!(hold.source.as_str(), "pause" | "drain"));
    let verb = |label: &str, verb| Item::choice_if(may, label, Choice::Ask(verb));
    if is_held {
        menu.push(verb("Resume", Verb::Resume));
    } else {
        menu.push(verb("Pause", Verb::Pause));
    }
    if !is_held && status.holds.iter().any(|hold| hold.source == "failures") {
        menu.push(verb("Try Again Now", Verb::Resume));
    }
    if !status.holds.iter().any(|hold| hold.source == "drain") && count_busy_slots(status) > 0 {
        menu.push(verb("Drain, Then Pause", Verb::Drain));
    }
    if !may {
        menu.push(Item::Text("Only root and operators may change anything".to_owned()));
    }
}
