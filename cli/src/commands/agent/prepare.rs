//! `russet agent prepare`: an Xcode made ready to build.

use std::path::PathBuf;

use russet_launch_agent::setup::prepare::{
    PrepareHost, Wanted, WantedRuntime, prepare_steps, read_brewfile,
};
use russet_launch_agent::setup::{AfterFailure, run_steps};
use russet_platform::command::Tools;
use russet_platform::layout::Layout;
use russet_platform::macos_tools::{xcode, xcode_setup};

use super::setup::{print_moment, print_reports, require_mac};
use super::vault::VaultArgs;
use crate::commands::OutputArgs;
use crate::error::{CliError, Result};
use crate::exit::Exit;

/// The arguments of `russet agent prepare`.
#[derive(clap::Args, Debug)]
pub(crate) struct PrepareArgs {
    /// The Xcode: a version, or the path of an .app [default: the selected one]
    #[arg(long, value_name = "XCODE")]
    xcode: Option<String>,

    /// Simulator runtimes: iOS, watchOS, tvOS or visionOS, each the one that fits the Xcode, or
    /// with a version or build behind `=`
    #[arg(long, value_name = "PLATFORM[=VERSION]", value_delimiter = ',', value_parser = WantedRuntime::parse)]
    runtimes: Vec<WantedRuntime>,

    /// Leave out the Metal toolchain, which Xcode 26 and later download apart
    #[arg(long)]
    without_metal: bool,

    /// Install Rosetta, for programs that are built for Intel alone
    #[arg(long)]
    rosetta: bool,

    /// Make simulators once, in `runner.home_skeleton`, instead of anew in each task's home
    #[arg(long)]
    simulators: bool,

    /// Install the tools of this file with Homebrew, as the user who owns it: lines `brew "name"`
    /// and comments alone
    #[arg(long, value_name = "FILE")]
    brewfile: Option<PathBuf>,

    /// Only say what would be done
    #[arg(long)]
    dry_run: bool,

    #[command(flatten)]
    vault: VaultArgs,

    #[command(flatten)]
    output: OutputArgs,
}

/// Runs the command.
pub(crate) fn main(args: &PrepareArgs) -> Result<Exit> {
    require_mac("Xcode is on Macs")?;
    if !args.dry_run && !nix::unistd::geteuid().is_root() {
        let message = "only root can agree to licences and install components for all users";
        return Err(CliError::new(Exit::Infrastructure, message).hint("run the command with sudo"));
    }
    let config = args.vault.config()?;
    let skeleton = config.as_ref().and_then(|config| config.home_skeleton.clone());
    if args.simulators && skeleton.is_none() {
        let message = "`--simulators` puts them into `runner.home_skeleton`, which is not set";
        return Err(CliError::new(Exit::BadConfig, message)
            .hint("make a directory of root's, such as /opt/ci/home, and name it there"));
    }
    let tools = Tools::system();
    let more_directories = config.as_ref().map_or(&[][..], |config| &config.xcode_directories);
    let host = PrepareHost {
        developer_dir: developer_dir(&tools, args.xcode.as_deref(), more_directories)?,
        tools,
        root: PathBuf::from("/"),
        state: config
            .as_ref()
            .map_or_else(|| Layout::default().state(), |it| it.state_directory.clone()),
    };
    let formulae = match &args.brewfile {
        Some(path) => read_brewfile(path)
            .map_err(|error| CliError::new(Exit::BadConfig, error.to_string()))?,
        None => Vec::new(),
    };
    let wanted = Wanted {
        metal: !args.without_metal,
        runtimes: args.runtimes.clone(),
        rosetta: args.rosetta,
        skeleton: skeleton.filter(|_| args.simulators),
        formulae,
    };
    let format = args.output.output;
    let steps = prepare_steps(&host, &wanted);
    let reports = run_steps(&steps, args.dry_run, AfterFailure::Stop, &mut |moment| {
        print_moment(&moment, format);
    });
    print_reports(&reports, args.dry_run, format)
}

fn developer_dir(tools: &Tools, wanted: Option<&str>, more: &[PathBuf]) -> Result<PathBuf> {
    if let Some(wanted) = wanted {
        let directories = xcode::search_directories(more);
        return xcode::find_developer_dir(&directories, wanted).map_err(|error| {
            CliError::new(Exit::Infrastructure, error.reason()).hint(error.hint())
        });
    }
    let selected = xcode_setup::selected_developer_dir(tools)
        .map_err(|error| CliError::new(Exit::Infrastructure, error.to_string()))?;
    selected.ok_or_else(|| {
        CliError::new(Exit::Infrastructure, "no Xcode is selected on this Mac")
            .hint("install one, and name it with `--xcode`")
    })
}
