//! `russet agent run`.

use std::os::fd::AsFd as _;
use std::path::PathBuf;

use russet_agent::config;
use russet_agent::launch::{self, ExitReason};

use crate::commands::block_on;
use crate::error::{CliError, Result};
use crate::exit::Exit;
use crate::{logging, render};

/// The arguments of `russet agent run`.
#[derive(clap::Args, Debug)]
pub(crate) struct RunArgs {
    /// The agent's configuration; a file of CircleCI's runner works as it is
    #[arg(short, long, value_name = "FILE")]
    config: PathBuf,

    /// End when standard input ends: whoever started this is gone
    #[arg(long, hide = true)]
    end_with_stdin: bool,
}

/// Runs the command.
pub(crate) fn main(args: RunArgs) -> Result<Exit> {
    let environment = |name: &str| std::env::var(name).ok();
    let config = config::load(&args.config, &environment).map_err(|error| {
        CliError::new(Exit::BadConfig, error.to_string())
            .maybe_hint(error.hint().map(str::to_owned))
    })?;
    logging::start_as(&config.logging)?;
    for warning in &config.warnings {
        render::note(format_args!("warning: {warning}"));
    }
    let exe = std::env::current_exe()
        .map_err(|error| CliError::local("could not find the russet executable", error))?;
    let mut options = launch::Options::new(exe);
    if args.end_with_stdin {
        let stdin = std::io::stdin().as_fd().try_clone_to_owned();
        options.parent =
            Some(stdin.map_err(|error| CliError::local("could not watch standard input", error))?);
    }
    block_on(async { to_exit(launch::run(config, options).await) })
}

fn to_exit(reason: ExitReason) -> Result<Exit> {
    let exit = Exit::from(reason.exit());
    match reason {
        ExitReason::Stopped | ExitReason::SingleTask | ExitReason::Idle | ExitReason::Left => {
            Ok(exit)
        }
        ExitReason::StateInUse(text) | ExitReason::Failed(text) => Err(CliError::new(exit, text)),
    }
}
