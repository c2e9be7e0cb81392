//! `russet agent`.

use std::os::fd::AsFd as _;
use std::path::PathBuf;

use russet_agent::config;
use russet_agent::launch::{self, ExitReason};

use super::block_on;
use crate::error::{CliError, Result};
use crate::exit::Exit;
use crate::{logging, render};

/// Run the launch agent: it claims tasks and runs them on this machine
#[derive(clap::Subcommand, Debug)]
pub(crate) enum AgentCommand {
    /// Run the launch agent in the foreground
    ///
    /// The first TERM or INT lets tasks that run finish and claims no more; the second cancels
    /// them.
    #[command(
        after_help = "Examples:\n  russet agent run --config agent.yaml\n\nThe keys of the file are in docs/agent-config.md."
    )]
    Run {
        /// The agent's configuration; a file of CircleCI's runner works as it is
        #[arg(short, long, value_name = "FILE")]
        config: PathBuf,

        /// End when standard input ends: whoever started this is gone
        #[arg(long, hide = true)]
        end_with_stdin: bool,
    },
}

/// Runs the command.
pub(crate) fn main(command: AgentCommand) -> Result<Exit> {
    let AgentCommand::Run { config: file, end_with_stdin } = command;
    let environment = |name: &str| std::env::var(name).ok();
    let config = config::load(&file, &environment).map_err(|error| {
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
    if end_with_stdin {
        let stdin = std::io::stdin().as_fd().try_clone_to_owned();
        options.parent =
            Some(stdin.map_err(|error| CliError::local("could not watch standard input", error))?);
    }
    block_on(async { to_exit(launch::run(config, options).await) })
}

fn to_exit(reason: ExitReason) -> Result<Exit> {
    match reason {
        ExitReason::Stopped | ExitReason::SingleTask | ExitReason::Idle | ExitReason::Left => {
            Ok(Exit::Success)
        }
        ExitReason::StateInUse(text) | ExitReason::Failed(text) => {
            Err(CliError::new(Exit::Infrastructure, text))
        }
    }
}
