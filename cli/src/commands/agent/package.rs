//! `russet agent package`, which no person calls: the script of an installer package does, and the
//! agent when the version that it brought has proved itself.

use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use russet_launch_agent::install::{self, InstallError, Moment, Settings};
use russet_launch_agent::update::package::{self, PackageError, Placed};
use russet_platform::command::Tools;
use russet_platform::layout::Layout;
use russet_platform::macos_tools::package::restart_menubars;
use russet_platform::service::Service;

use super::install::layout_below;
use super::progress;
use crate::error::{CliError, Result};
use crate::exit::Exit;
use crate::render;

/// Time in which an agent that runs takes what came. It looks every second.
const TAKEN_TIMEOUT: Duration = Duration::from_secs(20);

/// Time in which one that is just being started anew is back.
const RESTART_TIMEOUT: Duration = Duration::from_secs(3);

/// Interval of looks.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);

/// The arguments of `russet agent package`.
#[derive(clap::Args, Debug)]
pub(crate) struct PackageArgs {
    /// Put in place what is left once the new version has proved itself
    #[arg(long)]
    finish: bool,

    /// Below this directory, without starting anything
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
}

/// Runs the command.
pub(crate) fn main(args: &PackageArgs) -> Result<Exit> {
    install::require_root("package").map_err(progress::install_failure)?;
    let layout = layout_below(args.root.as_deref())?;
    let _lock = install::lock_installation(&layout).map_err(progress::install_failure)?;
    if args.finish { finish_package(&layout, args) } else { bring_package(&layout) }
}

/// Puts everything in place where no agent runs, and otherwise sees the agent take it.
fn bring_package(layout: &Layout) -> Result<Exit> {
    let start = Instant::now();
    // One that is started just then would find its state directory in use.
    while layout.state().is_dir()
        && !package::is_agent_running(layout).map_err(failure)?
        && start.elapsed() < RESTART_TIMEOUT
    {
        std::thread::sleep(LOOK_INTERVAL);
    }
    loop {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        match package::place_unless_running(layout, now.as_secs()).map_err(failure)? {
            Placed::InPlace(version) => {
                render::print_line(format_args!("Version {version} is in place."))?;
                return Ok(Exit::Success);
            }
            Placed::ByAgent if !package::is_incoming(layout) => {
                render::print_line(
                    "The agent that runs puts the new version in place when no task runs; \
                     `russet agent status` shows how far it is.",
                )?;
                return Ok(Exit::Success);
            }
            Placed::ByAgent if start.elapsed() < TAKEN_TIMEOUT => {
                std::thread::sleep(LOOK_INTERVAL);
            }
            Placed::ByAgent => {
                let message = "the agent that runs did not take what the package brought";
                return Err(CliError::new(Exit::Infrastructure, message).hint(
                    "`russet agent logs` may say why; or `sudo russet agent stop`, install the \
                     package again, `sudo russet agent start`: tasks go on meanwhile",
                ));
            }
            Placed::Nothing => {
                let message = "there is nothing of a package to put in place";
                return Err(
                    CliError::new(Exit::Infrastructure, message).hint("install the package again")
                );
            }
        }
    }
}

/// Puts the rest in place and renews the installation. Killed anywhere, it is run again by the next
/// agent.
fn finish_package(layout: &Layout, args: &PackageArgs) -> Result<Exit> {
    let finishing = package::place_others(layout).map_err(failure)?;
    if finishing.restarts_menubar {
        restart_menubars(&Tools::system(), &layout.menubar_plist());
    }
    let service = args.root.is_none().then(|| Service::system(layout));
    let service = service.filter(|service| service.available().is_ok());
    let settings = Settings {
        layout: layout.clone(),
        program: layout.executable(),
        config: None,
        // The installation made them, and macOS lets no daemon make any.
        users: false,
        service: service.clone(),
        // What a person chose at the first installation stays.
        is_image: false,
        is_for_developers: false,
    };
    let mut watch = |_: Moment<'_>| std::ops::ControlFlow::Continue(());
    install::install_agent(&settings, false, &mut watch).map_err(progress::install_failure)?;
    if let (true, Some(service)) = (finishing.restarts, service) {
        let restarted = || -> std::result::Result<(), InstallError> {
            service.restart()?;
            install::wait_for_health(layout, &service).map(drop)
        };
        restarted().map_err(progress::install_failure)?;
    }
    package::forget_arrived(layout).map_err(failure)?;
    Ok(Exit::Success)
}

fn failure(error: PackageError) -> CliError {
    CliError::new(Exit::Infrastructure, russet_text::error_chain(&error))
}
