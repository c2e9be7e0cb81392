//! `russet project notify`.

use std::path::{Path, PathBuf};

use russet_protocol::notifications::{
    MadeNotifyTarget, NewNotifyTarget, NotifyEvent, NotifyOn, NotifyTargetItem,
};
use russet_protocol::secret::Secret;

use super::OutputArgs;
use super::alert::{Kind, age_of};
use super::secret_input::{SecretArgs, read_secret_file, secret_text};
use crate::client::ConnectionArgs;
use crate::error::{CliError, Result};
use crate::exit::Exit;
use crate::render::{self, Format, plain, table::Table};

/// Commands for notifications.
#[derive(clap::Subcommand, Debug)]
pub(crate) enum NotifyCommand {
    /// Add a target; its address is read from a file, standard input or the terminal
    #[command(after_help = "The URL of a webhook is a secret: whoever has it can write to the \
target. So it is not an argument.

Examples:
  russet project notify add acme/app team --kind slack --on change --from slack-url.txt
  echo ada@example.com | russet project notify add acme/app ada --kind mail --author ada --on failure
  russet project notify add acme/app board --kind webhook --event job-completed \\
      --event workflow-completed --secret-file signing-secret.txt")]
    Add {
        /// The project
        project: String,
        /// Its name
        name: String,
        /// Protocol of the target; a webhook gets CircleCI's payloads
        #[arg(long, value_enum)]
        kind: Kind,
        /// Event that it hears of; may be repeated [default: workflow-completed]
        #[arg(long = "event", value_enum, value_name = "EVENT")]
        events: Vec<Event>,
        /// Outcomes that it hears of
        #[arg(long, value_enum, default_value_t = On::Always)]
        on: On,
        /// Only pipelines that this person submitted
        #[arg(long, value_name = "NAME")]
        author: Option<String>,
        /// File with the secret that payloads of a webhook are signed with [default: one is made]
        #[arg(long, value_name = "FILE")]
        secret_file: Option<PathBuf>,
        #[command(flatten)]
        address: SecretArgs,
        #[command(flatten)]
        output: OutputArgs,
        #[command(flatten)]
        connection: ConnectionArgs,
    },
    /// List the targets of a project, and what failed
    List {
        /// The project
        project: String,
        #[command(flatten)]
        output: OutputArgs,
        #[command(flatten)]
        connection: ConnectionArgs,
    },
    /// Remove a target, with the messages that wait for it
    Remove {
        /// The project
        project: String,
        /// Its name
        name: String,
        #[command(flatten)]
        connection: ConnectionArgs,
    },
    /// Send a test message to a target, and say whether it was taken
    Test {
        /// The project
        project: String,
        /// Its name
        name: String,
        #[command(flatten)]
        connection: ConnectionArgs,
    },
}

/// Event that a target hears of.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(crate) enum Event {
    /// A workflow has ended
    WorkflowCompleted,
    /// A job has ended
    JobCompleted,
}

impl From<Event> for NotifyEvent {
    fn from(event: Event) -> Self {
        match event {
            Event::WorkflowCompleted => Self::WorkflowCompleted,
            Event::JobCompleted => Self::JobCompleted,
        }
    }
}

/// Outcomes that a target hears of.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(crate) enum On {
    /// All
    Always,
    /// All but success and cancellation
    Failure,
    /// Those that differ from the last one on the branch
    Change,
}

impl From<On> for NotifyOn {
    fn from(on: On) -> Self {
        match on {
            On::Always => Self::Always,
            On::Failure => Self::Failure,
            On::Change => Self::Change,
        }
    }
}

/// Runs the command.
pub(crate) async fn main(command: NotifyCommand) -> Result<Exit> {
    match command {
        NotifyCommand::Add {
            project,
            name,
            kind,
            events,
            on,
            author,
            secret_file,
            address,
            output,
            connection,
        } => {
            let signing_secret = secret_file.as_deref().map(read_signing_secret).transpose()?;
            let new = NewNotifyTarget {
                name,
                kind: kind.into(),
                address: address.read("address of the target")?,
                signing_secret,
                events: events.into_iter().map(Into::into).collect(),
                on: on.into(),
                author,
            };
            let made = connection.connect()?.add_notify_target(&project, &new).await?;
            print_made(&project, &made, output.output)?;
        }
        NotifyCommand::List { project, output, connection } => {
            let items = connection.connect()?.notify_targets(&project).await?;
            match output.output {
                Format::Json => render::print_json(&items)?,
                Format::Text => render::print_text(&targets_table(items))?,
            }
        }
        NotifyCommand::Remove { project, name, connection } => {
            connection.connect()?.remove_notify_target(&project, &name).await?;
            render::print_line(format_args!("Removed {}.", plain(&name)))?;
        }
        NotifyCommand::Test { project, name, connection } => {
            let tested = connection.connect()?.test_notify_target(&project, &name).await?;
            if let Some(failure) = tested.failure {
                let failure = plain(&failure);
                let message = format!("the test message was not taken: {failure}");
                return Err(CliError::new(Exit::Infrastructure, message));
            }
            render::print_line("The test message was taken.")?;
        }
    }
    Ok(Exit::Success)
}

fn read_signing_secret(path: &Path) -> Result<Secret> {
    let text = secret_text(read_secret_file(path)?, path)?;
    Ok(Secret::new(text.trim_end_matches(['\r', '\n'])))
}

fn print_made(project: &str, made: &MadeNotifyTarget, format: Format) -> Result<()> {
    let name = plain(&made.target.name);
    match (format, &made.signing_secret) {
        (Format::Json, _) => render::print_json(made)?,
        (Format::Text, Some(secret)) => {
            render::print_note(format_args!(
                "Added {name}. Its payloads are signed with this secret, which is shown this once:"
            ));
            render::print_line(secret.expose())?;
        }
        (Format::Text, None) => render::print_line(format_args!("Added {name}."))?,
    }
    let project = super::quoted_for_shell(project);
    render::print_note(format_args!("Try it: russet project notify test {project} {name}"));
    Ok(())
}

fn targets_table(items: Vec<NotifyTargetItem>) -> String {
    let head =
        ["NAME", "KIND", "ADDRESS", "EVENTS", "ON", "AUTHOR", "DELIVERED", "WAITING", "FAILURE"];
    let mut table = Table::new(&head);
    for item in items {
        let events: Vec<&str> = item.events.iter().map(|event| event.as_str()).collect();
        table.row([
            item.name,
            item.kind.as_str().to_owned(),
            plain(&item.address),
            events.join(","),
            item.on.as_str().to_owned(),
            item.author.map_or_else(|| "-".to_owned(), |name| plain(&name)),
            item.delivered_ms.map_or_else(|| "never".to_owned(), age_of),
            item.waiting.to_string(),
            item.failure.map_or_else(|| "-".to_owned(), |failure| plain(&failure)),
        ]);
    }
    table.render("No targets: `russet project notify add` makes one.")
}
