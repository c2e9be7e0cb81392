//! `russet namespace`.

use russet_protocol::namespaces::{NamespaceItem, NamespaceOwner, NewNamespace};

use super::OutputArgs;
use crate::client::ConnectionArgs;
use crate::error::Result;
use crate::exit::Exit;
use crate::render::{self, Format, numbers, plain, table::Table};

/// Manage namespaces, in which resource classes, contexts and projects live
///
/// A name belongs to the namespace before its first slash: `acme/mini`, `acme/deploy` and `acme/app` are in
/// `acme`. A namespace is claimed once, and keeps its name.
#[derive(clap::Subcommand, Debug)]
pub(crate) enum NamespaceCommand {
    /// Claim a namespace
    #[command(after_help = "Examples:
  russet namespace create acme
  russet namespace create acme --user ana
  russet user set-role bo member --namespace acme")]
    Create {
        /// Its name: small letters, digits, `-` and `_`
        name: String,
        #[command(flatten)]
        owner: OwnerArgs,
        #[command(flatten)]
        output: OutputArgs,
        #[command(flatten)]
        connection: ConnectionArgs,
    },
    /// List the namespaces that you may see
    List {
        #[command(flatten)]
        output: OutputArgs,
        #[command(flatten)]
        connection: ConnectionArgs,
    },
    /// Show a namespace with its owner
    Show {
        /// Its name
        name: String,
        #[command(flatten)]
        output: OutputArgs,
        #[command(flatten)]
        connection: ConnectionArgs,
    },
    /// Give a namespace to another owner
    #[command(group = clap::ArgGroup::new("owner").args(["user", "organization"]).required(true))]
    SetOwner {
        /// Its name
        name: String,
        #[command(flatten)]
        owner: OwnerArgs,
        #[command(flatten)]
        output: OutputArgs,
        #[command(flatten)]
        connection: ConnectionArgs,
    },
}

/// Owner of a namespace.
#[derive(clap::Args, Debug)]
pub(crate) struct OwnerArgs {
    /// An account as the owner, which becomes administrator of the namespace
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// An organization as the owner [default: the one of the same name]
    #[arg(long, value_name = "NAME", conflicts_with = "user")]
    organization: Option<String>,
}

impl OwnerArgs {
    fn into_owner(self) -> Option<NamespaceOwner> {
        let organization = self.organization.map(NamespaceOwner::Organization);
        self.user.map(NamespaceOwner::User).or(organization)
    }
}

/// Runs the command.
pub(crate) async fn main(command: NamespaceCommand) -> Result<Exit> {
    match command {
        NamespaceCommand::Create { name, owner, output, connection } => {
            let new = NewNamespace { name, owner: owner.into_owner() };
            let made = connection.connect()?.create_namespace(&new).await?;
            match output.output {
                Format::Json => render::print_json(&made)?,
                Format::Text => render::print_line(format_args!(
                    "Claimed {} for {}. Next: russet user set-role NAME member --namespace {0}",
                    plain(&made.name),
                    plain(&made.owner.to_string())
                ))?,
            }
        }
        NamespaceCommand::List { output, connection } => {
            let items = connection.connect()?.namespaces().await?;
            print_namespaces(items, &output)?;
        }
        NamespaceCommand::Show { name, output, connection } => {
            let item = connection.connect()?.namespace(&name).await?;
            print_namespace(item, &output)?;
        }
        NamespaceCommand::SetOwner { name, owner, output, connection } => {
            let Some(owner) = owner.into_owner() else { return Ok(Exit::Usage) };
            let item = connection.connect()?.set_namespace_owner(&name, owner).await?;
            print_namespace(item, &output)?;
        }
    }
    Ok(Exit::Success)
}

fn print_namespaces(items: Vec<NamespaceItem>, output: &OutputArgs) -> Result<()> {
    match output.output {
        Format::Json => render::print_json(&items),
        Format::Text => render::print_text(&namespaces_table(items)),
    }
}

fn print_namespace(item: NamespaceItem, output: &OutputArgs) -> Result<()> {
    match output.output {
        Format::Json => render::print_json(&item),
        Format::Text => render::print_text(&namespaces_table(vec![item])),
    }
}

fn namespaces_table(items: Vec<NamespaceItem>) -> String {
    let mut table = Table::new(&["NAMESPACE", "OWNER", "CLAIMED BY", "CLAIMED"]);
    for item in items {
        table.row([
            item.name,
            item.owner.to_string(),
            item.created_by,
            numbers::local_time(item.created_ms),
        ]);
    }
    table.render("No namespaces. `russet namespace create` claims one.")
}
