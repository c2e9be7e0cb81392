//! `russet project settings`.

use russet_protocol::project_settings::{ForkPolicy, ProjectSettings};
use russet_protocol::projects::ReportedStatuses;

use super::OutputArgs;
use crate::client::ConnectionArgs;
use crate::error::{CliError, Result};
use crate::exit::Exit;
use crate::render::{self, Format, plain, table::Table};

/// Commands for settings of a project.
#[derive(clap::Subcommand, Debug)]
pub(crate) enum SettingsCommand {
    /// Show the settings of a project
    Show {
        /// The project
        project: String,
        #[command(flatten)]
        output: OutputArgs,
        #[command(flatten)]
        connection: ConnectionArgs,
    },
    /// Change settings of a project; those that are not named stay
    #[command(after_help = "Example:
  russet project settings set acme/app --auto-cancel on --default-branch main")]
    Set {
        /// The project
        project: String,
        /// Cancel the earlier pipelines of a branch when a later one is submitted
        #[arg(long, value_enum, value_name = "ON|OFF")]
        auto_cancel: Option<Switch>,
        /// Branch on which no pipeline is canceled by itself
        #[arg(long, value_name = "BRANCH")]
        default_branch: Option<String>,
        /// Things whose states are told to the repository's host, at the commit
        #[arg(long, value_enum, value_name = "WHICH")]
        statuses: Option<Statuses>,
        /// What becomes of pull requests of forks: none are built, somebody lets each commit through, or all are
        /// built, always without secrets
        #[arg(long, value_enum, value_name = "WHAT")]
        forks: Option<Forks>,
        #[command(flatten)]
        connection: ConnectionArgs,
    },
}

/// Treatment of pull requests of forks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Forks {
    /// They are not built
    None,
    /// Each commit waits for `russet project approve`
    Approve,
    /// They are built
    Build,
}

impl From<Forks> for ForkPolicy {
    fn from(forks: Forks) -> Self {
        match forks {
            Forks::None => Self::None,
            Forks::Approve => Self::Approve,
            Forks::Build => Self::Build,
        }
    }
}

/// A setting that is on or off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Switch {
    /// It is on
    On,
    /// It is off
    Off,
}

/// Things whose states are told to a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Statuses {
    /// None
    Off,
    /// Workflows
    Workflows,
    /// Jobs
    Jobs,
    /// Workflows and jobs
    Both,
}

impl From<Statuses> for ReportedStatuses {
    fn from(statuses: Statuses) -> Self {
        match statuses {
            Statuses::Off => Self::Off,
            Statuses::Workflows => Self::Workflows,
            Statuses::Jobs => Self::Jobs,
            Statuses::Both => Self::Both,
        }
    }
}

/// Runs the command.
pub(crate) async fn main(command: SettingsCommand) -> Result<Exit> {
    match command {
        SettingsCommand::Show { project, output, connection } => {
            let settings = connection.connect()?.project_settings(&project).await?;
            match output.output {
                Format::Json => render::print_json(&settings)?,
                Format::Text => render::print_text(&settings_table(&settings))?,
            }
        }
        SettingsCommand::Set {
            project,
            auto_cancel,
            default_branch,
            statuses,
            forks,
            connection,
        } => {
            let is_nothing = auto_cancel.is_none() && default_branch.is_none();
            if is_nothing && statuses.is_none() && forks.is_none() {
                return Err(CliError::new(Exit::Usage, "no setting was named")
                    .hint("name one: --auto-cancel, --default-branch, --statuses, --forks"));
            }
            let client = connection.connect()?;
            let mut settings = client.project_settings(&project).await?;
            if let Some(switch) = auto_cancel {
                settings.auto_cancel = switch == Switch::On;
            }
            if let Some(branch) = default_branch {
                settings.default_branch = branch;
            }
            if let Some(statuses) = statuses {
                settings.statuses = Some(statuses.into());
            }
            if let Some(forks) = forks {
                settings.forks = forks.into();
            }
            client.put_project_settings(&project, &settings).await?;
            render::print_text(&settings_table(&settings))?;
        }
    }
    Ok(Exit::Success)
}

fn settings_table(settings: &ProjectSettings) -> String {
    let mut table = Table::new(&["SETTING", "VALUE"]);
    let switch = if settings.auto_cancel { "on" } else { "off" };
    table.row(["auto-cancel".to_owned(), switch.to_owned()]);
    table.row(["default-branch".to_owned(), plain(&settings.default_branch)]);
    let statuses = settings.statuses.map(ReportedStatuses::as_str);
    table.row(["statuses".to_owned(), statuses.unwrap_or("not known to this server").to_owned()]);
    table.row(["forks".to_owned(), settings.forks.as_str().to_owned()]);
    table.render("")
}
