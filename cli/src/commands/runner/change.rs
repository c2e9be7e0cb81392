//! Commands that change what runners get: `pause`, `resume`, `drain`, `rename`, `remove`.

use std::io::{BufRead as _, IsTerminal as _};
use std::time::Duration;

use russet_protocol::admin::RunnerItem;
use russet_protocol::machine::{MachineState, PauseKind, PauseRunners, RenameRunner, RunnerChoice};

use super::ChoiceArgs;
use crate::client::{Client, ConnectionArgs};
use crate::commands::{OutputArgs, values};
use crate::error::{CliError, Result};
use crate::exit::Exit;
use crate::render::{self, Format, plain};

/// Interval of looks at runners that are being drained.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);

/// `russet runner pause`.
#[derive(clap::Args, Debug)]
pub(crate) struct PauseArgs {
    #[command(flatten)]
    of: ChoiceArgs,
    #[command(flatten)]
    why: WhyArgs,
    /// Give it tasks again after this long, as `90s`, `30m` or `2h`
    #[arg(long = "for", value_name = "TIME", value_parser = values::parse_duration)]
    time: Option<Duration>,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    connection: ConnectionArgs,
}

/// `russet runner drain`.
#[derive(clap::Args, Debug)]
pub(crate) struct DrainArgs {
    #[command(flatten)]
    of: ChoiceArgs,
    #[command(flatten)]
    why: WhyArgs,
    /// Return when nothing runs on it any more
    #[arg(long)]
    wait: bool,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    connection: ConnectionArgs,
}

/// Reason, and who gives it.
#[derive(clap::Args, Debug)]
struct WhyArgs {
    /// Reason, for everybody who looks
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Name of who wants it, for everybody who looks [default: that of the user]
    #[arg(long = "as", value_name = "NAME")]
    by: Option<String>,
}

impl WhyArgs {
    fn by(&self) -> Option<String> {
        self.by.clone().or_else(|| std::env::var("USER").ok()).filter(|by| !by.is_empty())
    }
}

/// `russet runner resume`.
#[derive(clap::Args, Debug)]
pub(crate) struct ResumeArgs {
    #[command(flatten)]
    of: ChoiceArgs,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    connection: ConnectionArgs,
}

/// `russet runner rename`.
#[derive(clap::Args, Debug)]
pub(crate) struct RenameArgs {
    /// The runner as it is called now
    name: String,
    /// Its new name
    to: String,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    connection: ConnectionArgs,
}

/// `russet runner remove`.
#[derive(clap::Args, Debug)]
pub(crate) struct RemoveArgs {
    #[command(flatten)]
    of: ChoiceArgs,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    connection: ConnectionArgs,
}

impl ChoiceArgs {
    fn choice(&self) -> RunnerChoice {
        RunnerChoice { runner: self.name.clone(), resource_class: self.resource_class.clone() }
    }

    /// The runners in words.
    fn words(&self) -> String {
        match (&self.name, &self.resource_class) {
            (Some(name), Some(class)) => format!("{} of {class}", plain(name)),
            (Some(name), None) => plain(name),
            (None, Some(class)) => format!("All runners of {class}"),
            (None, None) => String::new(),
        }
    }

    fn is_of(&self, item: &RunnerItem) -> bool {
        self.name.as_ref().is_none_or(|name| *name == item.name)
            && self.resource_class.as_ref().is_none_or(|class| *class == item.resource_class)
    }
}

/// Pauses runners.
pub(super) async fn pause(args: PauseArgs) -> Result<Exit> {
    let request = PauseRunners {
        of: args.of.choice(),
        kind: PauseKind::Pause,
        by: args.why.by(),
        reason: args.why.reason,
        for_s: args.time.map(values::whole_seconds),
    };
    let items = args.connection.connect()?.pause_runners(&request).await?;
    print_items(&items, args.output.output, &format!("{}: no more tasks.", args.of.words()))
}

/// Lifts pauses of runners.
pub(super) async fn resume(args: ResumeArgs) -> Result<Exit> {
    let items = args.connection.connect()?.resume_runners(&args.of.choice()).await?;
    let text = format!("{}: tasks again.", args.of.words());
    print_items(&items, args.output.output, &text)
}

