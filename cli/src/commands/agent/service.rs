//! `russet agent start`, `stop` and `restart`: the installed agent's job.

use russet_launch_agent::install::{self, InstallError};
use russet_platform::layout::Layout;
use russet_platform::service::Service;

use super::progress;
use crate::error::Result;
use crate::exit::Exit;
use crate::render;

/// Commands for the job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    Start,
    Stop,
    Restart,
}

/// Runs the command.
pub(crate) fn main(verb: Verb) -> Result<Exit> {
    control_service(verb).map_err(progress::install_failure)
}

/// Loads the job anew: the process of its own that `restart` and `install` start for it.
pub(crate) fn reload_job() -> Result<Exit> {
    let reload = || -> std::result::Result<(), InstallError> {
        install::require_root("restart")?;
        Ok(Service::system(&Layout::default()).reload()?)
    };
    reload().map(|()| Exit::Success).map_err(progress::install_failure)
}

fn control_service(verb: Verb) -> std::result::Result<Exit, InstallError> {
    let layout = Layout::default();
    let what = match verb {
        Verb::Start => "start",
        Verb::Stop => "stop",
        Verb::Restart => "restart",
    };
    install::require_root(what)?;
    let service = Service::system(&layout);
    service.available()?;
    let busy = install::busy_slots(&layout)?;
    match verb {
        Verb::Start => {
            service.enable()?;
            service.start()?;
        }
        Verb::Stop => service.stop()?,
        Verb::Restart => service.restart()?,
    }
    if verb == Verb::Stop {
        render::print_note(
            "Stopped. It starts again with the system, or with `russet agent start`.",
        );
        if !busy.is_empty() {
            render::print_note(format_args!(
                "Tasks in slots {} go on; the next agent reports how they ended.",
                busy.join(", ")
            ));
        }
        return Ok(Exit::Success);
    }
    for note in install::adopted_note(&busy) {
        render::print_note(note);
    }
    let state = install::wait_for_health(&layout, &service)?;
    render::print_note(format_args!("Running as process {}.", state.pid.unwrap_or_default()));
    for concern in install::agent_concerns(&layout) {
        render::print_note(format_args!("warning: {concern}"));
    }
    Ok(Exit::Success)
}
