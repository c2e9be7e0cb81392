//! `russet personal-token`.

use std::time::Duration;

use russet_protocol::people::{NewPersonalToken, Permission, PersonalTokenItem};

use super::{OutputArgs, values};
use crate::client::ConnectionArgs;
use crate::error::Result;
use crate::exit::Exit;
use crate::render::{self, Format, numbers, table::Table};

/// Manage personal tokens, with which people's tools and service accounts call the control plane
///
/// A token may do what its owner may, as far as its scopes go: read, submit, operate, admin. Tokens of
/// runners are another thing: `russet token`.
#[derive(clap::Subcommand, Debug)]
pub(crate) enum PersonalTokenCommand {
    /// Make a personal token, and print it once
    #[command(after_help = "Examples:
  russet personal-token create --description laptop
  russet personal-token create --scope read --expires 30d
  russet personal-token create --user deploy-bot --scope submit --expires 365d")]
    Create {
        /// Description of it in lists
        #[arg(long, default_value = "", hide_default_value = true)]
        description: String,
        /// Permission that it is limited to; may be repeated [default: read and submit]
        #[arg(long = "scope", value_name = "SCOPE")]
        scopes: Vec<Permission>,
        /// Time until its end, such as 90d
        #[arg(long, value_name = "TIME", default_value = "90d", value_parser = values::parse_duration, conflicts_with = "no_expiry")]
        expires: Duration,
        /// It never ends by itself
        #[arg(long)]
        no_expiry: bool,
        #[command(flatten)]
        of: OfArgs,
        #[command(flatten)]
        output: OutputArgs,
        #[command(flatten)]
        connection: ConnectionArgs,
    },
    /// List personal tokens, without the tokens themselves
    List {
        #[command(flatten)]
        of: OfArgs,
        #[command(flatten)]
        output: OutputArgs,
        #[command(flatten)]
        connection: ConnectionArgs,
    },
    /// Revoke a personal token, and those that were made with it; calls that wait with one of them end
    Revoke {
        /// Its id, as `russet personal-token list` shows it
        id: String,
        #[command(flatten)]
        of: OfArgs,
        #[command(flatten)]
        connection: ConnectionArgs,
    },
}

/// Account whose tokens are meant.
#[derive(clap::Args, Debug)]
pub(crate) struct OfArgs {
    /// Account whose token it is; needs the permission `admin` [default: your own]
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
}

/// Runs the command.
pub(crate) async fn main(command: PersonalTokenCommand) -> Result<Exit> {
    match command {
        PersonalTokenCommand::Create {
            description,
            scopes,
            expires,
            no_expiry,
            of,
            output,
            connection,
        } => {
            let scopes = match scopes.as_slice() {
                [] => vec![Permission::Read, Permission::Submit],
                _ => scopes,
            };
            let expires_in_s = (!no_expiry).then_some(expires.as_secs());
            let new = NewPersonalToken { description, scopes, expires_in_s };
            let client = connection.connect()?;
            let made = client.create_personal_token(of.user.as_deref(), &new).await?;
            match output.output {
                Format::Json => render::print_json(&made)?,
                // The token alone on standard output, so that it can go straight into a file.
                Format::Text => {
                    render::print_note(format_args!(
                        "Token {} of {} ({}). It is shown this once:",
                        made.id,
                        made.user,
                        scopes_of(&made)
                    ));
                    render::print_line(made.token.as_ref().map_or("", |token| token.expose()))?;
                }
            }
        }
        PersonalTokenCommand::List { of, output, connection } => {
            let items = connection.connect()?.personal_tokens(of.user.as_deref()).await?;
            match output.output {
                Format::Json => render::print_json(&items)?,
                Format::Text => render::print_text(&tokens_table(items))?,
            }
        }
        PersonalTokenCommand::Revoke { id, of, connection } => {
            connection.connect()?.revoke_personal_token(of.user.as_deref(), &id).await?;
            render::print_line(format_args!("Revoked {id}."))?;
        }
    }
    Ok(Exit::Success)
}

fn scopes_of(item: &PersonalTokenItem) -> String {
    item.scopes.iter().copied().map(Permission::as_str).collect::<Vec<_>>().join(",")
}

fn tokens_table(items: Vec<PersonalTokenItem>) -> String {
    let now_ms = numbers::now_ms();
    let ago = |ms: u64| format!("{} ago", numbers::duration_between(ms, now_ms));
    let mut table = Table::new(&[
        "ID",
        "DESCRIPTION",
        "SCOPES",
        "CREATED",
        "EXPIRES",
        "LAST USED",
        "MADE WITH",
    ]);
    for item in items {
        let scopes = scopes_of(&item);
        let expires = match item.expires_ms {
            None => "never".to_owned(),
            Some(at) if at <= now_ms => "expired".to_owned(),
            Some(at) => format!("in {}", numbers::duration_between(now_ms, at)),
        };
        let used = item.used_ms.map_or_else(|| "never".to_owned(), ago);
        table.row([
            item.id.to_string(),
            item.description,
            scopes,
            ago(item.created_ms),
            expires,
            used,
            item.parent.map(|id| id.to_string()).unwrap_or_default(),
        ]);
    }
    table.render("No personal tokens.")
}
