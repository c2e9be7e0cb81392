//! `russet agent doctor`: what of this machine is in the way of running tasks well.

use std::path::PathBuf;

use russet_launch_agent::health::doctor::{Question, examine_machine, probe_address, worst_level};
use russet_launch_agent::health::{Check, Level};
use russet_platform::layout::Layout;
use russet_protocol::local::{HoldOwner, Slot, SlotState, Status, Update};
use serde_json::json;

use crate::client::agent::AgentArgs;
use crate::color::Paint;
use crate::commands::{OutputArgs, block_on};
use crate::error::{CliError, Result};
use crate::exit::Exit;
use crate::render::{self, Format, numbers, plain};

/// `russet agent doctor`.
#[derive(clap::Args, Debug)]
pub(crate) struct DoctorArgs {
    /// The agent's configuration [default: that of the installed agent]
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    agent: AgentArgs,
    /// Only connect to this, and say whether that went well
    #[arg(long, hide = true, value_name = "HOST:PORT")]
    probe: Option<String>,
}

/// Looks, and says what it found.
pub(crate) fn main(args: &DoctorArgs) -> Result<Exit> {
    if let Some(address) = &args.probe {
        let failed = |error| CliError::new(Exit::Infrastructure, format!("{error}"));
        return probe_address(address).map(|()| Exit::Success).map_err(failed);
    }
    let layout = Layout::default();
    let question = Question {
        config: args.config.clone().unwrap_or_else(|| layout.config()),
        program: std::env::current_exe()
            .map_err(|error| CliError::local("could not find the russet executable", error))?,
        layout,
    };
    block_on(async {
        let mut checks = examine_machine(&question).await;
        let status = match args.agent.connect() {
            Ok(agent) => agent.status().await,
            Err(error) => Err(error),
        };
        let update = status.as_ref().ok().and_then(|status| check_update(status.update.as_ref()?));
        let slots = status.as_ref().ok().and_then(|status| check_slots(&status.slots));
        let aside = status.as_ref().ok().and_then(|status| check_aside(&status.slots));
        let of_agent = [check_agent(status)].into_iter().chain(slots).chain(aside).chain(update);
        checks.splice(1..1, of_agent);
        print_checks(&checks, args.output.output)
    })
}

/// Prints checks, and returns the code of the worst.
pub(crate) fn print_checks(checks: &[Check], format: Format) -> Result<Exit> {
    let level = worst_level(checks);
    match format {
        Format::Json => render::print_json(&json!({ "worst": level, "checks": checks }))?,
        Format::Text => render::print_text(&checks_text(checks, Paint::stdout()))?,
    }
    Ok(match level {
        Level::Ok | Level::Unknown => Exit::Success,
        Level::Warning => Exit::Attention,
        Level::Bad => Exit::Unhealthy,
    })
}

/// Checks the agent's own report.
fn check_agent(status: Result<Status>) -> Check {
    let check =
        |level, found: String, hint: Option<String>| Check { name: "agent", level, found, hint };
    match status {
        Ok(status) if status.holds.is_empty() => {
            let since = numbers::duration_between(status.since_ms, numbers::now_ms());
            let why = status.reason.map(|why| format!(": {}", plain(&why))).unwrap_or_default();
            let is_fine = !matches!(status.state.as_str(), "offline" | "unhealthy");
            let level = if is_fine { Level::Ok } else { Level::Bad };
            let hint = (!is_fine).then(|| "`russet agent logs` says more".to_owned());
            check(level, format!("{} for {since}{why}", status.state.as_str()), hint)
        }
        Ok(status) => {
            let holds: Vec<String> = status
                .holds
                .iter()
                .map(|hold| {
                    let owner = match hold.owner.as_str() {
                        "" => String::new(),
                        owner => format!(" ({owner})"),
                    };
                    format!("{}{owner}: {}", plain(&hold.source), plain(&hold.reason))
                })
                .collect();
            let found = format!("{}; held back by {}", status.state.as_str(), holds.join("; "));
            let is_a_persons = status.holds.iter().any(|hold| hold.owner == HoldOwner::Person);
            let hint = "`sudo russet agent resume` ends a pause or drain".to_owned();
            check(Level::Warning, found, is_a_persons.then_some(hint))
        }
        Err(error) => check(Level::Warning, error.message().to_owned(), error.hint_text()),
    }
}

