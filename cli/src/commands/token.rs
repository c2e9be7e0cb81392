//! `russet token`.

use russet_protocol::admin::{NewToken, TokenItem};
use russet_protocol::resource_class::ResourceClass;

use super::OutputArgs;
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
  russet token create acme/mini --output json | jq -r .token")]
    Create {
        /// The class that the token is for
        #[arg(value_name = "NAMESPACE/NAME")]
        class: ResourceClass,
        /// Name of it in lists
        #[arg(long, default_value = "", hide_default_value = true)]
        nickname: String,
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
        TokenCommand::Create { class, nickname, output, connection } => {
            let new = NewToken { resource_class: class, nickname };
            let made = connection.connect()?.create_token(&new).await?;
            match output.output {
                Format::Json => render::print_json(&made)?,
                // The token alone on standard output, so that it can go straight into a file.
                Format::Text => {
                    render::print_note(format_args!(
                        "Token {} of {}. It is shown this once; put it into `api.auth_token` of \
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
    let mut table = Table::new(&["ID", "NICKNAME", "CREATED"]);
    for item in items {
        table.row([item.id.to_string(), item.nickname, item.created_at]);
    }
    table.render(&format!("No tokens of {class}."))
}
