//! `russet runner show`.

use std::fmt::Write as _;

use russet_protocol::admin::RunnerItem;
use russet_protocol::machine::MachineReport;

use super::{local_time, xcode_versions};
use crate::client::Client;
use crate::error::{CliError, Result};
use crate::exit::Exit;
use crate::render::{self, Format, numbers, plain};

/// Shows a runner in all its classes.
pub(super) async fn show_runner(client: &Client, name: &str, format: Format) -> Result<Exit> {
    let items = client.runners(None).await?;
    let items: Vec<RunnerItem> = items.into_iter().filter(|item| item.name == name).collect();
    if items.is_empty() {
        let message = format!("there is no runner `{}` on {}", plain(name), client.url());
        return Err(CliError::new(Exit::ControlPlane, message)
            .hint("`russet runner list` shows those there are"));
    }
    match format {
        Format::Json => render::print_json(&items)?,
        Format::Text => {
            let texts: Vec<String> = items.iter().map(runner_text).collect();
            render::print_text(&texts.join("\n"))?;
        }
    }
    Ok(Exit::Success)
}

fn runner_text(item: &RunnerItem) -> String {
    let mut text = String::new();
    let reason = item.reason.as_deref().map(|why| format!(": {}", plain(why))).unwrap_or_default();
    let mut line = |text_of: std::fmt::Arguments<'_>| {
        // Writing to a text cannot fail.
        let _infallible = writeln!(text, "{text_of}");
    };
    line(format_args!("{} of {}: {}{reason}", plain(&item.name), item.resource_class, item.state));
    if let Some(pause) = &item.pause {
        let until = pause.until_ms.map(|at| format!(", until {}", numbers::local_time(at)));
        let since = numbers::local_time(pause.since_ms);
        line(format_args!(
            "  {} since {since}{}",
            plain(&pause.words()),
            until.unwrap_or_default()
        ));
    }
    for task in &item.tasks {
        let since = task.since_ms.map(|at| format!(" since {}", numbers::local_time(at)));
        let (project, name) = (plain(&task.project), plain(&task.name));
        let since = since.unwrap_or_default();
        line(format_args!("  runs {name} of {project}{since}  {}", plain(&task.job)));
    }
    line(format_args!("  host {}, agent {}", plain(&item.hostname), plain(&item.version)));
    line(format_args!("  last contact {}", local_time(&item.last_connected)));
    for fact in item.machine.iter().flat_map(machine_facts) {
        line(format_args!("  {fact}"));
    }
    let xcodes = xcode_versions(item);
    if !xcodes.is_empty() {
        line(format_args!("  Xcode {xcodes}"));
    }
    if let Some(offer) = item.ssh {
        let forks = if offer.allow_forks { ", also of forks" } else { "" };
        line(format_args!("  takes reruns with SSH{forks}"));
    }
    for task in &item.tasks {
        if let Some(person) = &task.held_for {
            line(format_args!("  {} is held for {} by SSH", plain(&task.name), plain(person)));
        }
    }
    if let Some(update) = item.update.as_ref().map(|it| it.short()).filter(|it| !it.is_empty()) {
        line(format_args!("  update: {}", plain(&update)));
    }
    for slot in &item.held_slots {
        line(format_args!("  slot {} cannot be used: {}", slot.number, plain(&slot.reason)));
    }
    text
}

/// Returns what a machine says of itself, a line each.
fn machine_facts(machine: &MachineReport) -> Vec<String> {
    let mut facts = Vec::new();
    let system = [machine.os.as_deref(), machine.chip.as_deref()];
    let system: Vec<String> = system.into_iter().flatten().map(plain).collect();
    if !system.is_empty() {
        facts.push(system.join(", "));
    }
    if let Some(free) = machine.disk_free {
        facts.push(format!("{} free where tasks work", russet_text::format_size(free)));
    }
    if let Some(boot) = &machine.boot_id {
        facts.push(format!("boot {}", plain(boot)));
    }
    if let Some(words) = machine.clock_words() {
        facts.push(format!("its clock is {words}"));
    }
    for slot in &machine.slots {
        let job = slot.job.as_deref().map(|job| format!(", {}", plain(job))).unwrap_or_default();
        facts.push(format!("slot {}: {}{job}", slot.number, slot.state.as_str()));
    }
    for hold in machine.holds.iter().filter(|hold| hold.source != "server") {
        facts.push(format!("hold {}: {}", plain(&hold.source), plain(&hold.reason)));
    }
    for finding in &machine.findings {
        let hint = finding.hint.as_deref().map(|hint| format!(" (hint: {})", plain(hint)));
        let hint = hint.unwrap_or_default();
        facts.push(format!("{}: {}{hint}", plain(&finding.name), plain(&finding.found)));
    }
    facts
}
