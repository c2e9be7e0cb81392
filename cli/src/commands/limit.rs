//! `russet limit`.

use russet_protocol::limits::{LimitItem, LimitScope, MAX_TASKS};

use super::OutputArgs;
use crate::client::ConnectionArgs;
use crate::error::Result;
use crate::exit::Exit;
use crate::render::{self, Format, numbers, plain, table::Table};

/// Limit how many tasks of a project, a namespace or a resource class are there at once
///
/// A task counts while it is in line for a runner or with one. Jobs beyond the limit wait; of the projects
/// that wait for the same room, the one that has the least gets it next.
#[derive(clap::Subcommand, Debug)]
pub(crate) enum LimitCommand {
    /// Set a limit, or change it
    #[command(after_help = "Examples:
  russet limit set project acme/app 4
  russet limit set namespace acme 10
  russet limit set class acme/mini 6")]
    Set {
        /// Kind of what it is for
        #[arg(value_enum)]
        scope: ScopeArg,
        /// Name of the project, the namespace or the class
        name: String,
        /// Most tasks at once
        #[arg(value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_TASKS)))]
        tasks: u32,
        #[command(flatten)]
        output: OutputArgs,
        #[command(flatten)]
        connection: ConnectionArgs,
    },
    /// List the limits, with what is used of them
    List {
        #[command(flatten)]
        output: OutputArgs,
        #[command(flatten)]
        connection: ConnectionArgs,
    },
    /// Remove a limit; what waits for it alone stands in line from then on
    Remove {
        /// Kind of what it is for
        #[arg(value_enum)]
        scope: ScopeArg,
        /// Name of the project, the namespace or the class
        name: String,
        #[command(flatten)]
        connection: ConnectionArgs,
    },
}

/// Kind of what a limit is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum ScopeArg {
    /// A project
    Project,
    /// All projects of a namespace
    Namespace,
    /// A resource class
    Class,
}

impl From<ScopeArg> for LimitScope {
    fn from(scope: ScopeArg) -> Self {
        match scope {
            ScopeArg::Project => Self::Project,
            ScopeArg::Namespace => Self::Namespace,
            ScopeArg::Class => Self::Class,
        }
    }
}

/// Runs the command.
pub(crate) async fn main(command: LimitCommand) -> Result<Exit> {
    match command {
        LimitCommand::Set { scope, name, tasks, output, connection } => {
            let item = connection.connect()?.set_limit(scope.into(), &name, tasks).await?;
            match output.output {
                Format::Json => render::print_json(&item)?,
                Format::Text => render::print_text(&limits_table(vec![item]))?,
            }
        }
        LimitCommand::List { output, connection } => {
            let items = connection.connect()?.limits().await?;
            match output.output {
                Format::Json => render::print_json(&items)?,
                Format::Text => render::print_text(&limits_table(items))?,
            }
        }
        LimitCommand::Remove { scope, name, connection } => {
            let scope = LimitScope::from(scope);
            connection.connect()?.remove_limit(scope, &name).await?;
            let (kind, name) = (scope.as_str(), plain(&name));
            render::print_line(format_args!("Removed the limit of the {kind} {name}."))?;
        }
    }
    Ok(Exit::Success)
}

fn limits_table(items: Vec<LimitItem>) -> String {
    let mut table = Table::new(&["FOR", "NAME", "USED", "MOST", "JOBS WAITING", "SET BY", "SET"]);
    for item in items {
        table.row([
            item.scope.as_str().to_owned(),
            plain(&item.name),
            item.used.to_string(),
            item.most.to_string(),
            item.waiting.to_string(),
            plain(&item.set_by),
            numbers::local_time(item.set_ms),
        ]);
    }
    table.render("No limits. `russet limit set` sets one.")
}