/// Checks that every slot can be used.
fn check_slots(slots: &[Slot]) -> Option<Check> {
    if slots.is_empty() {
        return None;
    }
    let describe = |slot: &Slot| match (slot.state, &slot.reason) {
        (SlotState::Held, reason) => Some(format!(
            "slot {} takes no task, since it could not be cleaned{}",
            slot.number,
            reason.as_deref().map(|reason| format!(": {}", plain(reason))).unwrap_or_default()
        )),
        (SlotState::Settling, Some(reason)) => Some(format!(
            "slot {} cannot tell the control plane how its task ended: {}",
            slot.number,
            plain(reason)
        )),
        _ => None,
    };
    let stuck: Vec<String> = slots.iter().filter_map(describe).collect();
    let level = match stuck.len() {
        0 => Level::Ok,
        count if count == slots.len() => Level::Bad,
        _ => Level::Warning,
    };
    let found = match level {
        Level::Ok => "each can be used".to_owned(),
        _ => stuck.join("; "),
    };
    let hint = (level != Level::Ok).then(|| {
        "remove what is in the way (operating.md, \"A slot that is held\"); the agent tries again \
         each minute"
            .to_owned()
    });
    Some(Check { name: "slots", level, found, hint })
}

/// Checks that nothing is kept aside since the system refuses to delete it.
fn check_aside(slots: &[Slot]) -> Option<Check> {
    let describe = |slot: &Slot| {
        let aside = slot.aside.as_ref()?;
        let directories = match aside.directories {
            1 => "a directory".to_owned(),
            count => format!("{count} directories"),
        };
        let place = aside.path.as_deref().map(|path| format!(" in {}", plain(path)));
        Some(format!(
            "slot {}: the system refuses to delete {directories} of earlier tasks{} ({})",
            slot.number,
            place.unwrap_or_default(),
            russet_text::format_size(aside.bytes)
        ))
    };
    let found: Vec<String> = slots.iter().filter_map(describe).collect();
    (!found.is_empty()).then(|| Check {
        name: "kept aside",
        level: Level::Warning,
        found: found.join("; "),
        hint: Some(
            "the agent tries again, at most each hour; with three of them a slot is held by the next \
             (operating.md, \"Directories that are kept aside\")"
                .to_owned(),
        ),
    })
}

/// Checks how the agent's last look for an update ended.
fn check_update(update: &Update) -> Option<Check> {
    let (found, hint) = match update {
        Update::Failed { why } => (
            format!("there was no update: {}", plain(why)),
            "`sudo russet agent update check` looks again",
        ),
        Update::NotOffered { why } => (
            format!("no release is offered: {}", plain(why)),
            "see to the source, or remove `update.source`",
        ),
        Update::RolledBack { version, why } => (
            format!("version {} was taken back: it {}", plain(version), plain(why)),
            "publish a release with a higher version",
        ),
        _ => return None,
    };
    Some(Check { name: "update", level: Level::Warning, found, hint: Some(hint.to_owned()) })
}

/// One line for each check, and below it what to do.
fn checks_text(checks: &[Check], paint: Paint) -> String {
    let width = checks.iter().map(|check| check.name.chars().count()).max().unwrap_or_default();
    let mut text = String::new();
    for check in checks {
        let sign = match check.level {
            Level::Ok => paint.good("✓"),
            Level::Unknown => paint.dim("?"),
            Level::Warning => paint.warn("!"),
            Level::Bad => paint.bad("✗"),
        };
        let name = paint.strong(&format!("{:width$}", check.name));
        text.push_str(&format!("{sign} {name}  {}\n", plain(&check.found)));
        if let Some(hint) = &check.hint {
            let indent = " ".repeat(width + 4);
            text.push_str(&format!("{indent}{}\n", paint.dim(&format!("→ {}", plain(hint)))));
        }
    }
    let count = |level| checks.iter().filter(|check| check.level == level).count() as u64;
    let bad = numbers::counted(count(Level::Bad), "problem");
    let warnings = numbers::counted(count(Level::Warning), "warning");
    let unknown = count(Level::Unknown);
    let rest = if unknown == 0 { String::new() } else { format!(", {unknown} not found out") };
    text.push_str(&format!("\n{bad}, {warnings}{rest}\n"));
    text
}

