//! `russet server retention`, `usage` and `vacuum`.

use std::path::PathBuf;
use std::time::Duration;

use russet_control_plane::vacuum_data_dir;
use russet_protocol::keeping::{ProjectUsage, Retention, RetentionSettings, Usage};
use russet_text::{format_duration, format_size};

use super::default_data_dir;
use crate::client::ConnectionArgs;
use crate::commands::{OutputArgs, values};
use crate::error::{CliError, Result};
use crate::exit::Exit;
use crate::render::{self, Format, table::Table};

/// Show or set how long pipelines and what they leave are kept
#[derive(clap::Subcommand, Debug)]
pub(crate) enum RetentionCommand {
    /// Show the settings: options of the server, settings of all projects, and of single ones
    Show {
        #[command(flatten)]
        output: OutputArgs,
        #[command(flatten)]
        connection: ConnectionArgs,
    },
    /// Change settings of all projects, or of one; what is beyond them goes at once
    ///
    /// A limit is a value, `none` for no limit, or `default` to go by the more general setting again.
    #[command(after_help = "Examples:
  russet server retention set --pipelines 500 --bytes 20GB
  russet server retention set --project acme/app --pipeline-age none --artifact-age 7d")]
    Set(Box<SetArgs>),
}

/// Settings to change.
#[derive(clap::Args, Debug)]
pub(crate) struct SetArgs {
    /// Only of this project
    #[arg(long)]
    project: Option<String>,
    /// Age at which pipelines are deleted, such as 90d
    #[arg(long, value_name = "TIME", value_parser = parse_age)]
    pipeline_age: Option<Limit>,
    /// Number of pipelines of a project
    #[arg(long, value_name = "NUMBER", value_parser = parse_count)]
    pipelines: Option<Limit>,
    /// Bytes of output and artifacts of a project, such as 5GB; the oldest pipelines go first
    #[arg(long, value_name = "SIZE", value_parser = parse_bytes)]
    bytes: Option<Limit>,
    /// Age at which the output of steps is removed
    #[arg(long, value_name = "TIME", value_parser = parse_age)]
    output_age: Option<Limit>,
    /// Age at which artifacts are removed
    #[arg(long, value_name = "TIME", value_parser = parse_age)]
    artifact_age: Option<Limit>,
    /// Age at which test results are removed
    #[arg(long, value_name = "TIME", value_parser = parse_age)]
    test_age: Option<Limit>,
    #[command(flatten)]
    connection: ConnectionArgs,
}

/// A limit to set; `None` goes by the more general setting, 0 is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limit(pub(super) Option<u64>);

type Parsed = std::result::Result<Limit, String>;

fn parse_limit(text: &str, parse: impl Fn(&str) -> std::result::Result<u64, String>) -> Parsed {
    match text {
        "none" => Ok(Limit(Some(0))),
        "default" => Ok(Limit(None)),
        text => parse(text).map(|value| Limit(Some(value))).map_err(|error| {
            format!("{error}; or write `none` for no limit, `default` for the general setting")
        }),
    }
}

pub(super) fn parse_age(text: &str) -> Parsed {
    parse_limit(text, |text| {
        let age = values::parse_duration(text).map_err(|error| error.to_string())?;
        Ok(u64::try_from(age.as_millis()).unwrap_or(u64::MAX))
    })
}

pub(super) fn parse_bytes(text: &str) -> Parsed {
    parse_limit(text, |text| values::parse_size(text).map_err(|error| error.to_string()))
}

pub(super) fn parse_count(text: &str) -> Parsed {
    parse_limit(text, |text| match text.parse() {
        Ok(0) | Err(_) => Err("write a number above zero".to_owned()),
        Ok(count) => Ok(count),
    })
}

/// Runs `russet server retention`.
pub(super) async fn retention_main(command: RetentionCommand) -> Result<Exit> {
    match command {
        RetentionCommand::Show { output, connection } => {
            let settings = connection.connect()?.retention().await?;
            match output.output {
                Format::Json => render::print_json(&settings)?,
                Format::Text => render::print_text(&settings_table(&settings))?,
            }
        }
        RetentionCommand::Set(args) => return set_retention(*args).await,
    }
    Ok(Exit::Success)
}

async fn set_retention(args: SetArgs) -> Result<Exit> {
    let client = args.connection.connect()?;
    let all = client.retention().await?;
    let mut settings = match &args.project {
        Some(project) => all.projects.get(project).copied().unwrap_or_default(),
        None => all.all,
    };
    let changes = [
        (&mut settings.pipeline_age_ms, args.pipeline_age),
        (&mut settings.pipelines, args.pipelines),
        (&mut settings.bytes, args.bytes),
        (&mut settings.output_age_ms, args.output_age),
        (&mut settings.artifact_age_ms, args.artifact_age),
        (&mut settings.test_age_ms, args.test_age),
    ];
    if changes.iter().all(|(_, limit)| limit.is_none()) {
        return Err(CliError::new(Exit::Usage, "there is no setting to change")
            .hint("name at least one, such as --pipelines 500"));
    }
    for (setting, limit) in changes {
        if let Some(Limit(value)) = limit {
            *setting = value;
        }
    }
    client.put_retention(args.project.as_deref(), &settings).await?;
    let of = args.project.as_deref().map_or_else(|| "all projects".to_owned(), render::plain);
    render::print_line(format_args!("Set the retention of {of}."))?;
    Ok(Exit::Success)
}

