//! `russet runner`.

mod change;
mod show;

use russet_protocol::admin::RunnerItem;
use russet_protocol::resource_class::ResourceClass;
use russet_protocol::xcode::Xcode;

use self::change::{DrainArgs, PauseArgs, RemoveArgs, RenameArgs, ResumeArgs};
use super::OutputArgs;
use crate::client::ConnectionArgs;
use crate::error::Result;
use crate::exit::Exit;
use crate::render::{self, Format, numbers, table::Table};

/// Look at runners, pause them, rename and forget them
#[derive(clap::Subcommand, Debug)]
pub(crate) enum RunnerCommand {
    /// List runners with their states: all, those of a namespace or those of one resource class
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
    /// Show a runner: its state and why, what it runs, its machine and what is wrong with it
    Show {
        /// Its name
        name: String,
        #[command(flatten)]
        output: OutputArgs,
        #[command(flatten)]
        connection: ConnectionArgs,
    },
    /// Give no more tasks to a runner, or to all of a class; what runs goes on
    ///
    /// It holds from the moment at which this returns, and over restarts of the server and the runner.
    /// The machine shows it as a hold, and a person there may lift it with `russet agent resume`.
    #[command(
        after_help = "Examples:\n  russet runner pause mini-1 --reason 'new disk' --for 2h\n  russet runner pause --resource-class acme/mini --as anna"
    )]
    Pause(PauseArgs),
    /// Let paused or drained runners have tasks again
    Resume(ResumeArgs),
    /// Give no more tasks to a runner, or to all of a class, until nothing runs on it
    #[command(after_help = "Examples:\n  russet runner drain mini-1 --wait")]
    Drain(DrainArgs),
    /// Call a runner by another name; its agent goes on to claim as it is configured
    Rename(RenameArgs),
    /// Forget a runner that is away, or of a class all that are
    Remove(RemoveArgs),
}

/// The runners that a command is about.
#[derive(clap::Args, Debug)]
pub(crate) struct ChoiceArgs {
    /// Name of the runner
    #[arg(value_name = "NAME", required_unless_present = "resource_class")]
    name: Option<String>,
    /// All runners of this class, also those that come later; with a name, that one in this class
    #[arg(long, value_name = "NAMESPACE/NAME")]
    resource_class: Option<ResourceClass>,
}

/// Runs the command.
pub(crate) async fn main(command: RunnerCommand) -> Result<Exit> {
    match command {
        RunnerCommand::List { of, output, connection } => {
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
        RunnerCommand::Show { name, output, connection } => {
            show::show_runner(&connection.connect()?, &name, output.output).await
        }
        RunnerCommand::Pause(args) => change::pause(args).await,
        RunnerCommand::Resume(args) => change::resume(args).await,
        RunnerCommand::Drain(args) => change::drain(args).await,
        RunnerCommand::Rename(args) => change::rename(args).await,
        RunnerCommand::Remove(args) => change::remove(args).await,
    }
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

/// The most characters of a reason in a table.
const MAX_REASON_CHARS: usize = 60;

fn runners_table(items: Vec<RunnerItem>, of: Option<&str>) -> String {
    let mut table = Table::new(&[
        "NAME",
        "STATE",
        "RESOURCE CLASS",
        "TASKS",
        "HOST",
        "VERSION",
        "XCODE",
        "UPDATE",
        "LAST CONTACT",
        "REASON",
    ]);
    for item in items {
        let class = item.resource_class.to_string();
        let xcodes = xcode_versions(&item);
        // A runner says this of itself.
        let update = item.update.map(|update| update.short()).unwrap_or_default();
        let reason = item.reason.unwrap_or_default();
        table.row([
            item.name,
            item.state.to_string(),
            class,
            item.tasks.len().to_string(),
            item.hostname,
            item.version,
            xcodes,
            update,
            local_time(&item.last_connected),
            russet_text::one_line_within(&reason, MAX_REASON_CHARS),
        ]);
    }
    table.render(&of.map_or_else(|| "No runners.".to_owned(), |of| format!("No runners of {of}.")))
}

/// A time of the control plane, as the clock on this machine shows it.
fn local_time(rfc3339: &str) -> String {
    let ms = rfc3339.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_millisecond);
    let ms = ms.and_then(|ms| u64::try_from(ms).ok());
    ms.map_or_else(|| rfc3339.to_owned(), numbers::local_time)
}