#[cfg(test)]
mod tests {
    use super::{Check, Level, check_aside, check_slots, check_update, checks_text};
    use crate::color::Paint;
    use russet_protocol::local::{Aside, Slot, SlotState, Update};

    #[test]
    fn an_update_that_should_be_and_is_not_is_a_warning() {
        let why = || "the source is away".to_owned();
        let version = || "1.2.0".to_owned();
        for update in [
            Update::Failed { why: why() },
            Update::NotOffered { why: why() },
            Update::RolledBack { version: version(), why: why() },
        ] {
            let check = check_update(&update).unwrap();
            assert!(check.level == Level::Warning && check.found.contains(&why()), "{check:?}");
        }
        for update in [Update::UpToDate, Update::RolloutPending { version: version() }] {
            assert_eq!(check_update(&update), None);
        }
    }

    #[test]
    fn what_is_kept_aside_is_a_warning_with_its_place() {
        let aside = |directories, path: Option<&str>| Slot {
            number: 2,
            aside: Some(Aside {
                directories,
                bytes: 4_000,
                since_ms: 1,
                path: path.map(str::to_owned),
            }),
            ..Slot::default()
        };
        let check = check_aside(&[Slot::default(), aside(1, Some("/s/slots/2/aside"))]).unwrap();
        assert_eq!(check.level, Level::Warning);
        assert_eq!(
            check.found,
            "slot 2: the system refuses to delete a directory of earlier tasks in \
             /s/slots/2/aside (4.0 kB)"
        );
        assert!(check_aside(&[aside(3, None)]).unwrap().found.contains("3 directories of earlier"));
        assert_eq!(check_aside(&[Slot::default()]), None);
    }

    #[test]
    fn a_slot_that_is_held_is_named_with_the_reason() {
        let slot = |number, state, reason: Option<&str>| Slot {
            number,
            state,
            reason: reason.map(str::to_owned),
            ..Slot::default()
        };
        let free = slot(1, SlotState::Free, None);
        let settling = slot(2, SlotState::Settling, None);
        let fine = check_slots(&[free.clone(), settling]).unwrap();
        assert_eq!((fine.level, fine.hint), (Level::Ok, None));
        let held = slot(2, SlotState::Held, Some("could not empty /s/2/spool"));
        let check = check_slots(&[free, held.clone()]).unwrap();
        assert_eq!(check.level, Level::Warning);
        assert_eq!(
            check.found,
            "slot 2 takes no task, since it could not be cleaned: could not empty /s/2/spool"
        );
        assert_eq!(check_slots(&[held]).unwrap().level, Level::Bad);
        assert_eq!(check_slots(&[]), None);
    }

    #[test]
    fn each_check_is_a_line_and_what_to_do_stands_below() {
        let check = |name, level, found: &str, hint: Option<&str>| Check {
            name,
            level,
            found: found.to_owned(),
            hint: hint.map(str::to_owned),
        };
        let checks = [
            check("configuration", Level::Ok, "one class, two slots", None),
            check("disk", Level::Bad, "3 MB free\u{1b}[2J", Some("delete something")),
            check("sleep", Level::Warning, "it sleeps", Some("`sudo pmset -a sleep 0`")),
            check("FileVault", Level::Unknown, "fdesetup is not there", None),
        ];
        insta::assert_snapshot!(checks_text(&checks, Paint::PLAIN));
    }
}
