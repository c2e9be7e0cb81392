//! `russet agent gui`: a Mac for tasks at its screen.

use std::path::PathBuf;

use russet_launch_agent::config::{Config, Session};
use russet_launch_agent::setup::gui::{
    GuiHost, account_of_setup, needs_password, setup_steps, undo_setup,
};
use russet_launch_agent::setup::{AfterFailure, SetupError, run_steps};
use russet_platform::command::Tools;
use russet_platform::layout::Layout;
use russet_platform::macos_tools::screen_lock::Account;
use russet_platform::users;

use super::setup::{print_moment, print_reports, require_mac};
use super::vault::VaultArgs;
use crate::commands::OutputArgs;
use crate::commands::secret_input::SecretArgs;
use crate::error::{CliError, Result};
use crate::exit::Exit;

/// Set this Mac up for tasks at its screen (`session: gui`)
#[derive(clap::Subcommand, Debug)]
pub(crate) enum GuiCommand {
    /// Log an account in by itself, and keep its screen on and unlocked
    ///
    /// It looks at each setting, changes what is otherwise, looks again, and notes what was there
    /// before. Run again, it does what is left. The account's password is asked for, or read from
    /// --from or standard input, where something takes it.
    #[command(after_help = "Examples:
  sudo russet agent gui setup --user ci-gui --dry-run
  sudo russet agent gui setup --user ci-gui
  sudo russet agent gui setup --from /root/ci-gui.password --output json

It exits with 0 where all is as it should be, 20 where a person has to do something, 5 where
something failed.")]
    Setup {
        /// The account [default: that of the configured class with `session: gui`]
        #[arg(long, value_name = "NAME")]
        user: Option<String>,
        #[command(flatten)]
        password: SecretArgs,
        #[command(flatten)]
        common: GuiArgs,
    },
    /// Put every setting back as it was before `setup`
    #[command(after_help = "Examples:
  sudo russet agent gui undo --dry-run
  sudo russet agent gui undo")]
    Undo {
        #[command(flatten)]
        password: SecretArgs,
        #[command(flatten)]
        common: GuiArgs,
    },
}

/// Options of both.
#[derive(clap::Args, Debug)]
pub(crate) struct GuiArgs {
    /// Only say what would be done
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    vault: VaultArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// Runs the command.
pub(crate) fn main(command: &GuiCommand) -> Result<Exit> {
    require_mac("there is no session at a screen to set up")?;
    match command {
        GuiCommand::Setup { user, password, common } => set_up(user.as_deref(), password, common),
        GuiCommand::Undo { password, common } => undo(password, common),
    }
}

fn set_up(user: Option<&str>, password: &SecretArgs, common: &GuiArgs) -> Result<Exit> {
    let config = common.vault.config()?;
    let name = match user {
        Some(name) => name.to_owned(),
        None => configured_account(config.as_ref())?,
    };
    let mut host = host_of(&name, config.as_ref())?;
    if !common.dry_run && needs_password(&host) {
        host.password = Some(password.read(&format!("password of {name}"))?);
    }
    let format = common.output.output;
    let steps = setup_steps(&host);
    let reports = run_steps(&steps, common.dry_run, AfterFailure::GoOn, &mut |moment| {
        print_moment(&moment, format);
    });
    print_reports(&reports, common.dry_run, format)
}

fn undo(password: &SecretArgs, common: &GuiArgs) -> Result<Exit> {
    let config = common.vault.config()?;
    let state = state_directory(config.as_ref());
    let format = common.output.output;
    let Some(name) = account_of_setup(&state).map_err(setup_failure)? else {
        return print_reports(&[], common.dry_run, format);
    };
    let mut host = host_of(&name, config.as_ref())?;
    if !common.dry_run && needs_password_to_undo(&host)? {
        host.password = Some(password.read(&format!("password of {name}"))?);
    }
    let reports = undo_setup(&host, common.dry_run, &mut |moment| print_moment(&moment, format))
        .map_err(setup_failure)?;
    print_reports(&reports, common.dry_run, format)
}

/// The lock is the one setting that takes the password to go back.
fn needs_password_to_undo(host: &GuiHost) -> Result<bool> {
    let planned = undo_setup(host, true, &mut |_| {}).map_err(setup_failure)?;
    Ok(planned.iter().any(|report| report.step.contains("screen lock")))
}

fn host_of(name: &str, config: Option<&Config>) -> Result<GuiHost> {
    if !nix::unistd::geteuid().is_root() {
        let message = "only root can look at the settings of another account, and change them";
        return Err(CliError::new(Exit::Infrastructure, message).hint("run the command with sudo"));
    }
    let user = users::find_screen_account(name).map_err(|error| {
        CliError::new(Exit::Infrastructure, error.to_string()).hint(
            "make an account of its own for tasks, no administrator: System Settings, Users & \
             Groups, or `sudo sysadminctl -addUser NAME -password -`",
        )
    })?;
    Ok(GuiHost {
        tools: Tools::system(),
        root: PathBuf::from("/"),
        state: state_directory(config),
        account: Account { name: user.name, uid: user.uid.as_raw() },
        password: None,
    })
}

fn state_directory(config: Option<&Config>) -> PathBuf {
    config.map_or_else(|| Layout::default().state(), |config| config.state_directory.clone())
}

/// The account of the class at the screen, of which a Mac has one.
fn configured_account(config: Option<&Config>) -> Result<String> {
    let classes = config.map_or(&[][..], |config| &config.classes);
    let account = classes.iter().find_map(|class| match &class.session {
        Session::Gui { user } => Some(user.clone()),
        Session::Background => None,
    });
    account.ok_or_else(|| {
        CliError::new(Exit::Usage, "no configured class has `session: gui`")
            .hint("name the account with `--user`")
    })
}

fn setup_failure(error: SetupError) -> CliError {
    let hint = error.hint();
    CliError::new(Exit::Infrastructure, error.to_string()).maybe_hint(hint)
}