/// Drains runners, and waits until nothing runs on them where that is wanted.
pub(super) async fn drain(args: DrainArgs) -> Result<Exit> {
    let client = args.connection.connect()?;
    let request = PauseRunners {
        of: args.of.choice(),
        kind: PauseKind::Drain,
        by: args.why.by(),
        reason: args.why.reason,
        for_s: None,
    };
    let mut items = client.pause_runners(&request).await?;
    let words = args.of.words();
    if args.wait {
        items = wait_for_drain(&client, &args.of, items).await?;
    }
    let is_drained = items.iter().all(|item| item.tasks.is_empty());
    let text = match is_drained {
        true => format!("{words}: drained."),
        false => format!("{words}: no more tasks; what runs goes on (--wait waits for it)."),
    };
    print_items(&items, args.output.output, &text)
}

/// Waits until nothing runs on runners that are drained.
async fn wait_for_drain(
    client: &Client,
    of: &ChoiceArgs,
    mut items: Vec<RunnerItem>,
) -> Result<Vec<RunnerItem>> {
    let mut told = usize::MAX;
    loop {
        let running: usize = items.iter().map(|item| item.tasks.len()).sum();
        if running == 0 {
            return Ok(items);
        }
        if running < told {
            render::print_note(format_args!("{}: {running} still running", of.words()));
            told = running;
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
        items = client.runners(None).await?;
        items.retain(|item| of.is_of(item));
        // Somebody gives them tasks again: this would wait for ever.
        if let Some(item) = items.iter().find(|item| item.pause.is_none()) {
            let message = format!("the drain of `{}` was lifted", plain(&item.name));
            return Err(CliError::new(Exit::ControlPlane, message));
        }
    }
}

/// Gives a runner another name.
pub(super) async fn rename(args: RenameArgs) -> Result<Exit> {
    let text = format!("{} is {} now.", plain(&args.name), plain(&args.to));
    let request = RenameRunner { runner: args.name, to: args.to };
    let items = args.connection.connect()?.rename_runner(&request).await?;
    print_items(&items, args.output.output, &text)
}

/// Forgets runners, after asking.
pub(super) async fn remove(args: RemoveArgs) -> Result<Exit> {
    let client = args.connection.connect()?;
    let words = args.of.words();
    if !args.yes && !ask_to_forget(&client, &args.of).await? {
        render::print_note("Nothing was changed.");
        return Ok(Exit::Canceled);
    }
    client.remove_runners(&args.of.choice()).await?;
    let which = if args.of.name.is_none() { " that are away" } else { "" };
    render::print_line(format_args!("{words}{which}: forgotten."))?;
    let mut stay = client.runners(None).await?;
    stay.retain(|item| args.of.is_of(item));
    for item in stay {
        let (name, class) = (plain(&item.name), &item.resource_class);
        render::print_line(format_args!("  {name} of {class} stays: {}", item.state))?;
    }
    Ok(Exit::Success)
}

async fn ask_to_forget(client: &Client, of: &ChoiceArgs) -> Result<bool> {
    if !std::io::stdin().is_terminal() {
        return Err(CliError::new(Exit::Usage, "nobody can be asked whether to forget them")
            .hint("--yes does not ask"));
    }
    let items = client.runners(None).await?;
    for item in items.iter().filter(|item| of.is_of(item) && item.state.is_away()) {
        let state = if item.state == MachineState::Unknown { "" } else { item.state.as_str() };
        render::print_note(format_args!(
            "{} of {} {state}",
            plain(&item.name),
            item.resource_class
        ));
    }
    render::print_note("Forget what is known of them, their pauses and names? [y/N]");
    let mut answer = String::new();
    let read = std::io::stdin().lock().read_line(&mut answer);
    read.map_err(|error| CliError::local("could not read the answer", error))?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

fn print_items(items: &[RunnerItem], format: Format, text: &str) -> Result<Exit> {
    match format {
        Format::Json => render::print_json(items)?,
        Format::Text => {
            render::print_line(text)?;
            for item in items {
                let why = item.reason.as_deref().map(|why| format!(": {}", plain(why)));
                render::print_line(format_args!(
                    "  {} of {}: {}{}",
                    plain(&item.name),
                    item.resource_class,
                    item.state,
                    why.unwrap_or_default()
                ))?;
            }
        }
    }
    Ok(Exit::Success)
}