fn settings_table(settings: &RetentionSettings) -> String {
    let mut table = Table::new(&[
        "PROJECT",
        "PIPELINE AGE",
        "PIPELINES",
        "BYTES",
        "OUTPUT AGE",
        "ARTIFACT AGE",
        "TEST AGE",
    ]);
    let all = settings.all.or(settings.server);
    let mut row = |name: &str, keep: &Retention| {
        table.row([
            name.to_owned(),
            age_text(keep.pipeline_age_ms),
            limit_text(keep.pipelines, |count| count.to_string()),
            limit_text(keep.bytes, format_size),
            age_text(keep.output_age_ms),
            age_text(keep.artifact_age_ms),
            age_text(keep.test_age_ms),
        ]);
    };
    row("(all others)", &all);
    for (project, keep) in &settings.projects {
        row(project, &keep.or(all));
    }
    table.render("No settings.")
}

fn limit_text(limit: Option<u64>, text: impl Fn(u64) -> String) -> String {
    limit.filter(|limit| *limit > 0).map_or_else(|| "no limit".to_owned(), text)
}

fn age_text(limit: Option<u64>) -> String {
    limit_text(limit, |ms| format_duration(Duration::from_millis(ms)))
}

/// Show what holds the disk, by project and kind
#[derive(clap::Args, Debug)]
pub(crate) struct UsageArgs {
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    connection: ConnectionArgs,
}

/// Runs `russet server usage`.
pub(super) async fn show_usage(args: UsageArgs) -> Result<Exit> {
    let usage = args.connection.connect()?.usage().await?;
    match args.output.output {
        Format::Json => render::print_json(&usage)?,
        Format::Text => render::print_text(&usage_text(&usage))?,
    }
    Ok(Exit::Success)
}

fn usage_text(usage: &Usage) -> String {
    let mut table = Table::new(&[
        "PROJECT",
        "PIPELINES",
        "OUTPUT (WHOLE)",
        "OUTPUT (STORED)",
        "ARTIFACTS",
        "CACHES (PACKED)",
        "WORKSPACES (PACKED)",
        "SOURCES (PACKED)",
    ]);
    for project in &usage.projects {
        let ProjectUsage { pipelines, output_whole, output_packed, output_in_database, .. } =
            project;
        let sizes = [
            *output_whole,
            output_packed + output_in_database,
            project.artifacts,
            project.caches,
            project.workspaces,
            project.sources,
        ];
        let sizes = sizes.map(format_size);
        let [whole, stored, artifacts, caches, workspaces, sources] = sizes;
        let (name, pipelines) = (project.project.clone(), pipelines.to_string());
        table.row([name, pipelines, whole, stored, artifacts, caches, workspaces, sources]);
    }
    let mut text = table.render("No projects.");
    let total = usage.objects + usage.database;
    text.push_str(&format!(
        "\nObjects   {}, of these sources {} (each part counted once)\n\
         Database  {}, of these {} free pages\n\
         Together  {}\n",
        format_size(usage.objects),
        format_size(usage.sources),
        format_size(usage.database),
        format_size(usage.database_free),
        format_size(total),
    ));
    if usage.unnamed_objects > 0 {
        text.push_str(&format!("To be deleted: {} objects\n", usage.unnamed_objects));
    }
    if let Some(free) = usage.disk_free {
        text.push_str(&format!("Free on the disk of the data directory: {}\n", format_size(free)));
    }
    text
}

/// Write the SQLite database anew, so that its free pages go back to the disk
///
/// Needed once for a database that an earlier version made, or never: its free pages are used for
/// new rows. Those of newer databases go back by themselves. No server may run on the directory, and
/// the disk needs room for a second database without free pages; both are checked first. PostgreSQL
/// does this itself (autovacuum).
#[derive(clap::Args, Debug)]
pub(crate) struct VacuumArgs {
    /// Data directory of the server [default: $XDG_DATA_HOME/russet/server]
    #[arg(long, value_name = "DIR", env = "RUSSET_DATA_DIR", hide_env_values = true)]
    data_dir: Option<PathBuf>,
}

/// Runs `russet server vacuum`.
pub(super) async fn vacuum_main(args: VacuumArgs) -> Result<Exit> {
    let dir = match args.data_dir {
        Some(dir) => dir,
        None => default_data_dir()?,
    };
    let done = vacuum_data_dir(&dir).await.map_err(|error| {
        CliError::new(Exit::Infrastructure, russet_text::error_chain(&error))
            .hint("stop the server first; the database is as it was")
    })?;
    render::print_line(format_args!(
        "The database had {} and has {} now.",
        format_size(done.before),
        format_size(done.after)
    ))?;
    Ok(Exit::Success)
}

#[cfg(test)]
mod tests {
    use super::{Limit, parse_age, parse_bytes, parse_count};

    #[test]
    fn limits_are_values_none_or_the_default() {
        assert_eq!(parse_count("5"), Ok(Limit(Some(5))));
        assert_eq!(parse_bytes("none"), Ok(Limit(Some(0))));
        assert_eq!(parse_age("default"), Ok(Limit(None)));
        assert_eq!(parse_age("2s"), Ok(Limit(Some(2000))));
        assert!(parse_count("0").is_err() && parse_age("soon").is_err());
    }
}
