//! `russet agent uninstall`.

use std::ops::ControlFlow;
use std::path::PathBuf;

use russet_agent::install::{self, Moment, Outcome};

use russet_agent::platform::service::Service;

use super::progress;
use crate::commands::OutputArgs;
use crate::error::{CliError, Result};
use crate::exit::Exit;
use crate::render::{self, Format};

/// The arguments of `russet agent uninstall`.
#[derive(clap::Args, Debug)]
pub(crate) struct UninstallArgs {
    /// Keep the configuration, logs, and stored tokens and credentials
    #[arg(long)]
    keep_data: bool,

    /// Cancel tasks that run
    #[arg(long)]
    force: bool,

    /// Only say what would be done
    #[arg(long)]
    dry_run: bool,

    #[command(flatten)]
    output: OutputArgs,

    /// What was installed below this directory
    #[arg(long, value_name = "DIR", hide = true)]
    root: Option<PathBuf>,
}

/// Runs the command.
pub(crate) fn main(args: UninstallArgs) -> Result<Exit> {
    let layout = super::install::layout(args.root.as_deref())?;
    let program = std::env::current_exe()
        .map_err(|error| CliError::local("could not find the russet executable", error))?;
    let format = args.output.output;
    let mut watch = |moment: Moment<'_>| {
        if let (Moment::Over(report), Format::Text) = (moment, format) {
            progress::show(report);
        }
        ControlFlow::Continue(())
    };
    let wishes =
        install::Removal { keep_data: args.keep_data, force: args.force, dry_run: args.dry_run };
    let reports =
        install::uninstall(&layout, &program, &Service::system(&layout), wishes, &mut watch)
            .map_err(progress::error)?;
    let actions = reports.as_deref().unwrap_or_default();
    let failed = actions.iter().filter(|report| report.outcome == Outcome::Failed).count();
    if format == Format::Json {
        let value = serde_json::json!({
            "dry_run": args.dry_run,
            "installed": reports.is_some(),
            "actions": actions,
        });
        render::json(&value)?;
    } else if reports.is_none() {
        render::line("Nothing is installed.")?;
    } else if args.dry_run {
        render::line(format_args!("{} actions would be done.", progress::count(actions)))?;
    } else if failed == 0 {
        render::line("Uninstalled.")?;
    }
    if failed > 0 {
        return Err(CliError::new(
            Exit::Infrastructure,
            format!("{failed} of {} actions could not be undone", actions.len()),
        )
        .hint("do what is said there, and run `sudo russet agent uninstall` again for the rest"));
    }
    Ok(Exit::Success)
}
