//! `russet session`.

use russet_protocol::people::SessionItem;

use super::OutputArgs;
use crate::client::ConnectionArgs;
use crate::error::Result;
use crate::exit::Exit;
use crate::render::{self, Format, numbers, table::Table};

/// Manage sessions of people in browsers
#[derive(clap::Subcommand, Debug)]
pub(crate) enum SessionCommand {
    /// List sessions, the newest first
    List {
        #[command(flatten)]
        of: OfArgs,
        #[command(flatten)]
        output: OutputArgs,
        #[command(flatten)]
        connection: ConnectionArgs,
    },
    /// End a session, or all of them
    #[command(after_help = "Examples:
  russet session end 1f0c3a5b7d9e8f60
  russet session end --all --user ana")]
    End {
        /// Its id, as `russet session list` shows it
        #[arg(required_unless_present = "all")]
        id: Option<String>,
        /// End all sessions of the account
        #[arg(long, conflicts_with = "id")]
        all: bool,
        #[command(flatten)]
        of: OfArgs,
        #[command(flatten)]
        connection: ConnectionArgs,
    },
}

/// Account whose sessions are meant.
#[derive(clap::Args, Debug)]
pub(crate) struct OfArgs {
    /// Account whose session it is; needs the permission `admin` [default: your own]
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
}

/// Runs the command.
pub(crate) async fn main(command: SessionCommand) -> Result<Exit> {
    match command {
        SessionCommand::List { of, output, connection } => {
            let items = connection.connect()?.sessions(of.user.as_deref()).await?;
            match output.output {
                Format::Json => render::print_json(&items)?,
                Format::Text => render::print_text(&sessions_table(items))?,
            }
        }
        SessionCommand::End { id, all: _, of, connection } => {
            let client = connection.connect()?;
            match id {
                Some(id) => {
                    client.end_session(of.user.as_deref(), &id).await?;
                    render::print_line(format_args!("Ended {id}."))?;
                }
                None => {
                    client.end_sessions(of.user.as_deref()).await?;
                    render::print_line("Ended all sessions.")?;
                }
            }
        }
    }
    Ok(Exit::Success)
}

fn sessions_table(items: Vec<SessionItem>) -> String {
    let now_ms = numbers::now_ms();
    let ago = |ms: u64| format!("{} ago", numbers::duration_between(ms, now_ms));
    let mut table = Table::new(&["ID", "FROM", "BEGAN", "LAST USED", "ENDS"]);
    for item in items {
        table.row([
            item.id,
            item.address,
            ago(item.began_ms),
            item.used_ms.map_or_else(|| "never".to_owned(), ago),
            format!("in {}", numbers::duration_between(now_ms, item.until_ms)),
        ]);
    }
    table.render("No sessions.")
}
