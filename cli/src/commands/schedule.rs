//! `russet schedule`.

use russet_protocol::admin::ParameterValue;
use russet_protocol::schedules::{MissedPolicy, NewSchedule, ScheduleItem};

use super::{OutputArgs, values};
use crate::client::ConnectionArgs;
use crate::error::Result;
use crate::exit::Exit;
use crate::render::{self, Format, numbers, plain, table::Table};

/// Manage schedules, which submit the last configuration of a branch again
#[derive(clap::Subcommand, Debug)]
pub(crate) enum ScheduleCommand {
    /// Add a schedule to a project
    #[command(after_help = "Examples:
  russet schedule add acme/app --name nightly --cron '0 3 * * 1-5' --branch main \\
      --timezone Europe/Berlin --parameter full=true
  russet schedule add acme/app --name probe --cron '*/15 * * * *' --branch main --missed skip")]
    Add {
        /// The project
        project: String,
        /// Its name
        #[arg(long)]
        name: String,
        /// Times, as crontab(5) has them: minute, hour, day of the month, month, day of the week
        #[arg(long)]
        cron: String,
        /// Time zone that the times are in
        #[arg(long, value_name = "ZONE", default_value = "UTC")]
        timezone: String,
        /// Branch whose last submission it runs
        #[arg(long)]
        branch: String,
        /// Value of a pipeline parameter; may be given more than once
        #[arg(long = "parameter", value_name = "NAME=VALUE", value_parser = values::parse_parameter)]
        parameters: Vec<(String, String)>,
        /// Effect of times at which no server ran
        #[arg(long, value_enum, default_value_t = Missed::Once)]
        missed: Missed,
        #[command(flatten)]
        output: OutputArgs,
        #[command(flatten)]
        connection: ConnectionArgs,
    },
    /// List the schedules of a project
    List {
        /// The project
        project: String,
        #[command(flatten)]
        output: OutputArgs,
        #[command(flatten)]
        connection: ConnectionArgs,
    },
    /// Show a schedule with its next times
    Show {
        /// The project
        project: String,
        /// Its name
        name: String,
        #[command(flatten)]
        output: OutputArgs,
        #[command(flatten)]
        connection: ConnectionArgs,
    },
    /// Pause a schedule: it does not fire until it is resumed
    Pause {
        /// The project
        project: String,
        /// Its name
        name: String,
        #[command(flatten)]
        connection: ConnectionArgs,
    },
    /// Let a schedule fire again, from its next time on
    Resume {
        /// The project
        project: String,
        /// Its name
        name: String,
        #[command(flatten)]
        connection: ConnectionArgs,
    },
    /// Remove a schedule
    Remove {
        /// The project
        project: String,
        /// Its name
        name: String,
        #[command(flatten)]
        connection: ConnectionArgs,
    },
}

/// Effect of times at which no server ran.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(crate) enum Missed {
    /// The last one is made up for, if it is not older than an hour
    Once,
    /// They are left out
    Skip,
}

/// Runs the command.
pub(crate) async fn main(command: ScheduleCommand) -> Result<Exit> {
    match command {
        ScheduleCommand::Add {
            project,
            name,
            cron,
            timezone,
            branch,
            parameters,
            missed,
            output,
            connection,
        } => {
            let given = parameters.into_iter();
            let new = NewSchedule {
                name,
                cron,
                timezone,
                branch,
                parameters: given.map(|(name, text)| (name, ParameterValue::Text(text))).collect(),
                missed: match missed {
                    Missed::Once => MissedPolicy::Once,
                    Missed::Skip => MissedPolicy::Skip,
                },
            };
            let item = connection.connect()?.add_schedule(&project, &new).await?;
            print_schedule(&item, output.output)?;
        }
        ScheduleCommand::List { project, output, connection } => {
            let items = connection.connect()?.schedules(&project).await?;
            match output.output {
                Format::Json => render::print_json(&items)?,
                Format::Text => render::print_text(&schedules_table(&items))?,
            }
        }
        ScheduleCommand::Show { project, name, output, connection } => {
            let item = connection.connect()?.schedule(&project, &name).await?;
            print_schedule(&item, output.output)?;
        }
        ScheduleCommand::Pause { project, name, connection } => {
            connection.connect()?.set_schedule_paused(&project, &name, true).await?;
            render::print_line(format_args!("Paused {}.", plain(&name)))?;
        }
        ScheduleCommand::Resume { project, name, connection } => {
            let item = connection.connect()?.set_schedule_paused(&project, &name, false).await?;
            let next = item.next_ms.first().map_or_else(|| "never".to_owned(), |at| local(*at));
            render::print_line(format_args!("{} fires next at {next}.", plain(&name)))?;
        }
        ScheduleCommand::Remove { project, name, connection } => {
            connection.connect()?.remove_schedule(&project, &name).await?;
            render::print_line(format_args!("Removed {}.", plain(&name)))?;
        }
    }
    Ok(Exit::Success)
}

fn local(ms: u64) -> String {
    numbers::local_time(ms)
}

fn print_schedule(item: &ScheduleItem, format: Format) -> Result<()> {
    if format == Format::Json {
        return render::print_json(item);
    }
    render::print_text(&schedules_table(std::slice::from_ref(item)))?;
    for at in &item.next_ms {
        render::print_line(format_args!("next: {}", local(*at)))?;
    }
    if let Some(last) = &item.last {
        let effect = match (&last.pipeline, &last.failure) {
            (_, Some(failure)) => plain(failure),
            (Some(pipeline), None) => format!("pipeline {}", plain(pipeline)),
            (None, None) => "it is being submitted".to_owned(),
        };
        render::print_line(format_args!("last: {}: {effect}", local(last.at_ms)))?;
    }
    Ok(())
}

fn schedules_table(items: &[ScheduleItem]) -> String {
    let head = ["NAME", "CRON", "TIMEZONE", "BRANCH", "MISSED", "NEXT", "LAST"];
    let mut table = Table::new(&head);
    for item in items {
        let next = match (item.paused, item.next_ms.first()) {
            (true, _) => "paused".to_owned(),
            (false, Some(at)) => local(*at),
            (false, None) => "never".to_owned(),
        };
        let last = item.last.as_ref().map(|last| match &last.failure {
            Some(_) => format!("{} failed", local(last.at_ms)),
            None => local(last.at_ms),
        });
        table.row([
            plain(&item.name),
            plain(&item.cron),
            plain(&item.timezone),
            plain(&item.branch),
            item.missed.as_str().to_owned(),
            next,
            last.unwrap_or_else(|| "never".to_owned()),
        ]);
    }
    table.render("No schedules: `russet schedule add` makes one.")
}
