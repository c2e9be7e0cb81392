//! `russet agent repair`.

use std::path::PathBuf;

use russet_launch_agent::install::{self, InstallError};
use russet_platform::account::AccountError;
use russet_platform::layout::Layout;
use russet_platform::service::Service;

use super::progress;
use crate::error::{CliError, Result};
use crate::exit::Exit;
use crate::render;

/// The arguments of `russet agent repair`.
#[derive(clap::Args, Debug)]
pub(crate) struct RepairArgs {
    /// Directory below which it was installed
    #[arg(long, value_name = "DIR", hide = true)]
    root: Option<PathBuf>,
}

/// Runs the command.
pub(crate) fn main(args: &RepairArgs) -> Result<Exit> {
    let layout = super::install::layout_below(args.root.as_deref())?;
    let done = match install::repair_installation(&layout) {
        Ok(Some(done)) => done,
        Ok(None) => {
            return Err(CliError::new(Exit::Infrastructure, "nothing is installed")
                .hint("`sudo russet agent install` makes the users, with everything else"));
        }
        Err(error @ InstallError::Account(AccountError::NeedsFullDiskAccess { .. })) => {
            return ask_agent(&layout, error);
        }
        Err(error) => return Err(progress::install_failure(error)),
    };
    for what in &done {
        render::print_note(what);
    }
    if done.is_empty() {
        render::print_note("The users of slots are as they should be.");
        return Ok(Exit::Success);
    }
    restart_agent(&layout).map_err(progress::install_failure)?;
    Ok(Exit::Success)
}

/// Has the agent repair them: whoever manages this Mac may have given it the access that the program
/// which is responsible for this process has not. `refusal` is the error of doing it here.
fn ask_agent(layout: &Layout, refusal: InstallError) -> Result<Exit> {
    let service = Service::system(layout);
    if service.available().and_then(|()| service.state()).is_ok_and(|state| state.pid.is_some()) {
        render::print_note(format_args!("note: {refusal}; asking the agent"));
        install::request_repair(layout)
            .and_then(|()| restart_agent(layout))
            .map_err(progress::install_failure)?;
        if install::user_faults(layout).map_err(progress::install_failure)?.is_empty() {
            render::print_note("The agent repaired the users, with the access that it was given.");
            return Ok(Exit::Success);
        }
    }
    Err(progress::install_failure(refusal))
}

/// Starts the agent again, so that it takes the users; tasks that run go on.
fn restart_agent(layout: &Layout) -> std::result::Result<(), InstallError> {
    let service = Service::system(layout);
    if service.available().is_err() || service.state()?.pid.is_none() {
        return Ok(());
    }
    service.restart()?;
    install::wait_for_health(layout, &service)?;
    render::print_note("The agent was started again; tasks that run go on.");
    Ok(())
}
