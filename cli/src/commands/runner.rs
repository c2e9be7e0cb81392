//! `russet runner`.

use russet_protocol::admin::RunnerItem;
use russet_protocol::xcode::Xcode;

use super::OutputArgs;
use crate::client::ConnectionArgs;
use crate::error::Result;
use crate::exit::Exit;
use crate::render::{self, Format, numbers, table::Table};

/// Look at runners
#[derive(clap::Subcommand, Debug)]
pub(crate) enum RunnerCommand {
    /// List runners: all, those of a namespace or those of one resource class
    #[command(
        after_help = "Examples:\n  russet runner list\n  russet runner list acme\n  russet runner list acme/mini --output json"
    )]
    List {
        /// A namespace, or a resource class
        #[arg(value_name = "NAMESPACE[/NAME]")]
        of: Option<String>,
        #[command(flatten)]
        output: OutputArgs,
        #[command(flatten)]
        connection: ConnectionArgs,
    },
}

/// Runs the command.
pub(crate) async fn main(command: RunnerCommand) -> Result<Exit> {
    let RunnerCommand::List { of, output, connection } = command;
    let items = connection.connect()?.runners(of.as_deref()).await?;
    match output.output {
        Format::Json => render::print_json(&items)?,
        Format::Text => {
            warn_of_rivals(&items);
            warn_of_held_slots(&items);
            warn_of_holds(&items);
            render::print_text(&runners_table(items, of.as_deref()))?;
        }
    }
    Ok(Exit::Success)
}

/// Warns of names under which two agents claim: each gets tasks that the other one is taken for.
fn warn_of_rivals(items: &[RunnerItem]) {
    for item in items {
        if let Some(host) = &item.rival {
            render::print_note(format_args!(
                "warning: two agents claim as `{}`, on `{}` and `{host}`; give each a name of its own",
                item.name, item.hostname
            ));
        }
    }
}

/// Warns of slots that cannot be used, with the reason.
fn warn_of_held_slots(items: &[RunnerItem]) {
    for item in items {
        for slot in &item.held_slots {
            render::print_note(format_args!(
                "warning: slot {} of `{}` cannot be used: {}",
                slot.number,
                render::plain(&item.name),
                render::plain(&slot.reason)
            ));
        }
    }
}

/// Warns of runners that take no tasks, with the reason.
fn warn_of_holds(items: &[RunnerItem]) {
    for item in items {
        for hold in &item.holds {
            render::print_note(format_args!(
                "warning: `{}` takes no tasks of {}: {}",
                render::plain(&item.name),
                item.resource_class,
                render::plain(hold)
            ));
        }
    }
}

/// The versions of a runner's Xcodes, in a few words.
fn xcode_versions(item: &RunnerItem) -> String {
    let version = |xcode: &Xcode| {
        let beta = if xcode.is_beta { " beta" } else { "" };
        render::plain(&format!("{}{beta}", xcode.version))
    };
    item.xcodes.iter().flatten().map(version).collect::<Vec<_>>().join(", ")
}

fn runners_table(items: Vec<RunnerItem>, of: Option<&str>) -> String {
    let mut table = Table::new(&[
        "NAME",
        "STATE",
        "RESOURCE CLASS",
        "HOST",
        "VERSION",
        "XCODE",
        "UPDATE",
        "LAST CONTACT",
    ]);
    let now = numbers::now_ms();
    for item in items {
        let state = match runner_state(&item.last_connected, now) {
            "online" if item.is_busy() => "busy",
            state => state,
        };
        let class = item.resource_class.to_string();
        let xcodes = xcode_versions(&item);
        // A runner says this of itself.
        let update = item.update.map(|update| update.short()).unwrap_or_default();
        table.row([
            item.name,
            state.to_owned(),
            class,
            item.hostname,
            item.version,
            xcodes,
            update,
            item.last_connected,
        ]);
    }
    table.render(&of.map_or_else(|| "No runners.".to_owned(), |of| format!("No runners of {of}.")))
}

/// The state of a runner follows from its last contact, with the limits that CircleCI's command
/// line has: a claim is sent at least every minute.
fn runner_state(last_connected: &str, now_ms: u64) -> &'static str {
    const MINUTE: i64 = 60 * 1000;
    let Ok(last) = last_connected.parse::<jiff::Timestamp>() else { return "" };
    let age = i64::try_from(now_ms).unwrap_or(i64::MAX) - last.as_millisecond();
    match age {
        ..=120_000 => "online",
        age if age <= 30 * MINUTE => "idle",
        _ => "offline",
    }
}

#[cfg(test)]
mod tests {
    use super::runner_state;

    #[test]
    fn a_runner_is_what_its_last_contact_says() {
        let now = 1_800_000_000_000;
        let ago = |minutes: i64| {
            let ms = i64::try_from(now).unwrap() - minutes * 60_000;
            jiff::Timestamp::from_millisecond(ms).unwrap().to_string()
        };
        assert_eq!(
            [runner_state(&ago(1), now), runner_state(&ago(10), now), runner_state(&ago(45), now)],
            ["online", "idle", "offline"]
        );
        assert_eq!(runner_state("?", now), "");
    }
}
