//! `russet agent run`.

use std::os::fd::AsFd as _;
use std::path::PathBuf;

use russet_launch_agent::config;
use russet_launch_agent::config::Host;
use russet_launch_agent::launch::{self, ExitReason};

use super::config_failure::config_failure;
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

    /// Program that started this; russet-boot names itself
    #[arg(long, hide = true, value_enum, default_value_t)]
    host: HostName,

    /// File in which russet-boot is told the agent's progress
    #[arg(long, hide = true, value_name = "DIR")]
    boot_state: Option<PathBuf>,
}

/// Starter of the launch agent. russet-boot of any age uses these words.
#[derive(clap::ValueEnum, Clone, Copy, Debug, Default)]
enum HostName {
    #[default]
    Foreground,
    Launchd,
    Systemd,
}

impl From<HostName> for Host {
    fn from(name: HostName) -> Self {
        match name {
            HostName::Foreground => Self::Foreground,
            HostName::Launchd => Self::Launchd,
            HostName::Systemd => Self::Systemd,
        }
    }
}

/// Runs the command.
pub(crate) fn main(args: RunArgs) -> Result<Exit> {
    let environment = |name: &str| std::env::var(name).ok();
    let mut config =
        config::load_config(&args.config, &environment).map_err(|error| config_failure(&error))?;
    let exe = std::env::current_exe()
        .map_err(|error| CliError::local("could not find the russet executable", error))?;
    let host = Host::from(args.host);
    config.logging.settle(host, &exe);
    logging::start_as(&config.logging, host.is_service())?;
    // That of a service goes into its log.
    for warning in config.warnings.iter().filter(|_| !host.is_service()) {
        render::print_note(format_args!("warning: {warning}"));
    }
    let mut options = launch::Options::new(exe);
    options.host = host;
    options.boot_state = args.boot_state;
    // The other end of russet-boot's pipe closes when russet-boot is gone.
    if args.end_with_stdin || options.host.is_service() {
        let stdin = std::io::stdin().as_fd().try_clone_to_owned();
        options.parent =
            Some(stdin.map_err(|error| CliError::local("could not watch standard input", error))?);
    }
    block_on(async { to_exit(launch::run(config, options).await) })
}

fn to_exit(reason: ExitReason) -> Result<Exit> {
    let exit = Exit::from(reason.exit());
    match reason {
        ExitReason::Stopped
        | ExitReason::SingleTask
        | ExitReason::Idle
        | ExitReason::Updated
        | ExitReason::Left => Ok(exit),
        ExitReason::StateInUse(text) | ExitReason::Failed(text) => Err(CliError::new(exit, text)),
    }
}
