//! `russet user`.

use std::io::IsTerminal as _;

use russet_protocol::people::{
    ChangePassword, NewUser, Role, SetRole, SignInLink, UnknownName, UserItem, UserKind,
};

use super::OutputArgs;
use super::confirm::YesArgs;
use super::secret_input::{ask_password, read_secret_lines};
use crate::client::{Client, ConnectionArgs};
use crate::error::{CliError, Result};
use crate::exit::Exit;
use crate::render::{self, Format, numbers, table::Table};

/// Manage people and service accounts, and what each may do
///
/// A viewer reads; a member also submits, cancels, runs again and approves; an operator also changes
/// runners, classes and secrets; an admin may do everything.
#[derive(clap::Subcommand, Debug)]
pub(crate) enum UserCommand {
    /// Add a person or a service account
    #[command(after_help = "Examples:
  russet user add ana --role member
  russet user add deploy-bot --service --role member")]
    Add {
        /// Name, as in `ana` or `ana@example.com`
        name: String,
        /// Role over the server: viewer, member, operator or admin [default: none]
        #[arg(long)]
        role: Option<Role>,
        /// A program: it has tokens, and never signs in
        #[arg(long)]
        service: bool,
        #[command(flatten)]
        output: OutputArgs,
        #[command(flatten)]
        connection: ConnectionArgs,
    },
    /// List the accounts
    List {
        #[command(flatten)]
        output: OutputArgs,
        #[command(flatten)]
        connection: ConnectionArgs,
    },
    /// Show an account with its roles
    Show {
        /// Its name
        name: String,
        #[command(flatten)]
        output: OutputArgs,
        #[command(flatten)]
        connection: ConnectionArgs,
    },
    /// Give an account another role, over the server or in a namespace
    SetRole {
        /// Its name
        name: String,
        /// The role: viewer, member, operator, admin or none
        #[arg(value_parser = parse_role)]
        role: Given,
        /// Only in this namespace
        #[arg(long)]
        namespace: Option<String>,
        #[command(flatten)]
        connection: ConnectionArgs,
    },
    /// Print a link with which a person sets a password, once and within an hour
    Invite {
        /// Name of the person's account
        name: String,
        #[command(flatten)]
        connection: ConnectionArgs,
    },
    /// Change your own password; your sessions in browsers end
    ///
    /// The present password and the new one are asked for, or read from standard input, a line each.
    ChangePassword {
        #[command(flatten)]
        connection: ConnectionArgs,
    },
    /// End all sessions of an account in browsers
    EndSessions {
        /// Its name
        name: String,
        #[command(flatten)]
        connection: ConnectionArgs,
    },
    /// Remove an account with its tokens; what waits with one of them ends
    Remove {
        /// Its name
        name: String,
        #[command(flatten)]
        yes: YesArgs,
        #[command(flatten)]
        connection: ConnectionArgs,
    },
}

/// A role, or none.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Given(Option<Role>);

fn parse_role(text: &str) -> std::result::Result<Given, String> {
    match text {
        "none" => Ok(Given(None)),
        text => text
            .parse()
            .map(|role| Given(Some(role)))
            .map_err(|error: UnknownName| error.to_string()),
    }
}

/// Runs the command.
pub(crate) async fn main(command: UserCommand) -> Result<Exit> {
    match command {
        UserCommand::Add { name, role, service, output, connection } => {
            let kind = if service { UserKind::Service } else { UserKind::Person };
            let made = connection.connect()?.add_user(&NewUser { name, kind, role }).await?;
            match output.output {
                Format::Json => render::print_json(&made)?,
                Format::Text => render::print_line(format_args!("Added {}.", made.name))?,
            }
        }
        UserCommand::List { output, connection } => {
            let items = connection.connect()?.users().await?;
            match output.output {
                Format::Json => render::print_json(&items)?,
                Format::Text => render::print_text(&users_table(items))?,
            }
        }
        UserCommand::Show { name, output, connection } => {
            let user = connection.connect()?.user(&name).await?;
            match output.output {
                Format::Json => render::print_json(&user)?,
                Format::Text => render::print_text(&users_table(vec![user]))?,
            }
        }
        UserCommand::SetRole { name, role: Given(role), namespace, connection } => {
            let set = SetRole { role, namespace };
            let user = connection.connect()?.set_user_role(&name, &set).await?;
            render::print_text(&users_table(vec![user]))?;
        }
        UserCommand::Invite { name, connection } => {
            let client = connection.connect()?;
            print_sign_in_link(&client, &client.create_user_link(&name).await?)?;
        }
        UserCommand::ChangePassword { connection } => {
            let client = connection.connect()?;
            let change = read_change()?;
            client.change_password(&change).await?;
            render::print_line("Changed. Your sessions in browsers have ended.")?;
        }
        UserCommand::EndSessions { name, connection } => {
            connection.connect()?.end_sessions(Some(&name)).await?;
            render::print_line(format_args!("Ended the sessions of {name}."))?;
        }
        UserCommand::Remove { name, yes, connection } => {
            yes.confirm(&format!("Remove the account {name} with its tokens"))?;
            connection.connect()?.remove_user(&name).await?;
            render::print_line(format_args!("Removed {name}."))?;
        }
    }
    Ok(Exit::Success)
}

/// Reads the present password and the new one.
fn read_change() -> Result<ChangePassword> {
    if !std::io::stdin().is_terminal() {
        let [present, new] = read_secret_lines(["present password", "new password"])?;
        return Ok(ChangePassword { present, new });
    }
    let present = ask_password("present password")?;
    let new = ask_password("new password")?;
    if ask_password("new password again")?.expose() != new.expose() {
        return Err(CliError::new(Exit::Usage, "the two new passwords differ"));
    }
    Ok(ChangePassword { present, new })
}

/// Prints a link with which a password is set: the link alone on standard output.
pub(super) fn print_sign_in_link(client: &Client, link: &SignInLink) -> Result<()> {
    let left = numbers::duration_between(numbers::now_ms(), link.expires_ms);
    render::print_note(format_args!("This link counts once, for {left}, and is a secret:"));
    match &link.url {
        Some(url) => render::print_line(url.expose()),
        None => render::print_line(format_args!("{}{}", client.url(), link.path.expose())),
    }
}

fn users_table(items: Vec<UserItem>) -> String {
    let mut table = Table::new(&["NAME", "KIND", "ROLE", "IN NAMESPACES", "ADDED"]);
    for user in items {
        let in_namespaces =
            user.namespaces.iter().map(|(name, role)| format!("{name}:{}", role.as_str()));
        table.row([
            user.name,
            user.kind.as_str().to_owned(),
            user.role.map_or_else(String::new, |role| role.as_str().to_owned()),
            in_namespaces.collect::<Vec<_>>().join(","),
            format!("{} ago", numbers::duration_between(user.created_ms, numbers::now_ms())),
        ]);
    }
    table.render("No accounts: only the admin token counts. `russet user add` makes one.")
}
