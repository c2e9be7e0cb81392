//! `russet alert`.

use russet_protocol::alerts::{AlertItem, AlertTargetItem, NewAlertTarget, TargetKind};

use super::OutputArgs;
use super::secret_input::SecretArgs;
use crate::client::ConnectionArgs;
use crate::error::{CliError, Result};
use crate::exit::Exit;
use crate::render::{self, Format, numbers, plain, table::Table};

/// Show alerts, and say who hears of them
///
/// An alert is opened once for as long as its condition lasts: a machine that is lost or unhealthy, a
/// class without machines while tasks wait, an update that was taken back.
#[derive(clap::Subcommand, Debug)]
pub(crate) enum AlertCommand {
    /// List the alerts that are open
    List {
        /// Also those that ended
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        output: OutputArgs,
        #[command(flatten)]
        connection: ConnectionArgs,
    },
    /// List the targets that hear of alerts
    Targets {
        #[command(flatten)]
        output: OutputArgs,
        #[command(flatten)]
        connection: ConnectionArgs,
    },
    /// Add a target; its address is read from a file, standard input or the terminal
    #[command(
        after_help = "The URL of a webhook is a secret: whoever has it can write to the target. \
So it is not an argument.

Examples:
  russet alert add ops --kind slack --from slack-url.txt
  echo ops@example.com | russet alert add mail --kind mail
  russet alert add pager --kind webhook"
    )]
    Add {
        /// Its name
        name: String,
        /// Protocol of the target
        #[arg(long, value_enum)]
        kind: Kind,
        #[command(flatten)]
        address: SecretArgs,
        #[command(flatten)]
        output: OutputArgs,
        #[command(flatten)]
        connection: ConnectionArgs,
    },
    /// Remove a target
    Remove {
        /// Its name
        name: String,
        #[command(flatten)]
        connection: ConnectionArgs,
    },
    /// Send a test message to a target, and say whether it was taken
    Test {
        /// Its name
        name: String,
        #[command(flatten)]
        connection: ConnectionArgs,
    },
}

/// Protocol of a target.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(crate) enum Kind {
    /// JSON by POST, signed as Standard Webhooks
    Webhook,
    /// Mail, through the server's --mail-server
    Mail,
    /// Incoming webhook of Slack, Mattermost or another that takes the same
    Slack,
}

impl From<Kind> for TargetKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Webhook => Self::Webhook,
            Kind::Mail => Self::Mail,
            Kind::Slack => Self::Slack,
        }
    }
}

/// Runs the command.
pub(crate) async fn main(command: AlertCommand) -> Result<Exit> {
    match command {
        AlertCommand::List { all, output, connection } => {
            let mut items = connection.connect()?.alerts().await?;
            items.retain(|item| all || item.closed_ms.is_none());
            match output.output {
                Format::Json => render::print_json(&items)?,
                Format::Text => render::print_text(&alerts_table(items, all))?,
            }
        }
        AlertCommand::Targets { output, connection } => {
            let items = connection.connect()?.alert_targets().await?;
            match output.output {
                Format::Json => render::print_json(&items)?,
                Format::Text => render::print_text(&targets_table(items))?,
            }
        }
        AlertCommand::Add { name, kind, address, output, connection } => {
            let address = address.read("address of the target")?;
            let new = NewAlertTarget { name, kind: kind.into(), address };
            let made = connection.connect()?.add_alert_target(&new).await?;
            match (output.output, &made.signing_secret) {
                (Format::Json, _) => render::print_json(&made)?,
                (Format::Text, Some(secret)) => {
                    render::print_note(format_args!(
                        "Added {}. Its messages are signed with this secret, which is shown this \
                         once:",
                        made.target.name
                    ));
                    render::print_line(secret.expose())?;
                }
                (Format::Text, None) => {
                    render::print_line(format_args!("Added {}.", made.target.name))?;
                }
            }
            render::print_note(format_args!("Try it: russet alert test {}", made.target.name));
        }
        AlertCommand::Remove { name, connection } => {
            connection.connect()?.remove_alert_target(&name).await?;
            render::print_line(format_args!("Removed {name}."))?;
        }
        AlertCommand::Test { name, connection } => {
            let tested = connection.connect()?.test_alert_target(&name).await?;
            if let Some(failure) = tested.failure {
                let failure = plain(&failure);
                return Err(CliError::new(
                    Exit::Infrastructure,
                    format!("the test message was not taken: {failure}"),
                ));
            }
            render::print_line("The test message was taken.")?;
        }
    }
    Ok(Exit::Success)
}

pub(super) fn age_of(ms: u64) -> String {
    format!("{} ago", numbers::duration_between(ms, numbers::now_ms()))
}

/// Returns the name of a protocol.
fn alerts_table(items: Vec<AlertItem>, all: bool) -> String {
    let mut table = Table::new(&["KIND", "SINCE", "ENDED", "DETAIL"]);
    for item in items {
        let ended = item.closed_ms.map_or_else(|| "-".to_owned(), age_of);
        table.row([
            item.kind.as_str().replace('_', " "),
            age_of(item.opened_ms),
            ended,
            plain(&item.detail),
        ]);
    }
    table.render(if all { "No alerts." } else { "No open alerts." })
}

fn targets_table(items: Vec<AlertTargetItem>) -> String {
    let mut table = Table::new(&["NAME", "KIND", "ADDRESS", "DELIVERED", "WAITING", "FAILURE"]);
    for item in items {
        table.row([
            item.name,
            item.kind.as_str().to_owned(),
            plain(&item.address),
            item.delivered_ms.map_or_else(|| "never".to_owned(), age_of),
            item.waiting.to_string(),
            item.failure.map_or_else(|| "-".to_owned(), |failure| plain(&failure)),
        ]);
    }
    table.render("No targets: `russet alert add` makes one.")
}
