//! `russet token`.

use std::time::Duration;

use russet_protocol::admin::{NewToken, TokenItem};
use russet_protocol::resource_class::ResourceClass;

use super::{OutputArgs, values};
use crate::client::ConnectionArgs;
use crate::error::Result;
use crate::exit::Exit;
use crate::render::{self, Format, table::Table};

/// Manage runner tokens, with which a launch agent claims tasks
#[derive(clap::Subcommand, Debug)]
pub(crate) enum TokenCommand {
    /// Make a token of a resource class, and print it once
    #[command(after_help = "Examples:
  russet token create acme/mini --nickname mini-7
  russet token create acme/mini --expires-in 90d
  russet token create acme/mini --output json | jq -r .token")]
    Create {
        /// The class that the token is for
        #[arg(value_name = "NAMESPACE/NAME")]
        class: ResourceClass,
        /// Name of it in lists
        #[arg(long, default_value = "", hide_default_value = true)]
        nickname: String,
        /// Time after which it is refused, as `90d`; alerts say so 14 days and a day before
        /// [default: it does not expire]
        #[arg(long, value_name = "TIME", value_parser = values::parse_duration)]
        expires_in: Option<Duration>,
        #[command(flatten)]
        output: OutputArgs,
        #[command(flatten)]
        connection: ConnectionArgs,
    },
    /// List the tokens of a resource class, without the tokens themselves
    List {
        /// The class
        #[arg(value_name = "NAMESPACE/NAME")]
        class: ResourceClass,
        #[command(flatten)]
        output: OutputArgs,
        #[command(flatten)]
        connection: ConnectionArgs,
    },
    /// Revoke a token; tasks that run go on
    Delete {
        /// Its id, as `russet token list` shows it
        id: String,
        #[command(flatten)]
        connection: ConnectionArgs,
    },
}

/// Runs the command.
pub(crate) async fn main(command: TokenCommand) -> Result<Exit> {
    match command {
        TokenCommand::Create { class, nickname, expires_in, output, connection } => {
            let expires_in_s = expires_in.map(|time| time.as_secs());
            let new = NewToken { resource_class: class, nickname, expires_in_s };
            let made = connection.connect()?.create_token(&new).await?;
            match output.output {
                Format::Json => render::print_json(&made)?,
                // The token alone on standard output, so that it can go straight into a file.
                Format::Text => {
                    let until = made.expires_at.as_deref();
                    let until = until.map(|end| format!(" until {end}")).unwrap_or_default();
                    render::print_note(format_args!(
                        "Token {} of {}{until}. It is shown this once; put it into `api.auth_token` of \
                         the agent's configuration:",
                        made.id, made.resource_class
                    ));
                    render::print_line(made.token.as_ref().map_or("", |token| token.expose()))?;
                }
            }
        }
        TokenCommand::List { class, output, connection } => {
            let items = connection.connect()?.tokens(&class).await?;
            match output.output {
                Format::Json => render::print_json(&items)?,
                Format::Text => render::print_text(&tokens_table(items, &class))?,
            }
        }
        TokenCommand::Delete { id, connection } => {
            connection.connect()?.delete_token(&id).await?;
            render::print_line(format_args!("Revoked {id}."))?;
        }
    }
    Ok(Exit::Success)
}

fn tokens_table(items: Vec<TokenItem>, class: &ResourceClass) -> String {
    let mut table = Table::new(&["ID", "NICKNAME", "CREATED", "EXPIRES", "LAST USED"]);
    for item in items {
        let expires = item.expires_at.unwrap_or_else(|| "never".to_owned());
        let used = item.last_used_at.unwrap_or_else(|| "never".to_owned());
        table.row([item.id.to_string(), item.nickname, item.created_at, expires, used]);
    }
    table.render(&format!("No tokens of {class}."))
}
